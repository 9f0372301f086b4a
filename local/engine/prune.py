"""Deletes what a stack no longer declares, or all of it: in reverse order of dependency, and only the very object.

An object is named by group, kind, namespace, name and UID. A UID that is no longer the same means that somebody else
made a new object by that name: it is not ours, and left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from adapters.errors import BadInput
from adapters.kubernetes import JsonObject, Kubernetes, KubernetesError, Propagation
from local.engine.failures import Failure
from local.engine.journal import Journal
from local.engine.manifest import is_ours
from local.engine.model import Resource
from local.engine.order import deletion_order, work_through
from local.engine.plan import Op, Step
from local.engine.providers import Clients
from local.engine.readiness import wait_deleted
from local.engine.report import Report
from local.engine.types import WORKLOADS

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
        order = deletion_order([step.resource for step in steps], self._journal.resources())
        failed = work_through(order, lambda identity: self._remove(by_identity[identity]))
        return [Failure.of(error, by_identity[identity].resource.urn) for identity, error in failed.items()]

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
        is_gone = kube.delete(*place, uid=uid, propagation=_propagation(live, resource))
    except KubernetesError as error:
        if error.reason != "Conflict":
            raise
        return False
    if not is_gone:
        wait_deleted(kube, live, resource.delete_timeout_s)
    return True


def _propagation(live: JsonObject, resource: Resource) -> Propagation:
    """As the object says, like Pulumi's provider takes it; else a workload is gone only once its pods are."""
    said = (live["metadata"].get("annotations") or {}).get(_PROPAGATION, "")
    default = "foreground" if (resource.kind.group, resource.kind.kind) in WORKLOADS else "background"
    return _PROPAGATIONS.get(said.lower(), _PROPAGATIONS[default])
