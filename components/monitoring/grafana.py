"""Grafana: shows people what Prometheus and Loki have. All it shows comes from files; nobody is let in unnamed.

Dashboards of the platform are mounted, one ConfigMap each. Those of services lie in their environments, so that they
move with the release, and a second container copies them. What people add themselves (users, annotations, playlists)
is on its volume, which one instance alone can hold: several would need a database of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from components import labels, pods
from components.monitoring import provisioning
from components.monitoring.loader import loader
from components.monitoring.model import GrafanaModel, MonitoringImages
from components.monitoring.names import DASHBOARDS_LABEL, GRAFANA
from components.monitoring.namespace import MonitoringNamespace
from components.monitoring.stateful import DATA, Stateful
from components.pods import volume, volume_mount

PORT = 3000
_SECRET, _PASSWORD_FILE = "grafana-secrets", "admin-password"
_CONFIG, _CONFIG_PATH = "grafana-config", "/etc/grafana"
_DATA_PATH, _SECRETS_PATH = "/var/lib/grafana", "/etc/grafana/secrets"
_MOUNTED = {
    "grafana.ini": "grafana.ini",
    "datasources.yaml": "provisioning/datasources/slipway.yaml",
    "dashboards.yaml": "provisioning/dashboards/slipway.yaml",
}
"""Files of the configuration, and where Grafana looks for them below `_CONFIG_PATH`."""
_TIMEOUT = "300s"


@dataclass(frozen=True)
class GrafanaArgs:
    """`dashboards` are files by their names; `prometheus`, `alertmanager` and `loki` are addresses.

    `scrape_seconds` is how often Prometheus scrapes; `loki` is None where logs are kept elsewhere.
    """

    shape: GrafanaModel
    images: MonitoringImages
    environments: Sequence[str]
    dashboards: Mapping[str, str]
    prometheus: str
    scrape_seconds: int
    alertmanager: str
    loki: str | None
    place: MonitoringNamespace


class Grafana(Stateful):
    """Its children are attributes; `dashboards` are ConfigMaps by what the dashboards are called."""

    def __init__(self, name: str, args: GrafanaArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:Grafana", name, GRAFANA, args.place, opts)
        self._args = args
        self.address = self._address(PORT)
        self.account = k8s.core.v1.ServiceAccount(
            GRAFANA, metadata=self._metadata(), automount_service_account_token=False, opts=self._inside()
        )
        self.config = self._create_config_map(_CONFIG, self._configuration(), "configuration")
        self.secret = self._create_secret()
        self.dashboards = {
            board: self._create_config_map(_dashboard(board), {f"{board}.json": text}, "dashboard")
            for board, text in args.dashboards.items()
        }
        self.stateful_set = self._create_stateful_set(
            args.shape,
            self._pod(),
            needs=[self.account, self.config, self.secret, *self.dashboards.values()],
            timeout=_TIMEOUT,
        )
        self.service = self._create_service(PORT)
        self.disruption_budget = None
        self.register_outputs({"address": self.address})

    def _create_secret(self) -> k8s.core.v1.Secret:
        return k8s.core.v1.Secret(
            _SECRET,
            metadata=self._metadata(_SECRET, "secrets"),
            type="Opaque",
            string_data={_PASSWORD_FILE: self._args.shape.admin_password.output()},
            opts=self._inside(),
        )

    def _configuration(self) -> dict[str, str]:
        args = self._args
        return {
            "grafana.ini": provisioning.ini(port=PORT, data=_DATA_PATH, root_url=args.shape.root_url),
            "datasources.yaml": provisioning.data_sources(
                prometheus=args.prometheus,
                scrape_seconds=args.scrape_seconds,
                alertmanager=args.alertmanager,
                loki=args.loki,
            ),
            "dashboards.yaml": provisioning.dashboard_folders(),
        }

    def _pod(self) -> k8s.core.v1.PodTemplateSpecArgs:
        args = self._args
        path = f"{provisioning.PATH}/services"
        return self._template(
            [
                self._container(),
                loader(
                    "dashboards",
                    args.images.loader,
                    label=DASHBOARDS_LABEL,
                    environments=args.environments,
                    volume="services",
                    path=path,
                ),
            ],
            [
                volume("config", config_map=_CONFIG),
                k8s.core.v1.VolumeArgs(name="secrets", secret=k8s.core.v1.SecretVolumeSourceArgs(secret_name=_SECRET)),
                k8s.core.v1.VolumeArgs(name="platform", projected=self._projected()),
                *(
                    k8s.core.v1.VolumeArgs(name=name, empty_dir=k8s.core.v1.EmptyDirVolumeSourceArgs(size_limit=size))
                    for name, size in (("services", "16Mi"), ("tmp", "64Mi"))
                ),
            ],
            grace_seconds=30,
            # Dashboards are read anew by themselves; the rest once.
            annotations={
                labels.API_TOKEN: "reads environments' dashboards",
                labels.CONFIG_HASH: pods.hash_of(self._configuration()),
            },
            account=GRAFANA,
        )

    def _projected(self) -> k8s.core.v1.ProjectedVolumeSourceArgs:
        sources = [
            k8s.core.v1.VolumeProjectionArgs(config_map=k8s.core.v1.ConfigMapProjectionArgs(name=_dashboard(board)))
            for board in self._args.dashboards
        ]
        return k8s.core.v1.ProjectedVolumeSourceArgs(sources=sources)

    def _container(self) -> k8s.core.v1.ContainerArgs:
        resources = self._args.shape.resources
        password = k8s.core.v1.EnvVarArgs(
            name="GF_SECURITY_ADMIN_PASSWORD__FILE", value=f"{_SECRETS_PATH}/{_PASSWORD_FILE}"
        )
        return k8s.core.v1.ContainerArgs(
            name=GRAFANA,
            image=self._args.images.grafana,
            image_pull_policy="IfNotPresent",
            env=[password],
            ports=[k8s.core.v1.ContainerPortArgs(name="http", container_port=PORT, protocol="TCP")],
            resources=pods.resources(cpu=resources.cpu, memory=resources.memory, memory_limit=resources.memory_limit),
            security_context=pods.container_security(),
            # The first start makes the tables of its database.
            startup_probe=pods.http_probe("/api/health", period=1, failures=180),
            readiness_probe=pods.http_probe("/api/health", period=5, failures=3),
            liveness_probe=pods.http_probe("/api/health", period=10, failures=6),
            volume_mounts=[
                volume_mount(DATA, _DATA_PATH, read_only=False),
                volume_mount("tmp", "/tmp", read_only=False),  # noqa: S108 - in a container of its own
                volume_mount("secrets", _SECRETS_PATH),
                *(volume_mount("config", f"{_CONFIG_PATH}/{place}", sub_path=file) for file, place in _MOUNTED.items()),
                *(volume_mount(name, f"{provisioning.PATH}/{name}") for name in provisioning.FOLDERS),
            ],
        )


def _dashboard(board: str) -> str:
    return f"grafana-dashboard-{board}"
