"""Runs other programs: one wrapper, so that every failure carries the output and tests see exact arguments."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from adapters.errors import SlipwayError

_TAIL_LINES = 20


class CommandFailed(SlipwayError):
    """A program ended with a code other than 0, could not be started (code 127) or was ended by us (124)."""

    def __init__(self, argv: Sequence[str], code: int, output: str) -> None:
        self.argv, self.code, self.output = tuple(argv), code, output
        tail = "\n".join(output.strip().splitlines()[-_TAIL_LINES:])
        super().__init__(f"`{' '.join(argv)}` ended with code {code}: {tail or 'it printed nothing'}")


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout_s: float | None = None,
) -> str:
    """Run `argv` to its end and return its standard output; raises `CommandFailed` with both outputs.

    `env` adds to this process's environment. Secrets go in by `stdin`, `env` or a file, never by `argv`, which every
    user of the machine can read.
    """
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except OSError as error:
        raise CommandFailed(argv, 127, str(error)) from error
    except subprocess.TimeoutExpired as error:
        printed = (_text(error.stdout) + _text(error.stderr)).rstrip()
        raise CommandFailed(argv, 124, f"{printed}\nno end after {timeout_s:g} s") from error
    if done.returncode != 0:
        raise CommandFailed(argv, done.returncode, done.stdout + done.stderr)
    return done.stdout


def _text(output: str | bytes | None) -> str:
    """What a program printed until it was ended, which comes as bytes also where text was asked for."""
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""
