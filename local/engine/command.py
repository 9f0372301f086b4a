"""The engine as the Automation API sees it: an object in the place of its `PulumiCommand`.

Operations run in a process of their own (`python -m local.engine`); what only reads or writes the stack file or the
record is done here and now, since each process costs half a second of imports.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from pulumi.automation import CommandResult, OnOutput, PulumiCommand
from pulumi.automation.errors import create_command_error
from semver import VersionInfo

from adapters import passphrase
from adapters.errors import SlipwayError
from local.engine.cli import PROGRAM_COMMANDS, CommandLine, parse
from local.engine.events import ensure_closed
from local.engine.output import Display
from local.engine.spare import SPARE, Process, environment, start


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

    def warm(self, directory: str) -> None:
        """Let the process of the next operation, one in this configuration directory, load meanwhile.

        `cool` ends it where no operation came.
        """
        SPARE.prepare()
        SPARE.expect(directory)

    def cool(self) -> None:
        """End a process that nobody had a use for; nothing happens if there is none."""
        SPARE.dismiss()

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
            environ = environment(additional_env)
            if line.command[0] in PROGRAM_COMMANDS:
                process = SPARE.hand_over(args, cwd, environ, passphrase.derived_keys())
                result = _follow(process or start(args, cwd, environ), on_output, on_error)
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


def _follow(process: Process, on_output: OnOutput | None, on_error: OnOutput | None) -> CommandResult:
    with process:
        out, err = _Follower(process.stdout, on_output), _Follower(process.stderr, on_error)
        code = _wait(process)
        return CommandResult(out.text(), err.text(), code)


def _wait(process: Process) -> int:
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
