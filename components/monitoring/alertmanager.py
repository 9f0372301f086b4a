"""Alertmanager: tells people and programs of alerts, once, however many instances of it and of Prometheus there are."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s
import yaml

from components import labels, pods
from components.monitoring.model import AlertmanagerModel, MonitoringImages
from components.monitoring.names import ALERTMANAGER, NAMESPACE
from components.monitoring.namespace import MonitoringNamespace
from components.monitoring.routing import SECRETS_PATH, configuration, secrets
from components.monitoring.stateful import DATA, Stateful

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


class Alertmanager(Stateful):
    """Its children are attributes; `targets` are the instances as Prometheus knows them."""

    def __init__(self, name: str, args: AlertmanagerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:Alertmanager", name, ALERTMANAGER, args.place, opts)
        self._args = args
        self.targets = [f"{host}:{PORT}" for host in hosts(args.shape.replicas)]
        self.address = self._address(PORT)
        self.config = self._create_config_map(
            "alertmanager-config", {CONFIG_FILE: self._configuration()}, "configuration"
        )
        self.secret = self._create_secret()
        self.stateful_set = self._create_stateful_set(
            args.shape, self._pod(), needs=[self.config, self.secret], timeout=_TIMEOUT, service_name=_PEERS
        )
        self.peers = self._create_peers()
        self.service = self._create_service(PORT)
        self.disruption_budget = self._create_disruption_budget(args.shape)
        self.register_outputs({"address": self.address})

    def _create_secret(self) -> k8s.core.v1.Secret:
        return k8s.core.v1.Secret(
            _SECRETS,
            metadata=self._metadata(_SECRETS, "secrets"),
            type="Opaque",
            string_data={file: secret.output() for file, secret in secrets(self._args.shape).items()},
            opts=self._inside(),
        )

    def _create_peers(self) -> k8s.core.v1.Service:
        """Names for the instances, also while they are not ready: they look for each other before they are."""
        return k8s.core.v1.Service(
            _PEERS,
            metadata=self._metadata(_PEERS, "peers"),
            spec=k8s.core.v1.ServiceSpecArgs(
                cluster_ip="None",
                publish_not_ready_addresses=True,
                selector=self._selector(),
                ports=[
                    k8s.core.v1.ServicePortArgs(name="http", port=PORT, target_port="http", protocol="TCP"),
                    k8s.core.v1.ServicePortArgs(name="gossip", port=_GOSSIP_PORT, protocol="TCP"),
                    k8s.core.v1.ServicePortArgs(name="gossip-udp", port=_GOSSIP_PORT, protocol="UDP"),
                ],
            ),
            opts=self._inside(),
        )

    def _pod(self) -> k8s.core.v1.PodTemplateSpecArgs:
        # It reads its configuration once; secrets are read anew each time something is told.
        annotations = {labels.CONFIG_HASH: pods.hash_of({CONFIG_FILE: self._configuration()})}
        sealed = k8s.core.v1.SecretVolumeSourceArgs(secret_name=_SECRETS)
        return self._template(
            [self._container()],
            [
                pods.volume("config", config_map="alertmanager-config"),
                k8s.core.v1.VolumeArgs(name="secrets", secret=sealed),
            ],
            grace_seconds=30,
            annotations=annotations,
        )

    def _container(self) -> k8s.core.v1.ContainerArgs:
        resources = self._args.shape.resources
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
            env=[pods.variable_of_field("POD_IP", "status.podIP")],
            ports=[
                k8s.core.v1.ContainerPortArgs(name="http", container_port=PORT, protocol="TCP"),
                k8s.core.v1.ContainerPortArgs(name="gossip", container_port=_GOSSIP_PORT, protocol="TCP"),
            ],
            resources=pods.resources(cpu=resources.cpu, memory=resources.memory, memory_limit=resources.memory_limit),
            security_context=pods.container_security(),
            startup_probe=pods.http_probe("/-/ready", period=1, failures=120),
            readiness_probe=pods.http_probe("/-/ready", period=5, failures=3),
            liveness_probe=pods.http_probe("/-/healthy", period=10, failures=3),
            volume_mounts=[
                pods.volume_mount(DATA, _DATA_PATH, read_only=False),
                pods.volume_mount("config", _CONFIG_PATH),
                pods.volume_mount("secrets", SECRETS_PATH),
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
