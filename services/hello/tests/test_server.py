"""The real server in a process of its own: how it starts, drains and ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

SERVICE = Path(__file__).resolve().parent.parent
WITH_SLOW_ROUTE = """
from hello.app import Application
from hello.server import serve
from hello.settings import Settings
from starlette.responses import PlainTextResponse
from starlette.routing import Route

async def echo(request):
    return PlainTextResponse(await request.body())

settings = Settings.from_environment()
serve(Application(settings, more_routes=[Route("/echo", echo, methods=["POST"])]), settings)
"""

Start = Callable[..., "Service"]


class Service:
    """A running server; `logs` are its lines so far, read to the end once it has ended."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.port = process, port

    def wait_until_it_says(self, text: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if text in line:
                return
        raise AssertionError(f"it ended with {self.process.wait()} before it said {text!r}")

    def wait_until_listening(self) -> None:
        self.wait_until_it_says("running on")

    def connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=20)

    def ask(self, path: str) -> tuple[int, dict[str, Any]]:
        connection = self.connect()
        connection.request("GET", path)
        answer = connection.getresponse()
        body = json.loads(answer.read())
        connection.close()
        return answer.status, body

    def logs(self) -> list[dict[str, Any]]:
        assert self.process.stdout is not None
        return [json.loads(line) for line in self.process.stdout]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[Service] = []

    def _start(argv: Sequence[str] = ("-m", "hello"), **environment: str) -> Service:
        port = _free_port()
        process = subprocess.Popen(
            [sys.executable, "-W", "error", *argv],
            cwd=SERVICE,
            env={**os.environ, "PORT": str(port), "PYTHONDONTWRITEBYTECODE": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(Service(process, port))
        return started[-1]

    yield _start
    for service in started:
        service.process.kill()
        service.process.communicate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_it_serves_the_release_its_environment_names(start: Start) -> None:
    service = start(SLIPWAY_RELEASE="0123456789ab", SLIPWAY_ENVIRONMENT="prod")
    service.wait_until_listening()
    status, version = service.ask("/version")
    assert status == 200
    assert (version["release"], version["environment"]) == ("0123456789ab", "prod")


def test_on_sigterm_it_is_unready_at_once_and_finishes_what_runs(start: Start) -> None:
    service = start(("-c", WITH_SLOW_ROUTE), DRAIN_SECONDS="3600")
    service.wait_until_listening()
    running = service.connect()
    running.putrequest("POST", "/echo")
    running.putheader("Content-Length", "4")
    running.endheaders()
    assert service.ask("/readyz")[0] == 200

    service.process.send_signal(signal.SIGTERM)
    assert service.ask("/readyz") == (503, {"status": "draining"})
    running.send(b"done")
    answer = running.getresponse()
    assert (answer.status, answer.read()) == (200, b"done")
    assert answer.headers["Connection"] == "close"


def test_a_request_begun_before_the_end_of_draining_is_answered_and_the_exit_is_clean(start: Start) -> None:
    service = start(("-c", WITH_SLOW_ROUTE), DRAIN_SECONDS="0")
    service.wait_until_listening()
    running = service.connect()
    running.putrequest("POST", "/echo", skip_accept_encoding=True)
    running.putheader("Content-Length", "4")
    running.putheader("X-Request-Id", "last")
    running.endheaders(b"do")
    assert service.ask("/healthz")[0] == 200

    service.process.send_signal(signal.SIGTERM)
    service.wait_until_it_says("Waiting for connections to close")
    running.send(b"ne")
    answer = running.getresponse()
    assert (answer.status, answer.read()) == (200, b"done")
    running.close()
    assert service.process.wait(timeout=20) == 0
    assert [line["code"] for line in service.logs() if line["request_id"] == "last"] == [200]


def test_a_request_that_outlives_the_grace_period_does_not_hold_up_the_end(start: Start) -> None:
    service = start(("-c", WITH_SLOW_ROUTE), DRAIN_SECONDS="0", GRACE_SECONDS="0")
    service.wait_until_listening()
    running = service.connect()
    running.putrequest("POST", "/echo")
    running.putheader("Content-Length", "4")
    running.endheaders()
    assert service.ask("/healthz")[0] == 200

    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(timeout=20) == 0
    running.close()


def test_an_unforeseen_error_is_logged_with_traceback_and_request_id(start: Start) -> None:
    broken = WITH_SLOW_ROUTE.replace("return PlainTextResponse", "raise RuntimeError").replace("POST", "GET")
    service = start(("-c", broken), DRAIN_SECONDS="0")
    service.wait_until_listening()
    connection = service.connect()
    connection.request("GET", "/echo", headers={"X-Request-Id": "broken-1"})
    assert connection.getresponse().status == 500
    connection.close()
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(timeout=20) == 0
    errors = [line for line in service.logs() if line["level"] == "ERROR"]
    assert [(line["request_id"], "RuntimeError" in line["exc_info"]) for line in errors] == [("broken-1", True)]


def test_a_wrong_port_ends_it_with_a_sentence(start: Start) -> None:
    service = start(PORT="http")
    output, _ = service.process.communicate(timeout=20)
    assert service.process.returncode == 1
    assert output == "PORT is 'http': it must be a whole number from 0 to 65535.\n"
