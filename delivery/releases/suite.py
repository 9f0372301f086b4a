"""Runs a suite of tests/environments in a process of its own and reads its JUnit report.

A suite is plain pytest that knows its environment by addresses alone (tests/environments/conftest.py says how), so
it is run from outside, by whoever can reach the services, and is given no key and no passphrase of ours. pytest takes
longer to load than such a suite to run, so it can load while the environment is being updated.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from adapters.errors import BadInput, MachineUnfit
from adapters.paths import REPOSITORY

_FOLDER = Path("tests") / "environments"
_OURS = ("SLIPWAY_", "PULUMI_", "PYTEST_")
"""Environment variables that begin so stay here: passphrases, keys, and options of another pytest run."""
_FAREWELL_S = 5.0  # for pytest to write its report, once it was interrupted
# Loaded with all its plugins, and with what our suites ask with, it waits to be told its environment; of the suite
# itself nothing was read by then. What is loaded is no garbage, which pytest looks for five times at its end. If
# whoever started it dies before, nobody else will tidy up.
# What a shell runs in the background ignores interrupts, and so would all that it starts. What is registered first runs
# last at the exit: to take apart all that was loaded, object by object, would take a tenth of a second.
_PYTEST = """
import atexit, contextlib, gc, json, os, shutil, signal, sys

code, scratch = 1, sys.argv.pop(1)

@atexit.register
def end():
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

import pytest

class Environment:
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_load_initial_conftests(self):
        with contextlib.suppress(ImportError):
            import httpcore2, httpx2
        gc.freeze()
        told = sys.stdin.readline()
        if not told:
            shutil.rmtree(scratch, ignore_errors=True)
            os._exit(0)
        os.environ.update(json.loads(told))
        return (yield)

signal.signal(signal.SIGINT, signal.default_int_handler)
code = int(pytest.main(sys.argv[1:], [Environment()]))
"""
_SHOWN_LINES = 5
_NO_TESTS = 5  # pytest's exit code


@dataclass(frozen=True)
class Failure:
    """A test that failed, and how it began to say so."""

    test: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class SuiteResult:
    """How a suite ended. `why` is one sentence; `report` is JUnit XML, None where it was ended before it wrote one."""

    passed: bool
    why: str
    failures: tuple[Failure, ...]
    report: bytes | None
    seconds: float


def suites_of(config_dir: Path) -> Path:
    """The folder of suites: a configuration directory's own, else those of this checkout."""
    own = config_dir / _FOLDER
    return own if own.is_dir() else REPOSITORY / _FOLDER


def find_suite(folder: Path, name: str) -> Path:
    """The suite `name`; raises `BadInput` with those that there are."""
    there = sorted({path.relative_to(folder).parts[0] for path in folder.glob("*/**/test_*.py")})
    if name not in there:
        raise BadInput(f"there is no suite {name!r}", where=str(folder), allowed=", ".join(there) or "none is there")
    return folder / name


