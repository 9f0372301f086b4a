"""Gates: what a release must carry before it may enter an environment, and whether it does.

Nothing is asked of anybody here: proof, configurations and the time are given, so that the same question has the same
answer. Only proof that counts opens a gate (`proof.judge`); what does not count is named, since it is often the answer
to why a gate is shut.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any, get_args

from components.delivery_model import Built, Close, Gate, Scanned, Severity, SignedOff, Soaked, Verified
from components.settings import EnvironmentSettings
from delivery.releases.artifact import Release, canonical
from delivery.releases.compare import shape
from delivery.releases.proof import Kind, Piece
from delivery.releases.provenance import commit_of

_HASH_DIGITS = 12
_SHOWN = 3
_SEVERITIES = get_args(Severity)
_BUILDERS_WORD = frozenset((Kind.PROVENANCE, Kind.SBOM, Kind.SCAN, Kind.BOOTSTRAP))


@dataclass(frozen=True)
class Verdict:
    """Whether a gate is open; `why` is one line, which for a shut one says what opens it."""

    gate: str
    open: bool
    why: str


def judge(  # noqa: PLR0917 - whom, what, and by which facts: the order in which one says it
    settings: EnvironmentSettings,
    release: Release,
    proof: Sequence[Piece],
    configuration_of: Callable[[str], str],
    differences: Callable[[str], list[str]],
    now: datetime,
) -> list[Verdict]:
    """A verdict on each gate of an environment, in their order in its file.

    `proof` is all there is of the release and of its images. `configuration_of` gives the present configuration hash
    of a stack, `differences` the places where a stack differs from this environment and must not.
    """
    case = Case(settings, release, proof, configuration_of, differences, now)
    return [_judge(case, gate) for gate in settings.gates]


def configuration_hash(settings: EnvironmentSettings) -> str:
    """Names how an environment is configured, in 12 hex digits: what was found out there holds for that alone.

    It is made of where the environment is and of all that shapes its services. What runs is the release's own matter,
    and neither another signer nor another gate makes a test of yesterday wrong. Secrets are sealed, so that of those it
    is the names that count.
    """
    whole = {"stack": settings.stack, "cluster": settings.cluster.identifier, **shape(settings)}
    return hashlib.sha256(canonical(whole)).hexdigest()[:_HASH_DIGITS]


@dataclass(frozen=True)
class Case:
    """A release before the gates of an environment; see `judge`."""

    settings: EnvironmentSettings
    release: Release
    proof: Sequence[Piece]
    configuration_of: Callable[[str], str]
    differences: Callable[[str], list[str]]
    now: datetime

    @property
    def stack(self) -> str:
        """The environment that it would enter."""
        return self.settings.stack

    @cached_property
    def revoked(self) -> frozenset[str]:
        """The digests of pieces that a later one takes back."""
        return frozenset(str(piece.predicate["revokes"]) for piece in self.proof if _revokes(piece))

    def of(self, kind: Kind, subject: str, **said: str) -> list[Piece]:
        """What counts of a kind about a subject, the newest last; `said` are values of the predicate."""
        return [piece for piece in self._of(kind, subject, said) if piece.counts and piece.digest not in self.revoked]

    def faults(self, kind: Kind, subject: str, **said: str) -> str:
        """What there is and does not count, as the end of a sentence; empty where there is nothing."""
        faults = [
            f"one of {piece.at:%Y-%m-%d} does not count: {piece.fault}" for piece in self._bad(kind, subject, said)
        ]
        return f" ({'; '.join(faults)})" if faults else ""

    def _bad(self, kind: Kind, subject: str, said: Mapping[str, str]) -> Iterator[Piece]:
        return (piece for piece in self._of(kind, subject, said) if not piece.counts)

    def _of(self, kind: Kind, subject: str, said: Mapping[str, str]) -> list[Piece]:
        found = [piece for piece in self.proof if (piece.kind, piece.subject) == (kind, subject)]
        found = [piece for piece in found if all(piece.predicate.get(key) == value for key, value in said.items())]
        return sorted(found, key=lambda piece: piece.at)


def built(case: Case, gate: Built) -> Verdict:
    """Every image has provenance by a builder, and the release is of a commit."""
    if not case.release.is_clean and not gate.accept_dirty:
        return _shut(
            "built",
            f"it is of files that are in no commit ({case.release.commit}); commit them and `slipway release build`",
        )
    by: set[str] = set()
    for service, digest in case.release.services.items():
        pieces = case.of(Kind.PROVENANCE, digest)
        clean = [piece for piece in pieces if not _is_dirty(piece)]
        if pieces and not clean and not gate.accept_dirty:
            said = f"the image of {service} was built of files that are in no commit"
            return _shut("built", f"{said}, whatever the release says; `slipway release build` in CI")
        if not pieces:
            why = f"nobody who may build says where the image of {service} comes from"
            begun = " (a fresh platform began with it)" if case.of(Kind.BOOTSTRAP, case.release.digest) else ""
            return _shut(
                "built", f"{why}{case.faults(Kind.PROVENANCE, digest) or begun}; `slipway release build` in CI"
            )
        by |= {str(piece.signed_by) for piece in (clean or pieces)[-1:]}
    return _open("built", f"by {_and(by)}{'' if case.release.is_clean else ', of files that are in no commit'}")


def scanned(case: Case, gate: Scanned) -> Verdict:
    """The newest scan of every image passed, by rules no laxer than this environment's."""
    unscanned = []
    for service, digest in case.release.services.items():
        pieces = case.of(Kind.SCAN, digest)
        result = pieces[-1].predicate.get("result") if pieces else None
        if result == "unscanned" and gate.accept_unscanned:
            unscanned.append(service)
        elif (fault := _scan_fault(case, pieces[-1] if pieces else None)) is not None:
            faults = "" if pieces else case.faults(Kind.SCAN, digest)
            return _shut("scanned", f"the image of {service} {fault}{faults}; `slipway release build` scans it again")
    if unscanned:
        return _open("scanned", f"{_and(unscanned)} could not be scanned, which {case.stack} accepts")
    return _open("scanned", f"nothing at or above {case.settings.scan.fail_on} that is not accepted")


