"""Rollback: an environment goes back to a release that was verified there, and what it leaves is put on hold.

Images and holds are one commit, so that git says both or neither; what is gone back to does not bake. It is done during
a freeze, too. A release that was never deployed there with success is no target, nor one that is on hold, whose images
are gone from the registry, or that lies before a pre-deploy command that cannot be undone. The program refuses held
images whatever the command, and nobody can run what is gone, so `override` does not help there; it does for the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapters.errors import BadInput, Refused
from adapters.registry import RegistryClient, parse_reference
from adapters.stackfile import StackFile
from components.settings import EnvironmentSettings
from delivery.releases import baking, pre_deploy
from delivery.releases.artifact import Release
from delivery.releases.journal import Entry, Operation, Step
from delivery.releases.present import Present, read_present
from delivery.releases.proof import Kind
from delivery.releases.records import FAILED, SUCCEEDED, Known, Record, read_records
from delivery.releases.store import ReleaseStore
from delivery.workspace import Workspace

_SMOKE = "smoke"
_COMMITS = 200
"""So far back in a stack file's history is looked for how a release was named there."""
_START = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Rollback:
    """What a rollback would do."""

    stack: str
    present: Present
    target: Release
    name: str
    overridden: list[str]
    after: dict[str, str]
    """What `slipway:images` becomes."""

    @property
    def replaced(self) -> list[str]:
        """The digests that are put on hold: those that the target does not run."""
        kept = set(self.target.services.values())
        return [digest for digest in dict.fromkeys(self.present.digests.values()) if digest not in kept]

    def entry(self, *, by: str, reason: str, alert: Mapping[str, str] | None = None) -> Entry:
        """The rollback as the journal has it; `alert` is what asked for it, at least its `name`. Else a person did."""
        now = datetime.now(UTC)
        hold = {"reason": reason, "author": by, "at": now.isoformat(timespec="seconds").replace("+00:00", "Z")}
        if alert:
            hold["alert"] = alert["name"]
        return Entry(
            operation=Operation.ROLLBACK,
            stack=self.stack,
            release=self.target.digest,
            name=self.name,
            origin=self.present.release.digest if self.present.release else None,
            origin_name=self.present.name,
            before=dict(self.present.images),
            after=self.after,
            by=by,
            reason=reason,
            started=now.isoformat(timespec="milliseconds"),
            step=Step.WRITE,
            override=f"{'; '.join(self.overridden)}: {reason}" if self.overridden else None,
            holds=[{"digest": digest, **hold} for digest in self.replaced],
            baked=baking.written(self.present),
            cause=f"alert:{alert['name']}" if alert else "person",
            alert=dict(alert) if alert else None,
        )

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        present = self.present
        return {
            "stack": self.stack,
            "release": self.target.digest,
            "name": self.name,
            "from": {"name": present.name, "release": present.release.digest if present.release else None},
            "images": self.after,
            "holds": self.replaced,
        }


def plan_rollback(
    workspace: Workspace,
    store: ReleaseStore,
    registry: RegistryClient,
    stack: str,
    *,
    to: str | None = None,
    override: bool = False,
) -> Rollback:
    """Where an environment can go back to: the newest release but the present one that was verified there, or `to`.

    Raises `Refused`, naming why each release there was is no target, and `BadInput` for an unknown one.
    """
    present = read_present(workspace, store, registry, stack)
    named = store.find(to)[0] if to else None
    known = read_records(store, registry, stack, also=[named.digest] if named else [])
    if named is not None:
        name, overridden = _check_named(store, present, named, known, override=override)
        images = _images(workspace, stack, named, name)
        if gone := _gone(registry, images):
            raise Refused(f"{name} {gone}, nothing was changed", fix="Build its commit again, or name another release")
        return Rollback(stack, present, named, name, overridden, images)
    refusals: list[str] = []
    for digest in _earlier(known, present):
        release = store.get(digest)
        if release is None or dict(release.services) == present.digests:
            continue
        name = store.tag_of(release)
        images = _images(workspace, stack, release, name)
        whys = [*_objections(known, present, release), *filter(None, [_gone(registry, images)])]
        if not whys:
            return Rollback(stack, present, release, name, [], images)
        refusals.append(f"{name} {' and '.join(whys)}")
        if _is_irreversible(known, present, release):
            break  # whatever is earlier lies before that command, too
    raise Refused(
        f"there is no release that {stack} can go back to: "
        + ("; ".join(refusals) or "none was verified there before"),
        fix="Name one with --to (with --override if it must be): see `slipway history` and `slipway release list`",
    )


