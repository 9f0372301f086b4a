"""Dashboards: every query is valid and reads what somebody gives, and Grafana's own schema takes the files."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest

from adapters.command import run
from adapters.errors import BadInput
from components.monitoring import rules
from components.monitoring.dashboards import platform, service
from components.monitoring.dashboards.board import Board, Look, Mark, Panel, Row, filled
from components.monitoring.dashboards.drawing import draw
from components.monitoring.slo import BUDGET_LEFT
from components.monitoring.sources import Source, selectors, source_of
from tests.tools.build import dashboard_check

needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="the reader of Grafana's schema is built with Go")

EVERYTHING = frozenset(Source)
ENVIRONMENTS = ("test", "stage", "prod")
BOARDS = {
    board.uid: board for board in (*platform.boards(ENVIRONMENTS), service.board("prod", "hello", has_objectives=True))
}
BY_PROMETHEUS_ITSELF = {"ALERTS"}
INDEX_LABELS = {"environment", "service", "release", "level"}


def files() -> dict[str, str]:
    """Every dashboard's file, with all of its panels."""
    return {uid: draw(board, board.rows) for uid, board in BOARDS.items()}


def panels(board: Board) -> Iterator[Panel]:
    return (panel for row in board.rows for panel in row.panels)


def queries(board: Board, *, logql: bool) -> list[str]:
    variables = {name: values[0] for name, values in board.variables.items()}
    found = [query for panel in panels(board) if panel.logql == logql for query in panel.queries.values()]
    return [filled(query, variables) for query in [*found, *([] if logql else (mark.query for mark in board.marks))]]


