"""Which resource types the engine knows: Pulumi's tokens and the kinds of Kubernetes they stand for.

A token `kubernetes:apps/v1:Deployment` is `apps/v1`, `Deployment`; `core` is the group without a name. The token is
checked against the arguments, which name apiVersion and kind once more, and against the server by discovery.
"""

from __future__ import annotations

from dataclasses import dataclass

from adapters.errors import BadInput

KUBERNETES_PROVIDER = "pulumi:providers:kubernetes"
DOCKER_PROVIDER = "pulumi:providers:docker"
STACK_REFERENCE = "pulumi:pulumi:StackReference"
REGISTRY_IMAGE = "docker:index/getRegistryImage:getRegistryImage"

_NEEDS_CLI = "Take the Pulumi CLI for this stack (`slipway engine adopt`), or declare it by other resources"
_MODULES_REFUSED = {
    "helm.sh": "Helm releases and charts",
    "yaml": "YAML components (ConfigFile, ConfigGroup)",
    "kustomize": "Kustomize directories",
}
_PARTS = 3

WORKLOADS = frozenset({("apps", "Deployment"), ("apps", "StatefulSet"), ("apps", "DaemonSet"), ("batch", "Job")})
"""Kinds that own pods: deleting one waits until its pods are gone too."""

REPLACEABLE = frozenset({("", "ConfigMap"), ("", "Secret"), ("batch", "Job")})
"""Kinds that may be deleted and made anew when a field that cannot change does.

Everything else serves traffic, holds data or names other objects; Deployment, StatefulSet, DaemonSet, Service,
Ingress, PersistentVolumeClaim and Namespace first of all.
"""


@dataclass(frozen=True)
class Kind:
    """A kind of Kubernetes as manifests name it."""

    api_version: str
    kind: str

    @property
    def group(self) -> str:
        """Empty for core kinds."""
        return group_of(self.api_version)


def group_of(api_version: str) -> str:
    """`apps` of `apps/v1`; empty for `v1`."""
    return api_version.rpartition("/")[0]


def kind_of(token: str) -> Kind:
    """The kind a resource's type stands for; raises `BadInput` for types that need the Pulumi CLI."""
    parts = token.split(":")
    if len(parts) != _PARTS or parts[0] != "kubernetes":
        raise _unsupported(token, "resources of other providers")
    _, module, kind = parts
    group, _, version = module.partition("/")
    if group in _MODULES_REFUSED:
        raise _unsupported(token, _MODULES_REFUSED[group])
    if not version:
        raise _unsupported(token, "resources without an API version")
    if kind.endswith("Patch"):
        raise _unsupported(token, "Patch resources")
    if kind.endswith("List"):
        raise _unsupported(token, "List resources")
    return Kind(version if group == "core" else module, kind)


def _unsupported(token: str, what: str) -> BadInput:
    return BadInput(
        f"the local engine does not support {what}",
        where=token,
        allowed="Kubernetes objects with explicit names, their providers, components, stack references",
        fix=_NEEDS_CLI,
    )
