"""The whole configuration of a stack as one typed object, a class for each kind of stack; `reading` makes them.

What a key means, its unit and the reason for its default stand once, here, in `components/model.py` and in
`components/delivery_model.py`: the JSON schema that editors use is made from them (`components/schema.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, field_validator

from adapters.errors import BadInput, Refused
from adapters.stackfile import KeyPath
from components.baking import Automation, Bake, Baking
from components.complaints import Locator, key_name, no_such_key
from components.delivery_model import (
    MAY_DIFFER,
    Freeze,
    GateEntry,
    Hold,
    MayDiffer,
    ScanRules,
    Signers,
    SigstoreSettings,
    check_signers_differ,
)
from components.github_model import GithubModel
from components.model import (
    RUNBOOKS,
    Cluster,
    EnvironmentRules,
    Image,
    Model,
    Name,
    PlatformImages,
    Registry,
    RegistryCredentials,
    Runbooks,
    Service,
)
from components.monitoring.model import (
    Address,
    AlertmanagerModel,
    GrafanaModel,
    LeftOut,
    LogsModel,
    MonitoringImages,
    PrometheusModel,
)


class Settings(Model):
    """What every stack says."""

    kind: str = Field(description="What the stack declares: `shared`, `environment`, `monitoring` or `github`.")
    _stack: str = PrivateAttr("")
    _directory: Path = PrivateAttr(Path())

    @property
    def stack(self) -> str:
        """The stack's name; an environment's is its namespace's too."""
        return self._stack

    @property
    def directory(self) -> Path:
        """The configuration directory, which paths in the stack file are relative to."""
        return self._directory

    def belong_to(self, stack: str, directory: Path) -> None:
        """Say which stack's these are, and the directory of its file; neither is a key in it."""
        self._stack, self._directory = stack, directory


class ClusterSettings(Settings):
    """What a stack says whose objects are in a cluster."""

    cluster: Cluster = Field(description="The cluster that the stack's objects are in.")
    registry: Registry = Field(description="The registry that images are pushed to and pulled from.")
    registry_credentials: RegistryCredentials = Field(
        default_factory=RegistryCredentials, description="Users of the registry."
    )

    @property
    def kubeconfig(self) -> str | None:
        """The kubeconfig as a path that is the same from wherever the program runs."""
        given = self.cluster.kubeconfig
        return None if given is None else str(self._directory / Path(given).expanduser())

    def registry_ca(self) -> str | None:
        """The registry's authority as PEM text; raises `BadInput` if the file cannot be read."""
        if self.registry.ca is None:
            return None
        path = self._directory / self.registry.ca
        try:
            return path.read_text(encoding="ascii")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise BadInput(
                f"the certificate authority of the registry cannot be read: {reason}",
                where=f"slipway:registry.ca, {path}",
                fix="Put the PEM file there, or leave the key out where the system trusts the registry",
            ) from None


class SharedSettings(ClusterSettings):
    """A stack that environments stand on: the registry."""

    kind: Literal["shared"] = Field(description="What the stack declares; `shared` is the registry.")
    platform_images: PlatformImages = Field(
        default_factory=PlatformImages, description="Images of the platform itself. Default: public ones."
    )

    def stands_on(self) -> tuple[str, ...]:
        """The stacks that must be up before this one."""
        return ()

    def require_complete(self, locate: Locator | None = None) -> None:
        """Raises `BadInput` if a registry in the cluster lacks what it cannot run without."""
        if (registry := self.registry.in_cluster) is None:
            return
        needed: dict[KeyPath, object] = {
            ("registry", "inCluster", "certificate"): registry.certificate,
            ("registry", "inCluster", "key"): registry.key,
            ("registryCredentials", "push"): self.registry_credentials.push,
            ("registryCredentials", "pull"): self.registry_credentials.pull,
        }
        if missing := [key_name(path) for path, value in needed.items() if value is None]:
            raise BadInput(
                f"a registry in the cluster needs {' and '.join(missing)}",
                where=(locate or key_name)(("registry", "inCluster")),
                fix="`make up` makes them for the local platform; elsewhere set them, secrets by `pulumi config set "
                "--secret --path`, or leave out inCluster for a registry that is run elsewhere",
            )


