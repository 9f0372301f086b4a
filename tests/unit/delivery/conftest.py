"""The real commands with other things at their seams: engines that record, a registry in process, no cluster."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi.automation import CommandResult, OnOutput, PulumiCommand
from pulumi.automation.errors import create_command_error
from semver import VersionInfo

from adapters.passphrase import Passphrase
from delivery.cli import main
from delivery.factory import Seams
from tests.done import Done

PASSPHRASE = "correct horse battery"
PASSWORD = "the-password-of-push"
DIGEST = "sha256:" + "1a" * 32
OTHER_DIGEST = "sha256:" + "2b" * 32


@dataclass(frozen=True)
class Step:
    """What an engine says of one object."""

    op: str
    kind: str
    name: str
    fields: tuple[str, ...] = ()

    def event(self, stack: str) -> dict[str, Any]:
        urn = f"urn:pulumi:{stack}::slipway::kubernetes:core/v1:{self.kind}::{self.name}"
        state = {"type": f"kubernetes:core/v1:{self.kind}", "urn": urn, "id": f"{stack}/{self.name}"}
        metadata = {"op": self.op, "urn": urn, "type": state["type"], "new": state, "diffs": list(self.fields)}
        return {"resOutputsEvent": {"metadata": metadata, "planning": True}}


class FakeEngine(PulumiCommand):
    """In the place of an engine's command: records what it is asked for, answers as it is told to."""

    version = VersionInfo(3, 205, 0)

    def __init__(self) -> None:
        self.command = "fake"
        self.calls: list[tuple[str, str]] = []
        self.arguments: list[list[str]] = []
        self.environments: list[Mapping[str, str]] = []
        self.failures: dict[tuple[str, str], tuple[int, str]] = {}
        """(command, stack) → exit code and paragraph."""
        self.steps: dict[str, list[Step]] = {}
        self.protected: dict[str, list[str]] = {}
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.unknown: set[str] = set()
        self._lock = threading.Lock()

    def forget(self) -> None:
        """What it was asked for so far."""
        for recorded in (self.calls, self.arguments, self.environments):
            recorded.clear()

    def asked(self, command: str) -> list[str]:
        """The stacks a command was run for, in order."""
        return [stack for name, stack in self.calls if name == command]

    def run(
        self,
        args: list[str],
        cwd: str,  # noqa: ARG002 - the signature is the SDK's
        additional_env: Mapping[str, str],
        on_output: OnOutput | None = None,
        on_error: OnOutput | None = None,  # noqa: ARG002
    ) -> CommandResult:
        command, stack = " ".join(a for a in args[:2] if not a.startswith("-")), args[args.index("--stack") + 1]
        command = args[0] if args[0] in ("up", "preview", "refresh", "destroy", "render") else command
        with self._lock:
            self.calls.append((command, stack))
            self.arguments.append(args)
            self.environments.append(additional_env)
        code, paragraph = self.failures.get((command, stack), (0, ""))
        if command == "stack select" and stack in self.unknown:
            code, paragraph = 3, f"no stack named '{stack}' found"
        self._write_events(args, stack)
        if code:
            failure = create_command_error(CommandResult("", paragraph, code))
            failure.code, failure.stderr = code, paragraph  # type: ignore[attr-defined]
            raise failure
        if on_output and command in ("up", "preview", "refresh", "destroy"):
            on_output(f"the engine works on {stack}")
        return CommandResult(self._answer(command, stack, args), "", 0)

    def _answer(self, command: str, stack: str, args: list[str]) -> str:
        match command:
            case "stack output":
                return "{}"
            case "stack history":
                return json.dumps(self.history.get(stack) or [self._update(stack)])
            case "stack export":
                resources = [
                    {"urn": f"urn:pulumi:{stack}::slipway::kubernetes:core/v1:Namespace::{name}", "protect": True}
                    for name in self.protected.get(stack, ())
                ]
                return json.dumps({"version": 3, "deployment": {"resources": resources}})
            case "render":
                out = Path(args[args.index("--out") + 1])
                out.mkdir(parents=True)
                (out / "namespace.yaml").write_text("kind: Namespace\n")
        return ""

    def _update(self, stack: str) -> dict[str, Any]:
        return {
            "kind": "update",
            "startTime": "2026-01-02T03:04:05.000000Z",
            "endTime": "2026-01-02T03:04:09.500000Z",
            "message": "why",
            "environment": {},
            "config": {"slipway:registryCredentials": {"secret": True}},
            "result": "succeeded",
            "version": 7,
            "resourceChanges": self._counts(stack),
        }

    def _counts(self, stack: str) -> dict[str, int]:
        counts = {"same": 3}
        for step in self.steps.get(stack, ()):
            counts[step.op] = counts.get(step.op, 0) + 1
        return counts

    def _write_events(self, args: list[str], stack: str) -> None:
        if "--event-log" not in args:
            return
        summary = {
            "resourceChanges": self._counts(stack),
            "durationSeconds": 0,
            "maybeCorrupt": False,
            "PolicyPacks": {},
        }
        events = [step.event(stack) for step in self.steps.get(stack, ())]
        events += [{"summaryEvent": summary}, {"cancelEvent": {}}]
        lines = [json.dumps({"sequence": n, "timestamp": 0} | event) for n, event in enumerate(events)]
        with Path(args[args.index("--event-log") + 1]).open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


