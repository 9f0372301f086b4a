"""When an alert rolls a release back, and when it only pages. Nothing here asks or changes anything.

These are the rules of DESIGN.md, "Alert-driven rollback"; each is a line of `decide`, in the order in which they are
asked. That an alert pages is nobody's work here: Alertmanager tells people of each alert that it sends here, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from delivery.serving.alerts import Alert

OWN_FAILURES = frozenset({"ReleaseCrashing", "ReleaseNotReady"})
"""Alerts on what is a release's own doing. All others speak of its requests, which only a control makes comparable."""

OLDEST = timedelta(minutes=20)
"""What has fired for longer is a replay, or was decided by people meanwhile. Source: Kargo's rule for its rollbacks."""
_CLOCKS_DIFFER = timedelta(minutes=1)


class Verdict(StrEnum):
    """What comes of an alert."""

    IGNORE = "ignored"
    """It asks for nothing that could be done."""
    PAGE = "paged"
    """The release that runs is bad, and a person has to see to it."""
    OBSERVE = "observed"
    """Recorded what would have been done."""
    ROLL_BACK = "rolled_back"


@dataclass(frozen=True)
class Decision:
    """A verdict and the sentence that explains it."""

    verdict: Verdict
    why: str


@dataclass(frozen=True)
class Situation:
    """An environment at a moment. `running` and `controls` are releases by service, 12 hex digits each.

    `baking` is since when and until when the present release bakes, None if none does. `frozen` says why it is frozen.
    """

    automation: str
    running: Mapping[str, str]
    controls: Mapping[str, str] = field(default_factory=dict)
    baking: tuple[datetime, datetime] | None = None
    frozen: str | None = None
    came_by_rollback: bool = False


def decide(alert: Alert, situation: Situation | None, *, received: datetime, now: datetime) -> Decision:
    """What an alert leads to that came at `received`; `situation` is None for an environment that is not there."""
    if situation is None:
        return Decision(Verdict.IGNORE, f"there is no environment {alert.environment}")
    if why := next(_why_it_asks_for_nothing(alert, situation, received), None):
        return Decision(Verdict.IGNORE, why)
    if why := next(_why_it_is_for_people(alert, situation, now), None):
        return Decision(Verdict.PAGE, why)
    why = f"{alert.name} on {alert.service} {alert.release}, which bakes"
    return Decision(Verdict.ROLL_BACK if situation.automation == "on" else Verdict.OBSERVE, why)


def _why_it_asks_for_nothing(alert: Alert, situation: Situation, received: datetime) -> Iterator[str]:
    running = situation.running.get(alert.service)
    if running is None:
        yield f"{alert.environment} has no service {alert.service}"
    if running != alert.release:
        yield f"{alert.service} runs {running}, not {alert.release}"
    if situation.automation == "off":
        yield f"alerts do nothing by themselves in {alert.environment} (automation: off)"
    if received - alert.firing > OLDEST or alert.firing - received > _CLOCKS_DIFFER:
        yield f"it did not begin to fire just before it came, but at {alert.firing:%Y-%m-%d %H:%M:%S} UTC"


def _why_it_is_for_people(alert: Alert, situation: Situation, now: datetime) -> Iterator[str]:
    """The release that is meant runs, and yet nothing happens by itself."""
    if situation.came_by_rollback:
        yield "what runs is where a rollback led to, and a rollback is never rolled back"
    since, until = situation.baking or (now, now)
    if not since <= now < until:
        yield f"{alert.release} does not bake, or not any more"
    if alert.firing < since:
        yield f"it began to fire before {alert.release} came"
    if situation.frozen:
        yield f"{alert.environment} is frozen: {situation.frozen}"
    if alert.name not in OWN_FAILURES and alert.service not in situation.controls:
        yield f"there is no control of {alert.service} that it could be compared with"