def _check_named(
    store: ReleaseStore, present: Present, release: Release, known: Known, *, override: bool
) -> tuple[str, list[str]]:
    """What a named release is called, and which objections are overridden; raises `Refused` for any other."""
    stack, name = present.settings.stack, store.tag_of(release)
    if dict(release.services) == present.digests:
        raise BadInput(f"{stack} names {name} already", fix=f"`slipway up {stack}` brings the cluster to it")
    if release.services.keys() != present.settings.services.keys():
        raise BadInput(
            f"{name} has {', '.join(sorted(release.services))}, and {stack} runs "
            f"{', '.join(sorted(present.settings.services))}"
        )
    if held := _held(present.settings, release):
        raise Refused(f"{name} {held}", fix=f"Take the hold away first: `slipway unhold {stack}`")
    whys = _objections(known, present, release)
    if whys and not override:
        raise Refused(
            f"{stack} is not rolled back to it, nothing was changed: {name} {' and '.join(whys)}",
            fix="If it must be, give --override; it is recorded with the reason",
        )
    return name, [f"{name} {why}" for why in whys]


def _images(workspace: Workspace, stack: str, release: Release, name: str) -> dict[str, str]:
    """The images of a release as the stack's file had them last, so that its tags, too, are what a revert leads to."""
    repository, path = workspace.repository, workspace.path(stack)
    for commit in repository.log(path, limit=_COMMITS) if repository.is_repository else ():
        content = repository.content(path, commit.sha)
        images = _named_in(content, path) if content else {}
        if {service: _digest(image) for service, image in images.items()} == dict(release.services):
            return images
    return release.images(name)


def _named_in(content: bytes, path: Path) -> dict[str, str]:
    try:
        images = StackFile(path, content).get(["images"])
    except BadInput:  # somebody committed what is no stack file
        return {}
    return {str(name): str(image) for name, image in images.items()} if isinstance(images, dict) else {}


def _digest(image: str) -> str | None:
    try:
        return parse_reference(image).digest
    except BadInput:
        return None


def _earlier(known: Known, present: Present) -> Iterator[str]:
    """Releases that were there before the present one came, the latest first."""
    running = present.release.digest if present.release else None
    came = max((record.started for record in known.succeeded() if record.release == running), default=None)
    seen = {running}
    for record in reversed(known.records):
        # What a record says was there before is a target as well: a fresh platform begins without a record.
        candidates = [record.release] if record.result == SUCCEEDED else []
        candidates += [record.origin] if record.origin else []
        if came is not None and record.started > came:
            continue
        for digest in candidates:
            if digest not in seen:
                seen.add(digest)
                yield digest


def _objections(known: Known, present: Present, release: Release) -> list[str]:
    """Why a release is no target, each as the end of a sentence that begins with its name."""
    found = [
        _held(present.settings, release),
        _unverified(known, present.settings.stack, release),
        _is_irreversible(known, present, release),
    ]
    return [why for why in found if why]


def _gone(registry: RegistryClient, images: Mapping[str, str]) -> str | None:
    """Whether no node could pull it any more."""
    references = [parse_reference(image) for image in images.values()]
    missing = [str(each) for each in references if registry.digest_of(each.name, str(each.digest)) is None]
    return f"has images that the registry has no more ({', '.join(missing)})" if missing else None


def _held(settings: EnvironmentSettings, release: Release) -> str | None:
    for service, digest in release.services.items():
        if hold := settings.hold_on(digest):
            return f"is on hold ({service}: {hold.reason}, {hold.author})"
    return None


def _unverified(known: Known, stack: str, release: Release) -> str | None:
    """It was deployed there with success, or the platform began with it; and no later smoke test there failed."""
    deployed = any(record.release == release.digest for record in known.succeeded())
    if not deployed and not known.is_bootstrap(release.digest):
        return f"was never verified in {stack}"
    runs = [
        piece
        for piece in known.proof.get(release.digest, ())
        if piece.kind is Kind.VERIFICATION
        and piece.counts
        and (piece.predicate.get("stack"), piece.predicate.get("suite")) == (stack, _SMOKE)
    ]
    if runs and runs[-1].predicate.get("result") != "pass":
        return f"failed its latest {_SMOKE} test in {stack}"
    return None


def _is_irreversible(known: Known, present: Present, release: Release) -> str | None:
    """Whether a pre-deploy command that cannot be undone ran since the release was there."""
    last = max((record.ended for record in known.succeeded() if record.release == release.digest), default=_START)
    since: list[Record] = [
        record
        for record in known.records
        if record.irreversible and record.ended > last and record.result in (SUCCEEDED, FAILED)
    ]
    if since:
        services = ", ".join(sorted({service for record in since for service in record.irreversible}))
        return f"lies before the pre-deploy command of {services} in {since[-1].name}, which cannot be undone"
    changed = pre_deploy.needed(present.settings, present.images, release.images("tag"))
    if present.release is None and (services := ", ".join(pre_deploy.irreversible(present.settings, changed))):
        return f"may lie before the pre-deploy command of {services}, which cannot be undone"
    return None
