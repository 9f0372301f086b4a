"""One operation, in a process of its own, in a configuration directory.

Exit codes are those of the errors (`adapters.errors`); standard error holds their paragraphs. The process ends with the
one that started it: an update that goes on when its command was killed would be in the way of the next.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

# Loaded before anything is forked, so that both passes share it: what nearly every program uses, and what httpx2 would
# load with its first client.
import httpcore2  # noqa: F401
import pulumi_kubernetes.apps.v1
import pulumi_kubernetes.core.v1
import pulumi_kubernetes.meta.v1
import pulumi_kubernetes.policy.v1
import pulumi_kubernetes.rbac.v1  # noqa: F401

from adapters import passphrase
from adapters.errors import SlipwayError
from local.engine.cli import CommandLine, parse
from local.engine.events import EventLog
from local.engine.output import Display
from local.engine.program import preload
from local.engine.project import Project
from local.engine.render import render_stack
from local.engine.report import Report
from local.engine.spare import FLAG
from local.engine.teardown import destroy, refresh
from local.engine.update import Operation, preview, up

_KILLED = 137
_SWITCH_S = 0.0005  # a thread whose answer has come waits this long for the one that computes, 5 ms by default


def main(args: Sequence[str]) -> int:
    """Run one command line; the exit code."""
    display = Display()
    try:
        line = parse(args)
    except SlipwayError as error:
        display.complain(error.paragraph())
        return error.exit_code
    events = EventLog(line.event_log)
    try:
        _run(line, display, events)
    except SlipwayError as error:
        display.complain(error.paragraph())
        return error.exit_code
    except Exception as error:  # a mistake of the engine's own, which its traceback finds
        display.complain(f"the engine failed, {type(error).__name__}: {error}")
        raise
    finally:
        events.close()
    return 0


def _run(line: CommandLine, display: Display, events: EventLog) -> None:
    command = line.command[0]
    stack = Project.load(Path.cwd()).stack(line.stack, initialised=command != "render")
    if command == "render":
        render_stack(stack, Path(line.flags["--out"]), display)
        return
    planning = command == "preview" or line.has("--preview-only")
    stack.check_engine(changes=not planning)
    crypter = stack.crypter(os.environ)
    config = stack.config(crypter)
    display.redact.learn(config.secrets)
    operation = Operation(
        stack=stack,
        crypter=crypter,
        config=config,
        environ=os.environ,
        report=Report(display, events, planning=planning),
        message=line.flags.get("--message", ""),
        expect_no_changes=line.has("--expect-no-changes"),
    )
    match command:
        case "up":
            preload(stack.project)  # before the process of the plan pass is forked
            up(operation)
        case "preview":
            preview(operation)
        case "destroy":
            destroy(operation, exclude_protected=line.has("--exclude-protected"), preview_only=planning)
        case "refresh":
            refresh(operation, preview_only=planning)


def _await_command_line() -> list[str] | None:
    """What this process shall do, once it is told (`spare`); None if that is nothing after all."""
    for line in iter(sys.stdin.readline, ""):
        told = json.loads(line)
        if "directory" in told:
            with contextlib.suppress(SlipwayError):  # whoever comes with an operation is told then
                preload(Project.load(Path(told["directory"])))
            continue
        os.environ.clear()
        os.environ.update(told["environ"])
        os.chdir(told["cwd"])
        passphrase.know(told["keys"])
        return [str(argument) for argument in told["args"]]
    return None


def _end_with_parent() -> None:
    """Standard input is a pipe from whoever started us; its end is theirs."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        os._exit(_KILLED)

    threading.Thread(target=watch, daemon=True).start()


def run(args: Sequence[str]) -> int:
    """Run the command line of this process, or with `FLAG` the one that it is told later; the exit code."""
    sys.setswitchinterval(_SWITCH_S)
    arguments = _await_command_line() if list(args) == [FLAG] else args
    if arguments is None:
        return 0
    if not sys.stdin.isatty():
        _end_with_parent()
    return main(arguments)
