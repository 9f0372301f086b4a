"""Asks what is reached by TLS for its certificates, so that an end of theirs is known before clients see it.

The blackbox exporter does not check who signed a certificate: one that has ended, or whose authority it does not know,
is to be measured, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s
import yaml

from components import labels, pods
from components.monitoring.names import PROBER
from components.monitoring.namespace import MonitoringNamespace
from components.monitoring.part import Part

PORT = 9115
MODULE = "tls"
_CONFIG = f"{PROBER}-config"
_CONFIG_PATH, _CONFIG_FILE = "/etc/blackbox", "blackbox.yml"
_TIMEOUT = "120s"


@dataclass(frozen=True)
class CertificateProberArgs:
    """Its image, and where."""

    image: str
    place: MonitoringNamespace


class CertificateProber(Part):
    """Which addresses it asks is said with each question, by Prometheus. Its children are attributes."""

    def __init__(self, name: str, args: CertificateProberArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:CertificateProber", name, PROBER, args.place, opts)
        self.config = self._create_config_map(_CONFIG, {_CONFIG_FILE: _configuration()}, "configuration")
        self.deployment = self._create_deployment(args.image)
        self.service = self._create_service(PORT, "prober")  # no link is printed: people ask Prometheus
        self.register_outputs({})

    def _create_deployment(self, image: str) -> k8s.apps.v1.Deployment:
        return k8s.apps.v1.Deployment(
            PROBER,
            metadata=self._metadata(),
            spec=k8s.apps.v1.DeploymentSpecArgs(
                replicas=1,
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=self._selector()),
                template=self._template(
                    [_container(image)],
                    [pods.volume("config", config_map=_CONFIG)],
                    grace_seconds=10,
                    annotations={labels.CONFIG_HASH: pods.hash_of({_CONFIG_FILE: _configuration()})},
                ),
            ),
            opts=pulumi.ResourceOptions.merge(
                self._inside(self.config),
                pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create=_TIMEOUT, update=_TIMEOUT)),
            ),
        )


def _container(image: str) -> k8s.core.v1.ContainerArgs:
    return k8s.core.v1.ContainerArgs(
        name=PROBER,
        image=image,
        image_pull_policy="IfNotPresent",
        args=[f"--config.file={_CONFIG_PATH}/{_CONFIG_FILE}", f"--web.listen-address=:{PORT}"],
        ports=[k8s.core.v1.ContainerPortArgs(name="http", container_port=PORT, protocol="TCP")],
        resources=pods.resources(cpu="5m", memory="16Mi", memory_limit="64Mi"),
        security_context=pods.container_security(),
        startup_probe=pods.http_probe("/-/healthy", period=1, failures=60),
        readiness_probe=pods.http_probe("/-/healthy", period=5, failures=3),
        liveness_probe=pods.http_probe("/-/healthy", period=10, failures=3),
        volume_mounts=[pods.volume_mount("config", _CONFIG_PATH)],
    )


def _configuration() -> str:
    """https://github.com/prometheus/blackbox_exporter/blob/master/CONFIGURATION.md."""
    tcp = {"tls": True, "tls_config": {"insecure_skip_verify": True}}
    return yaml.safe_dump({"modules": {MODULE: {"prober": "tcp", "timeout": "5s", "tcp": tcp}}}, sort_keys=False)
