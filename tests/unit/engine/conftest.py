"""Runs Pulumi programs against the monitor alone, each in a forked process: the SDK keeps the state of one program."""

from __future__ import annotations

import multiprocessing
import re
import textwrap
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import pulumi_kubernetes.apps.v1
import pulumi_kubernetes.core.v1  # noqa: F401 - loaded before anything is forked
import pytest

from adapters.errors import BadInput, SlipwayError
from adapters.passphrase import Passphrase
from local.engine.model import Declared
from local.engine.monitor import Monitor
from local.engine.output import Display
from local.engine.program import run_program
from local.engine.project import Project, Stack
from local.engine.providers import Providers
from local.engine.values import UNKNOWN, Secret, Tree

PRELUDE = """
import asyncio
import pulumi
import pulumi_kubernetes as k8s
from pulumi import ResourceOptions as Opts

provider = k8s.Provider("cluster", context="c", enable_config_map_mutable=True)


def config_map(name, data=None, urn=None, **opts):
    return k8s.core.v1.ConfigMap(
        urn or name, metadata={"name": name, "namespace": "ns"}, data=data, opts=Opts(provider=provider, **opts)
    )
"""


@dataclass
class Recording:
    """What a run of a program did. `declared` are the objects in the order in which they were registered."""

    declared: list[Declared] = field(default_factory=list)
    outputs: dict[str, Tree] = field(default_factory=dict)
    errors: list[tuple[str, int]] = field(default_factory=list)
    printed: str = ""
    at_once: int = 0

    def __getitem__(self, name: str) -> Declared:
        return next(declared for declared in self.declared if declared.identity.name == name)


class Recorder:
    """Answers with what was declared; objects named `bad…` fail, those named `slow…` take a while.

    Those named `one-of-N-…` end only once N have been under way at the same time.
    """

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._running = 0
        self.declared: list[Declared] = []
        self.at_once = 0

    def register(self, declared: Declared) -> Mapping[str, Tree]:
        name = declared.identity.name
        with self._lock:
            self.declared.append(declared)
            self._running += 1
            self.at_once = max(self.at_once, self._running)
            self._lock.notify_all()
        try:
            if meeting := re.match(r"one-of-(\d+)-", name):
                self._await(int(meeting[1]))
            if name.startswith("slow"):
                time.sleep(0.3)
            if name.startswith("bad"):
                raise BadInput(f"{name} is bad")
            if name.startswith("unknown"):
                return {name: value for name, value in declared.tree.items() if name != "data"}
            return dict(declared.tree)
        finally:
            with self._lock:
                self._running -= 1

    def _await(self, number: int) -> None:
        with self._lock:
            if not self._lock.wait_for(lambda: self.at_once >= number, timeout=60):
                raise BadInput(f"only {self.at_once} at once")


Run = Callable[..., Recording]


@pytest.fixture(scope="session")
def encryption_salt() -> str:
    return Passphrase.create("test")[1]


@pytest.fixture
def stack(tmp_path: Path, encryption_salt: str) -> Stack:
    (tmp_path / "Pulumi.yaml").write_text("name: unit\nruntime: python\n", encoding="utf-8")
    path = tmp_path / "Pulumi.one.yaml"
    path.write_text(
        f"encryptionsalt: {encryption_salt}\nconfig:\n  slipway:cluster: {{context: c, identifier: c}}\n",
        encoding="utf-8",
    )
    return Project.load(tmp_path).stack("one")


@pytest.fixture
def run(stack: Stack) -> Run:
    """Runs a program to its end, the prelude before it; `outputs_of` are the outputs of other stacks."""

    def run_text(program: str, *, dry_run: bool = False, references: Mapping[str, Tree] | None = None) -> Recording:
        path = stack.project.directory / "__main__.py"
        path.write_text(PRELUDE + textwrap.dedent(program), encoding="utf-8")
        receiver, sender = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("fork").Process(target=_record, args=(sender, stack, dry_run, references))
        process.start()
        sender.close()
        recording: Recording = receiver.recv()
        process.join()
        return recording

    return run_text


def _record(sender: Any, stack: Stack, dry_run: bool, references: Mapping[str, Tree] | None) -> None:
    recorder, printed = Recorder(), StringIO()
    display = Display(printed, printed)
    monitor = Monitor(stack, Providers(stack), recorder, lambda _: references or {}, display.redact)
    errors = run_program(stack, stack.config(None), monitor, dry_run=dry_run, display=display)
    recording = Recording(recorder.declared, monitor.outputs, _told(errors), printed.getvalue(), recorder.at_once)
    sender.send(recording)


def _told(errors: Sequence[Exception]) -> list[tuple[str, int]]:
    return [(str(error), error.exit_code if isinstance(error, SlipwayError) else -1) for error in errors]


__all__ = ["UNKNOWN", "Recording", "Run", "Secret"]
