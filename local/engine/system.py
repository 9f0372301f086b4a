"""Where the engine keeps its own objects in a stack's cluster, and what it calls them."""

from __future__ import annotations

import hashlib
import re

from adapters.kubernetes import Kubernetes, KubernetesError

NAMESPACE = "slipway-system"
"""Holds the locks and records of all stacks of the cluster."""

STACK_LABEL = "slipway.dev/stack-id"
"""Finds what belongs to a stack; its value is `stack_id`."""

_PLAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LONGEST_ID = 40


def stack_id(project: str, stack: str) -> str:
    """A name for the stack that can be a part of object names and the value of a label; unique.

    Readable where the names allow it (`slipway.prod`), with a hash where Kubernetes would not take them.
    """
    readable = f"{project}.{stack}"
    if len(readable) <= _LONGEST_ID and _PLAIN.fullmatch(project) and _PLAIN.fullmatch(stack):
        return readable
    slug = re.sub(r"[^a-z0-9]+", "-", readable.lower())[: _LONGEST_ID - 13].strip("-")
    # The separator cannot be a part of either name, so that no two pairs are hashed alike.
    return f"{slug}.x{hashlib.sha256(f'{project}/{stack}'.encode()).hexdigest()[:10]}"


def labels(project: str, stack: str, component: str) -> dict[str, str]:
    """What every object of the engine carries; `component` is `lock` or `record`."""
    return {
        "app.kubernetes.io/part-of": "slipway",
        "app.kubernetes.io/managed-by": "slipway",
        "app.kubernetes.io/component": component,
        STACK_LABEL: stack_id(project, stack),
    }


def ensure_namespace(kube: Kubernetes) -> None:
    """Create the engine's namespace if it is missing."""
    if kube.get("v1", "Namespace", NAMESPACE) is not None:
        return
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": NAMESPACE,
            "labels": {"app.kubernetes.io/part-of": "slipway", "app.kubernetes.io/managed-by": "slipway"},
        },
    }
    try:
        kube.create(namespace)
    except KubernetesError as error:
        if error.reason != "AlreadyExists":  # the first update of another stack was faster
            raise
