"""Runs a suite of tests/environments in a process of its own and reads its JUnit report.

A suite is plain pytest that knows its environment by addresses alone (tests/environments/conftest.py says how), so
it is run from outside, by whoever can reach the services, and is given no key and no passphrase of ours.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
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
# What a shell runs in the background ignores interrupts, and so would all that it starts.
_PYTEST = """
import signal, sys, pytest
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(pytest.console_main())
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


def run_suite(
    suite: Path,
    *,
    environment: str,
    urls: Mapping[str, str],
    releases: Mapping[str, str],
    controls: Mapping[str, str],
    deadline_s: float,
) -> SuiteResult:
    """Run a suite against the services at `urls`, which it expects to be of `releases`, for at most `deadline_s`.

    `controls` are the releases of which a pod serves beside them.
    """
    if importlib.util.find_spec("pytest") is None:
        raise MachineUnfit("pytest is not installed, which runs the suites", fix="Install requirements.txt")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)} | {
        "SLIPWAY_ENVIRONMENT": environment,
        "SLIPWAY_URLS": _pairs(urls),
        "SLIPWAY_RELEASES": _pairs(releases),
        "SLIPWAY_CONTROLS": _pairs(controls),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with tempfile.TemporaryDirectory(prefix="slipway-suite-") as scratch:
        report, output = Path(scratch) / "report.xml", Path(scratch) / "output"
        argv = [sys.executable, "-c", _PYTEST, str(suite), "-q", "--tb=short", f"--junit-xml={report}"]
        started = time.monotonic()
        with output.open("wb") as out:
            code = _run(argv, suite.parent, environ, out.fileno(), deadline_s)
        seconds = time.monotonic() - started
        xml = report.read_bytes() if report.is_file() else None
        return _result(code, xml, output.read_text(errors="replace"), seconds, deadline_s)


def _run(argv: list[str], cwd: Path, environ: Mapping[str, str], out: int, deadline_s: float) -> int | None:
    """The program's exit code, None if it was ended at the deadline; whatever it started ends with it."""
    process = subprocess.Popen(
        argv, cwd=cwd, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
    )
    try:
        return process.wait(deadline_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_FAREWELL_S)
        return None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


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
