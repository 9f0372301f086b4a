"""Reads the logs of a service from where they are kept, whichever store that is.

The store is asked by way of its cluster's API server, so that whoever may look into the cluster needs no other address.
Each store has a reader: it writes the question in the store's language, and makes entries of the answer.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from adapters.apiserver import KubernetesError
from adapters.errors import BadInput, Unreachable
from adapters.kubernetes import Kubernetes
from components.monitoring import loki, victorialogs
from components.monitoring.names import LOKI, NAMESPACE, VICTORIALOGS

# Entries may come late by as much: a collector sends again what could not be sent, and reads files in turn.
_LATE = timedelta(seconds=30)
_BATCH = 5000
_NOT_UNDERSTOOD = 400
# Shown by themselves, or the same in each line of a service.
_OF_EVERY_ENTRY = {"message", "exc_info", "level", "time", "logger", "service", "release", "version", "environment"}


@dataclass(frozen=True, order=True)
class Entry:
    """One entry of a log; `text` is as the program wrote it, and may have several lines."""

    time: datetime
    text: str
    level: str = field(compare=False)
    pod: str
    fields: Mapping[str, str] = field(compare=False, default_factory=dict)
    """Everything else that is known of it, with names as the store has them."""

    @property
    def message(self) -> str:
        """What a person reads: of JSON its `message`, with the fields that are of this entry, and what was raised."""
        with contextlib.suppress(ValueError):
            written = json.loads(self.text)
            if isinstance(written, dict) and isinstance(written.get("message"), str):
                own = [f"{name}={value}" for name, value in written.items() if name not in _OF_EVERY_ENTRY and value]
                raised = [str(written["exc_info"])] if written.get("exc_info") else []
                return "\n".join(["  ".join([written["message"], *own]), *raised])
        return self.text

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        known = {"time": self.time.isoformat(), "level": self.level, "pod": self.pod, "text": self.text}
        return known | {"fields": dict(self.fields)}


@dataclass(frozen=True)
class Question:
    """`pattern` is a regular expression (RE2) that entries match, None for all of them."""

    environment: str
    service: str
    pattern: str | None = None


class Reader(Protocol):
    """Asks one kind of store."""

    pod: str
    port: int
    path: str

    def params(self, question: Question, since: datetime, until: datetime, limit: int) -> Mapping[str, str]:
        """What to send to `path` for the latest `limit` entries of that time."""

    def entries(self, answer: str) -> Iterable[Entry]:
        """The entries of an answer, in any order."""


class LokiReader:
    """LogQL: https://grafana.com/docs/loki/latest/reference/loki-http-api/#query-logs-within-a-range-of-time."""

    pod, port, path = f"{LOKI}-0", loki.PORT, "/loki/api/v1/query_range"

    def params(self, question: Question, since: datetime, until: datetime, limit: int) -> Mapping[str, str]:
        """See `Reader`."""
        query = f'{{environment="{question.environment}", service="{question.service}"}}'
        if question.pattern is not None:
            query += f" |~ {_quoted(question.pattern)}"
        return {
            "query": query,
            "start": _nanoseconds(since),
            "end": _nanoseconds(until),
            "limit": str(limit),
            "direction": "backward",
        }

    def entries(self, answer: str) -> Iterator[Entry]:
        """See `Reader`."""
        for stream in json.loads(answer)["data"]["result"]:
            known = dict(stream["stream"])
            level, pod = known.pop("level", ""), known.pop("k8s_pod_name", "")
            for nanoseconds, text, *_ in stream["values"]:
                moment = datetime.fromtimestamp(int(nanoseconds) / 1e9, UTC)
                yield Entry(moment, text, level, pod, known)


class VictoriaLogsReader:
    """LogsQL: https://docs.victoriametrics.com/victorialogs/querying/#querying-logs."""

    pod, port, path = f"{VICTORIALOGS}-0", victorialogs.PORT, "/select/logsql/query"

    def params(self, question: Question, since: datetime, until: datetime, limit: int) -> Mapping[str, str]:
        """See `Reader`."""
        query = f'{{environment="{question.environment}",service="{question.service}"}}'
        if question.pattern is not None:
            query += f" _msg:~{_quoted(question.pattern)}"
        query += f" | sort by (_time) desc limit {limit}"
        return {"query": query, "start": _nanoseconds(since), "end": _nanoseconds(until)}

    def entries(self, answer: str) -> Iterator[Entry]:
        """See `Reader`."""
        for line in filter(None, answer.split("\n")):
            known = json.loads(line)
            moment = datetime.fromisoformat(known.pop("_time"))
            text, level, pod = (known.pop(name, "") for name in ("_msg", "level", "k8s.pod.name"))
            fields = {name: value for name, value in known.items() if not name.startswith(("_", "scope.", "severity_"))}
            yield Entry(moment, text, level, pod, fields)


READERS: Mapping[str, Reader] = {LOKI: LokiReader(), VICTORIALOGS: VictoriaLogsReader()}
"""By the name that `slipway:logs.store` gives a store."""


class Logs:
    """The logs of one service. Methods raise `BadInput` for a pattern that is none, `Unreachable` without the store."""

    def __init__(self, kube: Kubernetes, store: str, question: Question) -> None:
        self._kube, self._reader, self._question = kube, READERS[store], question

    def read(self, since: datetime, limit: int, until: datetime | None = None) -> list[Entry]:
        """The latest `limit` entries since then, the oldest of them first."""
        reader = self._reader
        params = reader.params(self._question, since, until or datetime.now(UTC), limit)
        try:
            answer = self._kube.ask_pod(NAMESPACE, reader.pod, reader.port, reader.path, params)
            return sorted(reader.entries(answer))
        except KubernetesError as error:
            if error.status == _NOT_UNDERSTOOD and self._question.pattern is not None:
                raise BadInput(
                    f"the store of logs does not take the pattern {self._question.pattern!r}",
                    where="--grep",
                    allowed="a regular expression as https://github.com/google/re2/wiki/Syntax has it",
                ) from error
            raise self._unreachable() from error
        except (ValueError, KeyError) as error:
            raise self._unreachable() from error

    def follow(self, since: datetime, wait: Iterable[object]) -> Iterator[Entry]:
        """Entries as they come, until `wait` ends, which is gone through between two questions."""
        seen: set[Entry] = set()
        for _ in wait:
            now = datetime.now(UTC)
            found = self.read(since, _BATCH)
            yield from (entry for entry in found if entry not in seen)
            # What is asked for again next time is known by then; all before that is over.
            since = max(since, now - _LATE)
            seen = {entry for entry in found if entry.time >= since}

    def _unreachable(self) -> Unreachable:
        return Unreachable(
            "the store of logs does not answer",
            where=f"pod {NAMESPACE}/{self._reader.pod}, context {self._kube.target.context}",
            fix="Bring the stack of kind `monitoring` up, and see with `slipway status` how it is",
        )


def _quoted(text: str) -> str:
    """A string of LogQL and LogsQL, which both write like Go and JSON do."""
    return json.dumps(text, ensure_ascii=False)


def _nanoseconds(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1_000_000) * 1000)
