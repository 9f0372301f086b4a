"""VictoriaLogs: keeps logs, on its volume alone. For those who may not run Loki, whose licence is the AGPL.

What it has taken is on disk within two seconds (`inmemoryDataFlushInterval` and the buffer before it), and at once when
it is told to end. When its disk is full it says so to the collector, which keeps what it has until there is room.
"""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as k8s

from components import pods
from components.monitoring.log_store import STREAM_LABELS, Intake, LogStore, LogStoreArgs
from components.monitoring.names import VICTORIALOGS
from components.monitoring.stateful import DATA

PORT = 9428
_DATA_PATH = "/victoria-logs-data"
_TIMEOUT = "180s"
_LEAST_FREE = "128MiB"


class VictoriaLogs(LogStore):
    """Its children are attributes."""

    def __init__(self, name: str, args: LogStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:VictoriaLogs", name, VICTORIALOGS, args.place, opts)
        self._args = args
        self.address = self._address(PORT)
        self.intake = Intake(
            job=VICTORIALOGS,
            endpoint=f"{self.address}/insert/opentelemetry/v1/logs",
            headers={"VL-Stream-Fields": ",".join(STREAM_LABELS)},
            target=self.address.removeprefix("http://"),
        )
        pod = self._template([self._container()], [], grace_seconds=60, annotations={})
        self.stateful_set = self._create_stateful_set(args.shape, pod, needs=[], timeout=_TIMEOUT)
        self.service = self._create_service(PORT)
        self.disruption_budget = self._create_disruption_budget(args.shape)
        self.register_outputs({"address": self.address})

    def _container(self) -> k8s.core.v1.ContainerArgs:
        shape, resources = self._args.shape, self._args.shape.resources
        return k8s.core.v1.ContainerArgs(
            name=VICTORIALOGS,
            image=self._args.images.victorialogs,
            image_pull_policy="IfNotPresent",
            args=[
                f"-storageDataPath={_DATA_PATH}",
                f"-httpListenAddr=:{PORT}",
                f"-retentionPeriod={shape.retention_days}d",
                "-inmemoryDataFlushInterval=1s",
                f"-storage.minFreeDiskSpaceBytes={_LEAST_FREE}",
                "-loggerFormat=json",
                "-loggerLevel=WARN",
            ],
            ports=[k8s.core.v1.ContainerPortArgs(name="http", container_port=PORT, protocol="TCP")],
            resources=pods.resources(cpu=resources.cpu, memory=resources.memory, memory_limit=resources.memory_limit),
            security_context=pods.container_security(),
            startup_probe=pods.http_probe("/health", period=1, failures=120),
            readiness_probe=pods.http_probe("/health", period=5, failures=3),
            liveness_probe=pods.http_probe("/health", period=10, failures=6),
            volume_mounts=[pods.volume_mount(DATA, _DATA_PATH, read_only=False)],
        )
