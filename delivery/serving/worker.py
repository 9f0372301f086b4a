"""Works through the alerts that were received, one after the other, in a thread of its own.

What somebody else's update keeps us from is tried again until that is done; what fails is tried again with growing
pauses, and given up with a word of where it stands: never a loop.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from adapters.errors import Locked, SlipwayError
from delivery.serving.answering import OUTCOME_FAILED, Answer
from delivery.serving.inbox import Inbox, Item
from delivery.serving.metrics import Metrics

ATTEMPTS = 60
"""How often something is tried that fails: with the pauses between, for about half an hour."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_LOCKED_PAUSE_S = 1.0
_CHORES_S = 30.0

_log = logging.getLogger(__name__)


class Answers(Protocol):
    """Answers one alert; raises `Locked` while it has to wait, and `SlipwayError` for what may be tried again."""

    def answer(self, item: Item) -> Answer:
        """Do what the rules say."""


class Worker:
    """`chores` are done when there is nothing else to do, now and then: what fails in them is told and tried again."""

    def __init__(self, inbox: Inbox, answers: Answers, metrics: Metrics, chores: Callable[[], None]) -> None:
        self._inbox, self._answers, self._metrics, self._chores = inbox, answers, metrics, chores
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._not_before: dict[str, float] = {}

    def start(self) -> None:
        """Go on where the last one ended."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Begin nothing more; returns once what runs has ended, or after `timeout_s`: it is gone on with next time."""
        self._stopping.set()
        self._inbox.filled.set()
        self._thread.join(timeout_s)

    @property
    def is_alive(self) -> bool:
        """Whether it works."""
        return self._thread.is_alive()

    def _run(self) -> None:
        chores_at = 0.0
        while not self._stopping.is_set():
            self._inbox.filled.clear()
            now = time.monotonic()
            ready = [item for item in self._inbox.waiting() if self._not_before.get(item.alert.key, 0.0) <= now]
            for item in ready:
                if self._stopping.is_set():
                    return
                self.work(item)
            if ready or now >= chores_at:
                self._do_chores()
                chores_at = time.monotonic() + _CHORES_S
            self._inbox.filled.wait(self._until_next(chores_at))

    def work(self, item: Item) -> None:
        """Answer one alert, once."""
        self._inbox.count_attempt(item)
        answer: Answer | None = None
        try:
            answer = self._answers.answer(item)
        except SlipwayError as error:
            if error.exit_code == Locked.exit_code:
                self._inbox.forgive_attempt(item)
                self._wait(item, _LOCKED_PAUSE_S)
                return
            answer = self._fail(item, error)
        except Exception as error:  # one alert that finds a mistake of ours must not keep the others from their turn
            _log.exception("a mistake in slipway itself", extra={"alert": str(item.alert)})
            answer = Answer(OUTCOME_FAILED, f"unexpected {type(error).__name__}, which is a mistake in slipway itself")
        if answer is not None:
            self._finish(item, answer)

    def _fail(self, item: Item, error: SlipwayError) -> Answer | None:
        tried = item.attempts + 1
        _log.error("failed", extra={"alert": str(item.alert), "why": error.paragraph(), "attempt": tried})
        if tried >= ATTEMPTS:
            return Answer(OUTCOME_FAILED, error.paragraph())
        self._wait(item, min(_FIRST_PAUSE_S * 2 ** min(tried, 10), _LONGEST_PAUSE_S))
        return None

    def _wait(self, item: Item, seconds: float) -> None:
        self._not_before[item.alert.key] = time.monotonic() + seconds

    def _finish(self, item: Item, answer: Answer) -> None:
        self._inbox.finish(item.alert, answer.outcome, answer.why)
        self._not_before.pop(item.alert.key, None)
        self._metrics.finished(item, answer.outcome, datetime.now(UTC), detected_s=answer.detected_s)
        said = {"alert": str(item.alert), "outcome": answer.outcome, "why": answer.why}
        _log.log(logging.ERROR if answer.outcome == OUTCOME_FAILED else logging.INFO, "answered", extra=said)

    def _do_chores(self) -> None:
        try:
            self._chores()
        except SlipwayError as error:
            _log.warning("a chore failed", extra={"why": error.paragraph()})
        except Exception:
            _log.exception("a mistake in slipway itself")

    def _until_next(self, chores_at: float) -> float:
        waiting = [self._not_before.get(item.alert.key, 0.0) for item in self._inbox.waiting()]
        return max(0.0, min([chores_at, *waiting]) - time.monotonic())
