"""A service in an environment: pods that are replaced one after the other without a lost request.

How an update loses nothing. No pod is taken away before another one is ready (`maxUnavailable: 0`). A pod that ends
sleeps first (`preStop`), while every node learns that requests go elsewhere; only then its process is told, still takes
what comes for `drain`, and has `grace` for what runs. The grace period of the pod is longer than all three together.
An update that makes no progress has failed at its deadline, and what waits for it gives up just after.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from components import labels, model, pods
from components.environment import Environment
from components.images import Image
from components.monitoring import slo
from components.monitoring.names import RULES_LABEL

_PORT = 80
_END_MARGIN_S = 5  # for the process to leave once it is done
_TIMEOUT_MARGIN_S = 30  # pulumi-kubernetes waits on after the progress deadline: a deadline's own message should win
_TMP_SIZE = "64Mi"
_PROBE_TIMEOUT_S = 3  # a busy machine answers late, which is no reason to take a pod away


@dataclass(frozen=True)
class ServiceArgs:
    """What runs (`image`), in what shape, and where."""

    shape: model.Service
    image: Image
    environment: Environment
    namespace: str


class Service(pulumi.ComponentResource):
    """Its children are attributes; those that the shape does not ask for are None. `address` is within the cluster."""

    version: k8s.core.v1.ConfigMap
    config: k8s.core.v1.ConfigMap | None
    secret: k8s.core.v1.Secret | None
    deployment: k8s.apps.v1.Deployment
    service: k8s.core.v1.Service
    disruption_budget: k8s.policy.v1.PodDisruptionBudget
    autoscaler: k8s.autoscaling.v2.HorizontalPodAutoscaler | None
    ingress: k8s.networking.v1.Ingress | None
    objectives: k8s.core.v1.ConfigMap | None
    address: str

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:Service", name, None, opts)
        self._name, self._args, self._shape = name, args, args.shape
        self.address = f"http://{name}.{args.namespace}"
        self.version = self._create_version()
        self.config = self._create_config()
        self.secret = self._create_secret()
        self.deployment = self._create_deployment()
        self.service = self._create_service()
        self.disruption_budget = self._create_disruption_budget()
        self.autoscaler = self._create_autoscaler()
        self.ingress = self._create_ingress()
        self.objectives = self._create_objectives()
        self.register_outputs({"address": self.address, "image": args.image.reference})

    def _create_version(self) -> k8s.core.v1.ConfigMap:
        """The tag, outside the pod template: giving the same digest another tag restarts nothing."""
        return k8s.core.v1.ConfigMap(
            f"{self._name}-version",
            metadata=self._metadata("version"),
            data={"version": self._args.image.version},
            opts=self._inside(),
        )

    def _create_config(self) -> k8s.core.v1.ConfigMap | None:
        if not self._shape.config:
            return None
        return k8s.core.v1.ConfigMap(
            f"{self._name}-config", metadata=self._metadata("config"), data=self._shape.config, opts=self._inside()
        )

    def _create_secret(self) -> k8s.core.v1.Secret | None:
        if not self._shape.secrets:
            return None
        return k8s.core.v1.Secret(
            f"{self._name}-secrets",
            metadata=self._metadata("secrets"),
            type="Opaque",
            string_data={key: secret.output() for key, secret in self._shape.secrets.items()},
            opts=self._inside(),
        )

    def _create_deployment(self) -> k8s.apps.v1.Deployment:
        rollout, is_scaled = self._shape.rollout, self._shape.autoscaling is not None
        timeout = f"{rollout.progress_deadline_seconds + _TIMEOUT_MARGIN_S}s"
        return k8s.apps.v1.Deployment(
            self._name,
            metadata=self._metadata(),
            spec=k8s.apps.v1.DeploymentSpecArgs(
                replicas=self._shape.replicas,
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=self._selector() | {labels.TRACK: "release"}),
                strategy=k8s.apps.v1.DeploymentStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=k8s.apps.v1.RollingUpdateDeploymentArgs(
                        max_unavailable=0, max_surge=_number_or_percentage(rollout.surge)
                    ),
                ),
                min_ready_seconds=rollout.min_ready_seconds,
                progress_deadline_seconds=rollout.progress_deadline_seconds,
                revision_history_limit=5,
                template=self._pod(),
            ),
            opts=pulumi.ResourceOptions.merge(
                self._inside(),
                pulumi.ResourceOptions(
                    depends_on=[child for child in (self.version, self.config, self.secret) if child],
                    custom_timeouts=pulumi.CustomTimeouts(create=timeout, update=timeout),
                    # The autoscaler's to say, from the moment it is there: sending ours would take its pods away.
                    ignore_changes=["spec.replicas"] if is_scaled else None,
                ),
            ),
        )

    def _create_service(self) -> k8s.core.v1.Service:
        return k8s.core.v1.Service(
            self._name,
            metadata=self._metadata(),
            spec=k8s.core.v1.ServiceSpecArgs(
                type="ClusterIP",
                selector=self._selector(),
                ports=[
                    k8s.core.v1.ServicePortArgs(
                        name="http", port=_PORT, target_port="http", protocol="TCP", app_protocol="http"
                    )
                ],
            ),
            opts=self._inside(),
        )

    def _create_disruption_budget(self) -> k8s.policy.v1.PodDisruptionBudget:
        """One pod at a time may be evicted, of a single one that one: a budget of none would hold a drain for ever.

        Pods that are not ready serve nobody and never stand in a drain's way.
        """
        return k8s.policy.v1.PodDisruptionBudget(
            self._name,
            metadata=self._metadata(),
            spec=k8s.policy.v1.PodDisruptionBudgetSpecArgs(
                max_unavailable=1,
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=self._selector()),
                unhealthy_pod_eviction_policy="AlwaysAllow",
            ),
            opts=self._inside(),
        )

    def _create_autoscaler(self) -> k8s.autoscaling.v2.HorizontalPodAutoscaler | None:
        """It never goes below the declared number, so that switching it on takes no pod away."""
        if (autoscaling := self._shape.autoscaling) is None:
            return None
        cpu = k8s.autoscaling.v2.MetricTargetArgs(type="Utilization", average_utilization=autoscaling.cpu_percent)
        return k8s.autoscaling.v2.HorizontalPodAutoscaler(
            self._name,
            metadata=self._metadata(),
            spec=k8s.autoscaling.v2.HorizontalPodAutoscalerSpecArgs(
                scale_target_ref=k8s.autoscaling.v2.CrossVersionObjectReferenceArgs(
                    api_version="apps/v1", kind="Deployment", name=self._name
                ),
                min_replicas=self._shape.replicas,
                max_replicas=autoscaling.max_replicas,
                metrics=[
                    k8s.autoscaling.v2.MetricSpecArgs(
                        type="Resource", resource=k8s.autoscaling.v2.ResourceMetricSourceArgs(name="cpu", target=cpu)
                    )
                ],
            ),
            opts=pulumi.ResourceOptions.merge(self._inside(), pulumi.ResourceOptions(depends_on=[self.deployment])),
        )

    def _create_ingress(self) -> k8s.networking.v1.Ingress | None:
        if (ingress := self._shape.ingress) is None:
            return None
        backend = k8s.networking.v1.IngressBackendArgs(
            service=k8s.networking.v1.IngressServiceBackendArgs(
                name=self._name, port=k8s.networking.v1.ServiceBackendPortArgs(name="http")
            )
        )
        path = k8s.networking.v1.HTTPIngressPathArgs(path=ingress.path, path_type="Prefix", backend=backend)
        # Not every controller reports an address; without one an update would wait for ten minutes.
        annotations = {labels.SKIP_AWAIT: "true"} | ingress.annotations
        return k8s.networking.v1.Ingress(
            self._name,
            metadata=self._metadata(annotations=annotations),
            spec=k8s.networking.v1.IngressSpecArgs(
                ingress_class_name=ingress.class_name,
                rules=[
                    k8s.networking.v1.IngressRuleArgs(
                        host=ingress.host, http=k8s.networking.v1.HTTPIngressRuleValueArgs(paths=[path])
                    )
                ],
                tls=[k8s.networking.v1.IngressTLSArgs(hosts=[ingress.host], secret_name=ingress.tls_secret)]
                if ingress.tls_secret
                else None,
            ),
            opts=self._inside(),
        )

    def _create_objectives(self) -> k8s.core.v1.ConfigMap | None:
        """Rules for Prometheus, which finds them by their label; in the environment, so that they move with it."""
        if (objectives := self._shape.objectives) is None:
            return None
        namespace = self._args.namespace
        # Prometheus keeps the files of all environments in one folder.
        file = f"{namespace}-{self._name}-objectives.yaml"
        return k8s.core.v1.ConfigMap(
            f"{self._name}-objectives",
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=f"{self._name}-objectives",
                namespace=namespace,
                labels=self._labels() | {RULES_LABEL: "true"},
            ),
            data={file: slo.rules_of(namespace, self._name, objectives)},
            opts=self._inside(),
        )

    def _pod(self) -> k8s.core.v1.PodTemplateSpecArgs:
        rollout = self._shape.rollout
        running_labels: dict[str, pulumi.Input[str]] = {
            **self._labels(),
            labels.TRACK: "release",
            labels.RELEASE: self._args.image.release,
        }
        volumes = [
            k8s.core.v1.VolumeArgs(name="tmp", empty_dir=k8s.core.v1.EmptyDirVolumeSourceArgs(size_limit=_TMP_SIZE))
        ]
        if self.config:
            source = k8s.core.v1.ConfigMapVolumeSourceArgs(name=f"{self._name}-config")
            volumes.append(k8s.core.v1.VolumeArgs(name="config", config_map=source))
        return k8s.core.v1.PodTemplateSpecArgs(
            metadata=k8s.meta.v1.ObjectMetaArgs(labels=running_labels, annotations=self._hashes()),
            spec=k8s.core.v1.PodSpecArgs(
                service_account_name=self._name,
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
        shape, probes = self._shape, self._shape.probes
        mounts = [k8s.core.v1.VolumeMountArgs(name="tmp", mount_path="/tmp")]  # noqa: S108 - in a container of its own
        if self.config:
            mounts.append(k8s.core.v1.VolumeMountArgs(name="config", mount_path=shape.config_path, read_only=True))
        return k8s.core.v1.ContainerArgs(
            name=self._name,
            image=self._args.image.reference,
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
        rollout, image = self._shape.rollout, self._args.image
        plain: dict[str, pulumi.Input[str]] = {
            "SLIPWAY_RELEASE": image.release,
            "SLIPWAY_ENVIRONMENT": self._args.namespace,
            "PORT": str(self._shape.port),
            "DRAIN_SECONDS": str(rollout.drain_seconds),
            "GRACE_SECONDS": str(rollout.grace_seconds),
            **self._shape.env,
        }
        variables = [k8s.core.v1.EnvVarArgs(name=name, value=value) for name, value in plain.items()]
        version = k8s.core.v1.ConfigMapKeySelectorArgs(name=f"{self._name}-version", key="version")
        source = k8s.core.v1.EnvVarSourceArgs(config_map_key_ref=version)
        variables.append(k8s.core.v1.EnvVarArgs(name="SLIPWAY_VERSION", value_from=source))
        for name in self._shape.secrets:
            key = k8s.core.v1.SecretKeySelectorArgs(name=f"{self._name}-secrets", key=name)
            source = k8s.core.v1.EnvVarSourceArgs(secret_key_ref=key)
            variables.append(k8s.core.v1.EnvVarArgs(name=name, value_from=source))
        return variables

    def _hashes(self) -> dict[str, pulumi.Input[str]] | None:
        """Names the configuration that the pods start with, so that they start anew with another one."""
        found: dict[str, pulumi.Input[str]] = {}
        if self._shape.config:
            found[labels.CONFIG_HASH] = pods.hash_of(self._shape.config)
        if self._shape.secrets:
            salt = f"{self._args.namespace}/{self._name}"
            together = pulumi.Output.json_dumps({name: text.output() for name, text in self._shape.secrets.items()})
            found[f"{labels.CONFIG_HASH}-secrets"] = together.apply(lambda text: pods.hash_of_secret(text, salt=salt))
        return found or None

    def _spread(self, topology: str) -> k8s.core.v1.TopologySpreadConstraintArgs:
        """Evenly over nodes and zones, for each release by itself; never a reason not to run."""
        return k8s.core.v1.TopologySpreadConstraintArgs(
            topology_key=topology,
            max_skew=1,
            when_unsatisfiable="ScheduleAnyway",
            label_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=self._selector()),
            match_label_keys=["pod-template-hash"],
        )

    def _selector(self) -> dict[str, str]:
        return labels.selector(self._name, "service")

    def _labels(self) -> dict[str, str]:
        return labels.standard(self._name, "service") | {labels.ENVIRONMENT: self._args.namespace}

    def _metadata(self, suffix: str = "", *, annotations: dict[str, str] | None = None) -> k8s.meta.v1.ObjectMetaArgs:
        name = f"{self._name}-{suffix}" if suffix else self._name
        return k8s.meta.v1.ObjectMetaArgs(
            name=name, namespace=self._args.namespace, labels=self._labels(), annotations=annotations
        )

    def _inside(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=[self._args.environment])


def _probe(path: str, *, period: int, failures: int) -> k8s.core.v1.ProbeArgs:
    return k8s.core.v1.ProbeArgs(
        http_get=k8s.core.v1.HTTPGetActionArgs(path=path, port="http", scheme="HTTP"),
        period_seconds=period,
        timeout_seconds=_PROBE_TIMEOUT_S,
        failure_threshold=failures,
        success_threshold=1,
    )


def _number_or_percentage(text: str) -> int | str:
    return text if text.endswith("%") else int(text)
