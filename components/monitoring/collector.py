"""The OpenTelemetry Collector, twice: on each node for the logs of its pods, and once for the states of workloads.

On the nodes it is root, since container runtimes let nobody else read the files, and of root's capabilities it keeps
the one to read them. Nothing of the node is writable for it but a folder of its own, for how far it has read and what
it could not send yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import yaml

from components import labels, pods
from components.model import Resources
from components.monitoring import collecting
from components.monitoring.agent import Agent
from components.monitoring.log_store import Intake
from components.monitoring.names import COLLECTOR, WORKLOADS
from components.monitoring.namespace import MonitoringNamespace
from components.monitoring.part import WATCH, Part

CONFIG_FILE = "collector.yaml"
STATE_HOST_PATH = "/var/lib/slipway-collector"
"""The collector's own folder on each node: the one that `policies` lets a pod write to."""
_CONFIG_PATH = "/etc/collector"
_TIMEOUT = "180s"


@dataclass(frozen=True)
class CollectorArgs:
    """`environments` are the namespaces whose lines carry that label; `intake` takes the lines."""

    image: str
    resources: Resources
    environments: Sequence[str]
    intake: Intake
    place: MonitoringNamespace


class Collector(Agent):
    """Carries the lines of every pod to the store. Its children are attributes."""

    def __init__(self, name: str, args: CollectorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:Collector", name, COLLECTOR, args.place, opts)
        text = _text(collecting.logs_configuration(args.intake, args.environments))
        self.rights = self._create_rights(
            [k8s.rbac.v1.PolicyRuleArgs(api_groups=[""], resources=["pods", "namespaces"], verbs=WATCH)]
        )
        self.config = self._create_config_map("collector-config", {CONFIG_FILE: text}, "configuration")
        self.daemon_set = self._create_daemon_set(
            [self._container(args)],
            [
                pods.volume("config", config_map="collector-config"),
                _folder("logs", collecting.LOGS_PATH, "Directory"),
                _folder("state", STATE_HOST_PATH, "DirectoryOrCreate"),
            ],
            annotations={
                labels.CONFIG_HASH: pods.hash_of({CONFIG_FILE: text}),
                labels.API_TOKEN: "learns the release of each pod whose lines it reads",
                labels.ROOT: "reads files of the container runtime, which lets nobody else",
            },
            needs=[self.rights.binding, self.config],
            security=k8s.core.v1.PodSecurityContextArgs(
                run_as_user=0, run_as_group=0, seccomp_profile=k8s.core.v1.SeccompProfileArgs(type="RuntimeDefault")
            ),
            account=COLLECTOR,
        )
        self.register_outputs({})

    def _container(self, args: CollectorArgs) -> k8s.core.v1.ContainerArgs:
        container = _container(args.image, args.resources)
        container.args = [*_ARGUMENTS, f"--feature-gates={collecting.SYNCHRONOUS}"]
        container.env = [pods.variable_of_field("NODE_NAME", "spec.nodeName")]
        container.volume_mounts = [
            pods.volume_mount("config", _CONFIG_PATH),
            pods.volume_mount("logs", collecting.LOGS_PATH),
            pods.volume_mount("state", collecting.STATE_PATH, read_only=False),
        ]
        container.security_context = k8s.core.v1.SecurityContextArgs(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            capabilities=k8s.core.v1.CapabilitiesArgs(drop=["ALL"], add=["DAC_READ_SEARCH"]),
        )
        return container


@dataclass(frozen=True)
class WorkloadsArgs:
    """What it is, and where."""

    image: str
    resources: Resources
    place: MonitoringNamespace


class Workloads(Part):
    """Tells Prometheus of pods, of what keeps them, and of their bounds. Its children are attributes."""

    def __init__(self, name: str, args: WorkloadsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:Workloads", name, WORKLOADS, args.place, opts)
        text = _text(collecting.workloads_configuration())
        self.rights = self._create_rights(
            [
                k8s.rbac.v1.PolicyRuleArgs(api_groups=[group], resources=resources, verbs=WATCH)
                for group, resources in collecting.WATCHED.items()
            ]
        )
        self.config = self._create_config_map("workloads-config", {CONFIG_FILE: text}, "configuration")
        self.deployment = k8s.apps.v1.Deployment(
            WORKLOADS,
            metadata=self._metadata(),
            spec=k8s.apps.v1.DeploymentSpecArgs(
                replicas=1,  # two would count everything twice
                strategy=k8s.apps.v1.DeploymentStrategyArgs(type="Recreate"),
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=self._selector()),
                template=self._template(
                    [self._container(args)],
                    [pods.volume("config", config_map="workloads-config")],
                    grace_seconds=10,
                    annotations={
                        labels.CONFIG_HASH: pods.hash_of({CONFIG_FILE: text}),
                        labels.API_TOKEN: "watches workloads, quotas and nodes",
                    },
                    account=WORKLOADS,
                ),
            ),
            opts=pulumi.ResourceOptions.merge(
                self._inside(self.rights.binding, self.config),
                pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create=_TIMEOUT, update=_TIMEOUT)),
            ),
        )
        self.service = self._create_service(collecting.WORKLOADS_PORT, "metrics")
        self.register_outputs({})

    def _container(self, args: WorkloadsArgs) -> k8s.core.v1.ContainerArgs:
        container = _container(args.image, args.resources)
        container.ports = [
            k8s.core.v1.ContainerPortArgs(name="http", container_port=collecting.WORKLOADS_PORT, protocol="TCP"),
            *_PORTS,
        ]
        return container


_ARGUMENTS = [f"--config=file:{_CONFIG_PATH}/{CONFIG_FILE}"]
_PORTS = [
    k8s.core.v1.ContainerPortArgs(name="health", container_port=collecting.HEALTH_PORT, protocol="TCP"),
    k8s.core.v1.ContainerPortArgs(name="metrics", container_port=collecting.OWN_METRICS_PORT, protocol="TCP"),
]


def _container(image: str, resources: Resources) -> k8s.core.v1.ContainerArgs:
    def probe(period: int, failures: int) -> k8s.core.v1.ProbeArgs:
        return pods.http_probe("/", period=period, failures=failures, port="health")

    return k8s.core.v1.ContainerArgs(
        name=COLLECTOR,
        image=image,
        image_pull_policy="IfNotPresent",
        args=_ARGUMENTS,
        ports=_PORTS,
        resources=pods.resources(cpu=resources.cpu, memory=resources.memory, memory_limit=resources.memory_limit),
        security_context=pods.container_security(),
        startup_probe=probe(1, 60),
        readiness_probe=probe(5, 3),
        liveness_probe=probe(10, 6),
        volume_mounts=[pods.volume_mount("config", _CONFIG_PATH)],
    )


def _folder(name: str, path: str, kind: str) -> k8s.core.v1.VolumeArgs:
    """A folder of the node."""
    return k8s.core.v1.VolumeArgs(name=name, host_path=k8s.core.v1.HostPathVolumeSourceArgs(path=path, type=kind))


def _text(configuration: dict[str, Any]) -> str:
    return yaml.safe_dump(configuration, sort_keys=False, width=120)
