"""What the cluster knows of why an object does not get ready, or does not go, as one error of several lines.

Whoever reads "not ready after 600 s" asks kubectl for the pods, their events and their logs; here that has been done.
Old pods that still serve are left out, and of many pods that fail alike a few tell enough.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from adapters.errors import SlipwayError, UpdateFailed
from adapters.kubernetes import JsonObject, Kubernetes, KubernetesError, describe

_PODS = 3
_EVENTS = 5
_LOG_LINES = 25
"""So many that the head of a traceback or a panic, which says what happened, is mostly among them."""
_LONGEST_LINE = 300


class NotReady(UpdateFailed):
    """An object did not get ready, or did not go; `details` are lines of what the cluster knows of it."""

    def __init__(self, what: str, details: Iterable[str], *, where: str) -> None:
        self.details = tuple(line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…" for line in details)
        super().__init__(what, where=where)

    def paragraph(self) -> str:
        """The sentence, and below it a line for each thing known."""
        return "\n".join([super().paragraph(), *(f"  {line}" for line in self.details)])


def diagnose(kube: Kubernetes, obj: JsonObject, reason: str) -> NotReady:
    """The error for an object that does not get ready for `reason`."""
    return NotReady(reason, list(_gathered(_of_object(kube, obj))), where=describe(obj))


def diagnose_deletion(kube: Kubernetes, obj: JsonObject, timeout_s: float) -> NotReady:
    """The error for an object that is still there `timeout_s` seconds after its deletion began."""
    return NotReady(f"not gone after {timeout_s:g} s", list(_gathered(_of_deletion(kube, obj))), where=describe(obj))


def _gathered(lines: Iterator[str]) -> Iterator[str]:
    """As many lines as can be had: what cannot be asked must not hide what went wrong in the first place."""
    with contextlib.suppress(SlipwayError):
        yield from lines


def _of_object(kube: Kubernetes, obj: JsonObject) -> Iterator[str]:
    yield from _warnings(kube, obj)
    if obj["kind"] == "Deployment":
        for replica_set in _owned(kube, "apps/v1", "ReplicaSet", obj):
            yield from _warnings(kube, replica_set)
    for pod in _failing_pods(kube, obj)[:_PODS]:
        yield from _of_pod(kube, pod)


def _of_deletion(kube: Kubernetes, obj: JsonObject) -> Iterator[str]:
    metadata = obj["metadata"]
    live = kube.get(obj["apiVersion"], obj["kind"], metadata["name"], metadata.get("namespace"))
    if live is None:
        return
    if finalizers := [*live["metadata"].get("finalizers", ()), *live.get("spec", {}).get("finalizers", ())]:
        yield f"waits for its finalizers: {', '.join(finalizers)}"
    if live["kind"] == "Namespace":
        conditions = live.get("status", {}).get("conditions", ())
        yield from (f"{c['type']}: {c.get('message', '')}" for c in conditions if c["status"] == "True")
    yield from _warnings(kube, live)


def _of_pod(kube: Kubernetes, pod: JsonObject) -> Iterator[str]:
    status = pod.get("status", {})
    yield f"{describe(pod)} is {status.get('phase', 'unknown').lower()}"
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield f"  not scheduled: {condition.get('message', condition.get('reason', ''))}"
    containers = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    for container in containers:
        yield from (f"  container {container['name']}: {text}" for text in _of_container(container))
    yield from (f"  {line}" for line in _warnings(kube, pod))
    for container in containers:
        if _is_failing(container):
            yield from _logs(kube, pod, container)


def _of_container(container: JsonObject) -> Iterator[str]:
    state, last = container.get("state", {}), container.get("lastState", {})
    if waiting := state.get("waiting"):
        yield _sentence("waiting", waiting)
    if ended := state.get("terminated"):
        yield _sentence(f"ended with exit code {ended['exitCode']}", ended)
    if ended := last.get("terminated"):
        times = container.get("restartCount", 0)
        yield _sentence(f"ended before with exit code {ended['exitCode']}, restarted {times} times", ended)
    if state.get("running") and not container.get("ready"):
        yield "runs, but is not ready"


def _sentence(text: str, state: Mapping[str, Any]) -> str:
    known = " - ".join(filter(None, (state.get("reason"), _one_line(state.get("message") or ""))))
    return f"{text}: {known}" if known else text


def _is_failing(container: JsonObject) -> bool:
    ended = container.get("state", {}).get("terminated")
    return not container.get("ready") and not (ended and ended["exitCode"] == 0)


def _logs(kube: Kubernetes, pod: JsonObject, container: JsonObject) -> Iterator[str]:
    """The last lines of the container that crashed before, and of the one there is now."""
    has_crashed = bool(container.get("restartCount"))
    if has_crashed:
        yield from _log(kube, pod, container["name"], previous=True)
    # Of one that waits for its restart the kubelet gives the log of the one before under either name.
    if not has_crashed or "waiting" not in container.get("state", {}):
        yield from _log(kube, pod, container["name"], previous=False)


def _log(kube: Kubernetes, pod: JsonObject, container: str, *, previous: bool) -> Iterator[str]:
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    try:
        text = kube.logs(namespace, name, container=container, tail=_LOG_LINES, previous=previous)
    except KubernetesError:
        return  # it has not begun, or its log is gone
    if lines := text.splitlines()[-_LOG_LINES:]:
        yield f"  last lines of {container}{' before its restart' if previous else ''}:"
        yield from (f"    {line}" for line in lines)


def _failing_pods(kube: Kubernetes, obj: JsonObject) -> list[JsonObject]:
    """The pods of an object that neither are ready nor have ended well, the newest first."""
    if obj["kind"] == "Pod":
        live = kube.get("v1", "Pod", obj["metadata"]["name"], obj["metadata"]["namespace"])
        return [live] if live else []
    pods = [pod for pod in _selected(kube, "v1", "Pod", obj) if not _is_well(pod)]
    return sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), reverse=True)


def _is_well(pod: JsonObject) -> bool:
    status = pod.get("status", {})
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ()))
    return ready or status.get("phase") == "Succeeded" or bool(pod["metadata"].get("deletionTimestamp"))


def _owned(kube: Kubernetes, api_version: str, kind: str, owner: JsonObject) -> list[JsonObject]:
    uid = owner["metadata"].get("uid")
    found = _selected(kube, api_version, kind, owner)
    return [obj for obj in found if any(o["uid"] == uid for o in obj["metadata"].get("ownerReferences", ()))]


def _selected(kube: Kubernetes, api_version: str, kind: str, obj: JsonObject) -> list[JsonObject]:
    """What the selector of a workload finds."""
    selector = _selector(obj)
    return kube.list(api_version, kind, obj["metadata"]["namespace"], labels=selector) if selector else []


def _selector(obj: JsonObject) -> str:
    selector = obj.get("spec", {}).get("selector")
    if not isinstance(selector, dict) or "matchLabels" not in selector:
        return ""
    return ",".join(f"{name}={value}" for name, value in selector["matchLabels"].items())


def _warnings(kube: Kubernetes, obj: JsonObject) -> list[str]:
    """The newest warnings about an object, each once."""
    metadata = obj["metadata"]
    fields = f"involvedObject.uid={metadata.get('uid', '')},type=Warning"
    events = kube.list("v1", "Event", metadata.get("namespace") or "default", fields=fields)
    events.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    told = [f"event {event.get('reason', '')}: {_one_line(event.get('message', ''))}" for event in events]
    return list(dict.fromkeys(told))[-_EVENTS:]


def _one_line(text: str) -> str:
    return " ".join(text.split())
