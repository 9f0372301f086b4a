"""The release that a fresh local platform begins with: images of this checkout that no `release build` has made.

It has no provenance, and says so: a signed statement of its own kind names the environments that began with it, where
it counts as a target to roll back to. An environment begins once. Images that somebody names later belong to a release
that was built, or to none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from adapters.command import CommandFailed, run
from adapters.paths import REPOSITORY as CHECKOUT
from adapters.registry import RegistryClient
from delivery.releases.access import open_store
from delivery.releases.artifact import REPOSITORY, Release
from delivery.releases.people import signer_for
from delivery.releases.proof import Kind, Piece, Tag
from delivery.releases.store import ReleaseStore
from delivery.workspace import Workspace

_NOTE = "made by `slipway up` of what was checked out when the platform began; neither scanned nor verified"
_SHOWN_DIGITS = 12


def begin(workspace: Workspace, stacks: Iterable[str], say: Callable[[str], None]) -> None:
    """Give the environments among `stacks` that have none yet a release of what they run; for the local platform only.

    Raises what the registry and the signer's key give reason for.
    """
    environments = [name for name in stacks if workspace.stacks[name].kind == "environment"]
    if not environments or not workspace.platform.signers:
        return
    with open_store(workspace, environments[0]) as (store, registry):
        begun = {stack for piece in _statements(store, registry) for stack in piece.predicate.get("stacks", ())}
        found: dict[Release, list[str]] = {}
        for stack in environments:
            if stack not in begun and (release := _release_of(workspace, store, stack)) is not None:
                found.setdefault(release, []).append(stack)
        for release, its in found.items():
            _state(workspace, store, release, its)
            say(f"{', '.join(its)} began with release {store.tag_of(release)}, signed as a bootstrap and no more")


def _statements(store: ReleaseStore, registry: RegistryClient) -> list[Piece]:
    """The bootstrap statements there are and count."""
    tags = filter(None, map(Tag.parse, registry.tags(REPOSITORY)))
    subjects = sorted({tag.subject for tag in tags if tag.kind is Kind.BOOTSTRAP})
    pieces = [piece for subject in subjects for piece in store.proof(REPOSITORY, subject)]
    return [piece for piece in pieces if piece.kind is Kind.BOOTSTRAP and piece.counts]


def _release_of(workspace: Workspace, store: ReleaseStore, stack: str) -> Release | None:
    """The release an environment begins with; None if it runs one that was built, or what has no digest."""
    images = workspace.environment(stack).images
    digests = {service: image.digest for service, image in images.items() if image.digest}
    if not digests or len(digests) < len(images):
        return None
    there = store.of_images({service: str(image) for service, image in images.items()})
    if there is None:
        return Release(_commit([image.tag or "" for image in images.values()]), digests)
    own = store.proof(REPOSITORY, there.digest)
    moved = any(piece.kind is Kind.DEPLOYMENT and piece.predicate.get("stack") == stack for piece in own)
    return there if not moved and any(piece.kind is Kind.BOOTSTRAP and piece.counts for piece in own) else None


def _state(workspace: Workspace, store: ReleaseStore, release: Release, stacks: Sequence[str]) -> None:
    # A tag of its own: the commit's is for what is built of it.
    store.push(release, [f"bootstrap-{release.digest.removeprefix('sha256:')[:_SHOWN_DIGITS]}"])
    predicate = {"note": _NOTE, "stacks": list(stacks)}
    store.attach(REPOSITORY, release.digest, Kind.BOOTSTRAP, predicate, signer_for(workspace, "builder"))


def _commit(tags: Sequence[str]) -> str:
    """The commit whose first digits the images' tags have, behind `sha-` or `dirty-`; `dev` if there is none."""
    kind, _, digits = tags[0].partition("-")
    if len({*tags}) > 1 or kind not in ("sha", "dirty"):
        return "dev"
    try:
        commit = run(["git", "-C", str(CHECKOUT), "rev-parse", "--verify", "--quiet", f"{digits}^{{commit}}"]).strip()
    except CommandFailed:
        return "dev"
    return commit if kind == "sha" else f"dirty-{commit}"
