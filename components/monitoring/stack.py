"""Wiring only: what the stack of kind `monitoring` is made of.

It lies beside `__main__.py`'s, since the other stacks need not load so much.
"""

from __future__ import annotations

import pulumi

from components import pods
from components.cluster import create_provider
from components.monitoring import coverage, rules
from components.monitoring.access import MonitoringAccess
from components.monitoring.alertmanager import Alertmanager, AlertmanagerArgs
from components.monitoring.certificates import CertificateProber, CertificateProberArgs
from components.monitoring.collector import Collector, CollectorArgs, Workloads, WorkloadsArgs
from components.monitoring.dashboards import platform
from components.monitoring.grafana import Grafana, GrafanaArgs
from components.monitoring.log_store import LogStoreArgs
from components.monitoring.loki import Loki
from components.monitoring.names import AGENTS_NAMESPACE, LOKI, NAMESPACE
from components.monitoring.namespace import MonitoringNamespace
from components.monitoring.node_exporter import NodeExporter
from components.monitoring.prometheus import Prometheus, PrometheusArgs
from components.monitoring.scraping import Targets
from components.monitoring.sources import Source
from components.monitoring.victorialogs import VictoriaLogs
from components.registry_access import RegistryAccess
from components.rollback import RollbackReceiver, RollbackReceiverArgs
from components.settings import MonitoringSettings


def declare(settings: MonitoringSettings) -> None:
    """All that such a stack has."""
    inside = pulumi.ResourceOptions(providers=[create_provider(settings)])
    # Protected, since what was measured and logged goes with it.
    place = MonitoringNamespace(NAMESPACE, protect=True, opts=inside)
    images, present = settings.platform_images, coverage.present(settings)
    agents = MonitoringNamespace(AGENTS_NAMESPACE, pods.PRIVILEGED, opts=inside)
    MonitoringAccess("agents-access", AGENTS_NAMESPACE, ("pods",), agents, opts=inside)
    if Source.NODE in present:
        NodeExporter("node-exporter", images.node_exporter, agents, opts=inside)
    if Source.CERTIFICATES in present:
        CertificateProber("certificates", CertificateProberArgs(images.prober, place), opts=inside)
    store = Loki if settings.logs.store == LOKI else VictoriaLogs
    logs = store(settings.logs.store, LogStoreArgs(settings.logs, images, place), opts=inside)
    collector = images.collector, settings.logs.collector_resources
    Collector("collector", CollectorArgs(*collector, settings.environments, logs.intake, agents), opts=inside)
    Workloads("workloads", WorkloadsArgs(*collector, place), opts=inside)
    alertmanager = Alertmanager("alertmanager", AlertmanagerArgs(settings.alertmanager, images, place), opts=inside)
    asked = settings.alertmanager.rollback
    if asked and asked.dispatch and asked.token:
        access = RegistryAccess.of(settings)
        receiver = RollbackReceiverArgs(asked.dispatch, asked.token, settings.environments, access, place)
        RollbackReceiver("rollback-receiver", receiver, opts=inside)
    prometheus = Prometheus(
        "prometheus",
        PrometheusArgs(
            shape=settings.prometheus,
            images=images,
            targets=Targets(
                environments=settings.environments,
                alertmanagers=alertmanager.targets,
                certificates=settings.certificates,
                receiver=settings.alertmanager.receiver_metrics,
                logs=logs.intake,
                present=present,
            ),
            cluster=settings.cluster.identifier,
            rules=rules.load(present, runbooks=settings.runbooks),
            place=place,
        ),
        opts=inside,
    )
    addresses = {"prometheus": prometheus.address, "alertmanager": alertmanager.address, "logs": logs.address}
    if settings.grafana and "grafana" not in settings.leave_out:
        grafana = Grafana(
            "grafana",
            GrafanaArgs(
                shape=settings.grafana,
                images=images,
                environments=settings.environments,
                dashboards=platform.load(present, settings.environments),
                prometheus=prometheus.address,
                scrape_seconds=settings.prometheus.scrape_seconds,
                alertmanager=alertmanager.address,
                loki=logs.address if settings.logs.store == LOKI else None,
                place=place,
            ),
            opts=inside,
        )
        addresses["grafana"] = grafana.address
    pulumi.export("addresses", addresses)
