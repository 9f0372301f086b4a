"""The engine as the Automation API sees it: an object in the place of its `PulumiCommand`.

Operations run in a process of their own (`python -m local.engine`); what only reads or writes the stack file or the
record is done here and now, since each process costs half a second of imports.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from pulumi.automation import CommandResult, OnOutput, PulumiCommand
from pulumi.automation.errors import create_command_error
from semver import VersionInfo

from adapters.errors import SlipwayError
from adapters.paths import REPOSITORY
from local.engine.cli import PROGRAM_COMMANDS, WARM, CommandLine, parse
from local.engine.events import ensure_closed
from local.engine.output import Display


class Engine(PulumiCommand):
    """Give it to `LocalWorkspaceOptions(pulumi_command=…)`.

    A command that fails raises the Automation API's `CommandError`; its `code` is the exit code of the `SlipwayError`
    and its `stderr` the paragraph.
    """

    version = VersionInfo(3, 205, 0)
    """The newest of those whose events are read from a file instead of by gRPC."""

    def __init__(self) -> None:
        """Takes nothing: the engine is this package itself, there is no program to look for."""
        self.command = sys.executable
        self._warm: subprocess.Popen[str] | None = None

    def warm(self, stack: str, cwd: str, additional_env: Mapping[str, str]) -> None:
        """Let the process of the next operation, likely one on `stack`, load while the caller still does other things.

        `cool` ends it where no operation came.
        """
        if self._warm is None:
            self._warm = _start([WARM, stack], cwd, _environ(additional_env))

    def cool(self) -> None:
        """End a process that nobody had a use for; nothing happens if there is none."""
        process, self._warm = self._warm, None
        if process is not None:
            _end(process)

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: OnOutput | None = None,
        on_error: OnOutput | None = None,
    ) -> CommandResult:
        """Run one command line to its end, handing lines on as they come; raises `CommandError` if it fails."""
        line = None
        try:
            line = parse(args)
            environ = _environ(additional_env)
            if line.command[0] in PROGRAM_COMMANDS:
                warm, self._warm = self._warm, None
                process = _handed_over(warm, args, cwd, environ) or _start(args, cwd, environ)
                result = _follow(process, on_output, on_error)
            else:
                result = _run_here(line, Path(cwd), environ, on_output, on_error)
        except SlipwayError as error:
            result = CommandResult("", error.paragraph(), error.exit_code)
            if on_error:
                on_error(error.paragraph())
        finally:
            _close_event_log(args)
        if result.code != 0:
            failure = create_command_error(result)
            failure.code, failure.stderr = result.code, result.stderr  # type: ignore[attr-defined]
            raise failure
        return result


def _run_here(
    line: CommandLine, cwd: Path, environ: Mapping[str, str], on_output: OnOutput | None, on_error: OnOutput | None
) -> CommandResult:
    from local.engine.queries import answer  # noqa: PLC0415 - loads what only these commands need

    out, err = io.StringIO(), io.StringIO()
    answer(line, cwd, environ, Display(out, err))
    for text, callback in ((out.getvalue(), on_output), (err.getvalue(), on_error)):
        for output in text.splitlines() if callback else ():
            callback(output)  # type: ignore[misc]
    return CommandResult(out.getvalue().rstrip("\n"), err.getvalue().rstrip("\n"), 0)


def _environ(additional: Mapping[str, str]) -> dict[str, str]:
    import_path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    return {**os.environ, **additional, "PULUMI_AUTOMATION_API": "true", "PYTHONPATH": import_path}


def _start(args: Sequence[str], cwd: str, environ: Mapping[str, str]) -> subprocess.Popen[str]:
    """A process of the engine. It ends with us: it sees the end of its standard input when we die."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "local.engine", *args],
        cwd=cwd,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    )


def _handed_over(
    process: subprocess.Popen[str] | None, args: Sequence[str], cwd: str, environ: Mapping[str, str]
) -> subprocess.Popen[str] | None:
    """A process that has loaded, told what to do; None where there is none, or where it is gone."""
    if process is None or process.stdin is None:
        return None
    try:
        process.stdin.write(json.dumps({"args": list(args), "cwd": cwd, "environ": dict(environ)}) + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        _end(process)
        return None
    return process


def _end(process: subprocess.Popen[str]) -> None:
    """End one that has not begun anything."""
    process.kill()
    with process, contextlib.suppress(BrokenPipeError):
        process.communicate()


def _follow(process: subprocess.Popen[str], on_output: OnOutput | None, on_error: OnOutput | None) -> CommandResult:
    with process:
        out, err = _Follower(process.stdout, on_output), _Follower(process.stderr, on_error)
        code = _wait(process)
        return CommandResult(out.text(), err.text(), code)


def _wait(process: subprocess.Popen[str]) -> int:
    """Ctrl-C reaches the process, too: let it finish what is under way, then go on with being interrupted."""
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise


class _Follower:
    """Reads a stream line by line in a thread."""

    def __init__(self, stream: IO[str] | None, callback: OnOutput | None) -> None:
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._follow, args=(stream, callback))
        self._thread.start()

    def text(self) -> str:
        """All of it, once the stream has ended."""
        self._thread.join()
        return "\n".join(self._lines)

    def _follow(self, stream: IO[str] | None, callback: OnOutput | None) -> None:
        for line in stream or ():
            self._lines.append(line.rstrip())
            if callback:
                callback(line.rstrip())


def _close_event_log(args: Sequence[str]) -> None:
    if "--event-log" in args[:-1]:
        ensure_closed(Path(args[args.index("--event-log") + 1]))