@pytest.fixture(params=BOARDS.values(), ids=BOARDS.keys())
def board(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_every_query_is_promql_of_series_that_a_source_gives_or_a_rule_records(board: Board) -> None:
    recorded = {name for file in rules.read().values() for name in file.recorded} | {BUDGET_LEFT}
    assert queries(board, logql=False)
    for query in queries(board, logql=False):
        for selector in selectors(query):
            known = source_of(selector) or selector.name in recorded | BY_PROMETHEUS_ITSELF
            assert known, f"{query}: nobody gives {selector.name}"


def test_queries_of_logs_are_valid_and_select_by_what_logs_are_indexed_by() -> None:
    """They stay within what LogQL and PromQL have in common, so that the same parser judges them."""
    found = [query for board in BOARDS.values() for query in queries(board, logql=True)]
    assert len(found) == 2
    for query in found:
        promql_parser.parse(query)
        for selector in selectors(query):
            assert {matcher.name for matcher in selector.matchers.matchers} <= INDEX_LABELS


def test_no_variable_of_grafana_is_left_that_nobody_fills(board: Board) -> None:
    assert not [query for query in queries(board, logql=False) + queries(board, logql=True) if "$" in query]


def test_a_panel_whose_source_is_not_there_is_left_out_and_its_row_with_it() -> None:
    there = Panel("there", {"a": "rate(http_requests_total[5m])"})
    recorded = Panel("recorded", {"b": "container:restarts:count"})
    logs = Panel("logs", {"c": '{service="hello"}'}, Look.LOGS, logql=True)
    board = Board("uid", "title", "", (Row("one", (there, recorded)), Row("two", (logs,))))

    def titles(*present: Source) -> list[list[str]]:
        return [[panel.title for panel in row.panels] for row in board.given(present, rules.recorded(present))]

    assert titles(Source.SERVICES) == [["there"]]
    assert titles(Source.SERVICES, Source.LOKI) == [["there"], ["logs"]]
    assert titles(Source.SERVICES, *rules.read()["workloads-from-collector.yaml"].sources) == [["there", "recorded"]]


def test_where_everything_is_there_nothing_is_left_out() -> None:
    recorded = rules.recorded(EVERYTHING) | {BUDGET_LEFT}
    for board in BOARDS.values():
        assert [row.title for row in board.given(EVERYTHING, recorded)] == [row.title for row in board.rows]
        assert [p for row in board.given(EVERYTHING, recorded) for p in row.panels] == [*panels(board)]


def test_what_is_there_everywhere_gives_every_dashboard_of_the_platform_some_panels() -> None:
    for uid, text in platform.load(rules.BASIC, ENVIRONMENTS).items():
        assert len(json.loads(text)["panels"]) > 4, uid


@needs_go
def test_grafanas_own_schema_takes_every_file_and_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    check = str(dashboard_check())
    for uid, text in files().items():
        (tmp_path / f"{uid}.json").write_text(text, encoding="utf-8")
    run([check, *map(str, tmp_path.glob("*.json"))])

    wrong = json.loads(files()["delivery"])
    (panel,) = (panel for panel in wrong["panels"] if panel["type"] == "stat" and panel["title"] == "Deployments")
    panel["options"]["colour"] = "red"
    (tmp_path / "wrong.json").write_text(json.dumps(wrong), encoding="utf-8")
    with pytest.raises(Exception, match="unexpected field 'colour'"):
        run([check, str(tmp_path / "wrong.json")])


def test_panels_fill_their_rows_and_lie_beside_each_other() -> None:
    for uid, text in files().items():
        places = [panel["gridPos"] for panel in json.loads(text)["panels"]]
        taken = [
            (place["x"] + x, place["y"] + y) for place in places for x in range(place["w"]) for y in range(place["h"])
        ]
        assert len(taken) == len(set(taken)), f"{uid}: panels lie on each other"
        assert max(x for x, _ in taken) == 23


def test_every_panel_says_of_which_data_source_and_has_a_number_of_its_own() -> None:
    for text in files().values():
        drawn = [panel for panel in json.loads(text)["panels"] if panel["type"] != "row"]
        assert {panel["datasource"]["uid"] for panel in drawn} <= {"prometheus", "loki"}
        assert [panel["id"] for panel in drawn] == [*range(1, len(drawn) + 1)]


def test_a_service_without_objectives_shows_no_error_budget() -> None:
    def titles(*, has_objectives: bool) -> list[str]:
        return [panel.title for panel in panels(service.board("prod", "hello", has_objectives=has_objectives))]

    assert {*titles(has_objectives=True)} - {*titles(has_objectives=False)} == {"Error budget left"}


def test_what_a_service_shows_is_of_it_and_its_environment_alone() -> None:
    board = service.board("prod", "hello", has_objectives=True)
    for query in queries(board, logql=False) + queries(board, logql=True):
        for selector in selectors(query):
            matchers = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
            assert matchers.get("environment", matchers.get("namespace")) == "prod", query
            of_the_service = matchers.get("service") == "hello" or matchers.get("pod", "").startswith("hello")
            assert of_the_service or source_of(selector) is Source.SLIPWAY, f"{query}: an environment goes back whole"


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (lambda: Panel("Requests", {"all": "sum(rate(http_requests_total[5m])"}), "'Requests' is no PromQL"),
        (lambda: Panel("Requests", {"all": "rate(http_requests_total[$__rate])"}), "'Requests' is no PromQL"),
        (lambda: Panel("Requests", {}), "lacks a title or queries"),
        (lambda: Panel("", {"all": "up"}), "lacks a title or queries"),
        (lambda: Panel("Pods", {"a": "up", "b": "up"}, Look.TABLE), "for its one column"),
        (lambda: Mark("Releases", "now", "changes(up[)", "blue"), "the mark 'Releases' is no PromQL"),
    ],
)
def test_what_grafana_could_not_show_is_refused_with_file_and_line(declare: Any, said: str) -> None:
    with pytest.raises(BadInput) as told:
        declare()
    line = declare.__code__.co_firstlineno
    assert str(told.value).startswith(f"tests/unit/components/monitoring/test_dashboards.py, line {line}: ")
    assert said in str(told.value)


@pytest.mark.parametrize(
    ("pod", "is_its"),
    [
        ("a-5d4f7c9b8d-x2k9p", True),
        ("a-control-5d4f7c9b8d-x2k9p", True),
        ("a-9f-x2k9p", True),  # a hash is a number, mostly of ten digits
        ("a-x-5d4f7c9b8d-x2k9p", False),
        ("a-x-0", False),
        ("a-x-x2k9p", False),
        ("a-exporter-x2k9p", False),
    ],
)
def test_a_services_panels_are_of_pods_of_its_own_deployments(pod: str, *, is_its: bool) -> None:
    board = service.board("prod", "a", has_objectives=False)
    (query,) = (query for panel in panels(board) if panel.title == "CPU" for query in panel.queries.values())
    found = {m.value for each in selectors(filled(query)) for m in each.matchers.matchers if m.name == "pod"}
    (pattern,) = found
    assert bool(re.fullmatch(pattern, pod)) is is_its
