"""The image of hello, built for real from Debian packages, pushed to a real registry with TLS and passwords."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from adapters.command import run
from adapters.errors import BadInput, MachineUnfit, Unreachable
from adapters.paths import REPOSITORY
from local.images import BuiltImage, build_service, pip, push
from local.images.debian import apt_sources
from tests.integration.registry import free_port, serving

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="images are built as root")

HELLO = REPOSITORY / "services" / "hello"
USER, PASSWORD = "ci", "correct horse battery staple"


@pytest.fixture(scope="module")
def image() -> BuiltImage:
    return build_service(HELLO, "hello")


@pytest.fixture(scope="module")
def unpacked(image: BuiltImage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The OCI layout of the archive as a directory."""
    layout = tmp_path_factory.mktemp("layout")
    with tarfile.open(image.archive) as tar:
        tar.extractall(layout, filter="data")
    return layout


@pytest.fixture(scope="module")
def root(image: BuiltImage, unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image's root file system."""
    folder = tmp_path_factory.mktemp("root")
    for layer in _manifest(unpacked, image)["layers"]:
        with tarfile.open(_blob(unpacked, layer["digest"])) as tar:
            tar.extractall(folder, filter="tar")
    folder.chmod(0o755)
    return folder


def test_the_same_content_in_another_place_gives_the_same_digest(image: BuiltImage, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(HELLO, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for path in copy.rglob("*"):
        os.utime(path, (0, 0))
    # Another name is another archive, so this one is built and not found.
    again = build_service(copy, "hello-again")
    try:
        assert again.archive != image.archive
        assert again.digest == image.digest
    finally:
        again.archive.unlink()


def test_other_content_gives_another_digest_and_what_is_long_unused_goes(image: BuiltImage, tmp_path: Path) -> None:
    old = image.archive.parent / "old-0123456789ab.tar"
    old.touch()
    os.utime(old, (0, 0))
    copy = tmp_path / "hello"
    shutil.copytree(HELLO, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with (copy / "hello" / "app.py").open("a") as file:
        file.write("\nCHANGED = True\n")
    changed = build_service(copy, "hello-changed")
    changed.archive.unlink()
    assert changed.digest != image.digest
    assert image.archive.exists()
    assert not old.exists()


def test_a_built_image_is_found_again_without_its_tools(image: BuiltImage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert build_service(HELLO, "hello") == image


def test_the_image_runs_as_nobody_special_and_in_exec_form(image: BuiltImage, unpacked: Path) -> None:
    config = _config(unpacked, image)["config"]
    assert config["User"] == "65532:65532"
    assert config["Cmd"] == ["python3", "-m", "hello"]
    assert config["Labels"]["org.opencontainers.image.title"] == "hello"


def test_the_image_says_nothing_of_when_or_where_it_was_built(image: BuiltImage, unpacked: Path) -> None:
    config = _config(unpacked, image)
    assert config["created"] == "1970-01-01T00:00:00Z"
    assert "history" not in config
    assert str(REPOSITORY) not in json.dumps([config, _manifest(unpacked, image)])


def test_the_image_says_which_distribution_its_packages_are_of(root: Path) -> None:
    """Scanners look for vulnerabilities of a distribution; of packages without one they find none."""
    told = dict(line.split("=", 1) for line in (root / "etc" / "os-release").read_text().replace('"', "").splitlines())
    assert (told["ID"], told["VERSION_ID"]) == ("debian", "12")


def test_no_layer_holds_pip_a_shell_or_the_machines_own_sources(root: Path) -> None:
    names = {str(path.relative_to(root)) for path in root.rglob("*")}
    assert not {name for name in names if re.search(r"(^|/)bin/(pip|pip3|sh|dash|apt|apt-get)$", name)}
    assert not {name for name in names if name.startswith(("etc/apt/", "etc/pip.conf", "run/"))}


def test_no_layer_names_a_package_mirror_of_this_machine(image: BuiltImage, unpacked: Path) -> None:
    settings = pip.machine_settings()
    indexes = [settings.get("global", key, fallback="") for key in ("index-url", "extra-index-url")]
    addresses = [line.split()[1] for line in apt_sources().splitlines()] + " ".join(indexes).split()
    hosts = {httpx2.URL(address).host.encode() for address in addresses}
    assert hosts
    for layer in _manifest(unpacked, image)["layers"]:
        content = gzip.decompress(_blob(unpacked, layer["digest"]).read_bytes())
        assert not {host for host in hosts if host in content}


def test_an_index_with_a_password_is_used_by_the_build_and_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "s3cr3t-of-the-index"
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"http://reader:{secret}@127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    service = _service(
        tmp_path,
        "RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf grep -q reader /etc/pip.conf && touch /seen",
        "FROM ${BASE}",
        "COPY --from=build /seen /seen",
    )
    built = build_service(service, "secretive")
    try:
        with tarfile.open(built.archive) as tar:
            contents = [tar.extractfile(member) for member in tar if member.isfile()]
            blobs = [file.read() for file in contents if file is not None]
        plain = [gzip.decompress(blob) if blob[:2] == b"\x1f\x8b" else blob for blob in blobs]
        assert any(b"seen" in blob for blob in plain)
        assert not any(secret.encode() in blob for blob in plain)
    finally:
        built.archive.unlink()


def test_a_wrong_dockerfile_is_reported_with_what_it_printed(tmp_path: Path) -> None:
    service = _service(tmp_path, "RUN echo the cause of it all && exit 9")
    with pytest.raises(BadInput, match="the cause of it all") as caught:
        build_service(service, "wrong")
    assert str(service / "Dockerfile") in str(caught.value)


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache on a disk of 20 MiB."""
    run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(tmp_path)])
    monkeypatch.setenv("SLIPWAY_CACHE_DIR", str(tmp_path))
    yield tmp_path
    run(["umount", str(tmp_path)])


def test_a_disk_without_room_for_a_base_image_is_refused_before_anything_is_written(small_disk: Path) -> None:
    with pytest.raises(MachineUnfit, match=r"not enough disk space to make a base image.*at least 1 GiB"):
        build_service(HELLO, "hello")
    assert list(small_disk.iterdir()) == []


def test_a_disk_that_is_full_in_the_middle_of_a_build_is_the_machines_fault(
    image: BuiltImage, small_disk: Path
) -> None:
    (small_disk / "images").mkdir()
    (small_disk / "images" / "bases").symlink_to(image.archive.parent.parent / "bases")
    with pytest.raises(MachineUnfit, match="the disk is full"):
        build_service(HELLO, "hello")
    assert list((small_disk / "images" / "services").iterdir()) == []


def test_a_build_leaves_no_mount_and_no_files_behind(image: BuiltImage, tmp_path: Path) -> None:
    service = _service(tmp_path, "RUN exit 1")
    with pytest.raises(BadInput):
        build_service(service, "wrong")
    assert str(image.archive.parent) not in Path("/proc/self/mountinfo").read_text()
    assert not [path for path in image.archive.parent.iterdir() if path.name.startswith(".wrong")]


def test_the_image_serves_as_its_user(root: Path) -> None:
    port = free_port()
    # A container runtime gives the same: the image's files, owned by root, and its user.
    python = ["chroot", "--userspec=65532:65532", str(root), "/usr/bin/python3", "-W", "error", "-m", "hello"]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": "/app",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PORT": str(port),
        "SLIPWAY_RELEASE": "r1",
    }
    with subprocess.Popen(python, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert any("running on" in line for line in process.stdout), "it ended before it listened"
            assert httpx2.get(f"http://127.0.0.1:{port}/version").json()["release"] == "r1"
            owner = Path(f"/proc/{process.pid}").stat()
            assert (owner.st_uid, owner.st_gid) == (65532, 65532)
        finally:
            process.terminate()
        assert process.wait(timeout=20) == 0


class Registry:
    def __init__(self, host: str, ca: Path) -> None:
        self.host, self.ca = host, ca

    def digest(self, path: str) -> str | None:
        context = ssl.create_default_context(cafile=self.ca)
        accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
        answer = httpx2.head(f"https://{self.host}/v2/{path}", headers=accept, auth=(USER, PASSWORD), verify=context)
        return answer.headers.get("Docker-Content-Digest") if answer.status_code == 200 else None


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("registry")
    with serving(folder, login=(USER, PASSWORD)) as host:
        yield Registry(host, folder / "ca.crt")


def test_a_pushed_image_has_the_digest_it_was_built_with_under_every_tag(image: BuiltImage, registry: Registry) -> None:
    push(image, f"{registry.host}/hello", ["sha-1", "latest"], username=USER, password=PASSWORD, ca=registry.ca)
    for reference in ("sha-1", "latest", image.digest):
        assert registry.digest(f"hello/manifests/{reference}") == image.digest


def test_a_wrong_password_is_refused_and_pushes_nothing(image: BuiltImage, registry: Registry) -> None:
    with pytest.raises(BadInput, match="refuses these credentials") as caught:
        push(image, f"{registry.host}/other", ["v1"], username=USER, password="wrong-password", ca=registry.ca)
    assert "wrong-password" not in str(caught.value)
    assert registry.digest("other/manifests/v1") is None


def test_a_registry_of_another_authority_is_not_trusted(image: BuiltImage, registry: Registry) -> None:
    with pytest.raises(Unreachable, match="certificate"):
        push(image, f"{registry.host}/other", ["v1"], username=USER, password=PASSWORD, ca=None)
    assert registry.digest("other/manifests/v1") is None


def test_a_registry_that_is_not_there_is_named(image: BuiltImage, registry: Registry) -> None:
    host = f"127.0.0.1:{free_port()}"
    with pytest.raises(Unreachable, match=re.escape(host)):
        push(image, f"{host}/hello", ["v1"], username=USER, password=PASSWORD, ca=registry.ca)


def test_a_port_with_no_registry_behind_it_is_named(image: BuiltImage, registry: Registry) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_hang_up_on_everybody, args=(listener,), daemon=True).start()
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(Unreachable, match=f"{re.escape(host)}.*slipway status"):
            push(image, f"{host}/hello", ["v1"], username=USER, password=PASSWORD, ca=registry.ca)


def test_credentials_are_never_an_argument(image: BuiltImage, registry: Registry, tmp_path: Path) -> None:
    """A `skopeo` that writes down how it was called, then calls the real one."""
    calls = tmp_path / "calls"
    wrapper = tmp_path / "skopeo"
    wrapper.write_text(f'#!/bin/sh\necho "$@" >> {calls}\nexec {shutil.which("skopeo")} "$@"\n')
    wrapper.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        push(image, f"{registry.host}/hello", ["again"], username=USER, password=PASSWORD, ca=registry.ca)
    assert "copy" in calls.read_text()
    assert PASSWORD not in calls.read_text()


def _hang_up_on_everybody(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it was closed
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)  # what is left unread would make it a reset


def _service(folder: Path, *lines: str) -> Path:
    folder.joinpath("Dockerfile").write_text("\n".join(["ARG BASE", "ARG BUILDER", "FROM ${BUILDER} AS build", *lines]))
    return folder


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / digest.replace(":", "/")


def _manifest(layout: Path, image: BuiltImage) -> Any:
    return json.loads(_blob(layout, image.digest).read_bytes())


def _config(layout: Path, image: BuiltImage) -> Any:
    return json.loads(_blob(layout, _manifest(layout, image)["config"]["digest"]).read_bytes())
