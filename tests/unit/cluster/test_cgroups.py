"""What a machine's cgroups must offer. Folders stand in for hierarchies: this machine has only one kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.errors import MachineUnfit
from local.cluster import cgroups

ALL = "cpuset cpu io memory hugetlb pids rdma misc"


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mounts"
    monkeypatch.setattr(cgroups, "_MOUNTS", path)
    return path


def unified(folder: Path, controllers: str) -> str:
    """A hierarchy of v2 with these controllers; its line in /proc/mounts."""
    folder.mkdir()
    (folder / "cgroup.controllers").write_text(f"{controllers}\n")
    return f"cgroup2 {folder} cgroup2 rw,nosuid,nodev,noexec,relatime 0 0\n"


def legacy(folder: Path, controllers: str) -> str:
    """A hierarchy of v1."""
    folder.mkdir()
    return f"cgroup {folder} cgroup rw,relatime,{controllers} 0 0\n"


def test_the_unified_hierarchy_alone_is_enough(mounts: Path, tmp_path: Path) -> None:
    mounts.write_text(unified(tmp_path / "v2", ALL))
    cgroups.check()


def test_the_old_ones_with_an_empty_unified_one_are_enough(mounts: Path, tmp_path: Path) -> None:
    lines = [legacy(tmp_path / name, name) for name in ("cpuset", "memory", "pids")]
    mounts.write_text("".join([*lines, legacy(tmp_path / "cpu", "cpu,cpuacct"), unified(tmp_path / "v2", "")]))
    cgroups.check()


def test_a_controller_that_is_turned_off_is_named(mounts: Path, tmp_path: Path) -> None:
    mounts.write_text(unified(tmp_path / "v2", "cpuset cpu io pids"))
    with pytest.raises(MachineUnfit, match=r"no cgroup controller memory\..*cluster of your own"):
        cgroups.check()


def test_a_machine_without_cgroups_is_refused(mounts: Path) -> None:
    mounts.write_text("proc /proc proc rw 0 0\n")
    with pytest.raises(MachineUnfit, match="cpu, cpuset, memory, pids"):
        cgroups.check()


def test_hierarchies_that_cannot_be_written_are_refused(
    mounts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts.write_text(unified(tmp_path / "v2", ALL))
    monkeypatch.setattr("os.access", lambda *_: False)  # as of a container without privileges
    with pytest.raises(MachineUnfit, match="read-only"):
        cgroups.check()


def test_controllers_are_handed_down_before_the_pods_cgroup_is_made(mounts: Path, tmp_path: Path) -> None:
    top = tmp_path / "v2"
    mounts.write_text(unified(top, "memory"))
    (top / "pods").mkdir()
    (top / "pods" / "cgroup.controllers").write_text("memory\n")  # the kernel's work
    cgroups.create("pods")
    assert (top / "cgroup.subtree_control").read_text() == "+memory"


def test_controllers_that_processes_at_the_top_keep_from_being_handed_down_are_named(
    mounts: Path, tmp_path: Path
) -> None:
    mounts.write_text(unified(tmp_path / "v2", "cpu memory"))
    with pytest.raises(MachineUnfit, match="cpu, memory cannot be handed down"):
        cgroups.create("pods")
    assert cgroups.leftovers("pods") == []
