"""The pods of a service: what they run, what they are told, and how they end without losing a request.

A pod that ends sleeps first (`preStop`), while every node learns that requests go elsewhere; only then its process is
told, still takes what comes for `drain`, and has `grace` for what runs. The grace period of the pod is longer than all
three together.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from components import labels, model, pods
from components.images import Image

_END_MARGIN_S = 5  # for the process to leave once it is done
_TMP_SIZE = "64Mi"
_PROBE_TIMEOUT_S = 3  # a busy machine answers late, which is no reason to take a pod away


@dataclass(frozen=True)
class ServicePods:
    """The pods of one Deployment of a service: those of its release, or the control `beside` it.

    `version` is the ConfigMap that holds the image's tag.
    """

    service: str
    namespace: str
    shape: model.Service
    image: Image
    version: str
    beside: Image | None = None

    @property
    def track(self) -> str:
        """What tells these pods from the other ones of the service."""
        return labels.TRACK_CONTROL if self.beside else labels.TRACK_RELEASE

    def template(self) -> k8s.core.v1.PodTemplateSpecArgs:
        """The pod template of the Deployment."""
        rollout = self.shape.rollout
        running_labels: dict[str, pulumi.Input[str]] = {
            **labels.of_service(self.service, self.namespace),
            labels.TRACK: self.track,
            labels.RELEASE: self.image.release,
        }
        if self.beside:
            running_labels[labels.BESIDE] = self.beside.release
        volumes = [
            k8s.core.v1.VolumeArgs(name="tmp", empty_dir=k8s.core.v1.EmptyDirVolumeSourceArgs(size_limit=_TMP_SIZE))
        ]
        if self.shape.config:
            source = k8s.core.v1.ConfigMapVolumeSourceArgs(name=f"{self.service}-config")
            volumes.append(k8s.core.v1.VolumeArgs(name="config", config_map=source))
        return k8s.core.v1.PodTemplateSpecArgs(
            metadata=k8s.meta.v1.ObjectMetaArgs(labels=running_labels, annotations=self._hashes()),
            spec=k8s.core.v1.PodSpecArgs(
                service_account_name=self.service,
                automount_service_account_token=False,
                # A Service called `port` would set PORT, by which a process is told where to listen.
                enable_service_links=False,
                security_context=pods.pod_security(),
                termination_grace_period_seconds=rollout.pre_stop_seconds
                + rollout.drain_seconds
                + rollout.grace_seconds
                + _END_MARGIN_S,
                topology_spread_constraints=[
                    self._spread("kubernetes.io/hostname"),
                    self._spread("topology.kubernetes.io/zone"),
                ],
                containers=[self._container()],
                volumes=volumes,
            ),
        )

    def _container(self) -> k8s.core.v1.ContainerArgs:
        shape, probes = self.shape, self.shape.probes
        mounts = [k8s.core.v1.VolumeMountArgs(name="tmp", mount_path="/tmp")]  # noqa: S108 - in a container of its own
        if self.shape.config:
            mounts.append(k8s.core.v1.VolumeMountArgs(name="config", mount_path=shape.config_path, read_only=True))
        return k8s.core.v1.ContainerArgs(
            name=self.service,
            image=self.image.reference,
            image_pull_policy="IfNotPresent",
            ports=[k8s.core.v1.ContainerPortArgs(name="http", container_port=shape.port, protocol="TCP")],
            env=self._variables(),
            resources=pods.resources(
                cpu=shape.resources.cpu, memory=shape.resources.memory, memory_limit=shape.resources.memory_limit
            ),
            security_context=pods.container_security(),
            startup_probe=_probe(probes.startup, period=1, failures=probes.startup_seconds),
            readiness_probe=_probe(probes.readiness, period=probes.readiness_period_seconds, failures=3),
            liveness_probe=_probe(probes.liveness, period=probes.liveness_period_seconds, failures=3),
            lifecycle=k8s.core.v1.LifecycleArgs(
                pre_stop=k8s.core.v1.LifecycleHandlerArgs(
                    sleep=k8s.core.v1.SleepActionArgs(seconds=shape.rollout.pre_stop_seconds)
                )
            ),
            volume_mounts=mounts,
        )

    def _variables(self) -> list[k8s.core.v1.EnvVarArgs]:
        rollout, image = self.shape.rollout, self.image
        plain: dict[str, pulumi.Input[str]] = {
            "SLIPWAY_RELEASE": image.release,
            "SLIPWAY_ENVIRONMENT": self.namespace,
            "PORT": str(self.shape.port),
            "DRAIN_SECONDS": str(rollout.drain_seconds),
            "GRACE_SECONDS": str(rollout.grace_seconds),
            **self.shape.env,
        }
        variables = [k8s.core.v1.EnvVarArgs(name=name, value=value) for name, value in plain.items()]
        version = k8s.core.v1.ConfigMapKeySelectorArgs(name=self.version, key="version")
        source = k8s.core.v1.EnvVarSourceArgs(config_map_key_ref=version)
        variables.append(k8s.core.v1.EnvVarArgs(name="SLIPWAY_VERSION", value_from=source))
        for name in self.shape.secrets:
            key = k8s.core.v1.SecretKeySelectorArgs(name=f"{self.service}-secrets", key=name)
            source = k8s.core.v1.EnvVarSourceArgs(secret_key_ref=key)
            variables.append(k8s.core.v1.EnvVarArgs(name=name, value_from=source))
        return variables

    def _hashes(self) -> dict[str, pulumi.Input[str]] | None:
        """Names the configuration that the pods start with, so that they start anew with another one."""
        found: dict[str, pulumi.Input[str]] = {}
        if self.shape.config:
            found[labels.CONFIG_HASH] = pods.hash_of(self.shape.config)
        if self.shape.secrets:
            salt = f"{self.namespace}/{self.service}"
            together = pulumi.Output.json_dumps({name: text.output() for name, text in self.shape.secrets.items()})
            found[f"{labels.CONFIG_HASH}-secrets"] = together.apply(lambda text: pods.hash_of_secret(text, salt=salt))
        return found or None

    def _spread(self, topology: str) -> k8s.core.v1.TopologySpreadConstraintArgs:
        """Evenly over nodes and zones, for each release by itself; never a reason not to run."""
        return k8s.core.v1.TopologySpreadConstraintArgs(
            topology_key=topology,
            max_skew=1,
            when_unsatisfiable="ScheduleAnyway",
            label_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=labels.selector(self.service, "service")),
            match_label_keys=["pod-template-hash"],
        )


def _probe(path: str, *, period: int, failures: int) -> k8s.core.v1.ProbeArgs:
    return k8s.core.v1.ProbeArgs(
        http_get=k8s.core.v1.HTTPGetActionArgs(path=path, port="http", scheme="HTTP"),
        period_seconds=period,
        timeout_seconds=_PROBE_TIMEOUT_S,
        failure_threshold=failures,
        success_threshold=1,
    )
