"""Every panel asks the live Prometheus something that it answers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from components.monitoring import coverage
from components.monitoring.dashboards import platform as boards
from components.monitoring.dashboards.board import filled
from components.reading import read_file
from components.settings import MonitoringSettings
from tests.e2e.platform import Platform
from tests.e2e.prometheus import Prometheus, until
from tests.e2e.test_monitoring import ENVIRONMENTS

MAY_BE_EMPTY = {
    "Change failure rate": "until a release went in within the time shown",
    "Lead time for changes": "as above",
    "Time to restore": "until something was restored",
    "Error budget left": "until Prometheus has run for five minutes",
    "Network": "where the kubelet leaves it to containerd, which gives it to nobody",
    "Releases": "a minute after one began to serve",
    "Rollbacks": "until production went back by itself",
    "Volumes used": "volumes that are directories of the node have no size of their own",
}
"""Panels that show nothing on a platform that was just made, and why."""


@pytest.fixture(scope="module")
def prometheus(platform: Platform) -> Prometheus:
    return Prometheus(platform)


@pytest.fixture(scope="module", autouse=True)
def traffic(platform: Platform) -> None:
    """Something to show."""
    for environment in ENVIRONMENTS:
        with platform.load(environment, "hello", requests=200, clients=2):
            pass


def shown(platform: Platform) -> Iterator[tuple[str, str]]:
    """Every dashboard that Grafana would show here, its name and its file."""
    settings = read_file(platform.stack("monitoring"))
    assert isinstance(settings, MonitoringSettings)
    yield from boards.load(coverage.present(settings), ENVIRONMENTS).items()
    for environment in ENVIRONMENTS:
        for brought in platform.kube.list("v1", "ConfigMap", environment, labels="slipway.dev/dashboards=true"):
            yield from ((name.removesuffix(".json"), text) for name, text in brought["data"].items())


def queries(text: str) -> Iterator[tuple[str, str]]:
    """Each panel's title and a query of it, as Prometheus would be asked; of marks, too."""
    board = json.loads(text)
    variables = {variable["name"]: variable["current"]["value"] for variable in board["templating"]["list"]}
    for mark in board["annotations"]["list"]:
        yield mark["name"], filled(mark["expr"], variables)
    for panel in board["panels"]:
        if panel["type"] != "row" and panel["datasource"]["uid"] == "prometheus":
            yield from ((panel["title"], filled(target["expr"], variables)) for target in panel["targets"])


def test_every_dashboard_is_there_and_each_service_brings_one_of_its_own(platform: Platform) -> None:
    services = {f"service-{environment}-hello" for environment in ENVIRONMENTS}
    assert {name for name, _ in shown(platform)} == {"delivery", "environment", "cluster", "monitoring"} | services


def test_every_panels_query_is_answered_and_shows_something(platform: Platform, prometheus: Prometheus) -> None:
    asked = {(name, title, query) for name, text in shown(platform) for title, query in queries(text)}

    refused = {query for _, _, query in asked if prometheus.get("/api/v1/query", query=query) is None}
    assert not refused

    def empty() -> set[tuple[str, str]]:
        return {(name, title) for name, title, query in asked if not prometheus.query(query)}

    found = until(empty, lambda empty: {title for _, title in empty} <= MAY_BE_EMPTY.keys())
    assert {(name, title) for name, title in found if title not in MAY_BE_EMPTY} == set()
