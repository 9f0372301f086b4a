"""The collector of a node as a process, over files like a node's: what becomes of lines, also when it is killed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.monitoring.collecting import LOGS_PATH, STATE_PATH, SYNCHRONOUS, logs_configuration
from components.monitoring.log_store import Intake
from local.images import platform_binary
from tests.integration.registry import free_port

pytestmark = [
    pytest.mark.skipif(shutil.which("go") is None, reason="the collector is built with Go"),
    pytest.mark.timeout(300),
]

POD = "stage_hello-5d9c-x7k2p_0f6ee01c-24d1-4a3c-9d07-0d9ad1a3c111"
KILLS = 8


class Store:
    """Takes entries by OTLP; `taken` holds each as it was sent."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self._grown = threading.Condition()

    def take(self, sent: dict[str, Any]) -> None:
        with self._grown:
            for resource in sent["resourceLogs"]:
                of = _values(resource["resource"]["attributes"])
                for entry in (entry for scope in resource["scopeLogs"] for entry in scope["logRecords"]):
                    attributes = _values(entry.get("attributes", []))
                    self.taken.append({**entry, "resource": of, "attributes": attributes})
            self._grown.notify_all()

    def bodies(self) -> Counter[str]:
        return Counter(entry["body"]["stringValue"] for entry in self.taken)

    def await_bodies(self, wanted: set[str], timeout_s: float) -> set[str]:
        """Those of `wanted` that did not come."""
        with self._grown:
            self._grown.wait_for(lambda: wanted <= self.bodies().keys(), timeout_s)
            return wanted - self.bodies().keys()


@pytest.fixture
def store() -> Iterator[tuple[Store, str]]:
    store = Store()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            store.take(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield store, f"http://127.0.0.1:{server.server_port}/v1/logs"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def configuration(tmp_path: Path, store: tuple[Store, str]) -> Path:
    """That of a node, but for its folders and ports, and for what would ask a cluster."""
    (tmp_path / "state").mkdir()
    text = yaml.safe_dump(logs_configuration(Intake("store", store[1], {}, ""), ["stage"]))
    text = text.replace(LOGS_PATH, str(tmp_path / "pods")).replace(STATE_PATH, str(tmp_path / "state"))
    config = yaml.safe_load(text)
    del config["processors"]["k8s_attributes"]
    config["service"]["pipelines"]["logs"]["processors"].remove("k8s_attributes")
    config["extensions"]["health_check"]["endpoint"] = f"127.0.0.1:{free_port()}"
    config["service"]["telemetry"]["metrics"] = {"level": "none"}
    config["exporters"]["otlp_http"] |= {"encoding": "json", "compression": "none"}
    path = tmp_path / "collector.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


@contextlib.contextmanager
def collecting(configuration: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A collector that is killed at the end."""
    argv = [str(platform_binary("collector")), f"--config=file:{configuration}", f"--feature-gates={SYNCHRONOUS}"]
    with subprocess.Popen(argv, env=os.environ | {"NODE_NAME": "node"}, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def write(path: Path, *parts: str) -> None:
    """A line as a runtime writes it, in as many parts as it cut it into."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        for number, part in enumerate(parts, 1):
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
            file.write(f"{now} stdout {'F' if number == len(parts) else 'P'} {part}\n")


def test_a_line_is_told_with_its_pod_and_its_time(
    tmp_path: Path, configuration: Path, store: tuple[Store, str]
) -> None:
    before = time.time_ns()
    write(tmp_path / "pods" / POD / "hello" / "3.log", '{"level": "warning", "message": "it is late"}')
    with collecting(configuration):
        assert store[0].await_bodies({'{"level": "warning", "message": "it is late"}'}, 60) == set()
    (entry,) = store[0].taken
    assert entry["resource"] == {
        "environment": "stage",
        "service": "hello",
        "level": "warning",
        "k8s.namespace.name": "stage",
        "k8s.pod.name": "hello-5d9c-x7k2p",
        "k8s.pod.uid": "0f6ee01c-24d1-4a3c-9d07-0d9ad1a3c111",
        "k8s.container.name": "hello",
        "k8s.container.restart_count": "3",
    }
    assert entry["attributes"] == {"log.iostream": "stdout"}
    assert before - 1000 <= int(entry["timeUnixNano"]) <= time.time_ns()


def test_a_line_that_the_runtime_cut_is_one_entry_with_every_space(
    tmp_path: Path, configuration: Path, store: tuple[Store, str]
) -> None:
    parts = ["{" + "x" * 16_383, " " * 16_384, "  end}"]
    write(tmp_path / "pods" / POD / "hello" / "0.log", *parts)
    with collecting(configuration):
        assert store[0].await_bodies({"".join(parts)}, 60) == set()
    assert len(store[0].taken) == 1


def test_a_killed_collector_has_lost_no_line(tmp_path: Path, configuration: Path, store: tuple[Store, str]) -> None:
    path, written, is_done = tmp_path / "pods" / POD / "hello" / "0.log", set[str](), threading.Event()

    def talk() -> None:
        while not is_done.wait(0.01):
            line = json.dumps({"number": len(written)})
            write(path, line)
            written.add(line)

    talker = threading.Thread(target=talk)
    talker.start()
    try:
        for _ in range(KILLS):
            with collecting(configuration):
                newest = json.dumps({"number": len(written)})
                assert store[0].await_bodies({newest}, 60) == set()
                time.sleep(random.uniform(0, 0.3))  # any moment of its work
    finally:
        is_done.set()
        talker.join()
    with collecting(configuration):
        assert store[0].await_bodies(written, 60) == set()


def _values(attributes: list[dict[str, Any]]) -> dict[str, str]:
    return {each["key"]: str(next(iter(each["value"].values()))) for each in attributes}
