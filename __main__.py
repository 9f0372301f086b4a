"""Wiring only: a stack's configuration in, components out."""

from __future__ import annotations

import pulumi

from components.cluster import create_provider
from components.environment import Environment, EnvironmentArgs
from components.images import Images
from components.monitoring import rules
from components.monitoring.access import MonitoringAccess
from components.monitoring.alertmanager import Alertmanager, AlertmanagerArgs
from components.monitoring.coverage import PRESENT
from components.monitoring.namespace import MonitoringNamespace
from components.monitoring.prometheus import Prometheus, PrometheusArgs
from components.registry import RegistryAccess, create_registry
from components.service import Service, ServiceArgs
from components.settings import EnvironmentSettings, GithubSettings, MonitoringSettings, Settings, SharedSettings


def shared(settings: SharedSettings) -> None:
    """The registry that environments share."""
    inside = pulumi.ResourceOptions(providers=[create_provider(settings)])
    registry = create_registry(settings, inside)
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
    MonitoringAccess("monitoring-access", settings.stack, place, opts=inside)
    images = Images(settings, access)
    running = {name: images.of(name) for name in names}
    services = {
        name: Service(name, ServiceArgs(shape, running[name], place, settings.stack), opts=inside)
        for name, shape in settings.services.items()
    }
    pulumi.export("namespace", settings.stack)
    pulumi.export("addresses", {name: service.address for name, service in services.items()})
    pulumi.export("images", {name: image.reference for name, image in running.items()})
    pulumi.export("releases", {name: image.release for name, image in running.items()})


def monitoring(settings: MonitoringSettings) -> None:
    """What watches the environments."""
    inside = pulumi.ResourceOptions(providers=[create_provider(settings)])
    place = MonitoringNamespace("monitoring", opts=inside)
    images = settings.platform_images
    alertmanager = Alertmanager("alertmanager", AlertmanagerArgs(settings.alertmanager, images, place), opts=inside)
    prometheus = Prometheus(
        "prometheus",
        PrometheusArgs(
            shape=settings.prometheus,
            images=images,
            environments=settings.environments,
            cluster=settings.cluster.identifier,
            rules=rules.load(PRESENT),
            alertmanagers=alertmanager.targets,
            place=place,
        ),
        opts=inside,
    )
    pulumi.export("addresses", {"prometheus": prometheus.address, "alertmanager": alertmanager.address})


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
