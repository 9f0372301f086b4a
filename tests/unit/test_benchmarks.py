"""Every benchmark starts: what it imports is there, also when it is run as its README says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from adapters.paths import REPOSITORY

_BENCHMARKS = REPOSITORY / "benchmarks"
_TOLD = [line.split("`")[1] for line in (_BENCHMARKS / "README.md").read_text().splitlines() if "| `.venv" in line]


@pytest.mark.parametrize("command", _TOLD)
def test_it_starts(command: str) -> None:
    script = command.split()[1]
    done = subprocess.run(
        [sys.executable, script, "--help"], capture_output=True, text=True, cwd=REPOSITORY, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


def test_the_readme_names_every_one() -> None:
    scripts = {f"benchmarks/{path.name}" for path in _BENCHMARKS.glob("*.py") if "main()" in path.read_text()}
    assert scripts == {command.split()[1] for command in _TOLD}
