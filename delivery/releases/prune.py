"""Removes old releases from the registry, with their images and proof; never what an environment needs.

Kept are the newest ones, the newest version, and of each environment what it runs and the releases it was verified with
before, to which it may be rolled back. Proof of what is kept stays with it. Images that belong to no release, such as
those pushed by hand, are never touched. The space is free once the registry has collected its garbage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.registry import RegistryClient
from components.settings import EnvironmentSettings
from delivery.releases import proof
from delivery.releases.access import open_store
from delivery.releases.artifact import REPOSITORY
from delivery.releases.catalogue import Entry
from delivery.releases.journal import Journal
from delivery.releases.present import Present, read_present
from delivery.releases.records import Known, read_records
from delivery.releases.store import ReleaseStore
from delivery.releases.versions import versions
from delivery.workspace import Workspace


@dataclass(frozen=True)
class Need:
    """What one environment needs: releases by digest with the reason, and the images that its file names."""

    releases: Mapping[str, str]
    images: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class Plan:
    """What stays, with the reasons, and what goes; `images` are the repository and digest of those that go."""

    kept: Sequence[tuple[Entry, Sequence[str]]]
    going: Sequence[Entry]
    images: Sequence[tuple[str, str]] = field(default_factory=tuple)

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "kept": [{**entry.to_json(), "why": list(why)} for entry, why in self.kept],
            "removed": [entry.to_json() for entry in self.going],
            "images": [f"{repository}@{digest}" for repository, digest in self.images],
        }


def plan(entries: Sequence[Entry], needs: Iterable[Need], keep: int) -> Plan:
    """Decide about all releases, the newest first; those of which nobody says when they were made stay."""
    needs = list(needs)
    newest = max(versions(tag for entry in entries for tag in entry.tags), default=None)
    kept: list[tuple[Entry, list[str]]] = []
    going: list[Entry] = []
    dated = [entry for entry in entries if entry.at is not None]
    for entry in entries:
        why = [need.releases[entry.release.digest] for need in needs if entry.release.digest in need.releases]
        if entry.at is None:
            why.append("nobody says when it was made")
        elif dated.index(entry) < keep:
            why.append(f"one of the {keep} newest" if keep > 1 else "the newest")
        if newest is not None and str(newest) in entry.tags:
            why.append("the newest version")
        if why:
            kept.append((entry, why))
        else:
            going.append(entry)
    in_use = {image for entry, _ in kept for image in entry.release.services.items()}
    in_use |= {image for need in needs for image in need.images}
    images = dict.fromkeys(image for entry in going for image in entry.release.services.items() if image not in in_use)
    return Plan(kept, going, tuple(images))


def needs_of(workspace: Workspace, keep: int) -> list[Need]:
    """What each environment needs; raises where one cannot be read, since then nobody knows."""
    needs = []
    for name, declared in workspace.stacks.items():
        if declared.kind == "environment":
            with open_store(workspace, name) as (store, registry):
                present = read_present(workspace, store, registry, name)
                needs.append(need(name, present, read_records(store, registry, name), store, max(keep, 1)))
            needs.append(_cut_short(workspace, name))
    return needs


def need(stack: str, present: Present, known: Known, store: ReleaseStore, before: int) -> Need:
    """What `stack` runs, and the releases it was verified with before, `before` of them that are not on hold."""
    releases: dict[str, str] = {}
    earlier = dict.fromkeys(
        digest
        for record in reversed(known.records)
        for digest in (record.release if record.result == "succeeded" else None, record.origin)
        if digest is not None
    )
    count = 0
    for digest in earlier:
        release = store.get(digest)
        if release is None or dict(release.services) == present.digests:
            continue
        if count < before and not _is_held(present.settings, release.services.values()):
            count += 1
            releases[digest] = f"{stack} may be rolled back to it"
    for digest in filter(known.is_bootstrap, known.proof):
        release = store.get(digest)
        if release is not None and dict(release.services) == present.digests:
            releases[digest] = f"{stack} runs what a platform began with"
    if present.release is not None:
        releases[present.release.digest] = f"{stack} runs it"
    images = {(str(reference.name), str(reference.digest)) for reference in present.references.values()}
    return Need(releases, frozenset(images))


def carry_out(registry: RegistryClient, plan: Plan) -> None:
    """Remove what the plan says: a release before its proof, so that none is ever left without.

    Raises `Refused` where the registry deletes nothing. Run again, it goes on with what is left.
    """
    for entry in plan.going:
        _remove(registry, REPOSITORY, entry.release.digest)
    for repository, digest in plan.images:
        _remove(registry, repository, digest)


def _remove(registry: RegistryClient, repository: str, digest: str) -> None:
    prefix = proof.prefix_of(digest)
    belongings = [tag for tag in registry.tags(repository) if tag.startswith(prefix)]
    registry.delete_manifest(repository, digest)
    for tag in belongings:
        if own := registry.digest_of(repository, tag):
            registry.delete_manifest(repository, own)


def _cut_short(workspace: Workspace, stack: str) -> Need:
    """What a promotion or rollback needs that was cut short: it will be brought to its end."""
    repository = workspace.repository
    entry = Journal(repository, stack).read() if repository.is_repository else None
    if entry is None:
        return Need({})
    why = f"a {entry.operation} of {stack} that was cut short needs it"
    return Need({digest: why for digest in (entry.release, entry.origin) if digest is not None})


def _is_held(settings: EnvironmentSettings, digests: Iterable[str]) -> bool:
    return any(settings.hold_on(digest) for digest in digests)
