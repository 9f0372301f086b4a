"""The event log (`--event-log FILE`): a JSON object a line, as `pulumi.automation.events` reads it.

The Automation API follows the file until it reads a `cancelEvent`, and waits five seconds where none comes; so the last
line always is one.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.engine.plan import Step


class EventLog:
    """Appends events to a file, or to nowhere; safe from any thread."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._sequence = 0
        self._lock = threading.Lock()

    def prelude(self) -> None:
        """An operation begins."""
        self._write("preludeEvent", {"config": {}})

    def begun(self, step: Step, *, planning: bool) -> None:
        """A step begins, or is planned."""
        self._write("resourcePreEvent", {"metadata": _metadata(step), "planning": planning})

    def done(self, step: Step, *, planning: bool) -> None:
        """A step has ended well."""
        self._write("resOutputsEvent", {"metadata": _metadata(step), "planning": planning})

    def failed(self, step: Step) -> None:
        """A step has failed."""
        self._write("resOpFailedEvent", {"metadata": _metadata(step), "status": 1, "steps": 1})

    def diagnostic(self, message: str, severity: str, urn: str = "") -> None:
        """A message; `severity` is one of info, warning, error."""
        self._write("diagnosticEvent", {"message": message, "color": "never", "severity": severity, "urn": urn})

    def summary(self, changes: Mapping[str, int], duration_s: float, *, planning: bool) -> None:
        """What was done in all: the number of resources for each operation."""
        counts = {"resourceChanges": dict(changes), "durationSeconds": round(duration_s), "isPreview": planning}
        self._write("summaryEvent", {"maybeCorrupt": False, "PolicyPacks": {}, **counts})

    def close(self) -> None:
        """End the log; nobody reads what would come after."""
        self._write("cancelEvent", {})

    def _write(self, kind: str, body: Mapping[str, Any]) -> None:
        if self._path is None:
            return
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            self._sequence += 1
            event = {"sequence": self._sequence, "timestamp": int(time.time()), kind: body}
            file.write(json.dumps(event) + "\n")


def ensure_closed(path: Path) -> None:
    """End a log whose writer may have died before it could."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    if not lines or '"cancelEvent"' not in lines[-1]:
        with path.open("a", encoding="utf-8") as file:
            file.write('\n{"sequence": 0, "timestamp": 0, "cancelEvent": {}}\n' if _is_cut(lines) else _CANCEL)


_CANCEL = '{"sequence": 0, "timestamp": 0, "cancelEvent": {}}\n'


def _is_cut(lines: list[str]) -> bool:
    return bool(lines) and not lines[-1].endswith("}")


def _metadata(step: Step) -> dict[str, Any]:
    state = _state(step)
    return {
        "op": step.op.value,
        "urn": step.resource.urn,
        "type": step.resource.type,
        "provider": "",
        "old": None if step.op == "create" else state,
        "new": None if step.op in ("delete", "discard") else state,
        "diffs": [change.path for change in step.changes],
        "detailedDiff": {change.path: {"diffKind": change.kind, "inputDiff": True} for change in step.changes},
    }


def _state(step: Step) -> dict[str, Any]:
    """Neither inputs nor outputs: they may hold secrets, and whoever wants them asks for the stack's outputs."""
    resource, identity = step.resource, step.resource.identity
    return {
        "type": resource.type,
        "urn": resource.urn,
        "id": f"{identity.namespace}/{identity.name}".lstrip("/") if identity else "",
        "parent": resource.parent,
        "provider": "",
        "custom": identity is not None,
        "protect": resource.protect,
        "retainOnDelete": resource.retain_on_delete,
    }
