"""What is said where there is no cluster, and where there can be none."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from adapters.errors import BadInput, MachineUnfit
from local import apt
from local import cluster as clusters
from local.cluster import binaries, cgroups, process
from local.cluster.spec import Layout

SPEC = clusters.ClusterSpec(name="test", pause="pause:1")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of its own, and a machine that has everything."""
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for part in (apt, binaries, cgroups):
        monkeypatch.setattr(part, "check", lambda *_: None)
    monkeypatch.setattr(apt, "ensure", lambda *_: None)
    monkeypatch.setattr(binaries, "build", dict)
    return tmp_path


def test_without_a_cluster_there_is_nothing_to_find_or_to_end(state: Path) -> None:
    assert clusters.find("test") is None
    assert clusters.down("test") is False
    assert clusters.status("test") == clusters.Status("test", False, False, None, False, {})
    assert list(state.iterdir()) == [], "asking leaves nothing behind"


def test_only_root_can_have_one_and_others_are_told_how_to_use_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(MachineUnfit, match="cluster of your own"):
        clusters.up(SPEC)


def test_a_full_disk_is_named_before_anything_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    monkeypatch.setattr(process, "launch", lambda _: pytest.fail("it was started"))
    with pytest.raises(MachineUnfit, match="disk space"):
        clusters.up(SPEC)


def test_an_archive_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_text("not an archive")
    with pytest.raises(BadInput, match=r"image\.tar: this is no OCI archive"):
        clusters.up(clusters.ClusterSpec(name="test", pause="pause:1", images=(tmp_path / "image.tar",)))


def test_an_authority_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    mirror = clusters.Mirror("registry.test", "https://10.0.0.1", tmp_path / "missing.pem")
    with pytest.raises(BadInput, match=r"missing\.pem: the certificate authority of registry\.test"):
        clusters.up(clusters.ClusterSpec(name="test", pause="pause:1", registry_mirrors=(mirror,)))


def test_a_component_that_fails_is_shown_with_its_last_words() -> None:
    layout = Layout("test")
    layout.logs.mkdir(parents=True)
    (layout.logs / "kubelet.log").write_text("\n".join(f"line {n}" for n in range(50)))
    text = str(process.component_failed(layout, "kubelet", "it ended 4 times"))
    assert "kubelet of cluster 'test' failed: it ended 4 times" in text
    assert "line 49" in text
    assert "line 30" not in text


def test_a_crowded_machine_is_told_which_limit_it_has_reached() -> None:
    layout = Layout("test")
    layout.logs.mkdir(parents=True)
    (layout.logs / "kube-proxy.log").write_text("failed complete: too many open files")
    assert "fs.inotify.max_user_instances" in str(process.component_failed(layout, "kube-proxy", "it ended"))
