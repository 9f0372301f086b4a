"""What the application answers, counts and logs."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hello.app import Application
from hello.settings import Settings
from hello.telemetry import configure_logging
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

Log = Callable[[], list[dict[str, Any]]]
SETTINGS = Settings(release="0123456789ab", version="v1.4.0", environment="stage")


async def _order(request: Request) -> Response:
    return Response(request.path_params["number"])


async def _broken(_: Request) -> Response:
    raise RuntimeError("the database is gone")


@pytest.fixture
def application() -> Application:
    return Application(SETTINGS, more_routes=[Route("/orders/{number}", _order), Route("/broken", _broken)])


@pytest.fixture
def client(application: Application) -> TestClient:
    return TestClient(application, raise_server_exceptions=False)


def test_it_greets_from_its_environment(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.json() == {"message": "Hello from stage"}


def test_the_version_names_release_and_environment(client: TestClient) -> None:
    assert client.get("/version").json() == {
        "service": "hello",
        "release": "0123456789ab",
        "version": "v1.4.0",
        "environment": "stage",
    }


def test_draining_makes_it_unready_but_not_dead_and_asks_clients_to_reconnect(
    application: Application, client: TestClient
) -> None:
    before = client.get("/readyz")
    application.drain()
    after = client.get("/readyz")
    assert (before.status_code, after.status_code) == (200, 503)
    assert "Connection" not in before.headers
    assert after.headers["Connection"] == "close"
    assert client.get("/healthz").status_code == 200
    assert client.get("/").status_code == 200


def test_requests_are_counted_by_route_template_code_and_release(client: TestClient) -> None:
    client.get("/orders/1")
    client.get("/orders/2")
    metrics = client.get("/metrics").text
    assert 'http_requests_total{code="200",release="0123456789ab",route="/orders/{number}"} 2.0' in metrics
    assert (
        'http_request_duration_seconds_count{code="200",release="0123456789ab",route="/orders/{number}"} 2.0' in metrics
    )
    assert "/orders/1" not in metrics


def test_failures_of_a_route_are_counted_from_0_so_that_the_first_is_a_change(client: TestClient) -> None:
    client.get("/orders/1")
    metrics = client.get("/metrics").text
    assert 'http_requests_total{code="500",release="0123456789ab",route="/orders/{number}"} 0.0' in metrics


def test_paths_without_a_route_share_one_series(client: TestClient) -> None:
    client.get("/wp-admin/1")
    client.get("/wp-admin/2")
    metrics = client.get("/metrics").text
    assert 'http_requests_total{code="404",release="0123456789ab",route="unmatched"} 2.0' in metrics
    assert "wp-admin" not in metrics


def test_a_method_not_allowed_is_counted_on_its_route(client: TestClient) -> None:
    assert client.post("/version").status_code == 405
    assert 'code="405",release="0123456789ab",route="/version"' in client.get("/metrics").text


def test_an_unforeseen_error_is_a_counted_500_with_a_request_id(client: TestClient) -> None:
    answer = client.get("/broken", headers={"X-Request-Id": "broken-1"})
    assert answer.status_code == 500
    assert answer.headers["X-Request-Id"] == "broken-1"
    assert "database" not in answer.text
    assert 'http_requests_total{code="500",release="0123456789ab",route="/broken"} 1.0' in client.get("/metrics").text


def test_openmetrics_is_spoken_to_those_who_ask(client: TestClient) -> None:
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize("given", ["a", "0af7651916cd43dd8448eb211c80319c", "web-1:2026.11_x"])
def test_a_callers_request_id_is_taken_over(client: TestClient, given: str) -> None:
    assert client.get("/", headers={"X-Request-Id": given}).headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, '"}, {"level": "ERROR', "-leading", "ümlaut".encode()])
def test_a_request_id_that_is_none_is_replaced(client: TestClient, given: str | bytes) -> None:
    made = client.get("/", headers={"X-Request-Id": given}).headers["X-Request-Id"]
    assert len(made) == 32
    assert made.isalnum()


def test_requests_without_an_id_get_one_each(client: TestClient) -> None:
    ids = {client.get("/").headers["X-Request-Id"] for _ in range(3)}
    assert len(ids) == 3


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Iterator[Log]:
    """Requests' log lines as the service prints them; the root logger is left as it was."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level

    def lines() -> list[dict[str, Any]]:
        printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return [line for line in printed if line["logger"] == "hello.request"]

    yield lines
    root.handlers, root.level = before, level


def test_a_log_line_is_json_with_release_request_id_and_route(client: TestClient, log: Log) -> None:
    configure_logging(SETTINGS)
    client.get("/orders/7?token=secret", headers={"X-Request-Id": "order-7"})
    (line,) = log()
    assert line["release"] == "0123456789ab"
    assert line["environment"] == "stage"
    assert line["request_id"] == "order-7"
    assert (line["method"], line["path"], line["route"], line["code"]) == ("GET", "/orders/7", "/orders/{number}", 200)
    assert line["duration_seconds"] >= 0
    assert "secret" not in json.dumps(line)


def test_probes_and_scrapes_are_not_logged(client: TestClient, log: Log) -> None:
    configure_logging(SETTINGS)
    for path in ("/healthz", "/readyz", "/metrics"):
        client.get(path)
    assert log() == []
