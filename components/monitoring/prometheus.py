"""Prometheus: collects the metrics of a cluster and its environments, and evaluates rules on them.

It reads its configuration anew when a file of it changes (`auto-reload-config`), so that a rule or a target costs no
restart, and there is no HTTP endpoint by which anybody in the cluster could reload or end it. Rules come from two
places: those of the platform are mounted; those of services lie in ConfigMaps of their environments, so that they move
with the release, and a second container copies them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s
import yaml

from components import labels, pods
from components.monitoring.loader import loader
from components.monitoring.model import MonitoringImages, PrometheusModel
from components.monitoring.names import PROMETHEUS, RULES_LABEL
from components.monitoring.namespace import MonitoringNamespace
from components.monitoring.part import WATCH
from components.monitoring.scraping import Targets, scrape_configs
from components.monitoring.stateful import DATA, Stateful

PORT = 9090
CONFIG_FILE = "prometheus.yml"
_CONFIG_PATH, _DATA_PATH = "/etc/prometheus/config", "/prometheus"
_RULES_PATH, _ENVIRONMENTS_PATH = "/etc/prometheus/rules", "/etc/prometheus/environments"
_RELOAD_INTERVAL = "5s"  # looking costs the reading of a few small files
_LONGEST_REPLAY_S = 900  # of the write-ahead log, after a crash
_TIMEOUT = "300s"
# Only what has no namespace; environments say themselves what may be seen in them (`access`).
_RULES = [
    k8s.rbac.v1.PolicyRuleArgs(api_groups=[""], resources=["nodes"], verbs=WATCH),
    k8s.rbac.v1.PolicyRuleArgs(api_groups=[""], resources=["nodes/metrics"], verbs=["get"]),
    k8s.rbac.v1.PolicyRuleArgs(non_resource_urls=["/metrics"], verbs=["get"]),
]


@dataclass(frozen=True)
class PrometheusArgs:
    """`cluster` is its identifier, `rules` are the platform's own rule files, by name.

    Alerts go to each Alertmanager of `targets`.
    """

    shape: PrometheusModel
    images: MonitoringImages
    targets: Targets
    cluster: str
    rules: Mapping[str, str]
    place: MonitoringNamespace


class Prometheus(Stateful):
    """Its children are attributes."""

    def __init__(self, name: str, args: PrometheusArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:Prometheus", name, PROMETHEUS, args.place, opts)
        self._args = args
        self.address = self._address(PORT)
        self.rights = self._create_rights(_RULES)
        self.config = self._create_config_map("prometheus-config", {CONFIG_FILE: self._configuration()})
        self.rules = self._create_config_map("prometheus-rules", args.rules)
        self.stateful_set = self._create_stateful_set(
            args.shape, self._pod(), needs=[self.rights.binding, self.config, self.rules], timeout=_TIMEOUT
        )
        # Instances scrape at different moments: a caller who changed between them would see jumps.
        self.service = self._create_service(PORT, session_affinity="ClientIP")
        self.disruption_budget = self._create_disruption_budget(args.shape)
        self.register_outputs({"address": self.address})

    def _pod(self) -> k8s.core.v1.PodTemplateSpecArgs:
        empty = k8s.core.v1.EmptyDirVolumeSourceArgs(size_limit="16Mi")
        rules = loader(
            "rules",
            self._args.images.loader,
            label=RULES_LABEL,
            environments=self._args.targets.environments,
            volume="environments",
            path=_ENVIRONMENTS_PATH,
        )
        return self._template(
            [self._container(), rules],
            [
                pods.volume("config", config_map="prometheus-config"),
                pods.volume("rules", config_map="prometheus-rules"),
                k8s.core.v1.VolumeArgs(name="environments", empty_dir=empty),
            ],
            grace_seconds=120,
            annotations={labels.API_TOKEN: "finds what to scrape, scrapes kubelets, and reads environments' rules"},
            account=PROMETHEUS,
        )

    def _container(self) -> k8s.core.v1.ContainerArgs:
        shape = self._args.shape
        return k8s.core.v1.ContainerArgs(
            name=PROMETHEUS,
            image=self._args.images.prometheus,
            image_pull_policy="IfNotPresent",
            args=[
                f"--config.file={_CONFIG_PATH}/{CONFIG_FILE}",
                f"--storage.tsdb.path={_DATA_PATH}",
                f"--storage.tsdb.retention.time={shape.retention_days}d",
                f"--storage.tsdb.retention.size={shape.retention_size}",
                f"--web.listen-address=:{PORT}",
                "--enable-feature=auto-reload-config",
                f"--config.auto-reload-interval={_RELOAD_INTERVAL}",
            ],
            env=[pods.variable_of_field("POD_NAME", "metadata.name")],
            ports=[k8s.core.v1.ContainerPortArgs(name="http", container_port=PORT, protocol="TCP")],
            resources=pods.resources(
                cpu=shape.resources.cpu, memory=shape.resources.memory, memory_limit=shape.resources.memory_limit
            ),
            security_context=pods.container_security(),
            startup_probe=pods.http_probe("/-/ready", period=1, failures=_LONGEST_REPLAY_S),
            readiness_probe=pods.http_probe("/-/ready", period=5, failures=3),
            liveness_probe=pods.http_probe("/-/healthy", period=10, failures=6),
            volume_mounts=[
                pods.volume_mount(DATA, _DATA_PATH, read_only=False),
                pods.volume_mount("config", _CONFIG_PATH),
                pods.volume_mount("rules", _RULES_PATH),
                pods.volume_mount("environments", _ENVIRONMENTS_PATH),
            ],
        )

    def _configuration(self) -> str:
        args = self._args
        return configuration(args.shape, args.targets, args.cluster)


def configuration(shape: PrometheusModel, targets: Targets, cluster: str) -> str:
    """The file by which Prometheus runs."""
    return yaml.safe_dump(
        {
            "global": {
                "scrape_interval": f"{shape.scrape_seconds}s",
                "evaluation_interval": f"{shape.scrape_seconds}s",
                "external_labels": {"cluster": cluster, "replica": "${POD_NAME}"},
            },
            "rule_files": [f"{_RULES_PATH}/*.yaml", f"{_ENVIRONMENTS_PATH}/*.yaml"],
            "alerting": {
                # Alerts of two instances are the same alert.
                "alert_relabel_configs": [{"action": "labeldrop", "regex": "replica"}],
                "alertmanagers": [{"static_configs": [{"targets": list(targets.alertmanagers)}]}],
            },
            "scrape_configs": scrape_configs(targets, shape),
        },
        sort_keys=False,
        width=120,
    )
