"""A service's pre-deploy command: a Job with the new image, run to its end before any of the service's pods changes.

It is not declared: a Job runs once, at a moment that only a promotion knows, while all that is declared is applied
together. It starts as the service's pods do: same namespace, user, environment variables, and secrets and files as they
are in the cluster at that moment. It is never tried again. While it runs, the earlier release serves.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adapters.errors import BadInput, SlipwayError
from adapters.kubernetes import JsonObject, Kubernetes, KubernetesError
from adapters.registry import parse_reference
from components import labels
from components.model import PreDeploy, Service
from components.settings import EnvironmentSettings
from delivery.images import RELEASE_DIGITS

COMPONENT = "pre-deploy"

USER = 65532
POD_SECURITY: Mapping[str, Any] = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""As `components.pods.pod_security`, in plain form: importing the typed one takes longer than all a promotion does."""
CONTAINER_SECURITY: Mapping[str, Any] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
"""As `components.pods.container_security`."""

_KEPT_S = 3600  # a Job that ended is kept for whoever looks into it
_MARGIN_S = 30.0  # the controller tells of a deadline only after it
_LOG_LINES = 40


class PreDeployFailed(SlipwayError):
    """The command failed, or its Job could not run; nothing else was changed."""


def needed(settings: EnvironmentSettings, before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The services that have such a command and get another image."""
    return [
        service
        for service, shape in settings.services.items()
        if shape.pre_deploy and service in after and _digest(before.get(service)) != _digest(after[service])
    ]


def irreversible(settings: EnvironmentSettings, services: Sequence[str]) -> list[str]:
    """Those of them after whose command the release before does not work any more."""
    shapes = settings.services
    return [name for name in services if (command := shapes[name].pre_deploy) and not command.reversible]


def run(kube: Kubernetes, settings: EnvironmentSettings, service: str, image: str, say: Callable[[str], None]) -> None:
    """Run a service's command with `image` and await its end; raises `PreDeployFailed` with the end of its log."""
    command = settings.services[service].pre_deploy
    if command is None:
        return
    if kube.get("v1", "Namespace", settings.stack) is None:
        raise BadInput(
            f"the pre-deploy command of {service} cannot run: there is no namespace {settings.stack} yet",
            fix="Name images by hand in slipway:images and bring the environment up once: "
            f"`slipway up {settings.stack}`",
        )
    job = kube.create(manifest(settings, service, image, secrets.token_hex(4)))
    name = job["metadata"]["name"]
    say(f"pre-deploy of {service}: {' '.join(command.command)} (job {settings.stack}/{name})")
    began = time.monotonic()
    failure = _await(kube, settings.stack, name, command.deadline_seconds + _MARGIN_S)
    if failure is not None:
        log = _log(kube, settings.stack, name)
        raise PreDeployFailed(
            f"the pre-deploy command of {service} failed ({failure}); the end of its log: "
            f"{log or 'it printed nothing'}",
            where=f"Job {settings.stack}/{name}",
        )
    say(f"pre-deploy of {service}: done in {time.monotonic() - began:.1f} s")


def remove(kube: Kubernetes, stack: str) -> None:
    """End what of such commands is left in an environment, such as one whose promotion was cut short."""
    for job in kube.list("batch/v1", "Job", stack, labels=f"{labels.COMPONENT}={COMPONENT}"):
        if not _ended(job):
            kube.delete("batch/v1", "Job", job["metadata"]["name"], stack, uid=job["metadata"]["uid"])


def manifest(settings: EnvironmentSettings, service: str, image: str, token: str) -> JsonObject:
    """The Job; `image` is what `slipway:images` names, `token` tells this run from others."""
    shape, stack = settings.services[service], settings.stack
    reference, command = parse_reference(image), shape.pre_deploy
    if command is None or reference.digest is None:
        raise BadInput(f"a pre-deploy command runs with an image by digest, and {image} of {service} is none")
    ours = labels.standard(service, COMPONENT) | {
        labels.ENVIRONMENT: stack,
        labels.RELEASE: reference.digest.removeprefix("sha256:")[:RELEASE_DIGITS],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"{service}-{COMPONENT}-{token}", "namespace": stack, "labels": ours},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": command.deadline_seconds,
            "ttlSecondsAfterFinished": _KEPT_S,
            "template": {
                "metadata": {"labels": ours},
                "spec": {
                    "restartPolicy": "Never",
                    "serviceAccountName": service,
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "securityContext": dict(POD_SECURITY),
                    "containers": [_container(settings, service, shape, command, image)],
                    "volumes": _volumes(service, shape),
                },
            },
        },
    }


