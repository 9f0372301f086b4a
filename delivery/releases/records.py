"""What was done with releases in an environment: deployment and rollback records, signed, in the registry.

They belong to the releases, so history is the same with either engine and outlives both. A record that does not count
(unsigned, by an unknown key, of the wrong role) is never built upon; `all_records` has it with its fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.registry import RegistryClient
from delivery.releases.artifact import REPOSITORY
from delivery.releases.proof import Kind, Piece, Tag
from delivery.releases.signing import Signer
from delivery.releases.store import ReleaseStore

SUCCEEDED, FAILED, RESTORED = "succeeded", "failed", "restored"
OBSERVED = "observed"
"""Nothing was done: what an alert would have led to."""
BOOTSTRAP = "bootstrap"

_KINDS = frozenset((Kind.DEPLOYMENT, Kind.ROLLBACK))


@dataclass(frozen=True)
class Record:
    """A release's move into an environment, and how that ended.

    `release` is the digest of the release that was to run, `origin` of the one before, None where that was no release.
    `irreversible` are the services whose pre-deploy command cannot be undone. `alert` is the one that asked for it, and
    when it fired and came, None where no alert did; `steps` says how long each step took, in seconds.
    """

    kind: Kind
    stack: str
    release: str
    origin: str | None
    name: str
    result: str
    by: str
    reason: str
    started: datetime
    ended: datetime
    override: str | None
    cause: str
    irreversible: tuple[str, ...]
    configuration: str
    signed_by: str | None
    fault: str | None
    alert: Mapping[str, Any] | None = None
    steps: Mapping[str, float] = field(default_factory=dict)

    @property
    def took(self) -> timedelta:
        """From the decision to the end."""
        return self.ended - self.started

    def to_json(self) -> dict[str, Any]:
        """For `--json`; times are UTC."""
        return {
            "kind": str(self.kind),
            "release": self.release,
            "from": self.origin,
            "name": self.name,
            "result": self.result,
            "by": self.by,
            "reason": self.reason,
            "started": self.started.isoformat(),
            "ended": self.ended.isoformat(),
            "seconds": round(self.took.total_seconds(), 3),
            "override": self.override,
            "cause": self.cause,
            "irreversible": list(self.irreversible),
            "configuration": self.configuration,
            "signed_by": self.signed_by,
            "fault": self.fault,
            "alert": dict(self.alert) if self.alert else None,
            "steps": dict(self.steps),
        }


@dataclass(frozen=True)
class Known:
    """All that is recorded of an environment: what counts, and what does not; the newest last in each."""

    records: Sequence[Record]
    faulty: Sequence[Record]
    proof: Mapping[str, Sequence[Piece]]
    """All proof of each release that a record is about, or that began an environment, by digest."""

    def succeeded(self) -> list[Record]:
        """The moves after which the release ran and had passed its verification."""
        return [record for record in self.records if record.result == SUCCEEDED]

    def present(self) -> Record | None:
        """The latest of them: what runs, unless the stack file was changed by other means."""
        return next(iter(reversed(self.succeeded())), None)

    def is_bootstrap(self, release: str) -> bool:
        """Whether a fresh platform began with this release, as a builder signed."""
        return any(piece.kind is Kind.BOOTSTRAP and piece.counts for piece in self.proof.get(release, ()))


def read_records(store: ReleaseStore, registry: RegistryClient, stack: str, *, also: Iterable[str] = ()) -> Known:
    """What is recorded of an environment; `also` are releases whose proof is wanted in any case."""
    found = filter(None, map(Tag.parse, registry.tags(REPOSITORY)))
    subjects = {tag.subject for tag in found if tag.kind in _KINDS or tag.kind is Kind.BOOTSTRAP} | set(also)
    found_proof = store.proofs((REPOSITORY, subject) for subject in sorted(subjects))
    return known_of(stack, {subject: pieces for (_, subject), pieces in found_proof.items()})


def known_of(stack: str, proof: Mapping[str, Sequence[Piece]]) -> Known:
    """What pieces of proof, by release, say of an environment."""
    records = [
        record
        for release, pieces in proof.items()
        for piece in pieces
        if piece.kind in _KINDS and (record := _record(release, piece)) is not None and record.stack == stack
    ]
    records.sort(key=lambda record: record.ended)
    counted = [record for record in records if record.fault is None]
    return Known(counted, [record for record in records if record.fault is not None], proof)


def write_record(
    store: ReleaseStore,
    signer: Signer,
    *,
    kind: Kind,
    stack: str,
    release: str,
    origin: str | None,
    name: str,
    result: str,
    by: str,
    reason: str,
    started: datetime,
    configuration: str,
    override: str | None = None,
    cause: str = "person",
    irreversible: Sequence[str] = (),
    note: str = "",
    alert: Mapping[str, Any] | None = None,
    steps: Mapping[str, float] | None = None,
) -> Piece:
    """Sign and attach a record; `note` says why it did not succeed. See `Record` for the rest."""
    ended = datetime.now(UTC).isoformat(timespec="milliseconds")
    predicate: dict[str, Any] = {
        "at": ended,
        "stack": stack,
        "result": result,
        "configuration": configuration,
        "from": origin,
        "by": by,
        "reason": reason,
        "started": started.isoformat(timespec="milliseconds"),
        "ended": ended,
        "tag": name,
    }
    if kind is Kind.ROLLBACK:
        predicate |= {"to": release, "cause": cause}
    given: dict[str, Any] = {"override": override, "irreversible": list(irreversible), "note": note}
    given |= {"alert": dict(alert or {}), "steps": dict(steps or {})}
    predicate |= {key: value for key, value in given.items() if value}
    return store.attach(REPOSITORY, release, kind, predicate, signer)


def _record(release: str, piece: Piece) -> Record | None:
    """A piece as a record; None if it does not say what a record says, whoever signed it."""
    said = piece.predicate
    try:
        started, ended = (datetime.fromisoformat(str(said[key])).astimezone(UTC) for key in ("started", "ended"))
        return Record(
            kind=piece.kind,
            stack=str(said["stack"]),
            release=release,
            origin=None if said["from"] is None else str(said["from"]),
            name=str(said.get("tag") or ""),
            result=str(said["result"]),
            by=str(said["by"]),
            reason=str(said.get("reason") or ""),
            started=started,
            ended=ended,
            override=str(said["override"]) if said.get("override") else None,
            cause=str(said.get("cause") or "person"),
            irreversible=tuple(map(str, said.get("irreversible") or ())),
            configuration=str(said.get("configuration") or ""),
            signed_by=piece.signed_by,
            fault=piece.fault,
            alert=dict(said["alert"]) if said.get("alert") else None,
            steps={str(step): float(seconds) for step, seconds in dict(said.get("steps") or {}).items()},
        )
    except (KeyError, ValueError, TypeError):
        return None
