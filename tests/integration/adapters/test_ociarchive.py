"""Images into the real registry and out of it again, byte for byte; it speaks TLS and wants a password."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters import ociarchive
from adapters.errors import BadInput
from adapters.registry import RegistryClient, digest_of
from local.images import oci
from tests.integration.registry import serving

USER, PASSWORD = "ci", "correct horse battery staple"
INDEX = "application/vnd.oci.image.index.v1+json"

pytestmark = pytest.mark.skipif(shutil.which("go") is None, reason="the registry is built with Go")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryClient]:
    folder = tmp_path_factory.mktemp("registry")
    with (
        serving(folder, login=(USER, PASSWORD)) as address,
        RegistryClient(address, USER, PASSWORD, (folder / "ca.crt").read_text()) as client,
    ):
        yield client


def archive_of(folder: Path, text: str) -> tuple[Path, str]:
    path = folder / f"{text}.tar"
    return path, oci.write_archive(path, text, oci.layer([oci.File("file", text.encode())]), {"Cmd": ["x"]})


def test_an_image_keeps_its_digest_on_the_way_there_and_back(registry: RegistryClient, tmp_path: Path) -> None:
    archive, digest = archive_of(tmp_path, "hello")
    assert ociarchive.push(registry, "hello", archive) == digest
    assert registry.digest_of("hello", digest) == digest
    assert registry.tags("hello") == [], "whoever pushes says later what it is called"
    pulled = tmp_path / "pulled.tar"
    ociarchive.pull(registry, "hello", digest, pulled, "hello:v1.0.0")
    assert oci.digest_of(pulled) == digest
    assert ociarchive.push(registry, "again", pulled) == digest
    with tarfile.open(pulled) as tar:
        index = json.loads((tar.extractfile("index.json") or io.BytesIO()).read())
        assert index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] == "hello:v1.0.0"


def test_an_image_for_several_machines_is_pushed_and_pulled_with_all_its_parts(
    registry: RegistryClient, tmp_path: Path
) -> None:
    files: dict[str, bytes] = {}
    descriptors = []
    for text in ("amd64", "arm64"):
        with tarfile.open(archive_of(tmp_path, text)[0]) as tar:
            read = {member.name: (tar.extractfile(member) or io.BytesIO()).read() for member in tar if member.isfile()}
        files |= {name: content for name, content in read.items() if name.startswith("blobs/")}
        descriptors += json.loads(read["index.json"])["manifests"]
    inner = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors}).encode()
    files[f"blobs/{digest_of(inner).replace(':', '/')}"] = inner
    described = {"mediaType": INDEX, "digest": digest_of(inner), "size": len(inner)}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [described]}).encode()
    archive = tmp_path / "both.tar"
    archive.write_bytes(oci.layer(oci.File(name, content) for name, content in files.items()))
    assert ociarchive.push(registry, "both", archive) == digest_of(inner)
    pulled = tmp_path / "pulled.tar"
    ociarchive.pull(registry, "both", digest_of(inner), pulled, "both:1")
    assert ociarchive.push(registry, "copy", pulled) == digest_of(inner)
    for descriptor in descriptors:
        assert registry.digest_of("copy", descriptor["digest"]) == descriptor["digest"]


def test_what_is_no_archive_or_lacks_a_part_is_refused(registry: RegistryClient, tmp_path: Path) -> None:
    text = tmp_path / "text.tar"
    text.write_text("no archive")
    archive, _ = archive_of(tmp_path, "hello")
    lacking = tmp_path / "lacking.tar"
    with tarfile.open(archive) as tar, tarfile.open(lacking, "w") as less:
        members = [member for member in tar if member.isfile()]
        for member in members[:-2]:
            less.addfile(member, tar.extractfile(member))
    for path, words in (
        (text, "no OCI archive"),
        (tmp_path / "none.tar", "no OCI archive"),
        (lacking, "has no blobs/"),
    ):
        with pytest.raises(BadInput, match=words):
            ociarchive.push(registry, "bad", path)


def test_an_image_that_is_not_there_leaves_no_archive(registry: RegistryClient, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not in the registry"):
        ociarchive.pull(registry, "hello", "sha256:" + "0" * 64, tmp_path / "pulled.tar", "hello:1")
    assert list(tmp_path.iterdir()) == []
