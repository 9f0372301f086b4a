"""Answers one alert where the configuration directory is: decides by the rules, rolls back, records, pushes.

Whatever happens to this process, an alert has one answer: what was begun is in the journal and is brought to its end
first, and what was done is in the registry's records, which are asked before anything is begun.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from adapters.errors import Refused
from delivery.factory import Factory
from delivery.moving import Moving, moving
from delivery.releases.gates import configuration_hash
from delivery.releases.people import signer_for
from delivery.releases.proof import Kind
from delivery.releases.records import FAILED, OBSERVED, SUCCEEDED, Known, Record, read_records, write_record
from delivery.releases.rollback import Rollback, plan_rollback
from delivery.serving.alerts import Alert
from delivery.serving.inbox import Item
from delivery.serving.rules import Decision, Verdict, decide
from delivery.serving.situation import read_situation, release_of, situation_of

AUTHOR = "slipway serve"
"""Who acts, in holds, commits and records."""

OUTCOME_FAILED = "failed"
_OUTCOMES = {SUCCEEDED: Verdict.ROLL_BACK, OBSERVED: Verdict.OBSERVE, FAILED: OUTCOME_FAILED}


@dataclass(frozen=True)
class Answer:
    """What became of an alert: a `Verdict` or `failed`, and the sentence that explains it.

    `detected_s` is how many seconds after its promotion a release was rolled back alerted.
    """

    outcome: str
    why: str
    detected_s: float | None = None


class Answerer:
    """Answers alerts about the environments of a configuration directory."""

    def __init__(self, factory: Factory) -> None:
        self._factory = factory

    def answer(self, item: Item) -> Answer:
        """Do what the rules say; raises `Locked` while somebody moves the stack, `SlipwayError` for what to try again.

        Only what was never tried may be dismissed by a look at the stack file: else a rollback may have been begun.
        """
        now = datetime.now(UTC)
        situation = read_situation(self._factory.workspace(), item.alert.environment, now)
        decision = decide(item.alert, situation, received=item.received, now=now)
        if situation is None or (item.attempts == 0 and _asks_for_nothing(decision)):
            return Answer(decision.verdict, decision.why)
        with moving(self._factory, item.alert.environment, "rolling back by itself", name=AUTHOR) as found:
            found.recover()
            return self._answer(found, item)

    def _answer(self, found: Moving, item: Item) -> Answer:
        known = read_records(found.store, found.registry, found.stack)
        if record := _answered(known, item.alert):
            return Answer(_OUTCOMES.get(record.result, record.result), f"{found.stack} went to {record.name}")
        now = datetime.now(UTC)
        situation = situation_of(found.workspace.environment(found.stack), now, known)
        decision = decide(item.alert, situation, received=item.received, now=now)
        if _asks_for_nothing(decision):
            return Answer(decision.verdict, decision.why)
        if decision.verdict is Verdict.ROLL_BACK:
            found.set_edits_aside()  # somebody at work on the file must not keep production from going back
        try:
            planned = plan_rollback(found.workspace, found.store, found.registry, found.stack)
            _check_helps(planned, item.alert)
        except Refused as refusal:
            return Answer(Verdict.PAGE, refusal.paragraph())
        found.timings.step("plan")
        if decision.verdict is Verdict.OBSERVE:
            return self._observe(found, planned, item)
        return self._roll_back(found, planned, item)

    def _observe(self, found: Moving, planned: Rollback, item: Item) -> Answer:
        settings = found.workspace.environment(found.stack)
        entry = planned.entry(by=AUTHOR, reason=_reason(item.alert), alert=_evidence(item))
        write_record(
            found.store,
            signer_for(found.workspace, "verifier"),
            kind=Kind.ROLLBACK,
            stack=found.stack,
            release=entry.release,
            origin=entry.origin,
            name=entry.name,
            result=OBSERVED,
            by=entry.by,
            reason=entry.reason,
            started=datetime.fromisoformat(entry.started),
            configuration=configuration_hash(settings),
            cause=entry.cause,
            alert=entry.alert,
        )
        return Answer(Verdict.OBSERVE, f"{found.stack} would have gone back to {planned.name}")

    def _roll_back(self, found: Moving, planned: Rollback, item: Item) -> Answer:
        found.check_ground()
        reason = _reason(item.alert)
        found.message = f"Roll {found.stack} back to {planned.name}: {reason}"
        entry = planned.entry(by=AUTHOR, reason=reason, alert=_evidence(item))
        baking = planned.present.settings.baking
        found.move().run(entry, planned.present.file)
        return Answer(
            Verdict.ROLL_BACK,
            f"{found.stack} is back on {planned.name}, verified",
            (item.alert.firing - baking.since).total_seconds() if baking else None,
        )


def _asks_for_nothing(decision: Decision) -> bool:
    return decision.verdict in (Verdict.IGNORE, Verdict.PAGE)


def _answered(known: Known, alert: Alert) -> Record | None:
    return next((record for record in known.records if (record.alert or {}).get("key") == alert.key), None)


def _check_helps(planned: Rollback, alert: Alert) -> None:
    """Raises `Refused` where the release before has the very image that the alert is about."""
    if release_of(planned.target.services[alert.service]) == alert.release:
        raise Refused(
            f"{planned.name}, where {planned.stack} could go back to, has the same image of {alert.service}",
            fix="Name another release: `slipway rollback --to`",
        )


def _reason(alert: Alert) -> str:
    return f"{alert.name} on {alert.service} {alert.release}"


def _evidence(item: Item) -> dict[str, str]:
    """What the record keeps of the alert."""
    alert = item.alert
    received = item.received.isoformat(timespec="milliseconds")
    return {
        "name": alert.name,
        "service": alert.service,
        "release": alert.release,
        "since": alert.since,
        "received": received,
        "key": alert.key,
    }
