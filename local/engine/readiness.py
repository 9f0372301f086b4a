"""Waits until an object that was applied does its work, or is gone, as pulumi-kubernetes does; by watching, not asking.

Which state counts as what is in `states`; what to tell when it does not come is in `diagnosis`. A Deployment that has
exceeded its progress deadline fails at once, where pulumi-kubernetes would go on waiting.
"""

from __future__ import annotations

from collections.abc import Callable

from adapters.kubernetes import PRESENT, JsonObject, Kubernetes, describe
from local.engine.diagnosis import NotReady, diagnose, diagnose_deletion
from local.engine.states import Failed, Ready, State, judge_of

__all__ = ["NotReady", "wait_deleted", "wait_ready"]

Say = Callable[[str], None]


def wait_ready(kube: Kubernetes, obj: JsonObject, timeout_s: float, say: Say) -> JsonObject:
    """Wait until `obj`, as the server returned it, is ready, and return it as it is then.

    Kinds without a notion of it are ready at once. `say` gets a line each time the reason for waiting changes. Raises
    `NotReady` when the object fails, is deleted or is not ready after `timeout_s` seconds, with what the cluster knows
    of the reasons.
    """
    judge = judge_of(kube, obj)
    if judge is None:
        return obj
    reason = "nothing is known of it yet"
    uid, metadata = obj["metadata"].get("uid"), obj["metadata"]
    for kind, current in kube.watch(
        obj["apiVersion"], obj["kind"], metadata.get("namespace"), name=metadata["name"], timeout_s=timeout_s
    ):
        if uid and current["metadata"]["uid"] != uid:
            continue
        state: State = Failed("somebody deleted it meanwhile") if kind == "DELETED" else judge(current)
        if isinstance(state, Ready):
            return current
        if isinstance(state, Failed):
            raise diagnose(kube, obj, state.reason)
        if state.reason != reason:
            reason = state.reason
            say(f"{describe(obj)}: {reason}")
    raise diagnose(kube, obj, f"not ready after {timeout_s:g} s: {reason}")


def wait_deleted(kube: Kubernetes, obj: JsonObject, timeout_s: float) -> None:
    """Wait until `obj` is gone, or another one has its name; raises `NotReady` if it stays for `timeout_s` seconds."""
    uid, metadata = obj["metadata"]["uid"], obj["metadata"]
    seen = False
    for kind, current in kube.watch(
        obj["apiVersion"],
        obj["kind"],
        metadata.get("namespace"),
        name=metadata["name"],
        timeout_s=timeout_s,
        present=True,
    ):
        if kind == PRESENT:
            if not seen:
                return
        elif current["metadata"]["uid"] == uid:
            if kind == "DELETED":
                return
            seen = True
    raise diagnose_deletion(kube, obj, timeout_s)
