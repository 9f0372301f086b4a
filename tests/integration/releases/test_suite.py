"""Suites as they are run: the real ones against the real service, and some that fail, hang or test nothing."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.errors import BadInput
from adapters.paths import REPOSITORY
from delivery.releases.suite import SuiteAhead, SuiteProcess, SuiteResult, find_suite, suites_of
from tests.integration.releases.serving import hello, in_turn

RELEASE, CONTROL = "0123456789ab", "cdef01234567"
SUITES = REPOSITORY / "tests" / "environments"

Run = Callable[..., SuiteResult]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """hello, serving `RELEASE` in stage."""
    with hello(release=RELEASE, environment="stage") as url:
        yield url


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Makes a suite of one file."""

    def _write(source: str) -> Path:
        (tmp_path / "conftest.py").write_text((SUITES / "conftest.py").read_text())
        (tmp_path / "own").mkdir()
        (tmp_path / "own" / "test_own.py").write_text(textwrap.dedent(source))
        (tmp_path / "pytest.ini").write_text((SUITES / "pytest.ini").read_text())
        return tmp_path / "own"

    return _write


def _run(
    suite: Path,
    url: str = "http://127.0.0.1:9",
    *,
    release: str = RELEASE,
    control: str | None = None,
    deadline_s: float = 60,
) -> SuiteResult:
    with SuiteProcess(suite) as process:
        return _told(process, url, release, control, deadline_s)


def _told(
    process: SuiteProcess, url: str, release: str = RELEASE, control: str | None = None, deadline_s: float = 60
) -> SuiteResult:
    return process.run(
        environment="stage",
        urls={"hello": url},
        releases={"hello": release},
        controls={"hello": control} if control else {},
        deadline_s=deadline_s,
    )


@pytest.mark.parametrize("suite", ["smoke", "regression"])
def test_hello_passes_its_suites_and_the_report_names_each_test(url: str, suite: str) -> None:
    result = _run(find_suite(SUITES, suite), url)
    assert result.passed, result.why
    assert result.failures == ()
    assert result.report is not None
    names = [case.get("name") for case in ET.fromstring(result.report.decode()).iter("testcase")]  # noqa: S314
    assert f"{len(names)} tests" == result.why
    assert len(names) >= 6


def test_another_release_than_the_expected_one_fails_and_says_what_it_found(url: str) -> None:
    result = _run(find_suite(SUITES, "smoke"), url, release="ba9876543210")
    assert not result.passed
    assert [failure.test for failure in result.failures] == ["test_every_answer_is_of_the_expected_release"]
    assert any(RELEASE in line for line in result.failures[0].lines)
    assert result.why == "1 of 6 tests failed: test_every_answer_is_of_the_expected_release"


@pytest.fixture(scope="module")
def beside_a_control(url: str) -> Iterator[str]:
    """An address whose connections go to hello of `RELEASE` and of `CONTROL` in turn, the control first."""
    with hello(release=CONTROL, environment="stage") as control, in_turn([control, url]) as address:
        yield address


@pytest.mark.parametrize("suite", ["smoke", "regression"])
def test_answers_of_the_control_are_accepted_while_a_release_bakes(beside_a_control: str, suite: str) -> None:
    result = _run(find_suite(SUITES, suite), beside_a_control, control=CONTROL)
    assert result.passed, result.failures


def test_answers_of_another_release_are_not_accepted_beside_a_control(beside_a_control: str) -> None:
    result = _run(find_suite(SUITES, "smoke"), beside_a_control, control="ba9876543210")
    assert "test_every_answer_is_of_the_expected_release" in [failure.test for failure in result.failures]


def test_a_suite_asks_the_release_rather_than_its_control(url: str) -> None:
    with in_turn(["http://127.0.0.1:9", "http://127.0.0.1:9"]) as broken, in_turn([url, broken]) as address:
        result = _run(find_suite(SUITES, "smoke"), address, release="ba9876543210", control=RELEASE)
    assert not result.passed, "the control answers well, the release not at all"


def test_a_service_that_does_not_answer_fails() -> None:
    result = _run(find_suite(SUITES, "smoke"))
    assert not result.passed
    assert len(result.failures) == 6


@pytest.fixture(params=["in the foreground", "in the background"])
def interrupts(request: pytest.FixtureRequest) -> Iterator[None]:
    """Interrupts as the command finds them; a shell starts what runs in the background with interrupts ignored."""
    before = signal.getsignal(signal.SIGINT)
    if request.param == "in the background":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_a_suite_that_does_not_end_is_ended_at_its_deadline_with_all_that_it_started(
    write: Callable[[str], Path], tmp_path: Path
) -> None:
    suite = write(
        f"""
        import subprocess, sys, time
        from pathlib import Path

        def test_first():
            pass

        def test_hangs():
            stubborn = "import signal; signal.signal(2, signal.SIG_IGN); signal.pause()"
            child = subprocess.Popen([sys.executable, "-c", stubborn])
            Path({str(tmp_path / "child")!r}).write_text(str(child.pid))
            time.sleep(3600)
        """
    )
    result = _run(suite, deadline_s=10)
    assert not result.passed
    assert result.why == "it was not done within 10 s"
    assert result.report is not None, "what was tested until then is reported"
    assert 'name="test_first"' in result.report.decode()
    assert _has_ended(int((tmp_path / "child").read_text()))


