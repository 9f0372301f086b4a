"""Images as OCI archives: into a registry, byte for byte, and out of it again.

Done with the registry's own client, so that its address, credentials and authority are said once; a blob is held in
memory, one at a time. Source of the format: OCI image specification 1.1, image-layout.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adapters.errors import BadInput
from adapters.registry import RegistryClient

_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEXES = (_INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")


def push(registry: RegistryClient, repository: str, archive: Path) -> str:
    """Push the one image of `archive`, without any tag; its digest. Raises `BadInput` for what is no such archive."""
    with _opened(archive) as tar:
        described = json.loads(_read(tar, archive, "index.json"))["manifests"]
        if len(described) != 1:
            raise BadInput(f"the archive holds {len(described)} images", where=str(archive), allowed="one image")
        return _push(registry, repository, tar, archive, described[0])


def pull(registry: RegistryClient, repository: str, digest: str, archive: Path, name: str) -> None:
    """Write the image as an archive that calls it `name`; the archive is there whole or not at all."""
    unfinished = archive.with_name(f".{archive.name}.unfinished")
    try:
        with tarfile.open(unfinished, "w") as tar:
            content, described = _manifest(registry, repository, digest)
            names = {"org.opencontainers.image.ref.name": name, "io.containerd.image.name": name}
            index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [{**described, "annotations": names}]}
            _add(tar, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
            _add(tar, "index.json", json.dumps(index).encode())
            _pull(registry, repository, tar, content, described)
        unfinished.replace(archive)
    finally:
        unfinished.unlink(missing_ok=True)


def _push(
    registry: RegistryClient, repository: str, tar: tarfile.TarFile, archive: Path, described: dict[str, Any]
) -> str:
    """Push what a descriptor names, its parts before it: a registry takes no manifest of what it does not have."""
    content = _blob(tar, archive, described["digest"])
    manifest = json.loads(content)
    for inner in manifest.get("manifests", []):
        _push(registry, repository, tar, archive, inner)
    for part in _parts(manifest):
        registry.put_blob(repository, _blob(tar, archive, part["digest"]))
    media_type = manifest.get("mediaType") or described["mediaType"]
    return registry.put_manifest(repository, described["digest"], content, media_type)


def _pull(
    registry: RegistryClient, repository: str, tar: tarfile.TarFile, content: bytes, described: dict[str, Any]
) -> None:
    manifest = json.loads(content)
    seen: set[str] = set()
    for part in _parts(manifest):
        if part["digest"] not in seen:
            _add(tar, _path(part["digest"]), registry.blob(repository, part["digest"]))
            seen.add(part["digest"])
    for inner in manifest.get("manifests", []):
        _pull(registry, repository, tar, *_manifest(registry, repository, inner["digest"]))
    _add(tar, _path(described["digest"]), content)


def _manifest(registry: RegistryClient, repository: str, digest: str) -> tuple[bytes, dict[str, Any]]:
    content = registry.manifest(repository, digest)
    if content is None:
        raise BadInput(f"the image {repository}@{digest} is not in the registry")
    read = json.loads(content)
    media_type = read.get("mediaType") or (_INDEX if "manifests" in read else _MANIFEST)
    return content, {"mediaType": media_type, "digest": digest, "size": len(content)}


def _parts(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if manifest.get("mediaType") not in _INDEXES and "config" in manifest:
        yield manifest["config"]
        yield from manifest["layers"]


def _opened(archive: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(archive)
    except (OSError, tarfile.TarError) as error:
        raise BadInput(f"this is no OCI archive: {error}", where=str(archive)) from None


def _blob(tar: tarfile.TarFile, archive: Path, digest: str) -> bytes:
    return _read(tar, archive, _path(digest))


def _path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _read(tar: tarfile.TarFile, archive: Path, name: str) -> bytes:
    for written in (name, f"./{name}"):
        try:
            file = tar.extractfile(written)
        except KeyError:
            continue
        if file is not None:
            return file.read()
    raise BadInput(f"the OCI archive has no {name}", where=str(archive))


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    tar.addfile(member, io.BytesIO(content))
