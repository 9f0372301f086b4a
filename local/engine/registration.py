"""Reads one registration of the SDK (`RegisterResourceRequest`) into the engine's own words, or refuses it by name.

Aliases are read over: objects are known by what they are in the cluster, so a new name in Python needs none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NoReturn

from adapters.errors import BadInput
from local.engine.manifest import parse_path, without_string_data
from local.engine.model import Declared, Resource, identity_of, seconds
from local.engine.providers import KubernetesProvider
from local.engine.types import kind_of
from local.engine.values import Path, Tree, decode, has_unknown, reveal, secret_paths

_CLUSTER_SCOPED = frozenset(
    {
        ("", "Namespace"),
        ("", "Node"),
        ("", "PersistentVolume"),
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        ("apiregistration.k8s.io", "APIService"),
        ("certificates.k8s.io", "CertificateSigningRequest"),
        ("flowcontrol.apiserver.k8s.io", "FlowSchema"),
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"),
        ("networking.k8s.io", "IngressClass"),
        ("node.k8s.io", "RuntimeClass"),
        ("rbac.authorization.k8s.io", "ClusterRole"),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
        ("scheduling.k8s.io", "PriorityClass"),
        ("storage.k8s.io", "CSIDriver"),
        ("storage.k8s.io", "CSINode"),
        ("storage.k8s.io", "StorageClass"),
        ("storage.k8s.io", "VolumeAttachment"),
    }
)
"""Built-in kinds without a namespace (k8s.io/api v1.36). Known without asking a server, so that rendering needs none;
a custom resource lies in a namespace only if it names one."""

_OPTIONS_REFUSED = {
    "importId": "import_",
    "replaceOnChanges": "replace_on_changes",
    "replace_with": "replace_with",
    "remote": "components of other languages",
    "packageRef": "parameterised providers",
    "transforms": "transforms",
    "state_migrations": "state migrations",
    "envVarMappings": "env_var_mappings",
}


def check_supported(request: Any) -> None:
    """Raises `BadInput` for options that the engine does not honour, naming the first."""
    refused = [name for field, name in _OPTIONS_REFUSED.items() if getattr(request, field)]
    if request.HasField("replacement_trigger"):
        refused.append("replacement_trigger")
    if request.HasField("hooks") and request.hooks.ByteSize():
        refused.append("hooks")
    if request.deleteBeforeReplaceDefined and not request.deleteBeforeReplace:
        refused.append("delete_before_replace=False (names are explicit: the old object goes first)")
    if refused:
        raise BadInput(
            f"the local engine does not support {refused[0]}",
            where=f"{request.type} {request.name}",
            fix="Take the Pulumi CLI for this stack, or declare the resource without",
        )


def refuse_read(request: Any) -> NoReturn:
    """Raises `BadInput`: an existing object cannot be looked up."""
    raise BadInput(
        "the local engine reads no resources but stack references",
        where=f"{request.type} {request.name}",
        fix="Declare the object, or take what is needed of it from the configuration",
    )


def read_resource(request: Any, urn: str) -> Resource:
    """What the record keeps of any resource."""
    return Resource(
        urn=urn,
        type=request.type,
        parent=request.parent,
        dependencies=tuple(sorted({*request.dependencies, *_provider_urns(request)})),
        protect=request.protect,
        retain_on_delete=request.retainOnDelete,
        deleted_with=request.deletedWith,
        ignore_changes=tuple(request.ignoreChanges),
        delete_timeout_s=seconds(request.customTimeouts.delete, urn),
    )


def read_object(request: Any, resource: Resource, provider: KubernetesProvider) -> Declared:
    """An object of Kubernetes; raises `BadInput` for unsupported types, and for a name that is left open."""
    tree = _complete(request, resource.urn, provider)
    manifest = without_string_data(reveal(tree))
    for path in resource.ignore_changes:
        parse_path(path)
    return Declared(
        resource=replace(
            resource,
            identity=identity_of(provider.cluster, manifest),
            connection=provider.connection,
            api_version=manifest["apiVersion"],
            manifest=manifest,
            hidden=_hidden(request, tree),
        ),
        tree=tree,
        create_timeout_s=seconds(request.customTimeouts.create, resource.urn),
        update_timeout_s=seconds(request.customTimeouts.update, resource.urn),
        mutable=provider.mutable.get(manifest["kind"], True),
    )


def _complete(request: Any, urn: str, provider: KubernetesProvider) -> dict[str, Tree]:
    """The manifest with its kind and namespace; `status` is not for us to declare."""
    kind = kind_of(request.type)
    tree = {name: value for name, value in decode(request.object).items() if name != "status" and value is not None}
    named = {"apiVersion": kind.api_version, "kind": kind.kind}
    if {name: tree.get(name, value) for name, value in named.items()} != named:
        raise BadInput(f"apiVersion and kind do not fit the type {request.type}", where=urn)
    metadata = reveal(tree.get("metadata") or {})
    _check_name(metadata, urn)
    if _is_built_in(kind.group) and (kind.group, kind.kind) not in _CLUSTER_SCOPED:
        metadata = {"namespace": provider.namespace} | metadata
    return named | tree | {"metadata": _keep_marks(tree.get("metadata"), metadata)}


def _is_built_in(group: str) -> bool:
    return "." not in group or group.endswith(".k8s.io")


def _keep_marks(before: Tree, metadata: dict[str, Tree]) -> dict[str, Tree]:
    """Metadata with marks of secrets where they were within, such as in an annotation."""
    return {**metadata, **before, "name": metadata["name"]} if isinstance(before, dict) else metadata


def _check_name(metadata: Any, urn: str) -> None:
    if not isinstance(metadata, dict) or has_unknown([metadata.get("name"), metadata.get("namespace")]):
        raise BadInput("the object's name or namespace is not known before the update", where=f"{urn}, metadata")
    if not metadata.get("name"):
        what = "generateName" if metadata.get("generateName") else "an object without a name (autonaming)"
        raise BadInput(
            f"the local engine does not support {what}",
            where=f"{urn}, metadata.name",
            fix="Give the object an explicit metadata.name",
        )


def _provider_urns(request: Any) -> set[str]:
    references = [request.provider, *request.providers.values()]
    return {reference.rpartition("::")[0] for reference in references if reference}


def _hidden(request: Any, tree: Tree) -> tuple[Path, ...]:
    return (*sorted(secret_paths(tree), key=repr), *(parse_path(path) for path in request.hideDiffs))
