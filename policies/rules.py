"""What every declared object must obey, as sentences about the ones that do not.

Admission in the cluster enforces a part of this (Pod Security `restricted`), but only once pods are made: a Deployment
that breaks it is accepted, and its pods never come. Here a broken rule stops an update before anything is changed, with
both engines alike: `violations` is called by the local engine for each object of its plan, and by the policy pack
(`policies/__main__.py`) under the Pulumi CLI.

Each rule is a function from an object to sentences; `RULES` lists them. Values that only an update will bring are text
that no rule knows, so that a rule must not take a field it cannot read for a broken one where that is right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Manifest = Mapping[str, Any]
Rule = Callable[[Manifest], Iterator[str]]

SERVICE_LABEL = "slipway.dev/environment"
"""On the pods of a delivered service: the environment it runs in."""
TOKEN_REASON = "slipway.dev/needs-api-token"  # noqa: S105 - the name of an annotation
"""On pods that talk to the API server: the reason why, without which no token may be mounted."""
NETWORK_REASON = "slipway.dev/needs-host-network"
"""On pods of `AGENTS` that share the node's network: the reason why."""
ROOT_REASON = "slipway.dev/needs-root"
"""On pods of `AGENTS` that run as root, with no right of root's but to read any file: the reason why."""
AGENTS = "monitoring-agents"
"""The one namespace whose pods may read their node's files, and see its network."""
AGENTS_FOLDER = "/var/lib/slipway-collector"
"""The one folder of a node that they may write to."""
LABELS = ("app.kubernetes.io/name", "app.kubernetes.io/part-of", "app.kubernetes.io/managed-by")