def _container(
    settings: EnvironmentSettings, service: str, shape: Service, command: PreDeploy, image: str
) -> JsonObject:
    reference = parse_reference(image)
    release = str(reference.digest).removeprefix("sha256:")[:RELEASE_DIGITS]
    plain = {
        "SLIPWAY_RELEASE": release,
        "SLIPWAY_VERSION": reference.tag or release,
        "SLIPWAY_ENVIRONMENT": settings.stack,
        **shape.env,
        **command.env,
    }
    variables: list[JsonObject] = [{"name": name, "value": value} for name, value in plain.items()]
    for name in shape.secrets.keys() - command.env.keys():
        key = {"name": f"{service}-secrets", "key": name}
        variables.append({"name": name, "valueFrom": {"secretKeyRef": key}})
    mounts: list[JsonObject] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - in a container of its own
    if shape.config:
        mounts.append({"name": "config", "mountPath": shape.config_path, "readOnly": True})
    return {
        "name": COMPONENT,
        "image": f"{settings.registry.pull}/{reference.name}@{reference.digest}",
        "imagePullPolicy": "IfNotPresent",
        "command": list(command.command),
        "env": variables,
        "resources": {
            "requests": {"cpu": shape.resources.cpu, "memory": shape.resources.memory},
            "limits": {"memory": shape.resources.memory_limit},
        },
        "securityContext": dict(CONTAINER_SECURITY),
        "volumeMounts": mounts,
    }


def _volumes(service: str, shape: Service) -> list[JsonObject]:
    volumes: list[JsonObject] = [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}]
    if shape.config:
        volumes.append({"name": "config", "configMap": {"name": f"{service}-config"}})
    return volumes


def _await(kube: Kubernetes, namespace: str, name: str, timeout_s: float) -> str | None:
    """Why the Job failed, None if it succeeded."""
    for kind, job in kube.watch("batch/v1", "Job", namespace, name=name, timeout_s=timeout_s):
        if kind == "DELETED":
            return "its Job was deleted"
        if (failure := _ended(job)) is not None:
            return failure or None
    return f"it came to no end in {timeout_s:.0f} s"


def _ended(job: JsonObject) -> str | None:
    """None while it runs, the empty text once it succeeded, else why it failed."""
    for condition in job.get("status", {}).get("conditions") or ():
        if condition["status"] == "True" and condition["type"] == "Complete":
            return ""
        if condition["status"] == "True" and condition["type"] == "Failed":
            return f"{condition.get('reason', 'Failed')}: {condition.get('message', '')}".strip(": ")
    return None


def _log(kube: Kubernetes, namespace: str, job: str) -> str:
    """The end of what it printed, or why it did not start."""
    for pod in kube.list("v1", "Pod", namespace, labels=f"batch.kubernetes.io/job-name={job}"):
        statuses = pod.get("status", {}).get("containerStatuses") or [{}]
        waiting = statuses[0].get("state", {}).get("waiting")
        if waiting:
            return f"{waiting.get('reason')}: {waiting.get('message', '')}".strip(": ")
        try:
            return kube.logs(namespace, pod["metadata"]["name"], tail=_LOG_LINES).strip()
        except KubernetesError as error:
            return error.paragraph()
    return ""


def _digest(image: str | None) -> str | None:
    return parse_reference(image).digest if image else None
