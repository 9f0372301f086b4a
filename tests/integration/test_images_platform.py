"""The platform's own images, built from their pinned Go modules and imported by a real containerd."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.command import run
from local import apt
from local.images import monitoring_image_names, platform_binary, platform_image_names, platform_images

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="containerd runs as root")


@pytest.fixture(scope="module")
def images() -> list[Path]:
    return platform_images()


@pytest.fixture
def containerd(tmp_path: Path) -> Iterator[str]:
    """The socket of a containerd of its own."""
    apt.ensure("containerd")
    socket = tmp_path / "containerd.sock"
    config = f"""
version = 2
root = "{tmp_path / "root"}"
state = "{tmp_path / "state"}"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{socket}"
"""
    (tmp_path / "config.toml").write_text(config)
    argv = ["containerd", "--config", tmp_path / "config.toml"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert any("successfully booted" in line for line in process.stderr), "it ended before it had booted"
            yield str(socket)
        finally:
            process.terminate()
            process.communicate(timeout=30)


def test_containerd_imports_every_image_under_its_name_and_finds_it_whole(images: list[Path], containerd: str) -> None:
    ctr = ["ctr", f"--address={containerd}", "--namespace=k8s.io", "images"]
    for archive in images:
        run([*ctr, "import", str(archive)])
    for name in platform_image_names().values():
        (line,) = run([*ctr, "check", f"name=={name}"]).splitlines()[1:]
        assert line.startswith(f"{name} ")
        assert "complete" in line
        assert line.split()[-1] == "true", "not unpacked"


def test_every_image_runs_as_somebody_without_rights(images: list[Path]) -> None:
    users = {_config(archive)["User"] for archive in images}
    assert users == {"65532:65532", "65535:65535"}


def test_images_are_found_again_without_being_written(images: list[Path]) -> None:
    written = [archive.stat().st_mtime_ns for archive in images]
    assert [archive.stat().st_mtime_ns for archive in platform_images()] == written


def test_every_program_needs_no_library(images: list[Path]) -> None:
    for short in platform_image_names():
        # The name of the dynamic linker is in every program that asks for one.
        assert b"/ld-linux" not in platform_binary(short).read_bytes()


def test_kubectl_says_the_version_it_is_tagged_with() -> None:
    version = json.loads(run([str(platform_binary("kubectl")), "version", "--client", "--output=json"]))
    tag = platform_image_names()["kubectl"].rpartition(":")[2]
    assert version["clientVersion"]["gitVersion"] == f"v{tag}"


def test_the_registry_says_the_version_it_is_tagged_with() -> None:
    tag = platform_image_names()["registry"].rpartition(":")[2]
    assert run([str(platform_binary("registry")), "--version"]).split()[-1] == f"v{tag}"


def test_prometheus_and_promtool_say_the_version_of_the_image() -> None:
    tag = monitoring_image_names()["prometheus"].rpartition(":")[2]
    for program in ("prometheus", "promtool"):
        said = run([str(platform_binary("prometheus", program=program)), "--version"])
        assert said.startswith(f"{program}, version {tag} ")


def test_pause_collects_orphans_and_ends_when_told(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    script = f"(cat {fifo} > /dev/null &) ; exec {platform_binary('pause')}"
    # The first process of a process namespace of its own, as in a pod: orphans become its children.
    with subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", script]) as unshare:
        try:
            with fifo.open("w"):
                (pause,) = _children(unshare.pid)
                # Until then the first process, and another between the two, are still shells.
                comm = Path(f"/proc/{pause}/comm")
                _await(lambda: comm.read_text().strip() == platform_binary("pause").name[:15], "pause runs")
                _await(lambda: len(_children(pause)) == 1, "nobody but the orphan is left")
            _await(lambda: not _children(pause), "the orphan that ended is collected")
            os.kill(int(pause), 15)
            assert unshare.wait(timeout=20) == 0
        finally:
            unshare.kill()


def _await(happens: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not happens():
        assert time.monotonic() < deadline, what


def _children(pid: int | str) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _config(archive: Path) -> Any:
    with tarfile.open(archive) as tar:

        def read(name: str) -> Any:
            file = tar.extractfile(name)
            assert file is not None
            return json.loads(file.read())

        def blob(descriptor: dict[str, str]) -> Any:
            return read("blobs/" + descriptor["digest"].replace(":", "/"))

        return blob(blob(read("index.json")["manifests"][0])["config"])["config"]
