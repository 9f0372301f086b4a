"""The rules asked once more, where the rollback is done: the receiver that dispatched it knew only the cluster."""

from __future__ import annotations

from datetime import UTC, datetime

from adapters.errors import Refused
from delivery.moving import Moving
from delivery.releases.records import read_records
from delivery.serving.alerts import Alert
from delivery.serving.rules import Verdict, decide
from delivery.serving.situation import situation_of


def why_not(found: Moving, name: str, release: str) -> str | None:
    """Why there is nothing to do about an alert on a release; None if it is to be rolled back.

    Raises `Refused` where a person has to decide.
    """
    now = datetime.now(UTC)
    known = read_records(found.store, found.registry, found.stack)
    situation = situation_of(found.workspace.environment(found.stack), now, known)
    service = next((service for service, running in situation.running.items() if running == release), None)
    if service is None:
        return f"{found.stack} does not run {release}"
    alert = Alert(name, found.stack, service, release, now.isoformat())
    decision = decide(alert, situation, received=now, now=now)
    if decision.verdict in (Verdict.PAGE, Verdict.OBSERVE):
        why = decision.why if decision.verdict is Verdict.PAGE else "alerts are only observed there"
        raise Refused(
            f"{found.stack} is not rolled back by itself, nothing was changed: {why}",
            fix=f"Decide it yourself: `slipway rollback {found.stack} --reason …`",
        )
    return decision.why if decision.verdict is Verdict.IGNORE else None
