"""What the person and the Automation API are told of an operation: a line and an event a step, and a summary."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable

from local.engine.events import EventLog
from local.engine.failures import Failure
from local.engine.output import Display
from local.engine.plan import Op, Step

_SIGNS = {Op.SAME: " ", Op.CREATE: "+", Op.UPDATE: "~", Op.REPLACE: "±", Op.DELETE: "-", Op.DISCARD: "·"}
_DONE = {
    Op.SAME: "unchanged",
    Op.CREATE: "created",
    Op.UPDATE: "updated",
    Op.REPLACE: "replaced",
    Op.DELETE: "deleted",
    Op.DISCARD: "left",
}


class Report:
    """The report of one operation; `planning` says what would happen. Safe from any thread."""

    def __init__(self, display: Display, events: EventLog, *, planning: bool) -> None:
        self.display, self.events, self.planning = display, events, planning
        self.counts: Counter[str] = Counter()
        self._started = time.monotonic()
        self._begun: dict[str, float] = {}
        self._lock = threading.Lock()
        events.prelude()

    def planned(self, steps: Iterable[Step]) -> None:
        """Show each step of a plan with the fields that change."""
        for step in steps:
            self.begun(step)
            self.events.done(step, planning=True)
            self._count(step)
            if step.op is not Op.SAME:
                self.display.say("\n".join([_line(step, step.op.value), *_details(step)]))

    def begun(self, step: Step) -> None:
        """A step begins."""
        with self._lock:
            self._begun[step.resource.urn] = time.monotonic()
        self.events.begun(step, planning=self.planning)

    def done(self, step: Step) -> None:
        """A step has ended well."""
        self._count(step)
        self.events.done(step, planning=self.planning)
        if step.op is not Op.SAME:
            self.display.say(f"{_line(step, _DONE[step.op])} ({self._took(step):.1f} s)")

    def failed(self, step: Step, error: BaseException) -> None:
        """A step has failed; the error itself is told at the end, with all others."""
        self.events.failed(step)
        self.events.diagnostic(self.display.redact(Failure.of(error).text), "error", step.resource.urn)
        self.display.say(f"{_line(step, 'failed to ' + step.op.value)} ({self._took(step):.1f} s)")

    def progress(self, text: str) -> None:
        """What is being waited for."""
        self.display.say(f"    {text}")

    def failures(self, failures: Iterable[Failure]) -> None:
        """Errors that belong to the plan, for whoever reads the events."""
        for failure in failures:
            self.events.diagnostic(failure.text, "error", failure.urn)

    def summary(self) -> None:
        """One line that says what was done, or that nothing was to do."""
        took = time.monotonic() - self._started
        self.events.summary(self.counts, took, planning=self.planning)
        changed = [f"{count} to {op}" if self.planning else f"{count} {_DONE[Op(op)]}" for op, count in self._changes()]
        same = self.counts[Op.SAME]
        text = ", ".join([*changed, f"{same} unchanged"]) if changed else f"Nothing changed, {same} as declared"
        self.display.say(f"{text} ({took:.1f} s)")

    def _changes(self) -> list[tuple[str, int]]:
        return [(op.value, self.counts[op]) for op in Op if op is not Op.SAME and self.counts[op]]

    def _count(self, step: Step) -> None:
        with self._lock:
            self.counts[step.op.value] += 1

    def _took(self, step: Step) -> float:
        now = time.monotonic()
        return now - self._begun.get(step.resource.urn, now)


def _line(step: Step, verb: str) -> str:
    note = f": {step.note}" if step.note else ""
    return f"{_SIGNS[step.op]} {verb:<9} {step.resource.identity}{note}"


def _details(step: Step) -> list[str]:
    return [f"      {change}" for change in step.changes]
