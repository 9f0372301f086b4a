"""Soak: a release has run in an environment for a time, unchanged, under requests, without an alert.

The time begins when the environment became what it is: at the end of the last rollout, or of the last update that
changed anything else. A container that was restarted since then, or an alert, fails the soak, which is recorded. That
time or requests are still missing is no failure: nothing is recorded then.

Alerts come from the Prometheus of the stack that watches the environment; the time counts only while that one looked.
Where the stack files have none, the record says `"alerts": "unwatched"`, and a gate has to accept that.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from adapters.errors import BadInput, SlipwayError
from adapters.kubernetes import JsonObject, Kubernetes
from components.settings import EnvironmentSettings
from delivery.releases.alerts import Watch, gap_of, watcher_of
from delivery.releases.proof import Kind, Piece
from delivery.releases.running import connect
from delivery.releases.signing import Signer
from delivery.releases.store import ReleaseStore
from delivery.releases.subject import FAIL, PASS, Connect, Subject, attach, subject_of
from delivery.releases.traffic import PodCounters, RequestCounter, pods_of
from delivery.stack import Outcome, Update
from delivery.workspace import Workspace

UNWATCHED = "unwatched"
MARGIN_S = 600.0
"""How much longer than the soak itself is waited, unless told otherwise, for its requests to come."""

_PAUSE_S = 5.0

Alerts = Callable[[datetime, datetime], list[str]]
"""The alerts about what soaks that fired between the two."""
Restarts = Callable[[datetime], list[str]]
"""What was restarted since then, a sentence each."""


@dataclass(frozen=True)
class Needs:
    """How long a soak is, and how many requests there have to be in that time."""

    minutes: int
    requests: int


@dataclass(frozen=True)
class Soak:
    """Watches one environment. `began` is when it became what it is; `counted` the requests from before that.

    `alerts` is None where nobody watches; `say` is given progress.
    """

    subject: Subject
    store: ReleaseStore
    signer: Signer
    began: datetime
    counted: int
    counter: RequestCounter
    restarts: Restarts
    say: Callable[[str], None]
    alerts: Alerts | None = None
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    pause: Callable[[float], None] = time.sleep

    def run(self, needs: Needs, wait_s: float) -> Piece:
        """Attach the soak once it is complete or has failed, waiting for that at most `wait_s` seconds.

        Raises `SlipwayError` if it is neither by then, or if the environment changed meanwhile.
        """
        deadline = self.now() + timedelta(seconds=wait_s)
        complete_at = self.began + timedelta(minutes=needs.minutes)
        shown = False
        while True:
            self.subject.require_unchanged()
            until = self.now()
            requests = max(0, self.counter.count(self.subject.running) - self.counted)
            alerts = None if self.alerts is None else self.alerts(self.began, until)
            failures = [*self.restarts(self.began), *(f"the alert {name}" for name in alerts or ())]
            if failures or (until >= complete_at and requests >= needs.requests):
                return self._attach(until, requests, alerts, failures)
            missing = self._missing(needs, until, requests)
            if until >= deadline:
                raise SlipwayError(
                    f"the soak in {self.subject.stack} is not complete, so nothing was recorded: {missing}",
                    fix=f"Try again later, or wait with `slipway verify {self.subject.stack} soak --wait`",
                )
            if not shown:
                self.say(f"soak of {self.subject.stack}: {missing} …")
                shown = True
            self.pause(min(_PAUSE_S, max(0.0, (deadline - until).total_seconds())))

    def _missing(self, needs: Needs, until: datetime, requests: int) -> str:
        minutes = (until - self.began).total_seconds() / 60
        return f"{minutes:.1f} of {needs.minutes} minutes, {requests:,} of {needs.requests:,} requests so far"

    def _attach(self, until: datetime, requests: int, alerts: list[str] | None, failures: list[str]) -> Piece:
        minutes = (until - self.began).total_seconds() / 60
        note = "; ".join(failures) or f"{minutes:.1f} minutes, {requests:,} requests"
        self.say(f"soak {'FAILED' if failures else 'passed'} in {self.subject.stack}: {note}")
        predicate = {
            "result": FAIL if failures else PASS,
            "since": self.began.isoformat(timespec="seconds"),
            "until": until.isoformat(timespec="seconds"),
            "requests": requests,
            "alerts": UNWATCHED if alerts is None else alerts,
            "note": note,
        }
        return attach(self.store, self.subject, self.signer, Kind.SOAK, predicate)


def soak(
    workspace: Workspace,
    stack: str,
    signer: Signer,
    *,
    store: ReleaseStore,
    needs: Needs,
    wait_s: float,
    say: Callable[[str], None],
    connect: Connect = connect,
) -> Piece:
    """Attach to the release that an environment runs that it soaked there; raises as `Soak.run` does."""
    settings = workspace.environment(stack)
    with (
        subject_of(workspace, stack, store, connect) as subject,
        contextlib.closing(connect(settings)) as kube,
        _watch(workspace, subject, connect) as watch,
    ):
        counter = PodCounters(kube, settings)
        rolled_out = max((found.since for found in subject.running.values()), default=datetime.now(UTC))
        began = beginning(rolled_out, workspace.manage(stack).history())
        if watch is not None:
            began = watch.looking_since(began, datetime.now(UTC))
        # Pods count from their start. Of those that were there before it began nobody knows how many of their requests
        # are older than that, so none of them counts.
        counted = counter.count(subject.running) if began > rolled_out else 0
        restarts, alerts = _Restarts(kube, settings, subject), watch.fired if watch else None
        return Soak(subject, store, signer, began, counted, counter, restarts, say, alerts).run(needs, wait_s)


def needs_of(workspace: Workspace, stack: str) -> Needs:
    """The most that the gates of other environments ask of a soak in this one; raises `BadInput` if none does."""
    environments = [name for name, declared in workspace.stacks.items() if declared.kind == "environment"]
    asked = [
        gate.soaked
        for name in environments
        for gate in workspace.environment(name).gates
        if gate.soaked is not None and gate.soaked.stack == stack
    ]
    if not asked:
        raise BadInput(
            f"no gate asks for a soak in {stack}, so nothing says how long it is",
            fix="Say it by --minutes and --requests, or by a gate `soaked` of the stack that it is for",
        )
    return Needs(max(each.minutes for each in asked), max(each.requests for each in asked))


def beginning(rolled_out: datetime, history: Iterable[Update]) -> datetime:
    """When an environment became what it is: at the end of its rollout, or of a later update that changed anything.

    An update that brought the rollout began before the rollout's end; what it did besides is no later change.
    """
    began = rolled_out
    for update in history:
        started = update.started.replace(tzinfo=UTC)
        if Outcome(update.counts).changed and started > rolled_out:
            ended = update.ended.replace(tzinfo=UTC) if update.ended else started
            began = max(began, ended)
    return began


@contextlib.contextmanager
def _watch(workspace: Workspace, subject: Subject, connect: Connect) -> Iterator[Watch | None]:
    """Whoever sees alerts about the subject, None where nobody does."""
    if (settings := watcher_of(workspace, subject.stack)) is None:
        yield None
        return
    releases = [found.release for found in subject.running.values()]
    with contextlib.closing(connect(settings)) as kube:
        yield Watch(kube, subject.stack, releases, gap_of(settings))


@dataclass(frozen=True)
class _Restarts:
    kube: Kubernetes
    settings: EnvironmentSettings
    subject: Subject

    def __call__(self, since: datetime) -> list[str]:
        return [
            f"{pod['metadata']['name']} was restarted ({ended.get('reason', 'unknown')}, code {ended.get('exitCode')})"
            for service, found in self.subject.running.items()
            for pod in pods_of(self.kube, self.settings.stack, service, found.release)
            for ended in _ends(pod)
            if datetime.fromisoformat(ended["finishedAt"]) >= since
        ]


def _ends(pod: JsonObject) -> list[JsonObject]:
    """How the containers of a pod that runs ended before."""
    statuses = pod["status"].get("containerStatuses", ())
    found = [each.get("lastState", {}).get("terminated") for each in statuses]
    return [ended for ended in found if ended]
