"""Promotion: what goes into an environment is a release, and it goes in whole, by digest, through the gates.

What it comes from is a stack (the release that its images are), or a release by name. A part of a release, one service,
is promoted as a release of its own: the environment's present images with that one exchanged. Nothing was verified of
it yet, so its gates are judged like any other's: proof of its images (provenance, scan) comes with them, proof of the
release (verification, soak, sign-off) it has to earn, from the first environment on.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from adapters.errors import BadInput, Refused
from adapters.registry import RegistryClient
from adapters.stackfile import StackFile
from components.settings import EnvironmentSettings
from delivery.releases import baking
from delivery.releases.artifact import Release
from delivery.releases.entering import judge_entry
from delivery.releases.gates import Verdict
from delivery.releases.journal import Entry, Operation, Step
from delivery.releases.present import Present, read_present
from delivery.releases.store import ReleaseStore
from delivery.workspace import Workspace

_DIGITS = 12


@dataclass(frozen=True)
class Source:
    """The release that is to go somewhere, what to call it, and the tag of each of its images."""

    release: Release
    name: str
    tags: Mapping[str, str]

    def only(self, service: str, present: Present) -> Source:
        """A release of what is present with this one service exchanged."""
        if service not in self.release.services:
            raise BadInput(
                f"the release {self.name} has no service {service!r}", allowed=", ".join(sorted(self.release.services))
            )
        services = present.digests | {service: self.release.services[service]}
        if services == dict(self.release.services):
            return self
        tags = {name: _tag(reference.tag, str(reference.digest)) for name, reference in present.references.items()}
        part = Release(self.release.commit, services)
        return Source(part, f"part-{_digits(part.digest)}", tags | {service: self.tags[service]})


@dataclass(frozen=True)
class Promotion:
    """What a promotion would do, and whether it may."""

    stack: str
    present: Present
    source: Source
    after: dict[str, str]
    verdicts: Sequence[Verdict]
    is_part: bool

    @property
    def is_there(self) -> bool:
        """Whether the environment's file says exactly this already.

        The same images under another tag are another matter: their update restarts nothing, but what is then verified
        is the release of that tag, which may be of another commit.
        """
        return self.present.images == self.after

    @property
    def closed(self) -> list[Verdict]:
        """The gates that do not let it in."""
        return [verdict for verdict in self.verdicts if not verdict.open]

    def diff(self) -> str:
        """How the stack file would change, were it now."""
        file = StackFile(self.present.file.path, self.present.file.content)
        before = file.content.decode().splitlines(keepends=True)
        file.set(["images"], self.after)
        baking.write(file, baking.begin(self.present, self.after, datetime.now(UTC)))
        name = file.path.name
        return "".join(difflib.unified_diff(before, file.content.decode().splitlines(keepends=True), name, name))

    def check(self, *, override: bool) -> None:
        """Raise `Refused` if a gate is closed and nobody overrides it."""
        if self.closed and not override:
            whys = "; ".join(f"{verdict.gate}: {verdict.why}" for verdict in self.closed)
            raise Refused(
                f"{self.stack} does not take {self.source.name}, nothing was changed: {whys}",
                fix="Let it earn what is missing; in an emergency `--override --reason …`, which is recorded",
            )

    def entry(self, *, by: str, reason: str, override: bool) -> Entry:
        """The promotion as the journal has it."""
        now = datetime.now(UTC)
        return Entry(
            operation=Operation.PROMOTION,
            stack=self.stack,
            release=self.source.release.digest,
            name=self.source.name,
            origin=self.present.release.digest if self.present.release else None,
            origin_name=self.present.name,
            before=dict(self.present.images),
            after=self.after,
            by=by,
            reason=reason,
            started=now.isoformat(timespec="milliseconds"),
            step=Step.WRITE,
            baked=baking.written(self.present),
            bakes=baking.begin(self.present, self.after, now),
            override=_overridden(self.closed, reason) if override and self.closed else None,
        )

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        present = self.present
        return {
            "stack": self.stack,
            "release": self.source.release.digest,
            "name": self.source.name,
            "commit": self.source.release.commit,
            "from": {"name": present.name, "release": present.release.digest if present.release else None},
            "gates": [{"gate": v.gate, "open": v.open, "why": v.why} for v in self.verdicts],
            "images": self.after,
            "part": self.is_part,
        }


def plan_promotion(
    workspace: Workspace,
    store: ReleaseStore,
    registry: RegistryClient,
    *,
    source: str,
    stack: str,
    service: str | None = None,
    now: datetime | None = None,
) -> Promotion:
    """What promoting `source` into `stack` would do, its gates judged; changes nothing.

    Raises `BadInput` for a source that is no release, or that does not fit the environment; `Refused` while it is
    frozen and for an image on hold, which no override opens.
    """
    now = now or datetime.now(UTC)
    present = read_present(workspace, store, registry, stack)
    present.settings.check_freeze(now)
    found = find_source(workspace, store, registry, source)
    wanted = found.only(service, present) if service else found
    _check_fits(wanted, present.settings)
    for name, digest in wanted.release.services.items():
        present.settings.check_hold(name, digest)
    verdicts = judge_entry(workspace, store, present.settings, wanted.release, now)
    after = {name: f"{name}:{wanted.tags[name]}@{digest}" for name, digest in wanted.release.services.items()}
    return Promotion(stack, present, wanted, after, verdicts, wanted is not found)


def find_source(workspace: Workspace, store: ReleaseStore, registry: RegistryClient, name: str) -> Source:
    """What `name` means: a stack, for what its file names; else a release, as `slipway release list` calls it."""
    if name not in workspace.stacks:
        release, called = store.find(name)
        return Source(release, called, dict.fromkeys(release.services, called))
    there = read_present(workspace, store, registry, name)
    if there.release is None:
        raise BadInput(
            f"what {name} names is no release: {there.name}",
            where=str(workspace.path(name)),
            fix="Build one with `slipway release build` and promote that: proof belongs to a release",
        )
    tags = {service: _tag(image.tag, str(image.digest)) for service, image in there.references.items()}
    return Source(there.release, there.name, tags)


def keep_part(store: ReleaseStore, promotion: Promotion) -> None:
    """Store the release that a part makes up, which nobody built; it has a tag of its own."""
    if promotion.is_part:
        store.push(promotion.source.release, [promotion.source.name])


def _check_fits(source: Source, settings: EnvironmentSettings) -> None:
    has, runs = set(source.release.services), set(settings.services)
    if missing := sorted(runs - has):
        raise BadInput(
            f"the release {source.name} has no image of {', '.join(missing)}, which {settings.stack} runs",
            allowed=f"a release of {', '.join(sorted(runs))}",
            fix=f"Promote a release that has it, or one service of this one: --service {min(has)}",
        )
    if extra := sorted(has - runs):
        raise BadInput(
            f"the release {source.name} has {', '.join(extra)}, which {settings.stack} does not run",
            where=f"Pulumi.{settings.stack}.yaml, slipway:services",
            fix=f"Declare {', '.join(extra)} there first: a release goes in whole",
        )


def _overridden(closed: Sequence[Verdict], reason: str) -> str:
    return f"{', '.join(verdict.gate for verdict in closed)}: {reason}"


def _tag(tag: str | None, digest: str) -> str:
    return tag or _digits(digest)


def _digits(digest: str) -> str:
    return digest.removeprefix("sha256:")[:_DIGITS]
