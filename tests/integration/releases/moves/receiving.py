"""The receiver as `slipway serve` runs it, on a port of this machine, and an Alertmanager that talks to it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import uvicorn

from delivery.factory import Factory
from delivery.serving.inbox import Inbox
from delivery.serving.server import create_receiver
from tests.integration.releases.moves.team import Team

TOKEN = "the-token-of-alertmanager"
LONGEST_S = 60.0


def alert(release: str, **different: Any) -> dict[str, Any]:
    """A firing alert on hello in prod, as Alertmanager sends it; `release` is 12 hex digits."""
    labels = {
        "alertname": "ReleaseCrashing",
        "action": "rollback",
        "severity": "critical",
        "environment": "prod",
        "service": "hello",
        "release": release,
    }
    return {
        "status": different.pop("status", "firing"),
        "startsAt": different.pop("since", datetime.now(UTC).isoformat()),
        "labels": labels | different,
    }


@dataclass
class Alertmanager:
    """Tells a receiver of alerts."""

    address: str
    queue: Path

    def tell(self, *alerts: dict[str, Any], token: str = TOKEN) -> int:
        """The status of the answer."""
        return self.post({"version": "4", "alerts": alerts}, token=token).status_code

    def post(self, json: Any = None, *, content: bytes | None = None, token: str = TOKEN) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx2.post(f"{self.address}/alerts", json=json, content=content, headers=headers, trust_env=False)

    def get(self, path: str) -> httpx2.Response:
        return httpx2.get(f"{self.address}{path}", trust_env=False)

    def outcomes(self, count: int = 1) -> list[tuple[str, str]]:
        """What became of the alerts, the latest first, once so many were worked through and none waits."""
        inbox = Inbox(self.queue)
        eventually(lambda: len(inbox.finished()) >= count and not inbox.waiting())
        return [(each["outcome"], each["why"]) for each in inbox.finished()]

    def metric(self, series: str) -> float | None:
        """The value of a series by its name and labels as they are written; None if there is none."""
        lines = self.get("/metrics").text.splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{series} ")), None)


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONGEST_S
    while not holds():
        assert time.monotonic() < deadline, "it does not come to that"
        time.sleep(0.02)  # files and HTTP have no way to tell


@contextlib.contextmanager
def receiving(team: Team, queue: Path) -> Iterator[Alertmanager]:
    """A receiver for a team while the body runs."""
    factory = Factory(team.outside())
    application = create_receiver(factory, TOKEN, queue).application()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(application, log_config=None, access_log=False, limit_concurrency=64))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            eventually(lambda: server.started)
            yield Alertmanager(f"http://127.0.0.1:{listening.getsockname()[1]}", queue)
        finally:
            server.should_exit = True
            thread.join()
