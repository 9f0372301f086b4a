"""Deletes what a stack no longer declares, or all of it: in reverse order of dependency, and only the very object.

An object is named by group, kind, namespace, name and UID. A UID that is no longer the same means that somebody else
made a new object by that name: it is not ours, and left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter

from adapters.errors import BadInput
from adapters.kubernetes import JsonObject, Kubernetes, KubernetesError, Propagation
from local.engine.failures import Failure
from local.engine.journal import Journal
from local.engine.manifest import is_ours
from local.engine.model import Identity, Resource
from local.engine.plan import Op, Step
from local.engine.providers import Clients
from local.engine.readiness import wait_deleted
from local.engine.report import Report
from local.engine.types import WORKLOADS

_AT_ONCE = 32
_PROPAGATION = "pulumi.com/deletionPropagationPolicy"
_PROPAGATIONS: Mapping[str, Propagation] = {
    "background": "Background",
    "foreground": "Foreground",
    "orphan": "Orphan",
}


class Remover:
    """Deletes objects in parallel as far as their order allows. `check`: the lock must be ours at every write."""

    def __init__(self, journal: Journal, clients: Clients, check: Callable[[], None], report: Report) -> None:
        self._journal, self._clients, self._check, self._report = journal, clients, check, report

    def remove(self, steps: Sequence[Step]) -> list[Failure]:
        """Delete, or let go, every object of `steps`; what something failed to let go of is not attempted."""
        by_identity = {step.resource.identity: step for step in steps if step.resource.identity}
        sorter = TopologicalSorter(deletion_order([s.resource for s in steps], self._journal.resources()))
        sorter.prepare()
        failures: list[Failure] = []
        running: dict[Future[None], Identity] = {}
        with ThreadPoolExecutor(_AT_ONCE) as executor:
            while sorter.is_active():
                ready = sorter.get_ready()
                running |= {executor.submit(self._remove, by_identity[identity]): identity for identity in ready}
                if not running:
                    break  # what is left waits for what has failed
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    identity = running.pop(future)
                    if error := future.exception():
                        failures.append(Failure.of(error, by_identity[identity].resource.urn))
                    else:
                        sorter.done(identity)
        return failures

    def _remove(self, step: Step) -> None:
        self._report.begun(step)
        if step.op is Op.DELETE:
            try:
                self._delete(step.resource)
            except Exception as error:
                self._report.failed(step, error)
                raise
        self._journal.forget(step.resource)
        self._report.done(step)

    def _delete(self, resource: Resource) -> None:
        if resource.connection is None:
            raise AssertionError(f"{resource.urn} is no object of a cluster")
        self._check()
        if not delete_object(self._clients.of(resource.connection), resource):
            self._report.progress(f"{resource.identity} is another object by that name now; it is left alone")


def delete_object(kube: Kubernetes, resource: Resource) -> bool:
    """Delete the object and wait until it is gone; False if it is not the one meant and was left alone."""
    identity = resource.identity
    if identity is None:
        raise AssertionError(f"{resource.urn} is no object of a cluster")
    place = (resource.api_version, identity.kind, identity.name, identity.namespace or None)
    try:
        live = kube.get(*place)
    except BadInput:
        return True  # its kind is gone, and with it every object
    if live is None:
        return True
    uid = live["metadata"]["uid"]
    # Without a UID the object was only intended: then it is ours if we got as far as applying it.
    if uid != resource.uid if resource.uid else not is_ours(live):
        return False
    try:
        kube.delete(*place, uid=uid, propagation=_propagation(live, resource))
    except KubernetesError as error:
        if error.reason != "Conflict":
            raise
        return False
    wait_deleted(kube, live, resource.delete_timeout_s)
    return True


def _propagation(live: JsonObject, resource: Resource) -> Propagation:
    """As the object says, like Pulumi's provider takes it; else a workload is gone only once its pods are."""
    said = (live["metadata"].get("annotations") or {}).get(_PROPAGATION, "")
    default = "foreground" if (resource.kind.group, resource.kind.kind) in WORKLOADS else "background"
    return _PROPAGATIONS.get(said.lower(), _PROPAGATIONS[default])


def deletion_order(leaving: Iterable[Resource], known: Iterable[Resource]) -> dict[Identity, set[Identity]]:
    """For each object that leaves, those that must be gone before it.

    Two of them may have one URN: the object of a resource that was declared by another name each time.
    """
    objects = {resource.identity: resource for resource in leaving if resource.identity}
    by_urn: dict[str, list[Identity]] = {}
    for identity, resource in objects.items():
        by_urn.setdefault(resource.urn, []).append(identity)
    between = {resource.urn: resource for resource in known if resource.identity is None}
    order: dict[Identity, set[Identity]] = {identity: set() for identity in objects}
    for identity, resource in objects.items():
        needed = {other for urn in _needs(resource, between) for other in by_urn.get(urn, ())}
        for other in (needed | {_home(identity)}) & objects.keys() - {identity}:
            order[other].add(identity)
    return order


def _home(identity: Identity) -> Identity:
    """The namespace an object lies in."""
    return Identity(identity.cluster, "", "Namespace", "", identity.namespace)


def _needs(resource: Resource, between: Mapping[str, Resource]) -> set[str]:
    """What a resource depends on, also by way of components; an object ends the way, since it has needs of its own."""
    seen: set[str] = set()
    todo = [*resource.dependencies, resource.parent, resource.deleted_with]
    while todo:
        urn = todo.pop()
        if urn and urn not in seen:
            seen.add(urn)
            if component := between.get(urn):
                todo += [*component.dependencies, component.parent]
    return seen
