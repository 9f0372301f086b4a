"""Wiring only: a stack's configuration in, components out."""

from __future__ import annotations

import pulumi

from components.cluster import create_provider
from components.delivery_state import DeliveryState
from components.environment import Environment, EnvironmentArgs
from components.images import Images
from components.monitoring import own_rules
from components.monitoring.access import MonitoringAccess
from components.monitoring.names import GRAFANA
from components.monitoring.own_rules import OwnRules, OwnRulesArgs
from components.monitoring.service_dashboard import ServiceDashboard
from components.reading import read_program
from components.registry import NAMESPACE as REGISTRY_NAMESPACE
from components.registry import Registry, create_registry
from components.registry_access import RegistryAccess
from components.service import Service, ServiceArgs
from components.settings import EnvironmentSettings, GithubSettings, MonitoringSettings, SharedSettings


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
    from components.monitoring import stack  # noqa: PLC0415 - the other stacks have no need of it

    stack.declare(settings)


def github(settings: GithubSettings) -> None:
    """The repository on GitHub. The provider takes an administrator's token from GITHUB_TOKEN; none is kept here."""
    import pulumi_github  # noqa: PLC0415 - the other stacks have no need of it

    from components.github import Repository, RepositoryArgs  # noqa: PLC0415 - as above

    provider = pulumi_github.Provider("github", owner=settings.github.owner)
    repository = Repository(
        "github", RepositoryArgs.read(settings.github), opts=pulumi.ResourceOptions(providers=[provider])
    )
    pulumi.export("repository", repository.repository.full_name)


match read_program():
    case SharedSettings() as settings:
        shared(settings)
    case EnvironmentSettings() as settings:
        environment(settings)
    case MonitoringSettings() as settings:
        monitoring(settings)
    case GithubSettings() as settings:
        github(settings)