_POD_TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
_LABELLED = frozenset({*_POD_TEMPLATES, "Service", "Ingress", "PodDisruptionBudget", "HorizontalPodAutoscaler"})
_NAMESPACED = frozenset(
    {*_LABELLED, "ConfigMap", "LimitRange", "PersistentVolumeClaim", "ResourceQuota", "Role", "RoleBinding", "Secret"}
    | {"NetworkPolicy", "ServiceAccount"}
)
_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
_VERSION_TAG = re.compile(r".+:v?\d+\.\d+(\.\d+)?([-.+_][A-Za-z0-9_.-]+)?")
_SECCOMP = ("RuntimeDefault", "Localhost")
# https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
_VOLUMES = frozenset({"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image"}) | {
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def violations(manifest: Manifest) -> list[str]:
    """What `manifest` breaks, a sentence a rule and place; empty if it obeys them all."""
    return [sentence for rule in RULES for sentence in rule(manifest)]


def has_own_namespace(manifest: Manifest) -> Iterator[str]:
    """Objects lie in a namespace of ours: `default` is nobody's, and `kube-…` are the cluster's."""
    namespace = _at(manifest, "metadata", "namespace") or ("default" if manifest.get("kind") in _NAMESPACED else "")
    if namespace == "default" or str(namespace).startswith("kube-"):
        yield f"the namespace {namespace} is not ours: name one that this platform declares"


def is_labelled(manifest: Manifest) -> Iterator[str]:
    """What runs or is reached carries the standard labels, by which people and dashboards find it."""
    if manifest.get("kind") not in _LABELLED:
        return
    labels = _at(manifest, "metadata", "labels") or {}
    if missing := [label for label in LABELS if not labels.get(label)]:
        yield f"the label {' and '.join(missing)} is missing"


def selects_without_version(manifest: Manifest) -> Iterator[str]:
    """A selector cannot change, so it names nothing that a release changes."""
    match = _at(manifest, "spec", "selector", "matchLabels")
    for label in ("app.kubernetes.io/version", "slipway.dev/release"):
        if isinstance(match, Mapping) and label in match:
            yield f"the selector holds {label}, which each release changes, and selectors cannot change"


def runs_unprivileged(manifest: Manifest) -> Iterator[str]:
    """Pod Security `restricted`, for the pod and each of its containers; agents may see their node, not change it."""
    for pod in _pods(manifest):
        spec = pod.get("spec") or {}
        is_agent = _at(manifest, "metadata", "namespace") == AGENTS
        reason = _at(pod, "metadata", "annotations", NETWORK_REASON)
        for field in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(field) is True and not (field == "hostNetwork" and is_agent and reason):
                yield f"{field} is on: pods keep out of the node's own namespaces"
        for volume in _items(spec, "volumes"):
            foreign = sorted(set(volume) - _VOLUMES - {"name"})
            if foreign and not (is_agent and foreign == ["hostPath"] and _leaves_the_node_alone(spec, volume)):
                yield f"the volume {volume.get('name')} is a {foreign[0]}: only storage made for pods is mounted"
        for container in _containers(spec):
            reads_all = is_agent and bool(_at(pod, "metadata", "annotations", ROOT_REASON))
            yield from _unprivileged(container, spec.get("securityContext") or {}, reads_all=reads_all)


def _unprivileged(container: Manifest, pod: Manifest, *, reads_all: bool) -> Iterator[str]:
    own = container.get("securityContext") or {}
    name = f"the container {container.get('name')}"
    is_named = own.get("runAsNonRoot", pod.get("runAsNonRoot")) is True
    if not reads_all and (not is_named or 0 in (own.get("runAsUser"), pod.get("runAsUser"))):
        yield f"{name} may run as root: set runAsNonRoot to true, and no runAsUser 0"
    if own.get("privileged") is True or own.get("allowPrivilegeEscalation") is not False:
        yield f"{name} may gain privileges: set allowPrivilegeEscalation to false"
    if "ALL" not in (_at(own, "capabilities", "drop") or ()):
        yield f"{name} keeps capabilities: drop ALL"
    reading = {"DAC_READ_SEARCH"} if reads_all else set()
    if added := sorted(set(_at(own, "capabilities", "add") or ()) - {"NET_BIND_SERVICE"} - reading):
        yield f"{name} adds the capability {added[0]}"
    profile = _at(own, "seccompProfile", "type") or _at(pod, "seccompProfile", "type")
    if profile not in _SECCOMP:
        yield f"{name} has no seccomp profile: set seccompProfile.type to RuntimeDefault"
    if any(port.get("hostPort") for port in _items(container, "ports")):
        yield f"{name} takes a port of the node: make a Service for it"


def cannot_write_its_image(manifest: Manifest) -> Iterator[str]:
    """What an intruder cannot write does not stay; what a program must write goes to a volume."""
    for container in _all_containers(manifest):
        if _at(container, "securityContext", "readOnlyRootFilesystem") is not True:
            yield f"the container {container.get('name')} may write its root file system: set readOnlyRootFilesystem"


def bounds_its_resources(manifest: Manifest) -> Iterator[str]:
    """Requests let the scheduler plan; a memory limit keeps one leak from taking the node's other pods along.

    A CPU limit is not asked for: it slows a pod down while the node is idle.
    """
    for container in _all_containers(manifest):
        for path in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
            if not _at(container, "resources", *path):
                yield f"the container {container.get('name')} names no resources.{'.'.join(path)}"


def names_its_image_exactly(manifest: Manifest) -> Iterator[str]:
    """A service's image is named by digest; one of the platform by digest or by a version (`registry:3.0.0`).

    Anything else, `latest` first of all, may be another program tomorrow.
    """
    for pod in _pods(manifest):
        is_service = SERVICE_LABEL in (_at(pod, "metadata", "labels") or {})
        for container in _containers(pod.get("spec") or {}):
            image = str(container.get("image") or "")
            if _DIGEST.fullmatch(image) or image == "unknown" or (not is_service and _VERSION_TAG.fullmatch(image)):
                continue
            allowed = "a digest, name@sha256:…" if is_service else "a digest, or a version as the tag"
            yield f"the container {container.get('name')} takes the image {image!r}: name it by {allowed}"


def mounts_no_token(manifest: Manifest) -> Iterator[str]:
    """Pods get no credentials for the API server unless an annotation says what for."""
    for pod in _pods(manifest):
        reason = (_at(pod, "metadata", "annotations") or {}).get(TOKEN_REASON)
        if _at(pod, "spec", "automountServiceAccountToken") is not False and not reason:
            yield (
                "the pod gets a token for the API server: set automountServiceAccountToken to false, "
                f"or say what for in the annotation {TOKEN_REASON}"
            )


def updates_without_loss(manifest: Manifest) -> Iterator[str]:
    """A service's Deployment takes no pod away before the next one is ready, and knows when it is."""
    template = _at(manifest, "spec", "template") or {}
    if manifest.get("kind") != "Deployment" or SERVICE_LABEL not in (_at(template, "metadata", "labels") or {}):
        return
    if _at(manifest, "spec", "strategy", "type") == "Recreate":
        yield "the strategy Recreate ends every pod before the first new one starts: use RollingUpdate"
    elif _at(manifest, "spec", "strategy", "rollingUpdate", "maxUnavailable") not in (0, "0", "0%"):
        yield "a rolling update may take pods away before others are ready: set maxUnavailable to 0"
    for container in _items(template.get("spec") or {}, "containers"):
        if not container.get("readinessProbe"):
            yield f"the container {container.get('name')} has no readinessProbe: an update cannot know when it serves"


RULES: tuple[Rule, ...] = (
    has_own_namespace,
    is_labelled,
    selects_without_version,
    runs_unprivileged,
    cannot_write_its_image,
    bounds_its_resources,
    names_its_image_exactly,
    mounts_no_token,
    updates_without_loss,
)


def _leaves_the_node_alone(spec: Manifest, volume: Manifest) -> bool:
    """Whether a folder of the node is mounted to be read only, or is the one that is there for agents to write to."""
    if _at(volume, "hostPath", "path") == AGENTS_FOLDER:
        return True
    mounts = [m for container in _containers(spec) for m in _items(container, "volumeMounts")]
    return all(mount.get("readOnly") is True for mount in mounts if mount.get("name") == volume.get("name"))


def _pods(manifest: Manifest) -> Iterator[Manifest]:
    """The pod, or the template of pods, that an object declares."""
    path = _POD_TEMPLATES.get(str(manifest.get("kind")))
    if path is not None:
        pod = _at(manifest, *path)
        yield pod if isinstance(pod, Mapping) else {}


def _all_containers(manifest: Manifest) -> Iterator[Manifest]:
    for pod in _pods(manifest):
        yield from _containers(pod.get("spec") or {})


def _containers(spec: Manifest) -> Iterator[Manifest]:
    for field in ("initContainers", "containers"):
        yield from _items(spec, field)


def _items(value: Manifest, field: str) -> list[Manifest]:
    found = value.get(field)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list | tuple) else []


def _at(value: Any, *path: str) -> Any:
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value
