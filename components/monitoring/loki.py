"""Loki: keeps logs, on its volume or in a bucket. A single program here, which is enough for some 100 GB a day.

What it has taken it has written into its log of changes first, from which it goes on after any end.
"""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import yaml

from components import labels, pods
from components.monitoring.log_store import STREAM_LABELS, Intake, LogStore, LogStoreArgs
from components.monitoring.model import LogsModel, ObjectStorage
from components.monitoring.names import LOKI
from components.monitoring.stateful import DATA

PORT = 3100
CONFIG_FILE = "loki.yaml"
_CONFIG_PATH, _DATA_PATH = "/etc/loki", "/loki"
_SECRET, _SECRET_KEY = "loki-s3", "S3_SECRET_KEY"
_SCHEMA_SINCE = "2024-04-01"  # must not change: what was written before a schema is read by the one before
_REPLAY_MEMORY = "256MB"  # of the journal at a time, after a crash: well below what the container may use
_TIMEOUT = "300s"

Config = dict[str, Any]


class Loki(LogStore):
    """Its children are attributes."""

    def __init__(self, name: str, args: LogStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:Loki", name, LOKI, args.place, opts)
        self._args = args
        self.address = self._address(PORT)
        target = self.address.removeprefix("http://")
        self.intake = Intake(job=LOKI, endpoint=f"{self.address}/otlp/v1/logs", headers={}, target=target)
        self.config = self._create_config_map("loki-config", {CONFIG_FILE: self._configuration()}, "configuration")
        self.secret = self._create_secret()
        needs = [self.config, *([self.secret] if self.secret else [])]
        self.stateful_set = self._create_stateful_set(args.shape, self._pod(), needs=needs, timeout=_TIMEOUT)
        self.service = self._create_service(PORT)
        self.disruption_budget = self._create_disruption_budget(args.shape)
        self.register_outputs({"address": self.address})

    def _create_secret(self) -> k8s.core.v1.Secret | None:
        s3 = self._args.shape.s3
        if s3 is None or s3.secret_key is None:
            return None
        return k8s.core.v1.Secret(
            _SECRET,
            metadata=self._metadata(_SECRET, "secrets"),
            type="Opaque",
            string_data={_SECRET_KEY: s3.secret_key.output()},
            opts=self._inside(),
        )

    def _pod(self) -> k8s.core.v1.PodTemplateSpecArgs:
        return self._template(
            [self._container()],
            [pods.volume("config", config_map="loki-config")],
            grace_seconds=120,
            annotations={labels.CONFIG_HASH: pods.hash_of({CONFIG_FILE: self._configuration()})},
        )

    def _container(self) -> k8s.core.v1.ContainerArgs:
        resources = self._args.shape.resources
        return k8s.core.v1.ContainerArgs(
            name=LOKI,
            image=self._args.images.loki,
            image_pull_policy="IfNotPresent",
            args=[f"-config.file={_CONFIG_PATH}/{CONFIG_FILE}", "-config.expand-env=true"],
            env_from=self._variables(),
            ports=[k8s.core.v1.ContainerPortArgs(name="http", container_port=PORT, protocol="TCP")],
            resources=pods.resources(cpu=resources.cpu, memory=resources.memory, memory_limit=resources.memory_limit),
            security_context=pods.container_security(),
            startup_probe=pods.http_probe("/ready", period=1, failures=300),
            readiness_probe=pods.http_probe("/ready", period=5, failures=3),
            liveness_probe=pods.http_probe("/metrics", period=10, failures=6),
            volume_mounts=[
                pods.volume_mount(DATA, _DATA_PATH, read_only=False),
                pods.volume_mount("config", _CONFIG_PATH),
            ],
        )

    def _variables(self) -> list[k8s.core.v1.EnvFromSourceArgs] | None:
        if self.secret is None:
            return None
        return [k8s.core.v1.EnvFromSourceArgs(secret_ref=k8s.core.v1.SecretEnvSourceArgs(name=_SECRET))]

    def _configuration(self) -> str:
        return yaml.safe_dump(configuration(self._args.shape), sort_keys=False, width=120)


def configuration(shape: LogsModel) -> Config:
    """The file by which Loki runs, as a mapping; a secret is named by its variable, never written."""
    objects = "s3" if shape.s3 else "filesystem"
    return {
        "auth_enabled": False,
        "server": {"http_listen_port": PORT, "log_level": "warn", "log_format": "json"},
        "common": {
            "path_prefix": _DATA_PATH,
            "replication_factor": 1,
            "ring": {"instance_addr": "127.0.0.1", "kvstore": {"store": "inmemory"}},
            "storage": {objects: _bucket(shape.s3) if shape.s3 else _folders()},
        },
        "schema_config": {
            "configs": [
                {
                    "from": _SCHEMA_SINCE,
                    "store": "tsdb",
                    "object_store": objects,
                    "schema": "v13",
                    "index": {"prefix": "index_", "period": "24h"},
                }
            ]
        },
        "ingester": {"wal": {"enabled": True, "flush_on_shutdown": True, "replay_memory_ceiling": _REPLAY_MEMORY}},
        "limits_config": {
            "retention_period": f"{shape.retention_days * 24}h",
            "allow_structured_metadata": True,
            "ingestion_rate_mb": 32,
            "ingestion_burst_size_mb": 64,
            "otlp_config": {
                "resource_attributes": {
                    "ignore_defaults": True,
                    "attributes_config": [{"action": "index_label", "attributes": list(STREAM_LABELS)}],
                }
            },
        },
        "compactor": {"retention_enabled": True, "delete_request_store": objects},
        "analytics": {"reporting_enabled": False},
    }


def _folders() -> Config:
    return {"chunks_directory": f"{_DATA_PATH}/chunks", "rules_directory": f"{_DATA_PATH}/rules"}


def _bucket(s3: ObjectStorage) -> Config:
    found: Config = {"bucketnames": s3.bucket, "region": s3.region, "s3forcepathstyle": s3.endpoint is not None}
    if s3.endpoint:
        scheme, _, host = s3.endpoint.partition("://")
        found |= {"endpoint": host, "insecure": scheme == "http"}
    if s3.access_key:
        found |= {"access_key_id": s3.access_key, "secret_access_key": f"${{{_SECRET_KEY}}}"}
    return found
