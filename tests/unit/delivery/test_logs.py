"""How each store is asked, and what is made of its answers. VictoriaLogs itself is asked in tests/e2e/test_logs.py."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.apiserver import KubernetesError
from adapters.errors import BadInput, SlipwayError, Unreachable
from components.monitoring import loki, victorialogs
from delivery import options
from delivery.logs import Entry, Logs, Question
from tests.unit.delivery.conftest import World

NOW = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
PROD = Question("prod", "hello")


class Store:
    """In the place of a cluster: gives one answer after the other, and records what was asked."""

    target = SimpleNamespace(context="ours")

    def __init__(self, *answers: str | KubernetesError) -> None:
        self.answers, self.asked = [*answers], []  # type: ignore[var-annotated]

    def ask_pod(self, namespace: str, pod: str, port: int, path: str, params: Mapping[str, str]) -> str:
        self.asked.append((namespace, pod, port, path, dict(params)))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, KubernetesError):
            raise answer
        return answer


def logs(store: Store, name: str, question: Question = PROD) -> Logs:
    return Logs(store, name, question)  # type: ignore[arg-type]


def of_loki(*values: tuple[str, str], **labels: str) -> str:
    """As https://grafana.com/docs/loki/latest/reference/loki-http-api/ has it."""
    stream = {"stream": {"level": "info", "k8s_pod_name": "hello-1", **labels}, "values": [list(v) for v in values]}
    return json.dumps({"status": "success", "data": {"resultType": "streams", "result": [stream]}})


def of_victorialogs(*entries: dict[str, str]) -> str:
    return "".join(
        json.dumps({"_stream": "{}", "level": "info", "k8s.pod.name": "hello-1", **e}) + "\n" for e in entries
    )


def test_loki_is_asked_for_one_services_latest_entries() -> None:
    store = Store(of_loki())
    logs(store, "loki", Question("prod", "hello", 'a "b" \\d')).read(NOW - timedelta(minutes=5), 10, NOW)
    ((namespace, pod, port, path, params),) = store.asked
    assert (namespace, pod, port, path) == ("monitoring", "loki-0", loki.PORT, "/loki/api/v1/query_range")
    assert params["query"] == '{environment="prod", service="hello"} |~ "a \\"b\\" \\\\d"'
    assert (params["limit"], params["direction"]) == ("10", "backward")
    assert int(params["end"]) - int(params["start"]) == 300 * 10**9


def test_victorialogs_is_asked_for_one_services_latest_entries() -> None:
    store = Store("")
    logs(store, "victorialogs", Question("prod", "hello", "rid-1")).read(NOW - timedelta(minutes=5), 10, NOW)
    ((namespace, pod, port, path, params),) = store.asked
    assert (namespace, pod, port, path) == ("monitoring", "victorialogs-0", victorialogs.PORT, "/select/logsql/query")
    query = '{environment="prod",service="hello"} _msg:~"rid-1" | sort by (_time) desc limit 10'
    assert params["query"] == query
    assert int(params["end"]) - int(params["start"]) == 300 * 10**9


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("loki", of_loki(("1795579201000000000", "two"), ("1795579200000000000", "one"), route="/")),
        (
            "victorialogs",
            of_victorialogs(
                {"_time": "2026-11-25T04:00:01Z", "_msg": "two", "route": "/"},
                {"_time": "2026-11-25T04:00:00.000000000Z", "_msg": "one", "route": "/"},
            ),
        ),
    ],
)
def test_both_stores_answers_make_the_same_entries_the_oldest_first(name: str, answer: str) -> None:
    one, two = logs(Store(answer), name).read(NOW, 10)
    assert (one.time, one.text, one.level, one.pod) == (NOW, "one", "info", "hello-1")
    assert (two.time, two.text, two.fields) == (NOW + timedelta(seconds=1), "two", {"route": "/"})


def test_what_is_followed_comes_once_however_often_it_is_seen() -> None:
    moment = datetime.now(UTC).isoformat()
    first, late = {"_time": moment, "_msg": "first"}, {"_time": moment, "_msg": "late"}
    store = Store(of_victorialogs(first), of_victorialogs(first, late), of_victorialogs(first, late))
    found = logs(store, "victorialogs").follow(datetime.now(UTC) - timedelta(hours=1), range(3))
    assert [entry.text for entry in found] == ["first", "late"]
    spans = [int(params["end"]) - int(params["start"]) for *_, params in store.asked]
    assert spans[0] >= 3600 * 10**9, "all since then, at first"
    assert all(10 * 10**9 < span < 600 * 10**9 for span in spans[1:]), "then only what may have come late"


def entry(text: str) -> Entry:
    return Entry(NOW, text, "info", "hello-1")


def test_a_person_reads_the_message_with_what_is_of_this_entry_alone_and_what_was_raised() -> None:
    fields: dict[str, Any] = {"level": "ERROR", "message": "request", "release": "abc", "code": 500, "request_id": None}
    assert entry(json.dumps(fields)).message == "request  code=500"
    assert entry(json.dumps(fields | {"exc_info": "Traceback\n  x"})).message == "request  code=500\nTraceback\n  x"
    for plain in ("no JSON", '{"no": "message"}', "[1]", "7"):
        assert entry(plain).message == plain


def refused(status: int) -> KubernetesError:
    return KubernetesError(status, "BadRequest", "cannot parse")


@pytest.mark.parametrize(
    ("pattern", "answer", "error"),
    [
        ("(", refused(400), BadInput),
        (None, refused(400), Unreachable),
        ("x", refused(404), Unreachable),
        (None, refused(503), Unreachable),
        (None, "<html>", Unreachable),
    ],
)
def test_a_pattern_that_is_none_is_the_callers_mistake_and_all_else_the_stores(
    pattern: str | None, answer: str | KubernetesError, error: type[SlipwayError]
) -> None:
    with pytest.raises(error):
        logs(Store(answer), "victorialogs", Question("prod", "hello", pattern)).read(NOW, 10)


@pytest.mark.parametrize(("text", "length"), [("30m", 1800), ("2h", 7200), ("3d", 259200), ("3", None), ("3w", None)])
def test_lengths_of_time(text: str, length: int | None) -> None:
    found = options.length(text)
    assert (found and found.total_seconds()) == length


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("prod", "helo"), "there is no service 'helo' in prod. Allowed: hello"),
        (("shared", "hello"), "is no environment"),
        (("prod", "hello", "--since", "soon"), "Allowed: such as 30m, 2h, 3d"),
        (("prod", "hello"), "no stack of kind `monitoring` keeps the logs of prod"),
    ],
)
def test_what_cannot_be_asked_is_refused(world: World, arguments: tuple[str, ...], said: str) -> None:
    done = world.run("logs", *arguments)
    assert (done.code, said in done.err) == (3, True), done.err
