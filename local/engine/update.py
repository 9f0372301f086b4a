"""`up` and `preview`: the whole of an update as a list of named steps.

Nothing is changed before the plan is whole and allowed; what is intended is recorded before it is applied; nothing is
deleted before all is applied. So an update may die at any moment and the next one goes on from there.
"""

from __future__ import annotations

import textwrap
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from adapters.errors import Refused, UpdateFailed
from adapters.passphrase import Passphrase
from local.engine.apply import Applier, carry_out
from local.engine.backend import Backend, References
from local.engine.failures import Failed, Failure
from local.engine.interrupt import stopping
from local.engine.journal import Journal
from local.engine.model import Resource
from local.engine.monitor import Monitor
from local.engine.plan import Op, Plan, with_result
from local.engine.planning import PlanProcess
from local.engine.program import run_program
from local.engine.project import Config, Stack
from local.engine.providers import Providers
from local.engine.prune import Remover
from local.engine.report import Report
from local.engine.values import Tree

_SHOWN = 20


@dataclass(frozen=True)
class Operation:
    """What every operation on a stack is given."""

    stack: Stack
    crypter: Passphrase
    config: Config
    environ: Mapping[str, str]
    report: Report
    message: str = ""
    expect_no_changes: bool = False

    def history_config(self) -> dict[str, dict[str, object]]:
        """The configuration for the history, without secrets."""
        return {
            key: {"secret": True} if key in self.config.secret_keys else {"value": value, "secret": False}
            for key, value in self.config.values.items()
        }


@dataclass(frozen=True)
class _Run:
    """How the second pass went, and what it declared."""

    errors: list[Exception]
    interrupted: bool
    resources: Collection[Resource]
    outputs: Mapping[str, Tree]


def up(operation: Operation) -> None:
    """Bring the cluster to what the program declares; raises `UpdateFailed`, or any error before that."""
    with PlanProcess(operation.stack, operation.config, operation.environ) as planning:
        backend = Backend.open(operation.stack, operation.crypter)
        with backend.lock() as lock:
            journal = Journal(backend.store, lock.check)
            plan = planning.plan(journal.objects(), backend.clients, operation.report.display.redact)
            if plan.failures:
                _say_printed(plan, operation.report)
            _check_plan(plan, operation)
            journal.begin("update", operation.message, operation.history_config())
            if plan.changes_anything:
                journal.intend(_intended(plan))
            applier = Applier(plan, journal, backend.clients, lock.check, operation.report)
            remover = Remover(journal, backend.clients, lock.check, operation.report)
            with backend.tidying():
                failures = _apply(operation, plan, journal, applier) or _prune(plan, remover)
                journal.end(succeeded=not failures, changes=operation.report.counts)
            operation.report.summary()
            if failures:
                raise Failed(failures)


def preview(operation: Operation) -> None:
    """Show what `up` would do, and the reasons why it would refuse to."""
    report = operation.report
    with PlanProcess(operation.stack, operation.config, operation.environ) as planning:
        backend = Backend.open(operation.stack, operation.crypter)
        plan = planning.plan(Journal(backend.store).objects(), backend.clients, report.display.redact)
    _say_printed(plan, report)
    report.planned((*plan.steps, *plan.deletions))
    report.summary()
    _check_plan(plan, operation)


def _check_plan(plan: Plan, operation: Operation) -> None:
    operation.report.failures(plan.failures)
    if plan.failures:
        raise Failed(plan.failures)
    if operation.expect_no_changes and plan.changes_anything:
        changed = [str(step.resource.identity) for step in (*plan.steps, *plan.deletions) if step.op is not Op.SAME]
        raise Refused(f"no changes were expected, but {_names(changed)} would change")


def _say_printed(plan: Plan, report: Report) -> None:
    """What the program printed in the plan pass."""
    for line in plan.printed:
        report.display.say(line)


def _intended(plan: Plan) -> Iterable[Resource]:
    for step in plan.steps:
        yield with_result(step, step.live) if step.op is Op.SAME and step.live else step.resource


def _apply(operation: Operation, plan: Plan, journal: Journal, applier: Applier) -> list[Failure]:
    """The second pass, by what the first found out or by running the program once more."""
    # What a program that changes nothing would do in its second run is known, whoever's it is.
    if not plan.applies or (plan.is_whole and operation.stack.project.is_ours):
        run = _carry_out(operation, plan, applier)
    else:
        run = _run_again(operation, applier)
    if run.errors or run.interrupted:
        return [_failed_update(plan, applier, run.errors)]
    journal.declare(run.resources, run.outputs)
    return []


def _carry_out(operation: Operation, plan: Plan, applier: Applier) -> _Run:
    """Apply the plan as it is; a second run of the program would declare the same (docs/adr/0013)."""
    report, stop = operation.report, threading.Event()
    _say_printed(plan, report)
    with stopping(stop.set, report.progress):
        errors = carry_out(plan, applier, stop)
    return _Run(errors, stop.is_set(), plan.resources.values(), plan.outputs)


def _run_again(operation: Operation, applier: Applier) -> _Run:
    """Apply what the program declares, now that each object brings the values that others wait for."""
    report = operation.report
    references = References(operation.stack.project, operation.environ)
    monitor = Monitor(operation.stack, Providers(operation.stack), applier, references, report.display.redact)
    with stopping(monitor.stop, report.progress):
        errors = run_program(operation.stack, operation.config, monitor, dry_run=False, display=report.display)
    return _Run(errors, monitor.stopped, monitor.resources.values(), monitor.outputs)


def _prune(plan: Plan, remover: Remover) -> list[Failure]:
    """Delete what is no longer declared: never what this update applied, whatever URN it had before."""
    kept = {step.resource.identity for step in plan.steps}
    steps = [step for step in plan.deletions if step.resource.identity not in kept]
    return remover.remove(steps) if steps else []


def _failed_update(plan: Plan, applier: Applier, errors: list[Exception]) -> Failure:
    """Every error, and what of the plan was applied, failed and not attempted."""
    names = {step.resource.urn: str(step.resource.identity) for step in plan.steps if step.op.touches}
    applied = applier.applied - applier.failed
    rest = [name for urn, name in names.items() if urn not in applier.applied | applier.failed]
    lines = [f"the update failed with {len(errors)} error{'s' if len(errors) != 1 else ''}, nothing was deleted"]
    lines += [textwrap.indent(Failure.of(error).text, "  ") for error in errors] or ["  It was interrupted."]
    lines += [
        f"  applied: {_names(names[urn] for urn in names if urn in applied)}",
        f"  failed: {_names(names.get(urn, urn) for urn in sorted(applier.failed))}",
        f"  not attempted: {_names(rest)}",
    ]
    code = Failure.of(errors[0]).exit_code if errors and not applier.failed else UpdateFailed.exit_code
    return Failure("\n".join(lines), code)


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return (", ".join(listed[:_SHOWN]) + more) or "nothing"
