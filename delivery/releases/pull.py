"""Brings the images of a release to this machine: into a Docker engine where there is one, else as OCI archives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters import docker, ociarchive
from adapters.errors import BadInput
from adapters.progress import step
from adapters.registry import RegistryClient
from delivery.releases.artifact import Release


@dataclass(frozen=True)
class Pulled:
    """An image that is here: `name` is what it is called, `archive` where it lies, None for Docker's own storage."""

    service: str
    digest: str
    name: str
    archive: Path | None


def pull(
    registry: RegistryClient, address: str, release: Release, tag: str, *, services: Sequence[str], out: Path | None
) -> list[Pulled]:
    """Pull some services of a release, all for none.

    `address` is the registry's, for Docker, which has credentials of its own. `out` is a directory for archives; with
    none given it is the current one, unless a Docker engine answers. Raises `BadInput` for a service it does not have.
    """
    for service in services:
        if service not in release.services:
            raise BadInput(f"the release has no service {service!r}", allowed=", ".join(release.services))
    if out is None and docker.has_engine():
        return [_into_docker(address, release, tag, service) for service in services or release.services]
    folder = Path.cwd() if out is None else out
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"the directory cannot be made: {error.strerror}", where=str(folder)) from None
    return [_archive(registry, release, tag, service, folder) for service in services or release.services]


def _into_docker(address: str, release: Release, tag: str, service: str) -> Pulled:
    digest, name = release.services[service], f"{service}:{tag}"
    with step(f"pulling {name} into Docker"):
        docker.pull(f"{address}/{service}@{digest}", name)
    return Pulled(service, digest, name, None)


def _archive(registry: RegistryClient, release: Release, tag: str, service: str, folder: Path) -> Pulled:
    digest, name = release.services[service], f"{service}:{tag}"
    archive = folder / f"{service}-{tag}.tar"
    with step(f"pulling {name}"):
        ociarchive.pull(registry, service, digest, archive, name)
    return Pulled(service, digest, name, archive)
