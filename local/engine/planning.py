"""Runs the plan pass: the program in a process of its own, so that the update's pass begins with fresh modules.

The process is forked when the heavy modules are loaded and no connection exists yet. Its program runs at once; what it
declares waits for what the record says, which is known only once the lock is held, and is then compared with the
cluster here, while the program goes on.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import StringIO
from multiprocessing.connection import Connection as Pipe
from typing import NoReturn

from adapters.errors import SlipwayError
from local.engine.backend import References
from local.engine.failures import Failed, Failure
from local.engine.model import Declared, Resource
from local.engine.monitor import Monitor
from local.engine.output import Display, Redactor
from local.engine.plan import Plan, Planner, by_identity
from local.engine.program import THREADS, run_program
from local.engine.project import Config, Stack
from local.engine.providers import Clients, Providers
from local.engine.values import Tree

_AHEAD_AT_ONCE = 4  # each opens a connection of its own, which takes as long as two requests


@dataclass(frozen=True)
class _Asked:
    """What the program declares; the answer bears the same number."""

    number: int
    declared: Declared


@dataclass(frozen=True)
class _Answer:
    """What the program sees of it, or why there is no knowing."""

    number: int
    outputs: Mapping[str, Tree] | Failure


@dataclass(frozen=True)
class _Ended:
    """What the program leaves behind at its end."""

    resources: Mapping[str, Resource]
    outputs: Mapping[str, Tree]
    failures: tuple[Failure, ...]
    printed: tuple[str, ...]


class PlanProcess:
    """A process whose program waits to be planned for. Use as a context manager: it is gone afterwards."""

    def __init__(self, stack: Stack, config: Config, environ: Mapping[str, str]) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        self._sending = threading.Lock()
        self._pid = os.fork()
        if self._pid == 0:
            self._pipe.close()  # or its own copy would keep it from ever seeing the end
            _serve(theirs, stack, config, environ)
        theirs.close()

    def __enter__(self) -> PlanProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()  # a process that nobody plans for sees the end of the pipe, and ends
        os.waitpid(self._pid, 0)

    def plan(self, recorded: Sequence[Resource], clients: Clients, redact: Redactor) -> Plan:
        """Plan for what the program declares, against what is recorded and what the clusters have, to its end."""
        planner = Planner(by_identity(recorded), clients)
        ended = self._answer_all(planner, redact)
        failures = [*planner.failures, *ended.failures]
        deletions = [] if failures else planner.finish()
        return Plan(
            steps=tuple(planner.steps),
            deletions=tuple(deletions),
            resources=ended.resources,
            outputs=ended.outputs,
            declared=tuple(planner.declared),
            failures=tuple(replace(f, text=redact(f.text)) for f in failures or planner.failures),
            printed=ended.printed,
        )

    def _answer_all(self, planner: Planner, redact: Redactor) -> _Ended:
        ahead = ThreadPoolExecutor(_AHEAD_AT_ONCE, thread_name_prefix="ahead")
        planner.look_ahead(ahead)
        with ThreadPoolExecutor(THREADS, thread_name_prefix="plan") as executor:
            try:
                while isinstance(message := self._pipe.recv(), _Asked):
                    redact.learn_marked(message.declared.tree)
                    executor.submit(self._answer, planner, message)
            except (EOFError, OSError):
                raise SlipwayError("the process of the plan pass ended before its program did") from None
            finally:
                ahead.shutdown(wait=False, cancel_futures=True)
        ended: _Ended = message
        return ended

    def _answer(self, planner: Planner, asked: _Asked) -> None:
        try:
            outputs: Mapping[str, Tree] | Failure = planner.register(asked.declared)
        except Exception as error:  # the program must not wait for ever
            outputs = Failure.of(error, asked.declared.resource.urn)
        with self._sending:
            self._pipe.send(_Answer(asked.number, outputs))


class _Asker:
    """The handler in the process of the program: asks the other process, from as many threads as there are."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe, self._sending = pipe, threading.Lock()
        self._numbers = itertools.count()
        self._waiting: dict[int, Future[Mapping[str, Tree] | Failure]] = {}
        threading.Thread(target=self._receive, daemon=True).start()

    def register(self, declared: Declared) -> Mapping[str, Tree]:
        """What the plan says of it."""
        number, answer = next(self._numbers), Future[Mapping[str, Tree] | Failure]()
        self._waiting[number] = answer
        self.send(_Asked(number, declared))
        outputs = answer.result()
        if isinstance(outputs, Failure):
            raise Failed([outputs])
        return outputs

    def send(self, message: _Asked | _Ended) -> None:
        """To the other process."""
        with self._sending:
            self._pipe.send(message)

    def _receive(self) -> None:
        try:
            while True:
                answer: _Answer = self._pipe.recv()
                self._waiting.pop(answer.number).set_result(answer.outputs)
        except (EOFError, OSError):  # the latter where something of ours was never read
            os._exit(1)  # nobody wants a plan any more


def _serve(pipe: Pipe, stack: Stack, config: Config, environ: Mapping[str, str]) -> NoReturn:
    """The life of the process: it never returns to the code that forked it."""
    try:
        asker = _Asker(pipe)
        asker.send(_run(asker, stack, config, environ))
    finally:
        sys.stdout.flush()
        os._exit(0)


def _run(asker: _Asker, stack: Stack, config: Config, environ: Mapping[str, str]) -> _Ended:
    printed = StringIO()
    display = Display(printed, printed)
    display.redact.learn(config.secrets)
    monitor = Monitor(stack, Providers(stack), asker, References(stack.project, environ), display.redact)
    try:
        failures = [Failure.of(e) for e in run_program(stack, config, monitor, dry_run=True, display=display)]
    except Exception as error:
        failures = [Failure.of(error)]
    told = tuple(replace(failure, text=display.redact(failure.text)) for failure in failures)
    return _Ended(monitor.resources, monitor.outputs, told, tuple(printed.getvalue().splitlines()))