def verified(case: Case, gate: Verified) -> Verdict:
    """The suite passed with this release in that stack as it is configured now, and did not fail since."""
    name, said = str(Gate(verified=gate)), {"stack": gate.stack, "suite": gate.suite}
    how = f"`slipway verify {gate.stack} {'--manual' if gate.suite == 'manual' else gate.suite}` while it runs there"
    passed, why = _passed(case, Kind.VERIFICATION, said)
    if passed is None:
        return _shut(name, f"{why}; {how}")
    return _open(name, f"passed {_when(passed)}, by {passed.signed_by}")


def soaked(case: Case, gate: Soaked) -> Verdict:
    """It ran in that stack as it is configured now, long enough, used enough and without an alert."""
    name, how = str(Gate(soaked=gate)), f"`slipway verify {gate.stack} soak` while it runs there"
    passed, why = _passed(case, Kind.SOAK, {"stack": gate.stack})
    if passed is None:
        return _shut(name, f"{why}; {how}")
    minutes, requests, alerts = _soak(passed.predicate)
    if minutes < timedelta(minutes=gate.minutes) or requests < gate.requests:
        ran = f"{minutes.total_seconds() / 60:.0f} of {gate.minutes} minutes, {requests} of {gate.requests} requests"
        return _shut(name, f"it ran too little: {ran}; {how}")
    if isinstance(alerts, list) and alerts:
        return _shut(name, f"there were alerts: {_some(map(str, alerts))}; {how}")
    if not isinstance(alerts, list) and not gate.accept_unwatched:
        watch = "name it in `slipway:environments` of a stack `monitoring`, or accept that by `acceptUnwatched: true`"
        return _shut(name, f"nobody watched {gate.stack} for alerts: {watch}; {how}")
    watched = "no alert" if isinstance(alerts, list) else "nobody watched for alerts, which is accepted here"
    return _open(name, f"{minutes.total_seconds() / 60:.0f} minutes, {requests} requests, {watched}")


def signed_off(case: Case, _: SignedOff) -> Verdict:
    """An approver said that it may enter here, who has built none of it."""
    pieces = case.of(Kind.SIGN_OFF, case.release.digest, stack=case.stack)
    builders = builders_of(case.release, case.proof)
    independent = [piece for piece in pieces if piece.signed_by not in builders]
    how = f"`slipway sign-off {case.stack}` by an approver who did not build it"
    if independent:
        return _open("signedOff", f"by {independent[-1].signed_by} {_when(independent[-1])}")
    if pieces:
        return _shut("signedOff", f"{pieces[-1].signed_by} signed it off and built it; {how}")
    faults = case.faults(Kind.SIGN_OFF, case.release.digest, stack=case.stack)
    return _shut("signedOff", f"nobody signed it off for {case.stack}{faults}; {how}")


