"""The alerts that were received, on disk: what was answered with 2xx is worked through, also after a restart, once.

An alert is a file, in `pending` and then in `finished`, by a name that is the same however often it arrives. Both are
bounded: what does not fit is refused, and Alertmanager sends it again.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from delivery.serving.alerts import Alert

PENDING_AT_MOST, FINISHED_AT_MOST = 200, 1000


class Full(Exception):
    """More is waiting than is taken."""


@dataclass(frozen=True)
class Item:
    """An alert that waits. `received` is when it first came, `attempts` how often it was tried in vain."""

    alert: Alert
    received: datetime
    attempts: int = 0


class Inbox:
    """The alerts below `directory`; any thread may put, one takes."""

    def __init__(self, directory: Path) -> None:
        self._pending, self._finished = directory / "pending", directory / "finished"
        for folder in (self._pending, self._finished):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._waiting = {path.stem for path in self._pending.glob("*.json")}
        by_age = sorted(self._finished.glob("*.json"), key=lambda path: path.stat().st_mtime)
        self._done = dict.fromkeys(path.stem for path in by_age)  # in the order in which they are forgotten
        for key in self._waiting & self._done.keys():  # we were killed between the two, or are at it just now
            self._path(key).unlink(missing_ok=True)
        self._waiting -= self._done.keys()
        self._lock = threading.Lock()
        self.filled = threading.Event()
        """Set when there may be something new."""

    def put(self, alert: Alert) -> bool:
        """Keep an alert; it is on the disk when this returns. False if it was there already; raises `Full`.

        One that is resolved takes away what it resolves, if that still waits.
        """
        with self._lock:
            if not alert.fires:
                self._move(alert.key, {"outcome": "ignored", "why": "it was resolved before it was its turn"})
                return False
            if alert.key in self._waiting or alert.key in self._done:
                return False
            if len(self._waiting) >= PENDING_AT_MOST:
                raise Full
            _write(self._path(alert.key), {"alert": alert.to_json(), "received": _now(), "attempts": 0})
            self._waiting.add(alert.key)
        self.filled.set()
        return True

    def waiting(self) -> list[Item]:
        """What waits, the oldest first."""
        with self._lock:
            found = [_read(self._path(key)) for key in self._waiting]
        items = [Item(Alert(**each["alert"]), _time(each["received"]), each["attempts"]) for each in found if each]
        return sorted(items, key=lambda item: item.received)

    def struggling(self) -> frozenset[str]:
        """The environments of alerts that were tried in vain and wait to be tried again."""
        return frozenset(item.alert.environment for item in self.waiting() if item.attempts)

    def count_attempt(self, item: Item) -> None:
        """Note, before it is tried, that it is: who is killed by it each time gives up in the end."""
        self._rewrite(item.alert, attempts=item.attempts + 1)

    def forgive_attempt(self, item: Item) -> None:
        """It was only waited for somebody."""
        self._rewrite(item.alert, attempts=item.attempts)

    def finish(self, alert: Alert, outcome: str, why: str) -> None:
        """It is done with; `why` is kept beside it."""
        with self._lock:
            self._move(alert.key, {"outcome": outcome, "why": why})

    def finished(self) -> list[dict[str, Any]]:
        """What was done with, the latest first: `alert`, `received`, `outcome`, `why`."""
        with self._lock:
            found = [_read(path) for path in self._finished.glob("*.json")]
        return sorted(filter(None, found), key=lambda each: str(each.get("finished", "")), reverse=True)

    def _rewrite(self, alert: Alert, **changes: Any) -> None:
        path = self._path(alert.key)
        with self._lock:
            if (known := _read(path)) is not None:
                _write(path, known | changes)

    def _move(self, key: str, outcome: dict[str, Any]) -> None:
        """Written there before it is gone here: found in both, it counts as finished."""
        if key not in self._waiting:
            return
        waiting, finished = self._path(key), self._finished / f"{key}.json"
        _write(finished, (_read(waiting) or {}) | outcome | {"finished": _now()})
        waiting.unlink(missing_ok=True)
        self._waiting.remove(key)
        self._done[key] = None
        while len(self._done) > FINISHED_AT_MOST:
            oldest = next(iter(self._done))
            (self._finished / f"{oldest}.json").unlink(missing_ok=True)
            del self._done[oldest]

    def _path(self, key: str) -> Path:
        return self._pending / f"{key}.json"


def _read(path: Path) -> dict[str, Any] | None:
    """None if it is gone, or was never whole."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _write(path: Path, content: dict[str, Any]) -> None:
    scratch = path.with_suffix(".new")
    with scratch.open("w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")  # by which they are put in order


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
