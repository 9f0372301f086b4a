"""Runs the project's program with a monitor in place of Pulumi's engine, on an event loop of its own.

This is the door of the SDK's own mocks (`pulumi.runtime.set_mocks`): `Settings(monitor=…, engine=…)` takes any object
with the methods of the gRPC stub. The SDK calls them from the loop's executor, which here has 64 threads: with its
default of cores + 4, Deployments that wait to get ready block the ConfigMap they wait for.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import re
import runpy
import sys
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime import Settings, configure, run_in_stack, set_all_config
from pulumi.runtime import resource as sdk_resource
from pulumi.runtime.proto import engine_pb2, source_pb2

from adapters.errors import BadInput, SlipwayError
from local.engine.monitor import Monitor, Stopped
from local.engine.output import Display, Lines
from local.engine.project import Config, Project, Stack

THREADS = 64
"""As many objects register at once."""
_UNSUPPORTED = re.compile(r"The Pulumi CLI does not support (.+?)\. Please update the Pulumi CLI")


def preload(project: Project) -> None:
    """Load what our own program imports, so that both passes share it: it reads no configuration while it is loaded.

    Of other programs nobody knows that: their modules are loaded by each pass anew.
    """
    if not project.is_ours:
        return
    path = project.program / "__main__.py"
    source = ast.parse(path.read_bytes())
    source.body = [line for line in source.body if isinstance(line, ast.Import | ast.ImportFrom)]
    with contextlib.suppress(Exception):  # the pass itself tells of it
        exec(compile(source, str(path), "exec"), {})  # noqa: S102 - what a pass does next


class Engine:
    """What the SDK takes for Pulumi's engine: it logs, and says that any version wanted is here."""

    def __init__(self, display: Display) -> None:
        self._display = display

    def Log(self, request: Any) -> None:  # noqa: N802 - the name is the protocol's
        """Print what the program logs; details for debugging are left out."""
        if request.severity == engine_pb2.INFO:
            self._display.say(request.message)
        elif request.severity != engine_pb2.DEBUG:
            self._display.complain(f"{engine_pb2.LogSeverity.Name(request.severity).lower()}: {request.message}")

    def RequirePulumiVersion(self, request: Any) -> None:  # noqa: N802
        """The SDK is pinned, and the engine with it."""


def run_program(stack: Stack, config: Config, monitor: Monitor, *, dry_run: bool, display: Display) -> list[Exception]:
    """Run the program once to its end, and return every error there was; none means that it went well.

    The modules that the program imports stay loaded: run it once a process.
    """
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # errors nobody awaits are collected below, not printed
    executor = ThreadPoolExecutor(THREADS, thread_name_prefix="register")
    loop.set_default_executor(executor)
    asyncio.set_event_loop(loop)
    settings = _configure(stack, config, monitor, dry_run=dry_run, display=display)
    raised: list[BaseException] = []
    try:
        with _place_of(stack.project.program, display):
            loop.run_until_complete(run_in_stack(lambda: _execute(stack.project.program, monitor, settings, raised)))
    except (Exception, SystemExit) as error:
        monitor.stop()
        raised.append(error)
    executor.shutdown(wait=True)  # what was under way ends; what had not begun is refused by the monitor
    raised += _unseen(settings)
    return _distinct([*monitor.errors, *(_explained(error, stack.project.program) for error in raised)])


def _configure(stack: Stack, config: Config, monitor: Monitor, *, dry_run: bool, display: Display) -> Settings:
    settings = Settings(
        project=stack.project.name,
        stack=stack.name,
        monitor=monitor,
        engine=Engine(display),
        dry_run=dry_run,
        organization="organization",
        root_directory=str(stack.project.directory),
    )
    configure(settings)
    # Where in the source each resource is declared: nobody here asks for it, and it takes a quarter of the SDK's time.
    sdk_resource._get_stack_trace = source_pb2.StackTrace
    set_all_config(dict(config.values), sorted(config.secret_keys))
    return settings


async def _execute(program: Path, monitor: Monitor, settings: Settings, raised: list[BaseException]) -> None:
    """What the program raises is kept here: the SDK forgets it over what is refused from then on."""
    try:
        runpy.run_path(str(program), run_name="__main__")
    except BaseException as error:
        raised.append(error)
        monitor.stop()
        raise
    await _settle(settings)


async def _settle(settings: Settings) -> None:
    """Wait for everything under way, or the first error.

    The SDK would too, but looks at all that is pending whenever something of it ends: with a thousand resources that
    takes longer than applying them.
    """
    while pending := [task for task in _tasks(settings) if not task.done()]:
        done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_EXCEPTION)
        if any(not task.cancelled() and task.exception() for task in done):
            return


@contextlib.contextmanager
def _place_of(program: Path, display: Display) -> Iterator[None]:
    """As Pulumi's language host runs programs: in their directory, which comes first among the import paths."""
    directory = program if program.is_dir() else program.parent
    before, output, lines = sys.path[:], sys.stdout, Lines(display)
    sys.path[:0] = [str(directory)]
    sys.stdout = lines
    try:
        with contextlib.chdir(directory):
            yield
    finally:
        lines.finish()
        sys.path[:], sys.stdout = before, output


def _unseen(settings: Settings) -> list[Exception]:
    """Errors of tasks that the SDK no longer awaits once one has failed."""
    found = [task.exception() for task in _tasks(settings) if task.done() and not task.cancelled()]
    return [error for error in found if isinstance(error, Exception)]


def _tasks(settings: Settings) -> list[asyncio.Future[Any]]:
    """What the SDK has begun and not looked at since."""
    return [task for task in (*settings.rpc_manager.rpcs, *settings.outputs) if isinstance(task, asyncio.Future)]


def _distinct(errors: list[Exception]) -> list[Exception]:
    """One failure shows at everything that waited for it; keep each once, and none that only says that we stopped."""
    kept: dict[str, Exception] = {}
    for error in errors:
        if not isinstance(error, Stopped):
            kept.setdefault(str(error), error)
    return list(kept.values())


def _explained(error: BaseException, program: Path) -> Exception:
    if isinstance(error, SlipwayError | Stopped):
        return error
    where = _place_in(program, error)
    text = str(error) or type(error).__name__
    if missing := _UNSUPPORTED.search(text):
        return BadInput(
            f"the local engine does not support {missing.group(1)}",
            where=where,
            fix="Take the Pulumi CLI for this stack, or declare it without",
        )
    if isinstance(error, SystemExit):
        return BadInput(f"the program ended itself with exit code {error.code}", where=where)
    named = text if isinstance(error, pulumi.RunError) else f"{type(error).__name__}: {text}"
    return BadInput(named.replace("\n", " "), where=where, fix="Correct the program or its configuration")


def _place_in(program: Path, error: BaseException) -> str:
    """The innermost line of the program itself that the error passed, such as `__main__.py, line 12`."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    directory = program if program.is_dir() else program.parent
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(directory)]
    own = [frame for frame in own if "site-packages" not in frame.filename]
    if not own:
        return str(program)
    return f"{Path(own[-1].filename).relative_to(directory)}, line {own[-1].lineno}"