class EnvironmentSettings(ClusterSettings):
    """A stack that is an environment: its services, and what they run in. Its name is the namespace's."""

    kind: Literal["environment"] = Field(
        description="What the stack declares; `environment` is a namespace with services."
    )
    shared: Name = Field(
        default="shared", description="The stack of kind `shared` it stands on, which is updated before it."
    )
    environment: EnvironmentRules = Field(
        default_factory=EnvironmentRules, description="What holds for the whole environment."
    )
    services: dict[Name, Service] = Field(default={}, description="The shape of each service, by name.")
    images: dict[Name, Image] = Field(
        default={},
        description="What each service runs: `name:tag@sha256:…`, relative to the registry. Written by deploying to "
        "test, promoting and rolling back.",
    )
    holds: Annotated[tuple[Hold, ...], Field(strict=False)] = Field(
        default=(), description="Images that must not run here. Every engine and command refuses them."
    )
    signers: Signers = Field(default={}, description="Whose signatures count here and for what, by name.")
    sigstore: SigstoreSettings = Field(
        default_factory=SigstoreSettings, description="Where signers have certificates from that sign by an identity."
    )
    gates: Annotated[tuple[GateEntry, ...], Field(strict=False)] = Field(
        default=(), description="What a release must carry before it may enter. Default: nothing."
    )
    may_differ: MayDiffer = Field(
        default=MAY_DIFFER,
        description="Where another environment may differ and still be close to this one: paths within a service "
        "(`replicas`, `ingress.host`, `env.LOG_LEVEL`), or of `environment` (`environment.quota`).",
    )
    freeze: Freeze | None = Field(
        default=None, description="For a time nothing new comes in. Default: it is not frozen."
    )
    scan: ScanRules = Field(default_factory=ScanRules, description="What a scan of an image lets pass.")
    runbooks: Runbooks = RUNBOOKS
    bake: Bake = Field(
        default_factory=Bake, description="How long a release is watched after its promotion, and by what."
    )
    automation: Automation = Field(
        default="off",
        description="What alerts on a release that bakes may do by themselves. `off`: nothing; `observe`: what they "
        "would have done is recorded; `on`: they roll it back.",
    )
    baking: Baking | None = Field(
        default=None, description="The release that bakes now. Written by promotion. Default: none does."
    )

    @property
    def trust_config(self) -> Path | None:
        """The file of the Sigstore in use; None for the public instance."""
        named = self.sigstore.trust_config
        return None if named is None else self._directory / Path(named).expanduser()

    @property
    def controls(self) -> Mapping[str, Image]:
        """What one replica of serves beside each service's release, by service."""
        return self.baking.controls if self.baking else {}

    def stands_on(self) -> tuple[str, ...]:
        """The stacks that must be up before this one."""
        return (self.shared,)

    def hold_on(self, digest: str) -> Hold | None:
        """The hold on an image's digest, None if it may run."""
        return next((hold for hold in self.holds if hold.digest == digest), None)

    def check_hold(self, service: str, digest: str, locate: Locator | None = None) -> None:
        """Raises `Refused` if the digest that `service` would run is held."""
        if hold := self.hold_on(digest):
            raise Refused(
                f"the image {digest} is on hold in {self.stack}: {hold.reason} ({hold.author})",
                where=(locate or key_name)(("images", service)),
                fix="Name another image, or take the hold away with `slipway unhold`",
            )

    def check_freeze(self, now: datetime) -> None:
        """Raises `Refused` while the environment is frozen; for what brings anything new, or happens by itself."""
        if self.freeze and self.freeze.is_on(now):
            raise Refused(
                f"{self.stack} is frozen until {self.freeze.until:%Y-%m-%d %H:%M} UTC: {self.freeze.reason} "
                f"({self.freeze.author})",
                fix=f"Wait, or end it with `slipway unfreeze {self.stack}`; `slipway rollback {self.stack}` works "
                f"all the same, and so does `slipway up {self.stack}` of what was there before",
            )

    def require_stacks(self, stacks: Iterable[str], locate: Locator | None = None) -> None:
        """Raises `BadInput` for a gate that asks about a stack that is not among `stacks`, or about this one."""
        others = sorted({*stacks} - {self.stack})
        for index, gate in enumerate(self.gates):
            if gate.needs is not None and gate.needs not in others:
                raise BadInput(
                    f"the gate asks about {'this very stack' if gate.needs == self.stack else 'a stack'}, "
                    f"{gate.needs!r}" + ("" if gate.needs == self.stack else ", that is not there"),
                    where=(locate or key_name)(("gates", index, gate.name)),
                    allowed=", ".join(others) or "none, since there is no other stack",
                )

    def require_complete(self, locate: Locator | None = None) -> None:
        """Raises `BadInput` for a service without a digest, or an image without a service; `Refused` for a held one."""
        locate = locate or key_name
        if missing := sorted(self.services.keys() - self.images.keys()):
            raise BadInput(
                f"the service {missing[0]} has no image",
                where=locate(("images",)),
                allowed="a mapping of services to `name:tag@sha256:…`",
                fix=f"Push one and name it in slipway:images.{missing[0]} (for the local platform `make up` does)",
            )
        for service, image in self.images.items():
            if service not in self.services:
                raise no_such_key(("images", service), self.services, locate, what="service")
            if image.digest:
                self.check_hold(service, image.digest, locate)
            elif not self.environment.may_name_tags:
                raise BadInput(
                    f"the image {image} is named by a tag alone, which may mean another image tomorrow",
                    where=locate(("images", service)),
                    allowed="`name:tag@sha256:…`; a bare tag only where slipway:environment.mayNameTags is true (test)",
                    fix="Promote a release: it writes the digest that was verified",
                )
        for service, control in self.controls.items():
            if service not in self.services:
                raise no_such_key(("baking", "controls", service), self.services, locate, what="service")
            if hold := self.hold_on(str(control.digest)):
                raise Refused(
                    f"the control {control} is on hold in {self.stack}: {hold.reason} ({hold.author})",
                    where=locate(("baking", "controls", service)),
                    fix=f"Take the control away: `slipway settle {self.stack} --now`",
                )

    @field_validator("signers")
    @classmethod
    def _signers_differ(cls, signers: Signers) -> Signers:
        return check_signers_differ(signers)

    @field_validator("services")
    @classmethod
    def _none_is_anothers_control(cls, services: dict[str, Service]) -> dict[str, Service]:
        if taken := [name for name in services if f"{name}-control" in services]:
            raise ValueError(
                f"{taken[0]}-control is what is called that serves beside {taken[0]} while it bakes; a service has "
                "another name"
            )
        return services

    @field_validator("registry")
    @classmethod
    def _run_elsewhere(cls, registry: Registry) -> Registry:
        if registry.in_cluster is not None:
            raise ValueError("inCluster belongs into the shared stack, since environments share the registry")
        return registry


