"""Writes images of one layer as OCI archives: the same content gives the same bytes, and so the same digest.

Buildah could do this too; written here, an image of one static binary needs no other program and no storage, and can
carry the annotation by which containerd names what it imports.
Source of the format: OCI image specification 1.1 (image-layout, manifest, config).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import platform
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from adapters.errors import MachineUnfit

_EPOCH = "1970-01-01T00:00:00Z"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True)
class File:
    """A regular file of a layer; `path` has no leading slash."""

    path: str
    content: bytes
    mode: int = 0o644


@dataclass(frozen=True)
class Directory:
    """A directory of a layer; parents of files need not be given."""

    path: str
    mode: int = 0o755


def layer(entries: Iterable[File | Directory]) -> bytes:
    """An uncompressed layer of `entries` in their order, owned by root and without times."""
    buffer = io.BytesIO()
    seen: set[str] = set()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in entries:
            for parent in reversed(Path(entry.path).parents[:-1]):
                _add_directory(tar, seen, Directory(str(parent)))
            if isinstance(entry, Directory):
                _add_directory(tar, seen, entry)
            else:
                member = tarfile.TarInfo(entry.path)
                member.mode, member.size = entry.mode, len(entry.content)
                tar.addfile(member, io.BytesIO(entry.content))
    return buffer.getvalue()


def write_archive(archive: Path, name: str, content: bytes, config: Mapping[str, object]) -> str:
    """Write an image of the one layer `content` to `archive`, whole or not at all, and return its digest `sha256:…`.

    `name` is the full reference it is imported as. `config` is the OCI execution configuration (`Entrypoint`, `User`…).
    """
    blobs: dict[str, bytes] = {}

    def blob(media_type: str, data: bytes) -> dict[str, object]:
        digest = _sha256(data)
        blobs[digest.removeprefix("sha256:")] = data
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    image = {
        "created": _EPOCH,
        "architecture": architecture(),
        "os": "linux",
        "config": dict(config),
        "rootfs": {"type": "layers", "diff_ids": [_sha256(content)]},
        "history": [{"created": _EPOCH, "created_by": "slipway"}],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": blob(_CONFIG, _json(image)),
        "layers": [blob(_LAYER, gzip.compress(content, compresslevel=4, mtime=0))],
    }
    described = blob(_MANIFEST, _json(manifest))
    names = {"org.opencontainers.image.ref.name": name, "io.containerd.image.name": name}
    index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [{**described, "annotations": names}]}
    files = [File("oci-layout", _json({"imageLayoutVersion": "1.0.0"})), File("index.json", _json(index))]
    files += [File(f"blobs/sha256/{digest}", data) for digest, data in blobs.items()]
    write_whole(archive, layer(files))
    return str(described["digest"])


def digest_of(archive: Path) -> str:
    """The digest `sha256:…` of the one manifest in an OCI archive."""
    with tarfile.open(archive) as tar:
        member = tar.extractfile("index.json")
        assert member is not None, f"{archive} has no index.json"  # noqa: S101 - we wrote it
        (manifest,) = json.load(member)["manifests"]
    return str(manifest["digest"])


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` so that `path` is never seen half written, also when two processes write it at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        raise MachineUnfit(
            f"cannot be written: {error.strerror}", where=str(path), fix="Free some disk space or set SLIPWAY_CACHE_DIR"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def architecture() -> str:
    """This machine's architecture by the name images give it."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise MachineUnfit(f"no images can be made for {machine}", allowed=", ".join(sorted(_ARCHITECTURES)))
    return _ARCHITECTURES[machine]


def _add_directory(tar: tarfile.TarFile, seen: set[str], directory: Directory) -> None:
    if directory.path in seen:
        return
    seen.add(directory.path)
    member = tarfile.TarInfo(directory.path)
    member.type, member.mode = tarfile.DIRTYPE, directory.mode
    tar.addfile(member)


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
