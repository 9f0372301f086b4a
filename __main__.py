"""Wiring only: a stack's configuration in, components out."""

from __future__ import annotations

import pulumi

from components import pods
from components.cluster import create_provider
from components.delivery_state import DeliveryState
from components.environment import Environment, EnvironmentArgs
from components.images import Images
from components.monitoring import coverage, own_rules, rules
from components.monitoring.access import MonitoringAccess
from components.monitoring.alertmanager import Alertmanager, AlertmanagerArgs
from components.monitoring.certificates import CertificateProber, CertificateProberArgs
from components.monitoring.collector import Collector, CollectorArgs, Workloads, WorkloadsArgs
from components.monitoring.dashboards import platform
from components.monitoring.grafana import Grafana, GrafanaArgs
from components.monitoring.log_store import LogStoreArgs
from components.monitoring.loki import Loki
from components.monitoring.names import AGENTS_NAMESPACE, GRAFANA, LOKI, NAMESPACE
from components.monitoring.namespace import MonitoringNamespace
from components.monitoring.node_exporter import NodeExporter
from components.monitoring.own_rules import OwnRules, OwnRulesArgs
from components.monitoring.prometheus import Prometheus, PrometheusArgs
from components.monitoring.scraping import Targets
from components.monitoring.service_dashboard import ServiceDashboard
from components.monitoring.sources import Source
from components.monitoring.victorialogs import VictoriaLogs
from components.registry import NAMESPACE as REGISTRY_NAMESPACE
from components.registry import Registry, create_registry
from components.registry_access import RegistryAccess
from components.rollback import RollbackReceiver, RollbackReceiverArgs
from components.service import Service, ServiceArgs
from components.settings import EnvironmentSettings, GithubSettings, MonitoringSettings, Settings, SharedSettings


def shared(settings: SharedSettings) -> None:
    """The registry that environments share."""
    inside = pulumi.ResourceOptions(providers=[create_provider(settings)])
    registry = create_registry(settings, inside)
    if isinstance(registry, Registry):
        MonitoringAccess("monitoring-access", REGISTRY_NAMESPACE, ("pods",), registry, opts=inside)
    pulumi.export("registry", {"push": registry.access.push, "pull": registry.access.pull})
    pulumi.export("addresses", registry.addresses)


def environment(settings: EnvironmentSettings) -> None:
    """A namespace and the services in it."""
    inside = pulumi.ResourceOptions(providers=[create_provider(settings)])
    access = RegistryAccess.of(settings)
    names = tuple(settings.services)
    place = Environment(
        settings.stack, EnvironmentArgs(settings.stack, settings.environment, names, access), opts=inside
    )
    MonitoringAccess("monitoring-access", settings.stack, ("pods", "configmaps"), place, opts=inside)
    MonitoringAccess("dashboards-access", settings.stack, ("configmaps",), place, account=GRAFANA, opts=inside)
    if settings.automation != "off":
        DeliveryState("delivery", settings, place, opts=inside)
    images = Images(settings, access)
    running = {name: images.of(name) for name in names}
    services = {
        name: Service(
            name,
            ServiceArgs(shape, running[name], place, settings.stack, images.control_of(name), settings.runbooks),
            opts=inside,
        )
        for name, shape in settings.services.items()
    }
    for name, shape in settings.services.items():
        if shape.rules:
            files = own_rules.read(settings.directory, shape.rules, settings.stack, name)
            OwnRules(f"{name}-rules", OwnRulesArgs(name, files, place, settings.stack), opts=inside)
        has_objectives = shape.objectives is not None
        ServiceDashboard(f"{name}-dashboard", name, settings.stack, place, has_objectives=has_objectives, opts=inside)
    pulumi.export("namespace", settings.stack)
    pulumi.export("addresses", {name: service.address for name, service in services.items()})
    pulumi.export("images", {name: image.reference for name, image in running.items()})
    pulumi.export("releases", {name: image.release for name, image in running.items()})


def monitoring(settings: MonitoringSettings) -> None:
    """What watches the environments."""
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


def github(settings: GithubSettings) -> None:
    """The repository on GitHub. The provider takes an administrator's token from GITHUB_TOKEN; none is kept here."""
    import pulumi_github  # noqa: PLC0415 - the other stacks have no need of it

    from components.github import Repository, RepositoryArgs  # noqa: PLC0415 - as above

    provider = pulumi_github.Provider("github", owner=settings.github.owner)
    repository = Repository(
        "github", RepositoryArgs.read(settings.github), opts=pulumi.ResourceOptions(providers=[provider])
    )
    pulumi.export("repository", repository.repository.full_name)


match Settings.from_pulumi():
    case SharedSettings() as settings:
        shared(settings)
    case EnvironmentSettings() as settings:
        environment(settings)
    case MonitoringSettings() as settings:
        monitoring(settings)
    case GithubSettings() as settings:
        github(settings)