class FakeRegistry(ThreadingHTTPServer):
    """A registry that has some images, for a user who knows the password."""

    def __init__(self) -> None:
        self.images = {("hello", DIGEST), ("hello", "v1")}
        super().__init__(("127.0.0.1", 0), _RegistryHandler)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _RegistryHandler(BaseHTTPRequestHandler):
    server: FakeRegistry

    def do_HEAD(self) -> None:
        token = base64.b64encode(f"push:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {token}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="slipway"')
        else:
            _, _, name, _, reference = self.path.partition("?")[0].split("/")
            found = (name, reference) in self.server.images
            self.send_response(200 if found else 404)
            self.send_header("Docker-Content-Digest", reference if reference.startswith("sha256:") else DIGEST)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        """Of lists and contents it has none."""
        self.do_HEAD()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    server = FakeRegistry()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def crypter_and_salt() -> tuple[Passphrase, str]:
    return Passphrase.create(PASSPHRASE)


@dataclass
class World:
    """A team's configuration directory and what its commands reach."""

    directory: Path
    engines: dict[str, FakeEngine]
    environ: dict[str, str]
    capture: pytest.CaptureFixture[str]
    seams: dict[str, Any] = field(default_factory=dict)

    @property
    def engine(self) -> FakeEngine:
        return self.engines["local"]

    def run(self, *args: str) -> Done:
        """Run a command line."""
        seams = Seams(commands=self.engines.__getitem__, environ=self.environ, **self.seams)
        code = main(args, seams)
        out, err = self.capture.readouterr()
        return Done(code, out, err)

    def edit(self, stack: str, **values: Any) -> None:
        """Change values of a stack file; None removes one."""
        path = self.directory / f"Pulumi.{stack}.yaml"
        document = yaml.load(path.read_text(), yaml.CSafeLoader)
        for key, value in values.items():
            document["config"][f"slipway:{key}"] = value
            if value is None:
                del document["config"][f"slipway:{key}"]
        path.write_text(yaml.dump(document, Dumper=yaml.CSafeDumper))

    def marker(self, stack: str) -> Path:
        return self.directory / ".slipway" / f"{stack}.engine"


@pytest.fixture
def world(
    tmp_path: Path,
    registry: FakeRegistry,
    crypter_and_salt: tuple[Passphrase, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    """Four stacks: shared, and test, stage and prod that stand on it."""
    monkeypatch.setattr("shutil.which", lambda _: None)  # whatever is on PATH here
    crypter, salt = crypter_and_salt
    (tmp_path / "Pulumi.yaml").write_text("name: slipway\nruntime: python\n")
    common = {
        "slipway:cluster": {"context": "ours", "identifier": "ours"},
        "slipway:registry": {"push": registry.address, "pull": "registry.example.com"},
        "slipway:registryCredentials": {
            "push": {"username": "push", "password": {"secure": crypter.encrypt(PASSWORD)}},
        },
    }
    environment = common | {
        "slipway:kind": "environment",
        "slipway:shared": "shared",
        "slipway:services": {"hello": {"port": 8080}},
        "slipway:images": {"hello": f"hello:v1@{DIGEST}"},
    }
    configs = {
        "shared": common | {"slipway:kind": "shared"},
        "test": environment | {"slipway:environment": {"mayNameTags": True}},
        "stage": environment,
        "prod": environment | {"slipway:environment": {"protect": True}},
    }
    for stack, config in configs.items():
        document = {"config": config, "encryptionsalt": salt}
        (tmp_path / f"Pulumi.{stack}.yaml").write_text(yaml.dump(document, Dumper=yaml.CSafeDumper))
    environ = {"SLIPWAY_CONFIG_DIR": str(tmp_path), "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE}
    return World(tmp_path, {"local": FakeEngine(), "pulumi": FakeEngine()}, environ, capsys)
