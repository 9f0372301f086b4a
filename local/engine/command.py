"""The engine as the Automation API sees it: an object in the place of its `PulumiCommand`.

Operations run in a process of their own (`python -m local.engine`); what only reads or writes the stack file or the
record is done here and now, since each process costs half a second of imports.
"""

from __future__ import annotations

import io
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
from local.engine.cli import PROGRAM_COMMANDS, CommandLine, parse
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
            environ = {**os.environ, **additional_env, "PULUMI_AUTOMATION_API": "true"}
            if line.command[0] in PROGRAM_COMMANDS:
                result = _run_process(args, cwd, environ, on_output, on_error)
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


def _run_process(
    args: Sequence[str],
    cwd: str,
    environ: Mapping[str, str],
    on_output: OnOutput | None,
    on_error: OnOutput | None,
) -> CommandResult:
    """The process ends with us: it sees the end of its standard input when we die."""
    import_path = os.pathsep.join(filter(None, [str(REPOSITORY), environ.get("PYTHONPATH")]))
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "local.engine", *args],
        cwd=cwd,
        env={**environ, "PYTHONPATH": import_path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
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
