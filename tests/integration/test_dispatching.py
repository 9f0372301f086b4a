"""`slipway serve --dispatch`: the command as it is deployed, between a cluster and a GitHub that are on this machine.

Both are HTTP servers that answer as the documentation of their APIs says; what is sent to them is what is judged.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import yaml
from click.testing import CliRunner

from adapters.errors import BadInput
from adapters.github import Workflow
from adapters.kubernetes import Kubernetes
from delivery.commands.serve import serve
from delivery.factory import Factory
from delivery.serving import worker
from delivery.serving.dispatching import Environments
from delivery.serving.server import create_dispatcher
from tests.integration.releases.moves.receiving import TOKEN, Alertmanager, alert, eventually

RUNNING, BEFORE = "sha256:" + "ab" * 32, "sha256:" + "cd" * 32
RELEASE = "ab" * 6


class Outside:
    """The API server and GitHub: `stated` is what prod says of its delivery, `started` what was asked of GitHub."""

    def __init__(self) -> None:
        now = datetime.now(UTC)
        self.stated: dict[str, Any] | None = {
            "automation": "on",
            "images": {"hello": f"hello:v2.0.0@{RUNNING}"},
            "baking": {
                "since": (now - timedelta(minutes=1)).isoformat(),
                "until": (now + timedelta(minutes=29)).isoformat(),
                "controls": {"hello": f"hello:v1.0.0@{BEFORE}"},
            },
        }
        self.started: list[dict[str, Any]] = []
        self.refusals: list[int] = []
        self.authorization = ""
        self.address = ""

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        if path == "/version":
            return 200, {"gitVersion": "v1.36.3"}
        if path == "/api/v1":
            return 200, {
                "resources": [{"name": "configmaps", "kind": "ConfigMap", "namespaced": True, "verbs": ["get"]}]
            }
        if path == "/api/v1/namespaces/prod/configmaps/delivery" and self.stated:
            return 200, {"kind": "ConfigMap", "data": {"state.json": json.dumps(self.stated)}}
        return 404, {"kind": "Status", "status": "Failure", "reason": "NotFound", "message": "not found", "code": 404}

    def post(self, path: str, authorization: str, body: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        self.authorization = authorization
        if path != "/repos/example/shop/actions/workflows/rollback.yml/dispatches":
            return 404, {"message": "Not Found"}
        if self.refusals:
            return self.refusals.pop(0), {"message": "Resource not accessible by personal access token"}
        self.started.append(body)
        return 204, None


@pytest.fixture
def outside() -> Iterator[Outside]:
    found = Outside()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(*found.get(self.path))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(*found.post(self.path, self.headers["Authorization"], body))

        def _answer(self, status: int, content: dict[str, Any] | None) -> None:
            body = b"" if content is None else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


@pytest.fixture
def kubeconfig(outside: Outside, tmp_path: Path) -> Path:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "current-context": "here",
                "clusters": [{"name": "here", "cluster": {"server": outside.address}}],
                "users": [{"name": "here", "user": {"token": "read-only"}}],
                "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
            }
        )
    )
    return kubeconfig


@pytest.fixture
def told(outside: Outside, kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Alertmanager]:
    monkeypatch.setattr(worker, "_FIRST_PAUSE_S", 0.01)
    (tmp_path / "github").write_text("github-token\n")
    environments = Environments(("stage", "prod"), lambda: Kubernetes.connect(kubeconfig=str(kubeconfig), context=None))
    workflow = Workflow("example/shop", "rollback.yml", "main", outside.address)
    receiver = create_dispatcher(environments, workflow, tmp_path / "github", TOKEN, tmp_path / "queue")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(receiver.application(), log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        eventually(lambda: server.started)
        yield Alertmanager(f"http://127.0.0.1:{listening.getsockname()[1]}", tmp_path / "queue")
        server.should_exit = True
        thread.join()


def test_the_workflow_is_started_with_what_it_has_to_know(outside: Outside, told: Alertmanager) -> None:
    assert told.tell(alert(RELEASE)) == 202
    ((outcome, why),) = told.outcomes()
    assert (outcome, "rollback.yml was started in example/shop" in why) == ("dispatched", True)
    assert outside.started == [
        {
            "ref": "main",
            "inputs": {
                "stack": "prod",
                "reason": f"ReleaseCrashing on hello {RELEASE}",
                "alert": "ReleaseCrashing",
                "release": RELEASE,
            },
        }
    ]
    assert outside.authorization == "Bearer github-token"
    eventually(lambda: told.metric('slipway_rollbacks_total{environment="prod",result="dispatched"}') == 1)


def test_it_is_unfinished_until_the_release_runs_no_more(outside: Outside, told: Alertmanager) -> None:
    told.tell(alert(RELEASE))
    told.outcomes()
    eventually(lambda: told.metric('slipway_rollback_unfinished{environment="prod"}') == 1)
    outside.stated = {"automation": "on", "images": {"hello": f"hello:v1.0.0@{BEFORE}"}}
    told.tell(alert(RELEASE, alertname="ReleaseNotReady"))  # there is something to do, so it looks again
    eventually(lambda: told.metric('slipway_rollback_unfinished{environment="prod"}') == 0)


def test_the_workflow_takes_what_it_is_given() -> None:
    """The inputs are those of the committed workflow, and what it needs is among them."""
    file = Path(__file__).parents[2] / ".github" / "workflows" / "rollback.yml"
    inputs = yaml.safe_load(file.read_text())[True]["workflow_dispatch"]["inputs"]
    sent = {"stack", "reason", "alert", "release"}
    assert sent <= inputs.keys()
    assert {name for name, each in inputs.items() if each.get("required")} <= sent


def test_ten_deliveries_and_other_alerts_on_the_release_start_it_once(outside: Outside, told: Alertmanager) -> None:
    since = datetime.now(UTC).isoformat()
    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(lambda _: told.tell(alert(RELEASE, since=since)), range(10))) == {202}
    told.tell(alert(RELEASE, alertname="ReleaseErrorsAboveControl"))
    assert sorted(outcome for outcome, _ in told.outcomes(2)) == ["dispatched", "ignored"]
    assert len(outside.started) == 1


@pytest.mark.parametrize(
    ("stated", "different", "outcome"),
    [
        ({"automation": "observe"}, {}, "observed"),
        ({"baking": None}, {}, "paged"),
        ({"images": {"hello": f"hello:v3.0.0@{BEFORE}"}}, {}, "ignored"),
        ({}, {"environment": "stage"}, "ignored"),
        ({}, {"environment": "kube-system"}, "ignored"),
        ({}, {"service": "unknown"}, "ignored"),
        ({}, {"since": "2020-01-01T00:00:00Z"}, "ignored"),
    ],
    ids=["observe", "baked", "another release", "not stated", "not ours", "no such service", "replayed"],
)
def test_the_rules_are_those_of_any_receiver(
    outside: Outside, told: Alertmanager, stated: dict[str, Any], different: dict[str, Any], outcome: str
) -> None:
    assert outside.stated is not None
    outside.stated = {key: value for key, value in (outside.stated | stated).items() if value is not None}
    told.tell(alert(RELEASE, **different))
    assert [each for each, _ in told.outcomes()] == [outcome]
    assert outside.started == []


def test_what_github_does_not_take_is_tried_again_and_seen_meanwhile(outside: Outside, told: Alertmanager) -> None:
    outside.refusals = [403, 502]
    told.tell(alert(RELEASE))
    assert [outcome for outcome, _ in told.outcomes()] == ["dispatched"]
    assert len(outside.started) == 1


def test_what_it_never_takes_is_given_up_with_its_words(
    outside: Outside, told: Alertmanager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "ATTEMPTS", 3)
    outside.refusals = [403] * 9
    told.tell(alert(RELEASE))
    ((outcome, why),) = told.outcomes()
    assert (outcome, "status 403, Resource not accessible" in why, "actions: write" in why) == ("failed", True, True)
    assert "github-token" not in why
    assert len(outside.refusals) == 6
    eventually(lambda: told.metric('slipway_rollbacks_total{environment="prod",result="failed"}') == 1)


def test_it_is_ready_once_environments_can_be_read(told: Alertmanager) -> None:
    assert told.get("/healthz").status_code == 200
    eventually(lambda: told.get("/readyz").status_code == 200)


def test_the_command_needs_no_configuration_directory_and_ends_on_a_signal(
    outside: Outside, kubeconfig: Path, tmp_path: Path
) -> None:
    (tmp_path / "github").write_text("github-token\n")
    (tmp_path / "token").write_text(TOKEN)
    command = [
        *("slipway", "serve", "--listen=127.0.0.1:0", f"--token-file={tmp_path / 'token'}"),
        *(f"--queue={tmp_path / 'queue'}", "--dispatch=example/shop", f"--github-api={outside.address}"),
        *(f"--github-token-file={tmp_path / 'github'}", "--environment=prod"),
    ]
    found_in = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    environ = {"PATH": found_in, "HOME": str(tmp_path), "KUBECONFIG": str(kubeconfig)}
    with subprocess.Popen(command, env=environ, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as serving:
        assert serving.stderr is not None
        host, port = json.loads(serving.stderr.readline())["address"]
        told = Alertmanager(f"http://{host}:{port}", tmp_path / "queue")
        assert told.tell(alert(RELEASE)) == 202
        assert [outcome for outcome, _ in told.outcomes()] == ["dispatched"]
        serving.send_signal(signal.SIGTERM)
        assert "github-token" not in serving.stderr.read()
    # uvicorn, once all is ended, lets the signal do what it would have done.
    assert (len(outside.started), serving.returncode) == (1, -signal.SIGTERM)


def test_it_says_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    done = CliRunner().invoke(serve, [f"--token-file={tmp_path / 'token'}", "--dispatch=example/shop"], obj=Factory())
    assert isinstance(done.exception, BadInput)
    assert "--github-token-file" in done.exception.paragraph()
