"""What state an object is in: ready, waiting for something, or failed for good.

The rules are those of `kubectl rollout status` for workloads
(https://github.com/kubernetes/kubectl/blob/master/pkg/polymorphichelpers/rollout_status.go) and of pulumi-kubernetes'
await package for the rest. Functions of the object alone, except for what an object cannot say about itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from adapters.kubernetes import JsonObject, Kubernetes
from local.engine.types import group_of


@dataclass(frozen=True)
class Ready:
    """The object does its work."""


@dataclass(frozen=True)
class Waiting:
    """The object is on its way."""

    reason: str


@dataclass(frozen=True)
class Failed:
    """The object will not get ready by waiting."""

    reason: str


State = Ready | Waiting | Failed
Judge = Callable[[JsonObject], State]


def judge_of(kube: Kubernetes, applied: JsonObject) -> Judge | None:
    """What judges the object, as the server returned it; None for kinds that are ready as soon as they are there.

    A Service is ready with its workload, unless it waits for the address of a load balancer.
    """
    group, kind = group_of(applied["apiVersion"]), applied["kind"]
    match group, kind:
        case "apps", "Deployment":
            return deployment(applied)
        case "", "PersistentVolumeClaim":
            return volume_claim(kube)
        case "", "Service":
            return load_balancer if applied["spec"].get("type") == "LoadBalancer" else None
    return _JUDGES.get((group, kind))


def deployment(applied: JsonObject) -> Judge:
    """`applied` is the Deployment as the server returned it: it tells an old failure from a new one."""
    old_failure = _exceeded(applied) if not _is_observed(applied) else None

    def judge(current: JsonObject) -> State:
        spec, status = current["spec"], current.get("status", {})
        if spec.get("paused"):
            return Ready()  # declared so; it will not move
        if not _is_observed(current):
            return Waiting("the rollout has not begun")
        # The controller keeps a failure of the rollout before until it sees progress: that one is not ours.
        if (exceeded := _exceeded(current)) and exceeded != old_failure:
            return Failed(f"the rollout exceeded its progress deadline: {exceeded.get('message', '')}")
        wanted, updated = spec.get("replicas", 1), status.get("updatedReplicas", 0)
        if updated < wanted:
            return Waiting(f"{updated} of {wanted} pods are new")
        if status.get("replicas", 0) > updated:
            return Waiting(f"{status['replicas'] - updated} old pods are about to end")
        available = status.get("availableReplicas", 0)
        return Ready() if available >= updated else Waiting(f"{available} of {updated} new pods are available")

    return judge


def stateful_set(current: JsonObject) -> State:
    """Ready when all pods are, and have been updated as far as the update strategy goes."""
    spec, status = current["spec"], current.get("status", {})
    if not _is_observed(current):
        return Waiting("the rollout has not begun")
    wanted, ready = spec.get("replicas", 1), status.get("readyReplicas", 0)
    if ready < wanted:
        return Waiting(f"{ready} of {wanted} pods are ready")
    strategy = spec.get("updateStrategy", {})
    if strategy.get("type") == "OnDelete":
        return Ready()
    to_update = wanted - (strategy.get("rollingUpdate") or {}).get("partition", 0)
    updated = status.get("updatedReplicas", 0)
    return Ready() if updated >= to_update else Waiting(f"{updated} of {to_update} pods are new")


def daemon_set(current: JsonObject) -> State:
    """Ready when every node that should run a pod has a new one that is available."""
    status = current.get("status", {})
    if not _is_observed(current):
        return Waiting("the rollout has not begun")
    wanted = status.get("desiredNumberScheduled", 0)
    updated, available = status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)
    by_hand = current["spec"].get("updateStrategy", {}).get("type") == "OnDelete"
    if updated < wanted and not by_hand:
        return Waiting(f"{updated} of {wanted} pods are new")
    return Ready() if available >= wanted else Waiting(f"{available} of {wanted} pods are available")


def job(current: JsonObject) -> State:
    """Ready when it has succeeded."""
    if failed := condition(current, "Failed"):
        return Failed(f"the job failed: {failed.get('reason', '')} {failed.get('message', '')}".strip())
    if condition(current, "Complete") or current["spec"].get("suspend"):
        return Ready()
    status = current.get("status", {})
    return Waiting(
        f"{status.get('succeeded', 0)} of {current['spec'].get('completions', 1)} pods have succeeded, "
        f"{status.get('failed', 0)} have failed"
    )


def pod(current: JsonObject) -> State:
    """Ready when it is, or has ended well."""
    phase = current.get("status", {}).get("phase", "Pending")
    if phase == "Failed":
        return Failed("the pod has failed")
    if phase == "Succeeded" or condition(current, "Ready"):
        return Ready()
    return Waiting(f"the pod is {phase.lower()}")


def volume_claim(kube: Kubernetes) -> Judge:
    """Ready when bound, or when its class binds it only to the first pod that uses it."""

    def judge(current: JsonObject) -> State:
        phase = current.get("status", {}).get("phase", "Pending")
        if phase == "Lost":
            return Failed("the volume it was bound to is gone")
        if phase == "Bound" or _binds_late(kube, current["spec"].get("storageClassName")):
            return Ready()
        return Waiting("no volume is bound to it")

    return judge


def namespace(current: JsonObject) -> State:
    """Ready unless it is being deleted, after which it would take the new objects along."""
    if current.get("status", {}).get("phase") == "Terminating":
        return Failed("the namespace is being deleted; try again when it is gone")
    return Ready()


def load_balancer(current: JsonObject) -> State:
    """Ready when it has an address."""
    given = current.get("status", {}).get("loadBalancer", {}).get("ingress")
    return Ready() if given else Waiting("the load balancer has no address")


def custom_resource_definition(current: JsonObject) -> State:
    """Ready when the server serves the kind."""
    if refused := condition(current, "NamesAccepted", "False"):
        return Failed(f"its names are not accepted: {refused.get('message', '')}")
    return Ready() if condition(current, "Established") else Waiting("the server does not serve it")


def condition(obj: JsonObject, kind: str, status: str = "True") -> dict[str, Any] | None:
    """The condition of `obj` of that type, if it has that status."""
    conditions = obj.get("status", {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == kind and c["status"] == status), None)


def _is_observed(obj: JsonObject) -> bool:
    """Whether the status is about the present specification."""
    return bool(obj.get("status", {}).get("observedGeneration", 0) >= obj["metadata"].get("generation", 0))


def _exceeded(obj: JsonObject) -> dict[str, Any] | None:
    progress = condition(obj, "Progressing", "False")
    return progress if progress and progress.get("reason") == "ProgressDeadlineExceeded" else None


def _binds_late(kube: Kubernetes, name: str | None) -> bool:
    storage_class = kube.get("storage.k8s.io/v1", "StorageClass", name) if name else None
    return bool(storage_class and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer")


_JUDGES: Mapping[tuple[str, str], Judge] = {
    ("apps", "StatefulSet"): stateful_set,
    ("apps", "DaemonSet"): daemon_set,
    ("batch", "Job"): job,
    ("", "Pod"): pod,
    ("", "Namespace"): namespace,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): custom_resource_definition,
}
