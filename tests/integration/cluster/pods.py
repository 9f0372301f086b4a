"""Short ways to run pods in tests."""

from __future__ import annotations

from typing import Any

from adapters.kubernetes import Kubernetes


def pod(name: str, namespace: str, image: str, *args: str, **spec: Any) -> dict[str, Any]:
    """A pod that runs its image's program with `args` once; keywords are further fields of its spec."""
    mounts = [{"name": volume["name"], "mountPath": "/data"} for volume in spec.get("volumes", [])]
    container = {"name": "main", "image": image, "imagePullPolicy": "Never", "args": args, "volumeMounts": mounts}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container], **spec},
    }


def output_of(kube: Kubernetes, manifest: dict[str, Any], *, timeout_s: float = 60) -> str:
    """Run a pod to its end and return what it printed; fails the test if it does not succeed."""
    name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
    kube.create(manifest)
    phase = await_phase(kube, name, namespace, "Succeeded", "Failed", timeout_s=timeout_s)
    said = kube.logs(namespace, name)
    assert phase == "Succeeded", said
    return said


def await_phase(kube: Kubernetes, name: str, namespace: str, *phases: str, timeout_s: float = 60) -> str:
    """Wait until the pod is in one of `phases`, and return which."""
    seen = ""
    for _, found in kube.watch("v1", "Pod", namespace, name=name, timeout_s=timeout_s):
        seen = found.get("status", {}).get("phase", "")
        if seen in phases:
            return seen
    raise AssertionError(f"pod {name} is {seen or 'not there'} after {timeout_s:g} s: {_events(kube, namespace)}")


def _events(kube: Kubernetes, namespace: str) -> list[str]:
    return [event["message"] for event in kube.list("v1", "Event", namespace)]
