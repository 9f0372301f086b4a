"""What the receiver measures: its own work, and how delivery goes in each environment (`deliveries`)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.registry import Collector

from delivery.serving.alerts import Alert
from delivery.serving.inbox import Item
from delivery.serving.rules import Verdict

OUTCOMES = (*Verdict, "dispatched", "failed")
_SECONDS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 1200, 1800)


class Metrics:
    """Counters of this process; with `environments`, those of each begin at 0, so that a first event is a change."""

    def __init__(self, environments: Iterable[str], collectors: Iterable[Collector] = ()) -> None:
        self._registry = CollectorRegistry()
        for collector in collectors:
            self._registry.register(collector)
        self._rollbacks = Counter(
            "slipway_rollbacks",
            "Alerts that asked for a rollback, by what came of them.",
            ("environment", "result"),
            registry=self._registry,
        )
        self._struggling = Gauge(
            "slipway_rollback_unfinished",
            "1 while an automatic rollback is tried again, was given up half-way, or its workflow has not ended.",
            ("environment",),
            registry=self._registry,
        )
        self._unreconciled = Gauge(
            "slipway_unreconciled",
            "1 while git's main lacks a commit by which an environment was changed.",
            ("environment",),
            registry=self._registry,
        )
        self._detection = Histogram(
            "slipway_rollback_detection_seconds",
            "From a release's promotion to the alert that it was rolled back for.",
            ("environment",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._restore = Histogram(
            "slipway_rollback_restore_seconds",
            "From the webhook to the earlier release running, verified and recorded.",
            ("environment",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._received = Counter(
            "slipway_alerts_received", "Alerts that were taken, each once.", registry=self._registry
        )
        self._refused = Counter(
            "slipway_webhooks_refused", "Webhooks that were refused, by status.", ("code",), registry=self._registry
        )
        for environment in environments:
            for outcome in OUTCOMES:
                self._rollbacks.labels(environment, outcome)
            self._struggling.labels(environment).set(0)
            self._unreconciled.labels(environment).set(0)
            self._detection.labels(environment)
            self._restore.labels(environment)
        self._known = frozenset(environments)

    def received(self) -> None:
        """An alert was taken."""
        self._received.inc()

    def refused(self, status: int) -> None:
        """A webhook was refused."""
        self._refused.labels(str(status)).inc()

    def unfinished(self, environment: str, *, is_so: bool) -> None:
        """Whether something fails there and is tried again, or was given up half-way."""
        self._struggling.labels(environment).set(1 if is_so else 0)

    def finished(self, item: Item, outcome: str, now: datetime, *, detected_s: float | None) -> None:
        """An alert was answered; `detected_s` is how long after its promotion a release alerted."""
        environment = self._name(item.alert)
        self._rollbacks.labels(environment, outcome).inc()
        if outcome == Verdict.ROLL_BACK:
            self._restore.labels(environment).observe((now - item.received).total_seconds())
        if detected_s is not None:
            self._detection.labels(environment).observe(detected_s)

    def reconciled(self, environment: str, *, is_so: bool) -> None:
        """Whether git's main has all that was changed."""
        self._unreconciled.labels(environment).set(0 if is_so else 1)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self._registry)

    def _name(self, alert: Alert) -> str:
        """What others send must not make series without end."""
        return alert.environment if alert.environment in self._known else "unknown"
