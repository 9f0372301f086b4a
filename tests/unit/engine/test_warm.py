"""A process that loads beforehand does what one that starts with its command line does."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from pulumi.automation.errors import CommandError, StackNotFoundError

from local.engine import Engine

PREVIEW = ["preview", "--stack", "prod"]


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.cool()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """One with a stack that no passphrase opens."""
    (tmp_path / "Pulumi.yaml").write_text("name: slipway\nruntime: python\n")
    (tmp_path / "Pulumi.prod.yaml").write_text("encryptionsalt: v1:AAAAAAAAAAA=:v1:AAAAAAAAAAAAAAAA:AAAA\nconfig: {}\n")
    return tmp_path


def failure(engine: Engine, project: Path, args: list[str] = PREVIEW) -> tuple[int, str]:
    with pytest.raises(CommandError) as caught:
        engine.run(args, str(project), {"PULUMI_CONFIG_PASSPHRASE": "a guess"})
    return caught.value.code, caught.value.stderr  # type: ignore[attr-defined]


def pid(engine: Engine) -> int:
    assert engine._warm is not None
    return engine._warm.pid


def test_it_is_told_command_line_environment_and_place(engine: Engine, project: Path, tmp_path: Path) -> None:
    cold = failure(engine, project)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    engine.warm("prod", str(elsewhere), {})
    loaded = pid(engine)
    assert failure(engine, project) == cold
    assert cold[0] == 3
    with pytest.raises(ProcessLookupError):
        os.kill(loaded, 0)


def test_it_serves_another_stack_than_it_was_loaded_for(engine: Engine, project: Path) -> None:
    engine.warm("prod", str(project), {})
    with pytest.raises(StackNotFoundError):
        engine.run(["preview", "--stack", "stage"], str(project), {})


def test_one_that_is_gone_is_replaced(engine: Engine, project: Path) -> None:
    cold = failure(engine, project)
    engine.warm("prod", str(project), {})
    os.kill(pid(engine), signal.SIGKILL)
    assert engine._warm is not None
    engine._warm.wait()
    assert failure(engine, project) == cold


def test_one_that_nobody_had_a_use_for_is_ended(engine: Engine, project: Path) -> None:
    engine.warm("prod", str(project), {})
    loaded = pid(engine)
    engine.cool()
    engine.cool()
    with pytest.raises(ProcessLookupError):
        os.kill(loaded, 0)
