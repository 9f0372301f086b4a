"""node-exporter: what the kernel of each node says of memory, disks, clock, CPUs and network."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as k8s

from components import pods
from components.monitoring.agent import Agent
from components.monitoring.namespace import MonitoringNamespace

PORT = 9100
APPLICATION = "node-exporter"
# What rules and dashboards read; all that it knows would be ten times as many series.
_COLLECTORS = (
    *("conntrack", "cpu", "diskstats", "filesystem", "loadavg", "meminfo"),
    *("netdev", "pressure", "stat", "timex", "uname", "vmstat"),
)
_ROOT = "/host/root"
# Mounts of pods and of the container runtime lie on the node's own disks, and would only repeat them.
_MOUNTS_OF_PODS = "^/(dev|proc|sys|run|var/lib/(kubelet|containerd|containers|docker))(/.+)?$"


class NodeExporter(Agent):
    """Unprivileged; it reads the node's root and sees the node's network, whose counters are of a network namespace."""

    def __init__(
        self, name: str, image: str, place: MonitoringNamespace, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("slipway:index:NodeExporter", name, APPLICATION, place, opts)
        root = k8s.core.v1.VolumeArgs(name="root", host_path=k8s.core.v1.HostPathVolumeSourceArgs(path="/"))
        self.daemon_set = self._create_daemon_set(
            [_container(image)], [root], annotations={}, host_network="counts packets and connections of the node"
        )
        self.register_outputs({})


def _container(image: str) -> k8s.core.v1.ContainerArgs:
    root = k8s.core.v1.VolumeMountArgs(
        name="root", mount_path=_ROOT, read_only=True, mount_propagation="HostToContainer"
    )
    return k8s.core.v1.ContainerArgs(
        name=APPLICATION,
        image=image,
        image_pull_policy="IfNotPresent",
        args=[
            f"--web.listen-address=$(HOST_IP):{PORT}",
            f"--path.rootfs={_ROOT}",
            f"--path.procfs={_ROOT}/proc",
            f"--path.sysfs={_ROOT}/sys",
            "--collector.disable-defaults",
            *(f"--collector.{name}" for name in _COLLECTORS),
            f"--collector.filesystem.mount-points-exclude={_MOUNTS_OF_PODS}",
        ],
        env=[pods.variable_of_field("HOST_IP", "status.hostIP")],
        ports=[k8s.core.v1.ContainerPortArgs(name="http", container_port=PORT, protocol="TCP")],
        resources=pods.resources(cpu="10m", memory="24Mi", memory_limit="96Mi"),
        security_context=pods.container_security(),
        startup_probe=pods.http_probe("/", period=1, failures=60),
        readiness_probe=pods.http_probe("/", period=5, failures=3),
        liveness_probe=pods.http_probe("/", period=10, failures=3),
        volume_mounts=[root],
    )
