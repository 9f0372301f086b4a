"""Brings each object to its declared state, and waits until it is ready.

Either as the program registers it once more, in the SDK's order and parallelism, or as the plan has it (`carry_out`).
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from adapters.errors import Refused, SlipwayError
from adapters.kubernetes import JsonObject, Kubernetes, KubernetesError
from local.engine.journal import Journal
from local.engine.manifest import to_send
from local.engine.model import MANAGER, Declared, Identity, Resource
from local.engine.monitor import Stopped
from local.engine.order import creation_order, work_through
from local.engine.plan import Op, Plan, Step, is_immutable, replacement_refused, with_result, without_managers
from local.engine.providers import Clients
from local.engine.prune import delete_object
from local.engine.readiness import wait_ready
from local.engine.report import Report
from local.engine.values import Tree
from policies.rules import violations

_SKIP_AWAIT = "pulumi.com/skipAwait"
_ATTEMPTS = 20
_NOT_SETTLED = re.compile(r"status unknown for quota|error looking up service account")
_SETTLING_S, _PAUSE_S = 30.0, 0.2


class Applier:
    """Applies objects from many threads. `check` is called before each write: the lock must be ours.

    `applied` and `failed` are the URNs of what was sent and what could not be, or did not get ready.
    """

    def __init__(
        self, plan: Plan, journal: Journal, clients: Clients, check: Callable[[], None], report: Report
    ) -> None:
        self._steps = {step.resource.identity: step for step in plan.steps}
        self._journal, self._clients, self._check, self._report = journal, clients, check, report
        self._recorded = {resource.identity: resource for resource in journal.objects()}
        self._lock = threading.Lock()
        self.applied: set[str] = set()
        self.failed: set[str] = set()

    def register(self, declared: Declared) -> Mapping[str, Tree]:
        """Bring one object to its declared state and wait until it is ready."""
        step = self._steps.get(declared.identity) or self._unplanned(declared)
        if step.op is Op.SAME and step.live and step.resource.manifest == declared.resource.manifest:
            self._report.begun(step)
            self._journal.applied(with_result(step, step.live))
            self._report.done(step)
            return _properties(step.live)
        step = replace(step, resource=declared.resource, op=Op.UPDATE if step.op is Op.SAME else step.op)
        self._report.begun(step)
        try:
            _check_rules(declared)
            live = self._bring(declared, step)
        except Stopped:
            raise
        except Exception as error:
            with self._lock:
                self.failed.add(declared.resource.urn)
            self._report.failed(step, error)
            raise
        self._report.done(step)
        return _properties(live)

    def _bring(self, declared: Declared, step: Step) -> JsonObject:
        resource, kube = declared.resource, self._clients.of(declared.connection)
        if step.op is Op.REPLACE or (step.live and step.live["metadata"].get("deletionTimestamp")):
            self._check()
            delete_object(kube, replace(resource, uid=step.live["metadata"]["uid"] if step.live else None))
        result = self._send(kube, declared)
        resource = replace(resource, uid=result["metadata"]["uid"], version=result["metadata"]["resourceVersion"])
        self._journal.applied(resource)
        with self._lock:
            self.applied.add(resource.urn)
        waited = self._await(kube, declared, step, result)
        self._journal.applied(replace(resource, ready=True))
        return waited

    def _send(self, kube: Kubernetes, declared: Declared) -> JsonObject:
        try:
            return self._send_once_settled(kube, declared.resource)
        except KubernetesError as error:
            if not is_immutable(error):
                raise
            return self._replace(kube, declared, error)

    def _send_once_settled(self, kube: Kubernetes, resource: Resource) -> JsonObject:
        """Where fields are left to others, nobody may have written the object between our look and our write."""
        if not resource.ignore_changes:
            return self._apply(kube, resource.manifest)
        for attempt in range(_ATTEMPTS):
            live = get_live(kube, resource)
            sent = to_send(resource.manifest, resource.ignore_changes, live)
            version = {"resourceVersion": live["metadata"]["resourceVersion"]} if live else {}
            try:
                return self._apply(kube, sent | {"metadata": sent["metadata"] | version})
            except KubernetesError as error:
                if error.reason != "Conflict" or attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _apply(self, kube: Kubernetes, manifest: JsonObject) -> JsonObject:
        """What is refused because controllers are still at work on a new namespace is sent again."""
        deadline = time.monotonic() + _SETTLING_S
        while True:
            self._check()
            try:
                return kube.apply(manifest, manager=MANAGER)
            except KubernetesError as error:
                if not (_NOT_SETTLED.search(error.message) and time.monotonic() < deadline):
                    raise
            time.sleep(_PAUSE_S)

    def _replace(self, kube: Kubernetes, declared: Declared, error: KubernetesError) -> JsonObject:
        """The plan could not see it coming: what it did not know has turned out to be immutable."""
        live = get_live(kube, declared.resource)
        previous = self._recorded.get(declared.identity)
        if refusal := replacement_refused(declared.resource, previous, live, "a field cannot be changed in place"):
            raise refusal from error
        delete_object(kube, replace(declared.resource, uid=live["metadata"]["uid"] if live else None))
        return self._apply(kube, declared.resource.manifest)

    def _await(self, kube: Kubernetes, declared: Declared, step: Step, result: JsonObject) -> JsonObject:
        annotations = result["metadata"].get("annotations") or {}
        if annotations.get(_SKIP_AWAIT) == "true":
            return result
        timeout_s = declared.update_timeout_s if step.op is Op.UPDATE else declared.create_timeout_s
        return wait_ready(kube, result, timeout_s, self._report.progress)

    def _unplanned(self, declared: Declared) -> Step:
        """What only appears now that unknowns are known: recorded like the rest, only later."""
        if not self._journal.knows(declared.identity):
            self._journal.intend([declared.resource])
        live = get_live(self._clients.of(declared.connection), declared.resource)
        return Step(Op.UPDATE if live else Op.CREATE, declared.resource, live=live)


def carry_out(plan: Plan, applier: Applier, stop: threading.Event) -> list[Exception]:
    """Apply all that a plan declares, and return every error; nothing is begun after the first, or after `stop`."""
    declared = {each.identity: each for each in plan.declared}

    def bring(identity: Identity) -> None:
        if stop.is_set():
            raise Stopped
        try:
            applier.register(declared[identity])
        except Exception:
            stop.set()
            raise

    order = creation_order([each.resource for each in plan.declared], plan.resources.values())
    errors = work_through(order, bring).values()
    return [error for error in errors if isinstance(error, Exception) and not isinstance(error, Stopped)]


def _check_rules(declared: Declared) -> None:
    """Once more, since what was unknown in the plan is known now."""
    if broken := violations(declared.resource.manifest):
        raise Refused("; ".join(broken), where=str(declared.identity))


def get_live(kube: Kubernetes, resource: Resource) -> JsonObject | None:
    """The object as the cluster has it, None if it has none."""
    if (identity := resource.identity) is None:
        raise SlipwayError(f"{resource.urn} is no object of a cluster")
    return kube.get(resource.api_version, identity.kind, identity.name, identity.namespace or None)


def _properties(live: JsonObject) -> dict[str, Tree]:
    return live | {"metadata": without_managers(live["metadata"])}
