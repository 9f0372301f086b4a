"""What an environment's file names now, as releases see it: a digest for every service, and the release of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adapters.errors import BadInput
from adapters.registry import Reference, RegistryClient
from adapters.stackfile import StackFile
from components.settings import EnvironmentSettings
from delivery.releases.artifact import Release
from delivery.releases.store import ReleaseStore
from delivery.workspace import Workspace

_DIGITS = 12


@dataclass(frozen=True)
class Present:
    """A stack's file as it was read, what it names by digest, and the release of that; None where it is none.

    `images` is `slipway:images` as it stands in the file, `references` the same with every digest resolved.
    """

    file: StackFile
    settings: EnvironmentSettings
    images: dict[str, str]
    references: dict[str, Reference]
    release: Release | None
    name: str

    @property
    def digests(self) -> dict[str, str]:
        """The digest of each service's image."""
        return {service: str(reference.digest) for service, reference in self.references.items()}


def read_present(workspace: Workspace, store: ReleaseStore, registry: RegistryClient, stack: str) -> Present:
    """Read a stack's file; a bare tag, where one may be named, is what the registry says it means now.

    Raises `BadInput` for a tag that the registry does not have, and for a stack that is no environment.
    """
    settings = workspace.environment(stack)
    file = StackFile.load(workspace.path(stack))
    images: dict[str, str] = file.get(["images"]) or {}
    references = {service: _resolved(registry, stack, image) for service, image in settings.images.items()}
    release = store.of_images({name: str(reference) for name, reference in references.items()}) if references else None
    name = _name(store, release, references) if release else _described(references)
    return Present(file, settings, images, references, release, name)


def _name(store: ReleaseStore, release: Release, references: Mapping[str, Reference]) -> str:
    """What the file calls a release; where that is not its tag, what it is best called."""
    tags = {reference.tag for reference in references.values()}
    tag = tags.pop() if len(tags) == 1 else None
    if tag and store.digest_of(tag) == release.digest:
        return tag
    return store.tag_of(release)


def _resolved(registry: RegistryClient, stack: str, image: Reference) -> Reference:
    if image.digest:
        return image
    digest = registry.digest_of(image.name, image.tag or "")
    if digest is None:
        raise BadInput(f"the image {image} that {stack} names is not in the registry", where=f"stack {stack}")
    return Reference(image.name, image.tag, digest)


def _described(references: dict[str, Reference]) -> str:
    """What to call images that make up no release."""
    parts = [f"{name} {str(image.digest).removeprefix('sha256:')[:_DIGITS]}" for name, image in references.items()]
    return ", ".join(parts) or "nothing"
