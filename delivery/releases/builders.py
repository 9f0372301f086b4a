"""What builds images: a Docker engine where there is one, else buildah on base images made here."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from adapters import docker
from adapters.errors import MachineUnfit
from delivery.releases.source import SourceService
from local.images import BuiltImage, build_service

DOCKER, BUILDAH = "docker", "buildah"


class Builder(Protocol):
    """Makes an OCI archive of a service; raises `BadInput` where its Dockerfile does not build."""

    @property
    def name(self) -> str:
        """What provenance calls it."""

    def build(self, service: SourceService, scratch: Path) -> BuiltImage:
        """Build the image; the archive may lie in `scratch`, which is gone once the release is pushed."""


class Docker:
    """`docker buildx`, on the base images that the Dockerfile names."""

    name = DOCKER

    def build(self, service: SourceService, scratch: Path) -> BuiltImage:
        """Build with the engine; its own cache makes it fast the second time."""
        archive = scratch / f"{service.name}.tar"
        return BuiltImage(archive, docker.build(service.directory, archive))


class Buildah:
    """buildah, on base images of Debian packages: needs no daemon and no image registry."""

    name = BUILDAH

    def build(self, service: SourceService, scratch: Path) -> BuiltImage:  # noqa: ARG002 - it has a cache of its own
        """Build, or find what was built of the same content on the same base before."""
        return build_service(service.directory, service.name)


def choose(wanted: str | None) -> Builder:
    """The builder that is wanted, or the one that this machine has; raises `MachineUnfit` for one it lacks."""
    if wanted == BUILDAH:
        return Buildah()
    if docker.can_build():
        return Docker()
    if wanted == DOCKER:
        raise MachineUnfit("no Docker engine with buildx answers here", fix="Start one, or leave out --with")
    return Buildah()
