"""A service in an environment: pods that are replaced one after the other without a lost request.

How an update loses nothing. No pod is taken away before another one is ready (`maxUnavailable: 0`), and one that ends
takes its time (`service_pods`). An update that makes no progress has failed at its deadline, and what waits for it
gives up just after.

While a release bakes, a control serves beside it: one pod of the release before, in a Deployment of its own. Both are
the Service's, so that requests go to either at the same moments, and neither is the other's Deployment's.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from components import labels, model
from components.environment import Environment
from components.images import Image
from components.monitoring import slo
from components.monitoring.names import RULES_LABEL
from components.service_pods import ServicePods

_PORT = 80
_TIMEOUT_MARGIN_S = 30  # pulumi-kubernetes waits on after the progress deadline: a deadline's own message should win


@dataclass(frozen=True)
class ServiceArgs:
    """What runs (`image`), in what shape, and where; `control` is what one pod runs beside it.

    Alerts name pages at `runbooks`.
    """

    shape: model.Service
    image: Image
    environment: Environment
    namespace: str
    control: Image | None = None
    runbooks: str = model.RUNBOOKS


class Service(pulumi.ComponentResource):
    """Its children are attributes; those that the shape does not ask for are None. `address` is within the cluster."""

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:Service", name, None, opts)
        self._name, self._args, self._shape = name, args, args.shape
        self.address = f"http://{name}.{args.namespace}"
        self.config = self._create_config()
        self.secret = self._create_secret()
        self.deployment = self._create_deployment()
        self.control = self._create_control()
        self.service = self._create_service()
        self.disruption_budget = self._create_disruption_budget()
        self.autoscaler = self._create_autoscaler()
        self.ingress = self._create_ingress()
        self.objectives = self._create_objectives()
        self.register_outputs({"address": self.address, "image": args.image.reference})

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
        # The autoscaler's to say, from the moment it is there: sending ours would take its pods away.
        ignored = ["spec.replicas"] if self._shape.autoscaling else None
        return self._create_pods("", self._args.image, self._shape.replicas, ignored=ignored)

    def _create_control(self) -> k8s.apps.v1.Deployment | None:
        if (image := self._args.control) is None:
            return None
        # Not waited for: where the release before cannot even start, the one that mends it must still come in, and
        # where prod goes back, its last pod drains while the rest goes on.
        annotations = {labels.SKIP_AWAIT: "true", labels.DELETION: "background"}
        return self._create_pods("control", image, 1, beside=self._args.image, annotations=annotations)

    def _create_pods(
        self,
        suffix: str,
        image: Image,
        replicas: int,
        *,
        beside: Image | None = None,
        ignored: list[str] | None = None,
        annotations: dict[str, str] | None = None,
    ) -> k8s.apps.v1.Deployment:
        rollout, namespace, name = self._shape.rollout, self._args.namespace, self._named(suffix)
        version = self._create_version(f"{suffix}-version" if suffix else "version", image)
        timeout = f"{rollout.progress_deadline_seconds + _TIMEOUT_MARGIN_S}s"
        pods = ServicePods(self._name, namespace, self._shape, image, f"{name}-version", beside)
        return k8s.apps.v1.Deployment(
            name,
            metadata=self._metadata(suffix, annotations=annotations),
            spec=k8s.apps.v1.DeploymentSpecArgs(
                replicas=replicas,
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=self._selector() | {labels.TRACK: pods.track}),
                strategy=k8s.apps.v1.DeploymentStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=k8s.apps.v1.RollingUpdateDeploymentArgs(
                        max_unavailable=0, max_surge=_number_or_percentage(rollout.surge)
                    ),
                ),
                min_ready_seconds=rollout.min_ready_seconds,
                progress_deadline_seconds=rollout.progress_deadline_seconds,
                revision_history_limit=5,
                template=pods.template(),
            ),
            opts=pulumi.ResourceOptions.merge(
                self._inside(),
                pulumi.ResourceOptions(
                    depends_on=[child for child in (version, self.config, self.secret) if child],
                    custom_timeouts=pulumi.CustomTimeouts(create=timeout, update=timeout),
                    ignore_changes=ignored,
                ),
            ),
        )

    def _create_version(self, suffix: str, image: Image) -> k8s.core.v1.ConfigMap:
        """The tag, outside the pod template: giving the same digest another tag restarts nothing."""
        return k8s.core.v1.ConfigMap(
            self._named(suffix),
            metadata=self._metadata(suffix),
            data={"version": image.version},
            opts=self._inside(),
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
            data={file: slo.rules_of(namespace, self._name, objectives, self._args.runbooks)},
            opts=self._inside(),
        )

    def _selector(self) -> dict[str, str]:
        return labels.selector(self._name, "service")

    def _named(self, suffix: str) -> str:
        return f"{self._name}-{suffix}" if suffix else self._name

    def _labels(self) -> dict[str, str]:
        return labels.of_service(self._name, self._args.namespace)

    def _metadata(self, suffix: str = "", *, annotations: dict[str, str] | None = None) -> k8s.meta.v1.ObjectMetaArgs:
        return k8s.meta.v1.ObjectMetaArgs(
            name=self._named(suffix), namespace=self._args.namespace, labels=self._labels(), annotations=annotations
        )

    def _inside(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=[self._args.environment])


def _number_or_percentage(text: str) -> int | str:
    return text if text.endswith("%") else int(text)
