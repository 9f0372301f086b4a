"""A process that loads beforehand does what one that starts with its command line does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pulumi.automation.errors import CommandError, StackNotFoundError

from adapters.paths import REPOSITORY
from local.engine.command import Engine
from local.engine.spare import SPARE, Process

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


def loading() -> Process:
    assert SPARE._process is not None
    return SPARE._process


def test_it_is_told_command_line_environment_and_place(engine: Engine, project: Path, tmp_path: Path) -> None:
    cold = failure(engine, project)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    engine.warm(str(elsewhere))
    loaded = loading().pid
    assert failure(engine, project) == cold
    assert cold[0] == 3
    with pytest.raises(ProcessLookupError):
        os.kill(loaded, 0)


_FORKED = """
import sys
from pulumi.automation.errors import CommandError
from local.engine.command import Engine
from local.engine.spare import SPARE, Process

assert "local.engine.process" not in sys.modules
SPARE.fork()
forked = SPARE._process
assert forked is not None
engine, directory = Engine(), sys.argv[1]
engine.warm(directory)
assert SPARE._process is forked
try:
    engine.run(["preview", "--stack", "prod"], directory, {"PULUMI_CONFIG_PASSPHRASE": "a guess"})
except CommandError as error:
    print(error.code, forked.returncode, error.stderr)
SPARE.fork()
unused = SPARE._process
engine.cool()
print(unused.returncode)
"""


def test_one_that_is_forked_does_what_one_that_is_started_does(engine: Engine, project: Path) -> None:
    code, said = failure(engine, project)
    # In a process that has no thread yet, which that of the tests has.
    done = subprocess.run(
        [sys.executable, "-c", _FORKED, str(project)], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.stdout == f"{code} {code} {said}\n-9\n", done.stderr


def test_it_is_the_one_that_was_prepared_before_the_engine_was_there(project: Path) -> None:
    SPARE.prepare()
    prepared = loading().pid
    engine = Engine()
    engine.warm(str(project))
    assert loading().pid == prepared
    with pytest.raises(StackNotFoundError):
        engine.run(["preview", "--stack", "stage"], str(project), {})
    assert SPARE._process is None


def test_one_that_is_gone_is_replaced(engine: Engine, project: Path) -> None:
    cold = failure(engine, project)
    engine.warm(str(project))
    gone = loading()
    os.kill(gone.pid, signal.SIGKILL)
    gone.wait()
    assert failure(engine, project) == cold


def test_one_that_nobody_had_a_use_for_is_ended(engine: Engine, project: Path) -> None:
    engine.warm(str(project))
    loaded = loading().pid
    engine.cool()
    engine.cool()
    with pytest.raises(ProcessLookupError):
        os.kill(loaded, 0)


_PRELOADS = """
import pulumi, sys
from adapters.paths import REPOSITORY
from local.engine.program import preload
from local.engine.project import Project

def asked(*_, **__):
    sys.exit("configuration was read")

pulumi.Config.__init__ = pulumi.get_stack = pulumi.get_root_directory = asked
preload(Project.load(REPOSITORY))
print("components.service" in sys.modules)
"""


def test_our_own_program_reads_no_configuration_while_it_is_loaded() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PRELOADS], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