class MonitoringSettings(ClusterSettings):
    """A stack that watches the environments of its cluster. It stands on none: it sees them once they are there."""

    kind: Literal["monitoring"] = Field(
        description="What the stack declares; `monitoring` collects metrics of the environments."
    )
    environments: Annotated[tuple[Name, ...], Field(strict=False, min_length=1)] = Field(
        description="The environments that are watched, by the names of their stacks."
    )
    certificates: Annotated[tuple[Address, ...], Field(strict=False)] = Field(
        default=(),
        description="What is reached by TLS and asked for its certificates, as the cluster's pods reach it: "
        "`host:port`. Default: none is watched.",
    )
    leave_out: Annotated[tuple[LeftOut, ...], Field(strict=False)] = Field(
        default=(),
        description="What a place does without: `node` where node-exporter may not run on nodes, `registry` where it "
        "is run elsewhere, `grafana` where its image cannot be pulled. `slipway status` names it, and the alerts that "
        "are left out with it.",
    )
    runbooks: Runbooks = RUNBOOKS
    platform_images: MonitoringImages = Field(
        default_factory=MonitoringImages, description="Images of the monitoring. Default: public ones."
    )
    prometheus: PrometheusModel = Field(
        default_factory=PrometheusModel, description="How Prometheus collects metrics and keeps them."
    )
    alertmanager: AlertmanagerModel = Field(
        default_factory=AlertmanagerModel, description="Who is told of alerts, and how."
    )
    logs: LogsModel = Field(default_factory=LogsModel, description="Where logs are kept, and for how long.")
    grafana: GrafanaModel | None = Field(
        default=None, description="How people see what was measured; needed unless `leaveOut` names it."
    )

    def stands_on(self) -> tuple[str, ...]:
        """The stacks that must be up before this one."""
        return ()

    def require_complete(self, locate: Locator | None = None) -> None:
        """Raises `BadInput` if a part that is not left out lacks what it cannot run without."""
        if self.grafana is None and "grafana" not in self.leave_out:
            raise BadInput(
                "Grafana has no password, and lets nobody in without",
                where=(locate or key_name)(("grafana",)),
                fix="Set one with `pulumi config set --secret --path 'slipway:grafana.adminPassword'`, or name grafana "
                "in slipway:leaveOut where its image cannot be pulled",
            )


class GithubSettings(Settings):
    """A stack that is the repository on GitHub. Only the Pulumi CLI updates it, and only where it is named."""

    kind: Literal["github"] = Field(description="What the stack declares; `github` is the repository and its rules.")
    github: GithubModel = Field(description="The repository, what protects it, and what its workflows are told.")

    def stands_on(self) -> tuple[str, ...]:
        """The stacks that must be up before this one."""
        return ()

    def require_complete(self, locate: Locator | None = None) -> None:
        """Nothing is added later."""

    def require_stacks(self, stacks: Iterable[str], locate: Locator | None = None) -> None:
        """Raises `BadInput` for a guarded environment that is no stack."""
        known = sorted({*stacks} - {self.stack})
        for name in self.github.environments:
            if name not in known:
                raise no_such_key(("github", "environments", name), known, locate or key_name, what="stack")


AnySettings = SharedSettings | EnvironmentSettings | MonitoringSettings | GithubSettings

KINDS: Mapping[str, type[AnySettings]] = {
    "shared": SharedSettings,
    "environment": EnvironmentSettings,
    "monitoring": MonitoringSettings,
    "github": GithubSettings,
}
"""The class for each value of `slipway:kind`."""
