"""Running other programs: what comes back, and what a failure tells."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from adapters.command import CommandFailed, run


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_program_gives_back_what_it_printed(tmp_path: Path) -> None:
    code = "import os, sys; print(os.getcwd(), os.environ['ADDED'], sys.stdin.read()); print('aside', file=sys.stderr)"
    assert run(_python(code), cwd=tmp_path, env={"ADDED": "x"}, stdin="é") == f"{tmp_path} x é\n"


def test_a_program_without_input_meets_its_end_at_once() -> None:
    assert run(_python("import sys; print(repr(sys.stdin.read()))")) == "''\n"


def test_a_failure_carries_the_code_and_both_outputs() -> None:
    with pytest.raises(CommandFailed) as caught:
        run(_python("import sys; print('half done'); sys.exit('no more')"))
    assert caught.value.code == 1
    assert "ended with code 1" in str(caught.value)
    assert "half done" in caught.value.output
    assert "no more" in str(caught.value)


def test_a_long_output_is_shown_by_its_end_and_kept_whole() -> None:
    with pytest.raises(CommandFailed) as caught:
        run(_python("import sys; [print('line', i) for i in range(100)]; sys.exit(3)"))
    assert "line 99" in str(caught.value)
    assert "line 5\n" not in str(caught.value)
    assert "line 5\n" in caught.value.output


def test_a_silent_failure_says_that_it_was_silent() -> None:
    with pytest.raises(CommandFailed, match="it printed nothing"):
        run(_python("raise SystemExit(1)"))


def test_a_program_that_does_not_end_is_ended_and_shows_what_it_printed() -> None:
    with pytest.raises(CommandFailed, match=r"(?s)waiting for é.*no end after 1 s") as caught:
        run(_python("import time; print('waiting for é', flush=True); time.sleep(60)"), timeout_s=1)
    assert caught.value.code == 124


@pytest.mark.parametrize("program", ["no-such-program", "./no/such/program"])
def test_a_missing_program_is_named(program: str) -> None:
    with pytest.raises(CommandFailed, match=program) as caught:
        run([program, "--version"])
    assert caught.value.code == 127


def test_a_file_that_is_no_program_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CommandFailed, match="Permission denied") as caught:
        run([str(tmp_path / "file")])
    assert caught.value.code == 127


def test_bytes_that_are_no_text_do_no_harm() -> None:
    assert run(_python(r"import sys; sys.stdout.buffer.write(b'a\xffb')")) == "a\ufffdb"