class SuiteProcess:
    """pytest for one run of a suite. A context manager: afterwards all that it started is gone."""

    def __init__(self, suite: Path) -> None:
        """Raises `MachineUnfit` without pytest."""
        if importlib.util.find_spec("pytest") is None:
            raise MachineUnfit("pytest is not installed, which runs the suites", fix="Install requirements.txt")
        self._suite = suite
        self._scratch = tempfile.TemporaryDirectory(prefix="slipway-suite-")
        self._report, self._output = Path(self._scratch.name) / "report.xml", Path(self._scratch.name) / "output"
        self._process = self._start()

    def __enter__(self) -> SuiteProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._signal(signal.SIGKILL)
        self._process.communicate()
        self._scratch.cleanup()

    def run(
        self,
        *,
        environment: str,
        urls: Mapping[str, str],
        releases: Mapping[str, str],
        controls: Mapping[str, str],
        deadline_s: float,
    ) -> SuiteResult:
        """Run the suite against the services at `urls`, which it expects to be of `releases`, for at most `deadline_s`.

        `controls` are the releases of which a pod serves beside them.
        """
        environ = {
            "SLIPWAY_ENVIRONMENT": environment,
            "SLIPWAY_URLS": _pairs(urls),
            "SLIPWAY_RELEASES": _pairs(releases),
            "SLIPWAY_CONTROLS": _pairs(controls),
        }
        started = time.monotonic()
        code = self._finish(json.dumps(environ) + "\n", deadline_s)
        seconds = time.monotonic() - started
        xml = self._report.read_bytes() if self._report.is_file() else None
        return _result(code, xml, self._output.read_text(errors="replace"), seconds, deadline_s)

    def _start(self) -> subprocess.Popen[str]:
        options = ["-q", "--tb=short", f"--junit-xml={self._report}"]
        argv = [sys.executable, "-c", _PYTEST, self._scratch.name, str(self._suite), *options]
        environ = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        with self._output.open("wb") as out:
            return subprocess.Popen(
                argv,
                cwd=self._suite.parent,
                env=environ | {"PYTHONDONTWRITEBYTECODE": "1"},
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                text=True,
                start_new_session=True,
            )

    def _finish(self, told: str, deadline_s: float) -> int | None:
        """pytest's exit code, None if it was ended at the deadline."""
        is_late = threading.Event()

        def end() -> None:
            is_late.set()
            self._signal(signal.SIGINT)
            try:
                self._process.wait(_FAREWELL_S)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)

        timer = threading.Timer(deadline_s, end)  # given a timeout, subprocess looks only every 50 ms whether it ended
        timer.start()
        try:
            self._process.communicate(told)  # of one that has ended before, code and output tell
        finally:
            timer.cancel()
        return None if is_late.is_set() else self._process.returncode

    def _signal(self, number: int) -> None:
        """To all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


class SuiteAhead:
    """A process that loads before it is known what it will run against. A context manager: unused, it is ended."""

    def __init__(self, suite: Path) -> None:
        self._suite = suite
        self._process: SuiteProcess | None = None

    def __enter__(self) -> SuiteAhead:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            with self._process:
                self._process = None

    def begin(self) -> None:
        """Let one load, unless there is one; what stands in the way of that is told when one is taken."""
        if self._process is None:
            with contextlib.suppress(MachineUnfit, OSError):
                self._process = SuiteProcess(self._suite)

    def take(self, suite: Path) -> SuiteProcess:
        """A process for this suite: the one that has loaded, if it is for this one."""
        if self._process is None or suite != self._suite:
            return SuiteProcess(suite)
        process, self._process = self._process, None
        return process


def _result(code: int | None, xml: bytes | None, output: str, seconds: float, deadline_s: float) -> SuiteResult:
    cases = list(_parsed(xml).iter("testcase"))
    failures = tuple(failure for case in cases if (failure := _failure(case)))
    skipped = [reason for case in cases if (reason := case.find("skipped")) is not None]
    ran = len(cases) - len(skipped)
    passed = code == 0 and ran > 0 and not failures
    counted = f"{ran} tests" if ran != 1 else "1 test"
    if skipped:
        counted += f", {len(skipped)} skipped"
    if code is None:
        why = f"it was not done within {deadline_s:g} s"
    elif failures:
        why = f"{len(failures)} of {counted} failed: {', '.join(failure.test for failure in failures)}"
    elif passed:
        why = counted
    elif code == _NO_TESTS or (code == 0 and not cases):
        why = "it has no tests"
    elif code == 0:
        why = f"every test was skipped: {skipped[0].get('message', '')}"
    else:
        tail = [line for line in output.splitlines() if line.strip()][-_SHOWN_LINES:]
        why = f"pytest ended with code {code}: {' / '.join(tail) or 'it printed nothing'}"
    return SuiteResult(passed, why, failures, xml, seconds)


def _parsed(xml: bytes | None) -> ET.Element:
    try:
        return ET.fromstring(xml or b"<none/>")  # noqa: S314 - our own child's writing; expat bounds entities by itself
    except ET.ParseError:  # ended while it was being written
        return ET.Element("none")


def _failure(case: ET.Element) -> Failure | None:
    for kind in ("failure", "error"):
        if (found := case.find(kind)) is not None:
            text = found.get("message") or found.text or ""
            lines = [line.rstrip() for line in text.splitlines() if line.strip()][:_SHOWN_LINES]
            return Failure(str(case.get("name")), tuple(lines))
    return None


def _pairs(values: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items())
