"""What is said of a pod that does not get ready: its state, and enough of its logs to see what happened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from adapters.kubernetes import JsonObject, KubernetesError
from local.engine.diagnosis import diagnose

HEAD = "Traceback (most recent call last):"
TRACEBACK = "\n".join([HEAD, *(f'  File "app.py", line {n}' for n in range(23)), "KeyError: 'DATABASE_URL'"])
LONG = "\n".join(f"line {n}" for n in range(100))
CRASHED = {"terminated": {"exitCode": 1, "reason": "Error"}}
WAITS = {"waiting": {"reason": "CrashLoopBackOff"}}
RUNS: dict[str, Any] = {"running": {}}


class FakeCluster:
    """One pod with one container; `logs` are of the container now and of the one before, None where there is none."""

    def __init__(self, status: Mapping[str, Any], *, now: str | None = None, before: str | None = None) -> None:
        container = {"name": "hello", "ready": False, "restartCount": 0, **status}
        metadata = {"name": "hello-1", "namespace": "prod", "uid": "1"}
        self.pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata} | {
            "status": {"phase": "Running", "containerStatuses": [container]}
        }
        self._logs = {False: now, True: before}

    def get(self, *_: object) -> JsonObject:
        return self.pod

    def list(self, *_: object, **__: object) -> list[JsonObject]:
        return []

    def logs(self, namespace: str, pod: str, *, container: str, tail: int, previous: bool) -> str:
        assert (namespace, pod, container) == ("prod", "hello-1", "hello")
        if (text := self._logs[previous]) is None:
            raise KubernetesError(400, "BadRequest", "no such log")
        return "\n".join(text.splitlines()[-tail:])

    def said(self) -> str:
        return diagnose(self, self.pod, "not ready after 60 s").paragraph()  # type: ignore[arg-type]


def test_a_traceback_is_shown_from_its_head() -> None:
    said = FakeCluster({"state": CRASHED}, now=f"{LONG}\n{TRACEBACK}").said()
    assert HEAD in said
    assert "KeyError: 'DATABASE_URL'" in said
    assert "line 99" not in said.partition(HEAD)[0]


def test_a_long_log_is_cut_at_its_head() -> None:
    shown = [line for line in FakeCluster({"state": RUNS}, now=LONG).said().splitlines() if "line " in line]
    assert [line.strip() for line in shown] == [f"line {n}" for n in range(75, 100)]


@pytest.mark.parametrize("state", [RUNS, CRASHED])
def test_of_a_container_that_crashed_before_both_logs_are_shown(state: Mapping[str, Any]) -> None:
    status = {"state": state, "lastState": CRASHED, "restartCount": 2}
    said = FakeCluster(status, now="begins again", before=TRACEBACK).said()
    before, _, now = said.partition("last lines of hello:")
    assert "last lines of hello before its restart:" in before
    assert HEAD in before
    assert "begins again" in now


def test_the_log_of_one_that_waits_for_its_restart_is_shown_once() -> None:
    status = {"state": WAITS, "lastState": CRASHED, "restartCount": 2}
    said = FakeCluster(status, now=TRACEBACK, before=TRACEBACK).said()
    assert said.count(HEAD) == 1
    assert "last lines of hello before its restart:" in said


def test_of_one_that_never_began_there_is_no_log() -> None:
    said = FakeCluster({"state": {"waiting": {"reason": "ImagePullBackOff"}}}).said()
    assert "ImagePullBackOff" in said
    assert "last lines" not in said
