"""Errors as people meet them: one paragraph, and an exit code that README explains."""

from __future__ import annotations

import re
from collections.abc import Iterator

import adapters.command
import adapters.kubernetes  # noqa: F401 - defines an error of its own
from adapters import errors
from adapters.paths import REPOSITORY


def _documented() -> dict[int, str]:
    section = (REPOSITORY / "README.md").read_text(encoding="utf-8").partition("## Exit codes")[2].partition("\n## ")[0]
    return {int(code): meaning for code, meaning in re.findall(r"^\| (\d+) \| (.+) \|$", section, re.MULTILINE)}


def _family(error: type[errors.SlipwayError]) -> Iterator[type[errors.SlipwayError]]:
    yield error
    for derived in error.__subclasses__():
        yield from _family(derived)


def test_an_error_is_one_paragraph_of_sentences() -> None:
    error = errors.BadInput("replicas is -1.", where="Pulumi.prod.yaml, line 3", allowed="0 or more", fix="Correct it")
    assert str(error) == "Pulumi.prod.yaml, line 3: replicas is -1. Allowed: 0 or more. Correct it."
    assert str(errors.SlipwayError("It broke")) == "It broke."


def test_every_exit_code_is_documented_and_no_other() -> None:
    documented = _documented()
    codes = {error.exit_code for error in _family(errors.SlipwayError)}
    assert documented
    assert set(documented) == {0, *codes}


def test_each_code_above_one_has_one_meaning() -> None:
    own = [error.exit_code for error in errors.SlipwayError.__subclasses__() if error.exit_code != 1]
    assert len(own) == len(set(own))


def test_readme_and_the_errors_say_the_same() -> None:
    documented = _documented()
    words = {
        errors.UpdateFailed: "failed",
        errors.Drifted: "differs from what is declared",
        errors.BadInput: "nothing was changed",
        errors.Refused: "protected, held, another engine's",
        errors.Unreachable: "nothing was changed",
        errors.Locked: "is updating the stack",
        errors.MachineUnfit: "lacks what the command needs",
    }
    for error, said in words.items():
        assert said in documented[error.exit_code]
        assert said in (error.__doc__ or "")
        assert f"(exit code {error.exit_code})" in (error.__doc__ or "")
