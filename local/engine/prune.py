"""Deletes what a stack no longer declares, or all of it: in reverse order of dependency, and only the very object.

An object is named by group, kind, namespace, name and UID. A UID that is no longer the same means that somebody else
made a new object by that name: it is not ours, and left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter

from adapters.errors import BadInput
from adapters.kubernetes import Kubernetes, KubernetesError
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


class Remover:
    """Deletes objects in parallel as far as their order allows. `check`: the lock must be ours at every write."""

    def __init__(self, journal: Journal, clients: Clients, check: Callable[[], None], report: Report) -> None:
        self._journal, self._clients, self._check, self._report = journal, clients, check, report

    def remove(self, steps: Sequence[Step]) -> list[Failure]:
        """Delete, or let go, every object of `steps`; what something failed to let go of is not attempted."""
        by_urn = {step.resource.urn: step for step in steps}
        sorter = TopologicalSorter(deletion_order([s.resource for s in steps], self._journal.resources()))
        sorter.prepare()
        failures: list[Failure] = []
        running: dict[Future[None], str] = {}
        with ThreadPoolExecutor(_AT_ONCE) as executor:
            while sorter.is_active():
                ready = sorter.get_ready()
                running |= {executor.submit(self._remove, by_urn[urn]): urn for urn in ready}
                if not running:
                    break  # what is left waits for what has failed
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    urn = running.pop(future)
                    if error := future.exception():
                        failures.append(Failure.of(error, urn))
                    else:
                        sorter.done(urn)
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
    workload = (resource.kind.group, resource.kind.kind) in WORKLOADS
    try:
        kube.delete(*place, uid=uid, propagation="Foreground" if workload else "Background")
    except KubernetesError as error:
        if error.reason != "Conflict":
            raise
        return False
    wait_deleted(kube, live, resource.delete_timeout_s)
    return True


def deletion_order(leaving: Iterable[Resource], known: Iterable[Resource]) -> dict[str, set[str]]:
    """For the URN of each object that leaves, the URNs of those that must be gone before it."""
    everything = {resource.urn: resource for resource in known}
    objects = {resource.urn: resource for resource in leaving}
    everything |= objects
    namespaces = {r.identity: r.urn for r in objects.values() if r.identity and r.identity.kind == "Namespace"}
    order: dict[str, set[str]] = {urn: set() for urn in objects}
    for urn, resource in objects.items():
        for needed in _needs(resource, everything, namespaces):
            if needed in objects and needed != urn:
                order[needed].add(urn)
    return order


def _needs(resource: Resource, everything: Mapping[str, Resource], namespaces: Mapping[Identity, str]) -> Iterable[str]:
    """What a resource depends on, also by way of components; an object ends the way, since it has needs of its own."""
    seen: set[str] = set()
    todo = [*resource.dependencies, resource.parent, resource.deleted_with]
    while todo:
        urn = todo.pop()
        if not urn or urn in seen:
            continue
        seen.add(urn)
        other = everything.get(urn)
        if other is not None and other.identity is None:
            todo += [*other.dependencies, other.parent]
    identity = resource.identity
    if identity and identity.namespace:
        home = Identity(identity.cluster, "", "Namespace", "", identity.namespace)
        seen |= {namespaces[home]} if home in namespaces else set()
    return seen
