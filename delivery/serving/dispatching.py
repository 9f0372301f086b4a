"""Answers one alert where no stack file is: decides by the same rules, then starts the workflow that rolls back.

What an environment says of its delivery in the cluster (`components/stated_delivery.py`) is what the rules are asked
of. The workflow asks them again of the stack file (`dispatched`), and does nothing where the release runs no more: so
it may be started twice, if this process is killed just then, and is done once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from adapters.errors import BadInput
from adapters.github import Workflow
from adapters.kubernetes import Kubernetes
from components.stated_delivery import FILE, NAME, StatedDelivery
from delivery.serving.answering import Answer
from delivery.serving.inbox import Inbox, Item
from delivery.serving.metrics import Metrics
from delivery.serving.rules import Situation, Verdict, decide
from delivery.serving.situation import situation_of

OUTCOME_DISPATCHED = "dispatched"

Connect = Callable[[], Kubernetes]
"""Opens a client of the cluster that the environments are in."""


class Environments:
    """The environments that are answered for, as they say of themselves what is to be known."""

    def __init__(self, names: Iterable[str], connect: Connect) -> None:
        self.names, self._connect = tuple(names), connect

    def situation(self, name: str, now: datetime) -> Situation | None:
        """What the rules have to know of one; None for one that is not among them, or where alerts do nothing."""
        if name not in self.names:
            return None
        with contextlib.closing(self._connect()) as kube:  # a client keeps the token of its time
            found = kube.get("v1", "ConfigMap", NAME, name)
        if found is None:
            return None
        try:
            return situation_of(StatedDelivery.parse(found["data"][FILE]), now)
        except (ValueError, KeyError, TypeError):
            raise BadInput(
                "what the environment says of its delivery cannot be read",
                where=f"ConfigMap {name}/{NAME}, {FILE}",
                fix=f"Write it anew by `slipway up {name}`, and let the receiver run the same version of Slipway",
            ) from None


class Dispatcher:
    """Answers alerts by starting `workflow`."""

    def __init__(self, environments: Environments, workflow: Workflow, token_file: Path, inbox: Inbox) -> None:
        self._environments, self._workflow = environments, workflow
        self._token_file, self._inbox = token_file, inbox

    def answer(self, item: Item) -> Answer:
        """Do what the rules say; raises `SlipwayError` for what to try again."""
        alert, now = item.alert, datetime.now(UTC)
        situation = self._environments.situation(alert.environment, now)
        decision = decide(alert, situation, received=item.received, now=now)
        if decision.verdict is Verdict.OBSERVE:
            return Answer(Verdict.OBSERVE, f"the rollback workflow would have been started: {decision.why}")
        if decision.verdict is not Verdict.ROLL_BACK or situation is None or situation.baking is None:
            return Answer(decision.verdict, decision.why)
        # Once for a release that bakes: what the workflow could not do is for people.
        if (alert.service, alert.release) in _asked_for(self._inbox, alert.environment, situation):
            return Answer(Verdict.IGNORE, f"the rollback of {alert.service} {alert.release} was asked for before")
        self._workflow.start(
            {
                "stack": alert.environment,
                "reason": f"{alert.name} on {alert.service} {alert.release}",
                "alert": alert.name,
                "release": alert.release,
            },
            self._token_file,
        )
        return Answer(
            OUTCOME_DISPATCHED,
            f"{self._workflow.file} was started in {self._workflow.repository}: {decision.why}",
            (alert.firing - situation.baking[0]).total_seconds(),
        )


class Looking:
    """Sees, when no alert waits, whether what was begun came to its end. `is_ready` once environments could be read."""

    def __init__(self, environments: Environments, metrics: Metrics, inbox: Inbox) -> None:
        self._environments, self._metrics, self._inbox = environments, metrics, inbox
        self.is_ready = False

    def __call__(self) -> None:
        """Look at each environment; raises what that fails with."""
        struggling = self._inbox.struggling()
        for name in self._environments.names:
            self._metrics.unfinished(name, is_so=name in struggling)  # to be known also while nobody can be asked
        for name in self._environments.names:
            situation = self._environments.situation(name, datetime.now(UTC))
            if situation and any(
                situation.running.get(service) == release
                for service, release in _asked_for(self._inbox, name, situation)
            ):
                self._metrics.unfinished(name, is_so=True)
        self.is_ready = True


def _asked_for(inbox: Inbox, environment: str, situation: Situation) -> set[tuple[str, str]]:
    """Service and release of each rollback whose workflow was started since what runs there bakes."""
    if situation.baking is None:
        return set()
    since, _ = situation.baking
    return {
        (each["alert"]["service"], each["alert"]["release"])
        for each in inbox.finished()
        if (each["outcome"], each["alert"]["environment"]) == (OUTCOME_DISPATCHED, environment)
        and datetime.fromisoformat(each["finished"]) >= since
    }
