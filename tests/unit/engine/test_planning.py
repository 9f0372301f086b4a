"""The process of the plan pass, whose program declares before anybody plans for it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from adapters.errors import SlipwayError, Unreachable
from adapters.kubernetes import Kubernetes
from local.engine.model import Connection
from local.engine.output import Redactor
from local.engine.planning import PlanProcess
from local.engine.project import Stack
from tests.unit.engine.conftest import PRELUDE


@pytest.fixture
def planning(stack: Stack) -> PlanProcess:
    """One whose program has declared an object."""
    program = Path(stack.project.directory) / "__main__.py"
    program.write_text(f"{PRELUDE}\nconfig_map('a')\n", encoding="utf-8")
    process = PlanProcess(stack, stack.config(None), os.environ)
    assert process._pipe.poll(60)
    return process


def test_one_that_nobody_plans_for_ends(planning: PlanProcess) -> None:
    with planning:
        pass
    with pytest.raises(ProcessLookupError):
        os.kill(planning._pid, 0)


def test_one_whose_update_was_killed_ends(planning: PlanProcess) -> None:
    planning._pipe.close()  # as the kernel does then; what was declared was never read
    assert os.waitpid(planning._pid, 0)[0] == planning._pid


def test_one_that_was_killed_is_told_of(planning: PlanProcess) -> None:
    with planning:
        os.kill(planning._pid, signal.SIGKILL)
        with pytest.raises(SlipwayError, match="ended before its program did"):
            planning.plan([], SimpleNamespace(of=_nowhere), Redactor())  # type: ignore[arg-type]


def _nowhere(_: Connection) -> Kubernetes:
    raise Unreachable("there is no cluster")