def test_a_suite_that_cannot_be_interrupted_is_killed(write: Callable[[str], Path]) -> None:
    suite = write(
        """
        import signal

        def test_hangs():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            while True:
                signal.pause()
        """
    )
    result = _run(suite, deadline_s=3)
    assert not result.passed
    assert result.report is None


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("NOTHING = None", "it has no tests"),
        ("def test_skipped(environment):\n    environment.service('other')", "every test was skipped: no address of"),
        ("import nowhere", "1 of 1 test failed"),
        ("def test_error(nobody):\n    pass", "1 of 1 test failed: test_error"),
        ("import os\ndef test_ends():\n    os._exit(3)", "pytest ended with code 3"),
    ],
)
def test_a_suite_that_tests_nothing_does_not_pass(write: Callable[[str], Path], source: str, why: str) -> None:
    result = _run(write(source))
    assert not result.passed
    assert result.why.startswith(why)


def test_a_suite_is_given_no_key_and_no_passphrase(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "secret")
    monkeypatch.setenv("SLIPWAY_SIGNING_KEY", "/key")
    monkeypatch.setenv("TOKEN_OF_OUR_TESTS", "theirs")
    suite = write(
        """
        import os

        def test_environment(environment):
            assert not {"PULUMI_CONFIG_PASSPHRASE", "SLIPWAY_SIGNING_KEY"} & os.environ.keys()
            assert os.environ["TOKEN_OF_OUR_TESTS"] == "theirs"
            assert environment.service("hello").release == "0123456789ab"
        """
    )
    result = _run(suite)
    assert result.passed, result


def test_a_suite_that_loads_ahead_is_read_only_once_it_runs(url: str, write: Callable[[str], Path]) -> None:
    suite = write("def test_old():\n    assert False")
    with SuiteAhead(suite) as ahead:
        ahead.begin()
        (suite / "test_own.py").write_text("def test_new(environment):\n    assert environment.service('hello').url")
        ahead.begin()
        with ahead.take(suite) as process:
            result = _told(process, url)
    assert result.passed, result


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[str]]:
    """The processes that were started since."""
    found: list[subprocess.Popen[str]] = []
    start = subprocess.Popen

    def noting(*args: Any, **options: Any) -> subprocess.Popen[str]:
        found.append(start(*args, **options))
        return found[-1]

    monkeypatch.setattr(subprocess, "Popen", noting)
    return found


def test_a_suite_that_loaded_ahead_for_nothing_is_gone_at_the_end(
    write: Callable[[str], Path], started: list[subprocess.Popen[str]]
) -> None:
    with SuiteAhead(write("def test_own():\n    pass")) as ahead:
        ahead.begin()
        ahead.begin()
    assert [process.poll() for process in started] == [-signal.SIGKILL]


def test_a_process_whose_starter_was_killed_ends_and_leaves_nothing(
    tmp_path: Path, write: Callable[[str], Path]
) -> None:
    code = """
import os, sys
from pathlib import Path
from delivery.releases.suite import SuiteAhead
ahead = SuiteAhead(Path(sys.argv[1]))
ahead.begin()
print(ahead.take(Path(sys.argv[1]))._process.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    (tmp_path / "scratch").mkdir()
    killed = subprocess.run(
        [sys.executable, "-c", code, str(write("def test_own():\n    pass"))],
        env=os.environ | {"TMPDIR": str(tmp_path / "scratch"), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert _has_ended(int(killed.stdout))
    assert list((tmp_path / "scratch").iterdir()) == []


def test_what_a_suite_leaves_for_its_exit_is_done(write: Callable[[str], Path], tmp_path: Path) -> None:
    left = tmp_path / "left"
    suite = write(
        f"""
        import atexit, pathlib

        def test_it():
            atexit.register(pathlib.Path({str(left)!r}).touch)
        """
    )
    assert _run(suite).passed
    assert left.exists()


def test_another_suite_than_the_one_that_loads_is_run_all_the_same(url: str, write: Callable[[str], Path]) -> None:
    with SuiteAhead(write("def test_own():\n    assert False")) as ahead:
        ahead.begin()
        with ahead.take(find_suite(SUITES, "smoke")) as process:
            result = _told(process, url)
    assert result.why == "6 tests"


def test_a_process_that_was_killed_while_it_loaded_fails(
    write: Callable[[str], Path], started: list[subprocess.Popen[str]]
) -> None:
    with SuiteProcess(write("def test_own():\n    pass")) as process:
        started[0].kill()
        started[0].wait()
        result = _told(process, "http://127.0.0.1:9")
    assert not result.passed
    assert result.why.startswith("pytest ended with code -9")


def test_an_unknown_suite_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(BadInput, match="no suite 'nonsense'") as caught:
        find_suite(SUITES, "nonsense")
    assert caught.value.allowed == "regression, smoke"
    with pytest.raises(BadInput, match="none is there"):
        find_suite(SUITES / "not-there", "smoke")


def test_a_configuration_directory_with_suites_of_its_own_uses_those(tmp_path: Path) -> None:
    assert suites_of(tmp_path) == SUITES
    (tmp_path / "tests" / "environments").mkdir(parents=True)
    assert suites_of(tmp_path) == tmp_path / "tests" / "environments"


def _has_ended(pid: int) -> bool:
    """Whether a process ends; its end is awaited, since a signal takes a moment."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], 20)[0])
    finally:
        os.close(process)
