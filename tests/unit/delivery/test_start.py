"""What a command in a hurry waits for begins before the command is loaded."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from adapters.paths import REPOSITORY

_START = """
import os, sys
from delivery import start
from local.engine import spare

def fork(_):
    command = "the command" if "delivery.cli" in sys.modules else "no command yet"
    sys.exit(f"{command}, threads: {len(os.listdir('/proc/self/task'))}")

spare.Spare.fork = fork
start.run()
"""


def started(*args: str, env: dict[str, str] | None = None) -> str:
    environ = {name: value for name, value in os.environ.items() if name != "SLIPWAY_CONFIG_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", _START, *args, "--help"],
        cwd=REPOSITORY,
        env=environ | (env or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.strip() or done.stdout.splitlines()[0]


@pytest.mark.parametrize("command", ["promote", "rollback"])
def test_the_engine_is_forked_before_the_command_is_loaded_and_while_there_is_one_thread(command: str) -> None:
    assert started(command) == "no command yet, threads: 1"


@pytest.mark.parametrize(
    ("args", "env"),
    [
        (["status"], {}),
        (["promote"], {"SLIPWAY_CONFIG_DIR": "."}),
    ],
)
def test_no_engine_is_loaded_for_other_commands_and_teams(args: list[str], env: dict[str, str]) -> None:
    assert started(*args, env=env).startswith("Usage: ")
