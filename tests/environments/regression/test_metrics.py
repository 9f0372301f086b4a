"""What hello counts: alerts and dashboards stand on these names and labels."""

from __future__ import annotations

import re
from uuid import uuid4

import httpx2
import pytest

_SAMPLE = re.compile(r"(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def _scrape(client: httpx2.Client) -> Samples:
    samples: Samples = {}
    for line in client.get("/metrics").text.splitlines():
        if found := _SAMPLE.fullmatch(line):
            samples[found["name"], frozenset(_LABEL.findall(found["labels"] or ""))] = float(found["value"])
    return samples


def _grown(client: httpx2.Client, method: str, path: str, times: int) -> dict[tuple[str, str], float]:
    """By how much each counter of (route, code) has grown over some requests of one pod."""
    before = _scrape(client)
    for _ in range(times):
        client.request(method, path)
    after = _scrape(client)
    process = ("process_start_time_seconds", frozenset[tuple[str, str]]())
    if before.get(process) != after.get(process):
        pytest.skip("one connection is answered by several pods here, whose counters cannot be compared")
    grown: dict[tuple[str, str], float] = {}
    for (name, labels), value in after.items():
        if name == "http_requests_total":
            labelled = dict(labels)
            grown[labelled["route"], labelled["code"]] = value - before.get((name, labels), 0.0)
    return grown


@pytest.mark.parametrize(
    ("method", "path", "route", "code"),
    [
        ("GET", "/", "/", "200"),
        ("GET", "/version", "/version", "200"),
        ("POST", "/version", "/version", "405"),
        ("GET", "/nowhere", "unmatched", "404"),
    ],
)
def test_requests_are_counted_by_route_and_code(
    client: httpx2.Client, method: str, path: str, route: str, code: str
) -> None:
    # Others may send requests meanwhile, so that it may be more.
    assert _grown(client, method, path, times=5)[route, code] >= 5


def test_every_count_and_duration_carries_the_release(client: httpx2.Client) -> None:
    release = client.get("/version").json()["release"]
    labelled = [
        dict(labels)
        for name, labels in _scrape(client)
        if name in ("http_requests_total", "http_request_duration_seconds_count")
    ]
    assert labelled
    assert {labels["release"] for labels in labelled} == {release}


def test_a_path_that_is_no_route_makes_no_time_series(client: httpx2.Client) -> None:
    path = f"/nowhere-{uuid4().hex}"
    assert client.get(path).status_code == 404
    assert path not in client.get("/metrics").text


def test_openmetrics_is_spoken_to_those_who_ask(client: httpx2.Client) -> None:
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
