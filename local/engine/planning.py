"""Runs the plan pass in a process of its own, so that the update's pass begins with fresh modules.

The process is forked when the heavy modules are loaded and no connection exists yet. Its program runs at once; what it
declares waits for what the record says, which is known only once the lock is held.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from io import StringIO
from multiprocessing.connection import Connection as Pipe

from adapters.errors import SlipwayError
from local.engine.backend import References
from local.engine.failures import Failed, Failure
from local.engine.model import Identity, Resource
from local.engine.monitor import Monitor
from local.engine.output import Display
from local.engine.plan import Plan, Planner, Record, by_identity
from local.engine.program import run_program
from local.engine.project import Config, Stack
from local.engine.providers import Clients, Providers


class PlanProcess:
    """A process that begins to plan. Use as a context manager: it is gone afterwards."""

    def __init__(self, stack: Stack, config: Config, environ: Mapping[str, str]) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        self._pid = os.fork()
        if self._pid == 0:
            self._pipe.close()  # or its own copy would keep it from ever seeing the end
            _serve(theirs, stack, config, environ)
        theirs.close()

    def __enter__(self) -> PlanProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()  # a process that was never asked sees the end of the pipe, and ends
        os.waitpid(self._pid, 0)

    def plan(self, recorded: Sequence[Resource]) -> Plan:
        """Let the plan pass go on against what is recorded, to its end."""
        self._pipe.send(recorded)
        try:
            answer = self._pipe.recv()
        except EOFError:
            raise SlipwayError("the process of the plan pass ended before it was done, nothing was changed") from None
        if isinstance(answer, Failure):
            raise Failed([answer])
        plan: Plan = answer
        return plan


def make_plan(stack: Stack, config: Config, environ: Mapping[str, str], recorded: Record, display: Display) -> Plan:
    """The plan pass in this process: runs the program, so at most once a process."""
    planner = Planner(recorded, Clients())
    monitor = Monitor(stack, Providers(stack), planner, References(stack.project, environ), display.redact)
    errors = run_program(stack, config, monitor, dry_run=True, display=display)
    failures = [*planner.failures, *map(Failure.of, errors)]
    deletions = [] if failures else planner.finish()
    failures = [replace(f, text=display.redact(f.text)) for f in failures or planner.failures]
    return Plan(
        steps=tuple(planner.steps),
        deletions=tuple(deletions),
        resources=monitor.resources,
        outputs=monitor.outputs,
        declared=tuple(planner.declared),
        failures=tuple(failures),
    )


def _serve(pipe: Pipe, stack: Stack, config: Config, environ: Mapping[str, str]) -> None:
    """The life of the process: it never returns to the code that forked it."""
    recorded: Future[Mapping[Identity, Resource]] = Future()
    threading.Thread(target=_receive, args=(pipe, recorded), daemon=True).start()
    try:
        answer = _answer(stack, config, environ, recorded.result)
        recorded.result()  # a program may fail before it declares anything; nobody listens before the record is sent
        pipe.send(answer)
    finally:
        sys.stdout.flush()
        os._exit(0)


def _answer(stack: Stack, config: Config, environ: Mapping[str, str], recorded: Record) -> Plan | Failure:
    printed = StringIO()
    display = Display(printed, printed)
    display.redact.learn(config.secrets)
    try:
        plan = make_plan(stack, config, environ, recorded, display)
    except Exception as error:
        return Failure.of(error)
    return replace(plan, printed=tuple(printed.getvalue().splitlines()))


def _receive(pipe: Pipe, recorded: Future[Mapping[Identity, Resource]]) -> None:
    try:
        recorded.set_result(by_identity(pipe.recv()))
    except EOFError:
        os._exit(1)  # nobody wants a plan any more
