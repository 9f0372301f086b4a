"""What an environment runs, as its cluster has it: read before and after something is said of a release."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from adapters.errors import Drifted
from adapters.kubernetes import JsonObject, Kubernetes
from adapters.registry import Reference, parse_reference
from components.settings import ClusterSettings, EnvironmentSettings
from delivery.images import RELEASE_DIGITS

_REVISION = "deployment.kubernetes.io/revision"
_SETTLES_S = 10.0


@dataclass(frozen=True)
class RunningService:
    """A service whose pods are all of one template. Two that are equal had no rollout between them.

    `rollout` names the Deployment and its revision, which grows also when an earlier template comes back; `since` is
    when that rollout was complete. `image` is as the stack file names it, with the digest that runs.
    """

    digest: str
    rollout: str
    since: datetime = field(compare=False)
    image: str = field(default="", compare=False)

    @property
    def release(self) -> str:
        """What it calls itself: the first digits of its digest."""
        return self.digest.removeprefix("sha256:")[:RELEASE_DIGITS]


def connect(settings: ClusterSettings) -> Kubernetes:
    """A client of the stack's cluster."""
    return Kubernetes.connect(kubeconfig=settings.kubeconfig, context=settings.cluster.context)


def running_services(kube: Kubernetes, settings: EnvironmentSettings) -> dict[str, RunningService]:
    """The services of an environment by name.

    Raises `Drifted` where one is not there, runs another image than its stack file names, or is just being rolled out.
    """
    return {service: _running(kube, settings, service) for service in settings.services}


def _running(kube: Kubernetes, settings: EnvironmentSettings, service: str) -> RunningService:
    deployment = kube.get("apps/v1", "Deployment", service, settings.stack)
    if deployment is None:
        raise _unlike(settings, f"the service {service} does not run in {settings.stack}")
    containers = deployment["spec"]["template"]["spec"]["containers"]
    image = next((each["image"] for each in containers if each["name"] == service), "")
    digest = parse_reference(image).digest if image else None
    if digest is None:
        raise _unlike(settings, f"the service {service} runs in {settings.stack} by no digest ({image or 'no image'})")
    named = settings.images.get(service)
    if named is None or named.digest not in (None, digest):
        raise _unlike(settings, f"{settings.stack} runs {digest} as {service}, its file names {named or 'none'}")
    since = _rolled_out_at(deployment) or _settled(kube, settings.stack, service)
    if since is None:
        raise Drifted(
            f"the service {service} is just being rolled out in {settings.stack}",
            fix="Try again when that is done; `slipway status` shows what runs",
        )
    metadata = deployment["metadata"]
    rollout = f"{metadata['uid']}/{metadata.get('annotations', {}).get(_REVISION)}"
    return RunningService(digest, rollout, since, str(Reference(named.name, named.tag, digest)))


def _settled(kube: Kubernetes, namespace: str, service: str) -> datetime | None:
    """When the rollout was complete, once it is; None if that takes longer than a moment.

    An update that has just ended has seen its pods ready; the Deployment's own word for it may come a moment later.
    """
    for _, deployment in kube.watch("apps/v1", "Deployment", namespace, name=service, timeout_s=_SETTLES_S):
        if (since := _rolled_out_at(deployment)) is not None:
            return since
    return None


def _rolled_out_at(deployment: JsonObject) -> datetime | None:
    """When the last rollout was complete, None if it is not.

    The condition's time is that of its last rollout: adding and taking away pods of the same template leaves it alone
    (https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#complete-deployment).
    """
    status = deployment.get("status", {})
    is_seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    if not is_seen or status.get("replicas", 0) != status.get("updatedReplicas", 0):
        return None
    conditions: dict[str, JsonObject] = {each["type"]: each for each in status.get("conditions", ())}
    progress = conditions.get("Progressing", {})
    if progress.get("reason") != "NewReplicaSetAvailable":
        return None
    return datetime.fromisoformat(progress["lastUpdateTime"]).astimezone(UTC)


def _unlike(settings: EnvironmentSettings, what: str) -> Drifted:
    return Drifted(what, fix=f"Bring it there with `slipway up {settings.stack}`")
