"""How the supervisor judges, restarts and tidies, without anything to supervise but small programs."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from local.cluster import supervisor
from local.cluster.components import Component
from local.cluster.spec import Layout


class Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/good" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_program_is_ready_when_what_it_serves_answers(tmp_path: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert supervisor.answers(f"{url}/good", tmp_path)
        assert not supervisor.answers(f"{url}/bad", tmp_path)
        assert supervisor.answers(f"tcp:127.0.0.1:{server.server_port}", tmp_path)
        server.shutdown()
    assert not supervisor.answers(f"tcp:127.0.0.1:{server.server_port}", tmp_path)
    assert not supervisor.answers(f"unix:{tmp_path}/socket", tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{tmp_path}/socket")
        listening.listen()
        assert supervisor.answers(f"unix:{tmp_path}/socket", tmp_path)


def test_a_program_that_keeps_ending_is_started_ever_less_often(tmp_path: Path) -> None:
    part = supervisor._Running(Component("a", ("true",), "tcp:x:1"), tmp_path / "a.log")
    pauses = []
    for _ in range(10):
        part.started = supervisor.time.monotonic()
        part.ended(1)
        pauses.append(part.pause)
    assert pauses == sorted(pauses)
    assert pauses[0] < 1
    assert pauses[-1] == 10
    part.started -= 3600
    part.ended(1)
    assert part.not_before <= supervisor.time.monotonic(), "one that ran for an hour is started at once"


def test_a_log_is_cut_and_one_earlier_piece_kept_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(supervisor, "_LOG_BYTES", 10)
    layout = Layout("test")
    layout.logs.mkdir(parents=True)
    with (layout.logs / "a.log").open("ab", buffering=0) as log:
        log.write(b"more than ten bytes")
        supervisor.Supervisor(layout, {}, 0)._bound_logs()
        log.write(b"on")
    assert {file.name: file.read_bytes() for file in layout.logs.iterdir()} == {
        "a.log": b"on",
        "a.log.1": b"more than ten bytes",
    }
