"""Alertmanager: tells people and programs of alerts, once, however many instances of it and of Prometheus there are."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s
import yaml

from components import labels, pods
from components.monitoring.model import AlertmanagerModel, MonitoringImages
from components.monitoring.names import ALERTMANAGER, COMPONENT, NAMESPACE
from components.monitoring.namespace import MonitoringNamespace
from components.monitoring.routing import SECRETS_PATH, configuration, secrets
from components.storage import volume, volume_mount

PORT, _GOSSIP_PORT = 9093, 9094
CONFIG_FILE = "alertmanager.yml"
_PEERS = f"{ALERTMANAGER}-peers"
_SECRETS = "alertmanager-secrets"
_CONFIG_PATH, _DATA_PATH = "/etc/alertmanager/config", "/alertmanager"
_TIMEOUT = "180s"


def hosts(replicas: int) -> list[str]:
    """Each instance by itself: alerts go to all of them, and they agree on who tells."""
    return [f"{ALERTMANAGER}-{number}.{_PEERS}.{NAMESPACE}.svc" for number in range(replicas)]


@dataclass(frozen=True)
class AlertmanagerArgs:
    """What it is, and where."""

    shape: AlertmanagerModel
    images: MonitoringImages
    place: MonitoringNamespace


class Alertmanager(pulumi.ComponentResource):
    """Its children are attributes; `targets` are the instances as Prometheus knows them."""

    config: k8s.core.v1.ConfigMap
    secret: k8s.core.v1.Secret
    peers: k8s.core.v1.Service
    stateful_set: k8s.apps.v1.StatefulSet
    service: k8s.core.v1.Service
    disruption_budget: k8s.policy.v1.PodDisruptionBudget | None
    targets: list[str]
    address: str

    def __init__(self, name: str, args: AlertmanagerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:Alertmanager", name, None, opts)
        self._args = args
        self.targets = [f"{host}:{PORT}" for host in hosts(args.shape.replicas)]
        self.address = f"http://{ALERTMANAGER}.{NAMESPACE}:{PORT}"
        self.config = self._create_config()
        self.secret = self._create_secret()
        self.stateful_set = self._create_stateful_set()
        self.peers = self._create_peers()
        self.service = self._create_service()
        self.disruption_budget = self._create_disruption_budget()
        self.register_outputs({"address": self.address})

    def _create_config(self) -> k8s.core.v1.ConfigMap:
        return k8s.core.v1.ConfigMap(
            "alertmanager-config",
            metadata=self._metadata("alertmanager-config", "configuration"),
            data={CONFIG_FILE: self._configuration()},
            opts=self._inside(),
        )

    def _create_secret(self) -> k8s.core.v1.Secret:
        return k8s.core.v1.Secret(
            _SECRETS,
            metadata=self._metadata(_SECRETS, "secrets"),
            type="Opaque",
            string_data={file: secret.output() for file, secret in secrets(self._args.shape).items()},
            opts=self._inside(),
        )

    def _create_stateful_set(self) -> k8s.apps.v1.StatefulSet:
        shape = self._args.shape
        return k8s.apps.v1.StatefulSet(
            ALERTMANAGER,
            metadata=self._metadata(),
            spec=k8s.apps.v1.StatefulSetSpecArgs(
                replicas=shape.replicas,
                service_name=_PEERS,
                pod_management_policy="Parallel",
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=labels.selector(ALERTMANAGER, COMPONENT)),
                template=self._pod(),
                volume_claim_templates=[
                    k8s.core.v1.PersistentVolumeClaimArgs(
                        metadata=k8s.meta.v1.ObjectMetaArgs(
                            name="data", labels=labels.standard(ALERTMANAGER, COMPONENT)
                        ),
                        spec=k8s.core.v1.PersistentVolumeClaimSpecArgs(
                            access_modes=["ReadWriteOnce"],
                            storage_class_name=shape.storage_class,
                            resources=k8s.core.v1.VolumeResourceRequirementsArgs(requests={"storage": shape.storage}),
                        ),
                    )
                ],
            ),
            opts=pulumi.ResourceOptions.merge(
                self._inside(self.config, self.secret),
                pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create=_TIMEOUT, update=_TIMEOUT)),
            ),
        )

    def _create_peers(self) -> k8s.core.v1.Service:
        """Names for the instances, also while they are not ready: they look for each other before they are."""
        return k8s.core.v1.Service(
            _PEERS,
            metadata=self._metadata(_PEERS, "peers"),
            spec=k8s.core.v1.ServiceSpecArgs(
                cluster_ip="None",
                publish_not_ready_addresses=True,
                selector=labels.selector(ALERTMANAGER, COMPONENT),
                ports=[
                    k8s.core.v1.ServicePortArgs(name="http", port=PORT, target_port="http", protocol="TCP"),
                    k8s.core.v1.ServicePortArgs(name="gossip", port=_GOSSIP_PORT, protocol="TCP"),
                    k8s.core.v1.ServicePortArgs(name="gossip-udp", port=_GOSSIP_PORT, protocol="UDP"),
                ],
            ),
            opts=self._inside(),
        )

    def _create_service(self) -> k8s.core.v1.Service:
        return k8s.core.v1.Service(
            ALERTMANAGER,
            metadata=self._metadata(),
            spec=k8s.core.v1.ServiceSpecArgs(
                type="ClusterIP",
                selector=labels.selector(ALERTMANAGER, COMPONENT),
                ports=[k8s.core.v1.ServicePortArgs(name="http", port=PORT, target_port="http", protocol="TCP")],
            ),
            opts=self._inside(),
        )

    def _create_disruption_budget(self) -> k8s.policy.v1.PodDisruptionBudget | None:
        if self._args.shape.replicas == 1:
            return None
        return k8s.policy.v1.PodDisruptionBudget(
            ALERTMANAGER,
            metadata=self._metadata(),
            spec=k8s.policy.v1.PodDisruptionBudgetSpecArgs(
                max_unavailable=1,
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=labels.selector(ALERTMANAGER, COMPONENT)),
            ),
            opts=self._inside(),
        )

    def _pod(self) -> k8s.core.v1.PodTemplateSpecArgs:
        # It reads its configuration once; secrets are read anew each time something is told.
        annotations = {labels.CONFIG_HASH: pods.hash_of({CONFIG_FILE: self._configuration()})}
        return k8s.core.v1.PodTemplateSpecArgs(
            metadata=k8s.meta.v1.ObjectMetaArgs(
                labels=labels.standard(ALERTMANAGER, COMPONENT), annotations=annotations
            ),
            spec=k8s.core.v1.PodSpecArgs(
                automount_service_account_token=False,
                enable_service_links=False,
                security_context=pods.pod_security(),
                termination_grace_period_seconds=30,
                topology_spread_constraints=[
                    k8s.core.v1.TopologySpreadConstraintArgs(
                        topology_key="kubernetes.io/hostname",
                        max_skew=1,
                        when_unsatisfiable="ScheduleAnyway",
                        label_selector=k8s.meta.v1.LabelSelectorArgs(
                            match_labels=labels.selector(ALERTMANAGER, COMPONENT)
                        ),
                    )
                ],
                containers=[self._container()],
                volumes=[
                    volume("config", config_map="alertmanager-config"),
                    k8s.core.v1.VolumeArgs(
                        name="secrets", secret=k8s.core.v1.SecretVolumeSourceArgs(secret_name=_SECRETS)
                    ),
                ],
            ),
        )

    def _container(self) -> k8s.core.v1.ContainerArgs:
        resources = self._args.shape.resources
        address = k8s.core.v1.ObjectFieldSelectorArgs(field_path="status.podIP")
        return k8s.core.v1.ContainerArgs(
            name=ALERTMANAGER,
            image=self._args.images.alertmanager,
            image_pull_policy="IfNotPresent",
            args=[
                f"--config.file={_CONFIG_PATH}/{CONFIG_FILE}",
                f"--storage.path={_DATA_PATH}",
                f"--web.listen-address=:{PORT}",
                *self._gossip(),
            ],
            env=[
                k8s.core.v1.EnvVarArgs(name="POD_IP", value_from=k8s.core.v1.EnvVarSourceArgs(field_ref=address)),
            ],
            ports=[
                k8s.core.v1.ContainerPortArgs(name="http", container_port=PORT, protocol="TCP"),
                k8s.core.v1.ContainerPortArgs(name="gossip", container_port=_GOSSIP_PORT, protocol="TCP"),
            ],
            resources=pods.resources(cpu=resources.cpu, memory=resources.memory, memory_limit=resources.memory_limit),
            security_context=pods.container_security(),
            startup_probe=_probe("/-/ready", period=1, failures=120),
            readiness_probe=_probe("/-/ready", period=5, failures=3),
            liveness_probe=_probe("/-/healthy", period=10, failures=3),
            volume_mounts=[
                volume_mount("data", _DATA_PATH, read_only=False),
                volume_mount("config", _CONFIG_PATH),
                volume_mount("secrets", SECRETS_PATH),
            ],
        )

    def _gossip(self) -> list[str]:
        if self._args.shape.replicas == 1:
            return ["--cluster.listen-address="]
        return [
            f"--cluster.listen-address=:{_GOSSIP_PORT}",
            f"--cluster.advertise-address=$(POD_IP):{_GOSSIP_PORT}",
            *(f"--cluster.peer={host}:{_GOSSIP_PORT}" for host in hosts(self._args.shape.replicas)),
        ]

    def _configuration(self) -> str:
        return yaml.safe_dump(configuration(self._args.shape), sort_keys=False, width=120)

    def _metadata(self, name: str = ALERTMANAGER, component: str = COMPONENT) -> k8s.meta.v1.ObjectMetaArgs:
        return k8s.meta.v1.ObjectMetaArgs(
            name=name, namespace=NAMESPACE, labels=labels.standard(ALERTMANAGER, component)
        )

    def _inside(self, *needs: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=[self._args.place, *needs])


def _probe(path: str, *, period: int, failures: int) -> k8s.core.v1.ProbeArgs:
    return k8s.core.v1.ProbeArgs(
        http_get=k8s.core.v1.HTTPGetActionArgs(path=path, port="http", scheme="HTTP"),
        period_seconds=period,
        timeout_seconds=3,
        failure_threshold=failures,
    )
