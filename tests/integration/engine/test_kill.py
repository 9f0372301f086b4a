"""kill -9 of the whole command, at moments spread over the duration of an update; then `up` once more, or of another
program: declared is what is there, nothing else, and the record knows all of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from adapters.paths import REPOSITORY

MOMENTS = 16
_SPARED = 0.35  # of the time a process takes: it loads modules, and could as well be killed before it began
BEFORE = """
for i in range(30):
    config_map(f"old{i}")
    config_map(f"both{i}", {"x": "1"})
"""
AFTER = """
first = config_map("first")
for i in range(30):
    config_map(f"both{i}", {"x": "2", "first": first.metadata.uid})
    config_map(f"new{i}", depends_on=[first])
"""
COMMAND = """
import os, sys
from pulumi import automation as auto
from local.engine.command import Engine
options = auto.LocalWorkspaceOptions(pulumi_command=Engine())
stack = auto.select_stack(sys.argv[1], work_dir=os.getcwd(), opts=options)
stack.up(on_output=lambda line: print(line, flush=True))
"""


@pytest.fixture(scope="module")
def durations() -> dict[str, float]:
    """How long an undisturbed update takes, once it is known."""
    return {}


def _start(project) -> subprocess.Popen[str]:
    environ = os.environ | {"PULUMI_CONFIG_PASSPHRASE": "a passphrase for tests", "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, project.namespace],
        cwd=project.directory,
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _objects(kube, namespace) -> dict[str, dict[str, str]]:
    found = kube.list("v1", "ConfigMap", namespace)
    return {o["metadata"]["name"]: o.get("data", {}) for o in found if o["metadata"]["name"] != "kube-root-ca.crt"}


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_an_update_killed_at_any_moment_is_healed_by_the_next(project, kube, namespace, durations, moment):
    project.up(BEFORE)
    project.program(AFTER)
    if "whole" not in durations:
        began = time.monotonic()
        with _start(project) as process:
            process.communicate()
        durations["whole"] = time.monotonic() - began
        assert process.returncode == 0
        project.up(BEFORE)
        project.program(AFTER)
    with _start(project) as process:
        try:
            process.wait(durations["whole"] * (_SPARED + (1 - _SPARED) * (moment + 0.5) / MOMENTS))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL) if moment % 4 < 2 else process.kill()
        process.stdout.read()  # ends when the engine's process, too, is gone
    assert {f"both{i}" for i in range(30)} <= _objects(kube, namespace).keys()  # what is declared was never deleted
    if moment % 2:
        project.up(BEFORE)  # another program: what the dead one has made is known, and goes
        assert _objects(kube, namespace) == _declared_before()
    else:
        project.stack().up()
        assert _objects(kube, namespace) == _declared_after(kube, namespace)
    project.stack().destroy()
    assert _objects(kube, namespace) == {}


def _declared_before() -> dict[str, dict[str, str]]:
    return {f"old{i}": {"key": f"old{i}"} for i in range(30)} | {f"both{i}": {"x": "1"} for i in range(30)}


def _declared_after(kube, namespace) -> dict[str, dict[str, str]]:
    uid = kube.get("v1", "ConfigMap", "first", namespace)["metadata"]["uid"]
    declared = {"first": {"key": "first"}}
    declared |= {f"both{i}": {"x": "2", "first": uid} for i in range(30)}
    return declared | {f"new{i}": {"key": f"new{i}"} for i in range(30)}