def close(case: Case, gate: Close) -> Verdict:
    """The other stack differs from this one only where it may."""
    name, found = f"close to {gate.to}", case.differences(gate.to)
    how = f"`slipway compare {gate.to} {case.stack}`"
    if found:
        return _shut(name, f"{gate.to} differs where it must not: {_some(found)}; see {how}")
    return _open(name, f"{gate.to} differs only where it may")


def builders_of(release: Release, proof: Iterable[Piece]) -> frozenset[str]:
    """Who signed as builder anything of a release: nobody approves their own work."""
    subjects = {release.digest, *release.services.values()}
    signed = (piece for piece in proof if piece.counts and piece.kind in _BUILDERS_WORD and piece.subject in subjects)
    return frozenset(str(piece.signed_by) for piece in signed)


def _judge(case: Case, gate: Gate) -> Verdict:
    if gate.built:
        return built(case, gate.built)
    if gate.scanned:
        return scanned(case, gate.scanned)
    if gate.verified:
        return verified(case, gate.verified)
    if gate.soaked:
        return soaked(case, gate.soaked)
    if gate.signed_off:
        return signed_off(case, gate.signed_off)
    if gate.close:
        return close(case, gate.close)
    raise ValueError(gate)


def _passed(case: Case, kind: Kind, said: Mapping[str, str]) -> tuple[Piece | None, str]:
    """The newest pass that holds; without one, why there is none.

    A fail takes back every pass before it, in whatever configuration it ran.
    """
    stack, subject = said["stack"], case.release.digest
    pieces = case.of(kind, subject, **said)
    failed = next((piece for piece in reversed(pieces) if piece.predicate.get("result") != "pass"), None)
    later = [piece for piece in pieces if failed is None or piece.at > failed.at]
    if not later:
        if failed is not None:
            return None, f"it failed {_when(failed)}"
        return None, f"there is no result of {stack}{case.faults(kind, subject, **said)}"
    present = case.configuration_of(stack)
    holding = [piece for piece in later if piece.predicate.get("configuration") == present]
    if not holding:
        return None, f"it passed in another configuration than {stack} has now"
    return holding[-1], ""


def _scan_fault(case: Case, piece: Piece | None) -> str | None:
    if piece is None:
        return "was not scanned by anybody who may"
    result, rules = piece.predicate.get("result"), case.settings.scan
    if result == "unscanned":
        return f"could not be scanned: {piece.predicate.get('why') or 'nobody says why'}"
    if result != "pass":
        return f"did not pass its scan {_when(piece)}"
    threshold = piece.predicate.get("threshold")
    if threshold not in _SEVERITIES or _SEVERITIES.index(threshold) > _SEVERITIES.index(rules.fail_on):
        return f"was scanned for {threshold} and above, and here {rules.fail_on} counts"
    for accepted in piece.predicate.get("exceptions") or ():
        if not _holds(accepted, case.now.astimezone(UTC).date()):
            return (
                f"passed its scan by an exception that has ended ({_told(accepted, 'id')}, {_told(accepted, 'until')})"
            )
    return None


def _is_dirty(piece: Piece) -> bool:
    """Whether a provenance says so. A release's own word is nobody's: only the proof of its images is signed."""
    commit = commit_of(piece)
    return commit is not None and not re.fullmatch(r"[0-9a-f]{40}", commit)


def _holds(exception: object, today: date) -> bool:
    try:
        return today <= date.fromisoformat(_told(exception, "until"))
    except ValueError:
        return False


def _told(value: object, key: str) -> str:
    return str(value.get(key) or "") if isinstance(value, dict) else ""


def _soak(predicate: Mapping[str, Any]) -> tuple[timedelta, int, object]:
    """How long, how many requests, which alerts; nothing at all for a predicate that does not say so."""
    try:
        since, until = (datetime.fromisoformat(str(predicate[key])) for key in ("since", "until"))
        return until - since, int(predicate["requests"]), predicate.get("alerts")
    except (KeyError, ValueError, TypeError):
        return timedelta(), 0, None


def _revokes(piece: Piece) -> bool:
    kinds = (Kind.REVOCATION, Kind.VERIFICATION, Kind.SOAK)
    return piece.counts and piece.kind in kinds and bool(piece.predicate.get("revokes"))


def _when(piece: Piece) -> str:
    return f"on {piece.at:%Y-%m-%d at %H:%M} UTC"


def _some(items: Iterable[str]) -> str:
    listed = list(items)
    rest = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + rest


def _and(names: Iterable[str]) -> str:
    return " and ".join(sorted(names))


def _open(gate: str, why: str) -> Verdict:
    return Verdict(gate, True, why)


def _shut(gate: str, why: str) -> Verdict:
    return Verdict(gate, False, " ".join(why.split()))
