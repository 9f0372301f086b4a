"""`destroy` and `refresh`: what the engine does from the record alone, without the program."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from adapters.errors import BadInput
from adapters.kubernetes import KubernetesError
from local.engine.apply import get_live
from local.engine.backend import Backend
from local.engine.diff import changes
from local.engine.failures import Failed, Failure
from local.engine.journal import Journal
from local.engine.manifest import to_send
from local.engine.model import MANAGER, Identity, Resource
from local.engine.order import deletion_order
from local.engine.plan import Op, Step, deletion, protected
from local.engine.providers import Clients
from local.engine.prune import Remover
from local.engine.update import Operation

_AT_ONCE = 32


def destroy(operation: Operation, *, exclude_protected: bool, preview_only: bool) -> None:
    """Delete everything the stack has; refused while anything is protected, unless that is left out."""
    backend = Backend.open(operation.stack, operation.crypter)
    if preview_only:
        journal = Journal(backend.store)
        operation.report.planned(_deletions(journal, exclude_protected=exclude_protected))
        operation.report.summary()
        return
    with backend.lock() as lock:
        journal = Journal(backend.store, lock.check)
        steps = _deletions(journal, exclude_protected=exclude_protected)
        journal.begin("destroy", operation.message, operation.history_config())
        with backend.tidying():
            failures = Remover(journal, backend.clients, lock.check, operation.report).remove(steps)
            if not journal.objects():
                journal.clear()
            journal.end(succeeded=not failures, changes=operation.report.counts)
        operation.report.summary()
        if failures:
            raise Failed(failures)


def refresh(operation: Operation, *, preview_only: bool) -> None:
    """Compare what was last applied with the cluster, field by field; the record forgets what is no longer there."""
    backend = Backend.open(operation.stack, operation.crypter)
    if preview_only:
        steps = drift(Journal(backend.store).objects(), backend.clients)
        operation.report.planned(steps)
        operation.report.summary()
        return
    with backend.lock() as lock:
        journal = Journal(backend.store, lock.check)
        with backend.tidying():
            steps = drift(journal.objects(), backend.clients)
            journal.begin("refresh", operation.message, operation.history_config())
            operation.report.planned(steps)
            for step in steps:
                if step.op is Op.DELETE:
                    journal.forget(step.resource)
            journal.end(succeeded=True, changes=operation.report.counts)
        operation.report.summary()


def drift(recorded: Sequence[Resource], clients: Clients) -> list[Step]:
    """For each object that was applied, how the cluster differs; fields of other managers are theirs."""
    with ThreadPoolExecutor(_AT_ONCE) as executor:
        return list(executor.map(lambda resource: _drift(resource, clients), recorded))


def _drift(resource: Resource, clients: Clients) -> Step:
    if resource.connection is None:
        raise AssertionError(f"{resource.urn} is no object of a cluster")
    kube = clients.of(resource.connection)
    try:
        live = get_live(kube, resource)
    except BadInput:
        live = None  # its kind is no longer served
    if live is None:
        return Step(Op.DELETE, resource, note="is no longer in the cluster")
    if resource.uid and live["metadata"]["uid"] != resource.uid:
        return Step(Op.UPDATE, resource, note="was deleted and made anew by somebody else", live=live)
    try:
        sent = to_send(resource.manifest, resource.ignore_changes, live)
        applied = kube.apply(sent, manager=MANAGER, dry_run=True)
    except KubernetesError as error:
        return Step(Op.UPDATE, resource, note=f"cannot be compared: {error.message}", live=live)
    # Seen from what was applied: the cluster's value is the new one.
    found = tuple(changes(applied, live, resource.hidden))
    return Step(Op.UPDATE if found else Op.SAME, resource, found, live=live)


def _deletions(journal: Journal, *, exclude_protected: bool) -> list[Step]:
    objects = journal.objects()
    guarded = [resource for resource in objects if resource.protect]
    if guarded and not exclude_protected:
        raise Failed([Failure.of(protected(resource), resource.urn) for resource in guarded])
    kept = _with_needs(guarded, journal)
    leaving = [resource for resource in objects if resource.identity not in kept]
    deleted = {resource.urn for resource in leaving if not resource.retain_on_delete}
    return [deletion(resource, deleted) for resource in leaving]


def _with_needs(guarded: Sequence[Resource], journal: Journal) -> set[Identity]:
    """What stays, and of all that this stands on: a namespace takes everything in it with it."""
    order = deletion_order(journal.objects(), journal.resources())
    kept = {resource.identity for resource in guarded if resource.identity}
    while grown := {identity for identity, dependents in order.items() if dependents & kept} - kept:
        kept |= grown
    return kept
