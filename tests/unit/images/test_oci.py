"""Images of one layer, written as OCI archives."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from adapters.errors import MachineUnfit
from local.images import oci

CONFIG = {"Entrypoint": ["/program"], "User": "65532:65532"}


def _content() -> bytes:
    return oci.layer([oci.Directory("tmp", 0o1777), oci.File("bin/program", b"\x7fELF", 0o755)])


def _blobs(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        files = {member.name: tar.extractfile(member) for member in tar if member.isfile()}
        return {name: file.read() for name, file in files.items() if file is not None}


def _described(blobs: dict[str, bytes], descriptor: dict[str, Any]) -> bytes:
    data = blobs["blobs/" + descriptor["digest"].replace(":", "/")]
    assert descriptor["size"] == len(data)
    assert descriptor["digest"] == "sha256:" + hashlib.sha256(data).hexdigest()
    return data


def test_everything_in_an_archive_is_found_by_its_digest(tmp_path: Path) -> None:
    digest = oci.write_archive(tmp_path / "image.tar", "slipway.local/program:1", _content(), CONFIG)
    blobs = _blobs(tmp_path / "image.tar")
    (descriptor,) = json.loads(blobs["index.json"])["manifests"]
    assert descriptor["digest"] == digest
    manifest = json.loads(_described(blobs, descriptor))
    config = json.loads(_described(blobs, manifest["config"]))
    (layer,) = manifest["layers"]
    content = gzip.decompress(_described(blobs, layer))
    assert content == _content()
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(content).hexdigest()]
    assert config["config"] == CONFIG


def test_containerd_is_told_the_name_to_import_as(tmp_path: Path) -> None:
    oci.write_archive(tmp_path / "image.tar", "slipway.local/program:1", _content(), CONFIG)
    (descriptor,) = json.loads(_blobs(tmp_path / "image.tar")["index.json"])["manifests"]
    assert descriptor["annotations"]["io.containerd.image.name"] == "slipway.local/program:1"


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        oci.write_archive(tmp_path / name, "slipway.local/program:1", _content(), CONFIG)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_digest_is_read_back_from_the_archive(tmp_path: Path) -> None:
    digest = oci.write_archive(tmp_path / "image.tar", "slipway.local/program:1", _content(), CONFIG)
    assert oci.digest_of(tmp_path / "image.tar") == digest


def test_a_layer_has_parents_first_modes_kept_and_no_times() -> None:
    with tarfile.open(fileobj=io.BytesIO(_content())) as tar:
        members = tar.getmembers()
    assert [(m.name, oct(m.mode), m.isdir()) for m in members] == [
        ("tmp", "0o1777", True),
        ("bin", "0o755", True),
        ("bin/program", "0o755", False),
    ]
    assert {(m.mtime, m.uid, m.gid) for m in members} == {(0, 0, 0)}


def test_a_file_that_cannot_be_written_is_the_machines_fault_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "image.tar").mkdir()
    (tmp_path / "image.tar" / "occupied").touch()
    with pytest.raises(MachineUnfit, match="SLIPWAY_CACHE_DIR"):
        oci.write_whole(tmp_path / "image.tar", b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["image.tar"]
