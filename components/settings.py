"""The whole configuration of a stack as one typed object.

It is read in two places by the same rules: by the program (`from_pulumi`, secrets opened) and by commands before they
run anything (`from_mapping`, secrets sealed). What a key means, its unit and the reason for its default stand once,
here, in `components/model.py` and in `components/delivery_model.py`: the JSON schema that editors use is made from
them (`components/schema.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import pulumi
from pulumi.runtime import config as pulumi_config
from pydantic import BaseModel, Field, PrivateAttr, ValidationError, field_validator

from adapters.errors import BadInput, Refused
from adapters.stackfile import PROJECT, KeyPath, StackFile, stack_names, stack_path
from components.baking import Automation, Bake, Baking
from components.complaints import Locator, complaint, key_name, no_such_key, plain_secret
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
from components.secret import SEALED, Secret


class Settings(Model):
    """What every stack says. `from_pulumi` and `from_mapping` give the class that belongs to the stack's kind."""

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

    @classmethod
    def from_mapping(
        cls,
        config: Mapping[str, Any],
        *,
        stack: str,
        directory: Path = Path(),
        locate: Locator | None = None,
        complete: bool = True,
    ) -> AnySettings:
        """Read the values of a stack file (`StackFile.config`), in which secrets are sealed: `{secure: …}`.

        Raises `BadInput` naming key and line (by `locate`), and `Refused` for an image on hold. Without `complete`
        an environment may lack what the local platform writes into its files: images, certificates, credentials.
        """
        return _read(config, stack=stack, directory=directory, locate=locate, sealed=True, complete=complete)

    @classmethod
    def from_file(cls, file: StackFile, *, complete: bool = True) -> AnySettings:
        """Read a stack file; see `from_mapping`."""
        directory, locate = file.path.parent, _locator(file)
        settings = cls.from_mapping(
            file.config, stack=file.stack, directory=directory, locate=locate, complete=complete
        )
        if isinstance(settings, EnvironmentSettings | GithubSettings):
            settings.require_stacks(stack_names(directory), locate)
        return settings

    @classmethod
    def from_pulumi(cls) -> AnySettings:
        """Read the configuration of the running program, secrets opened."""
        directory, stack = Path(pulumi.get_root_directory()), pulumi.get_stack()
        path = stack_path(directory, stack)
        file = StackFile.load(path) if path.is_file() else None
        config = {key: _as_value(text) for key, text in pulumi_config.CONFIG.get().items()}
        locate = _locator(file) if file else None
        settings = _read(config, stack=stack, directory=directory, locate=locate, sealed=False, complete=True)
        _refuse_plain_secrets(settings, file, locate)
        return settings


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

_KEYS = frozenset(field.alias for model in KINDS.values() for field in model.model_fields.values())


def _read(
    config: Mapping[str, Any],
    *,
    stack: str,
    directory: Path,
    locate: Locator | None,
    sealed: bool,
    complete: bool,
) -> AnySettings:
    locate = locate or (lambda path: f"stack {stack}, {key_name(path)}")
    values = _own_values(config, locate)
    model = _model_of(values, locate)
    # Pulumi.yaml has to give keys of other kinds a default, an empty one; see there.
    values = {key: value for key, value in values.items() if key not in _KEYS or value not in ({}, [], "")}
    try:
        settings = model.model_validate(values, context={SEALED: sealed})
    except ValidationError as error:
        raise complaint(error, model, locate) from None
    settings._stack, settings._directory = stack, directory
    if complete:
        settings.require_complete(locate)
    return settings


def _own_values(config: Mapping[str, Any], locate: Locator) -> dict[str, Any]:
    """The values by key without `slipway:`; other namespaces belong to no provider that is used here."""
    values: dict[str, Any] = {}
    for key, value in config.items():
        namespace, _, name = key.rpartition(":")
        if namespace in ("", PROJECT):
            values[name] = value
        elif namespace != "pulumi":  # settings of the engine itself
            raise BadInput(
                "there is no such configuration key",
                where=locate((key,)),
                allowed="keys that begin with `slipway:`, since every provider is declared by the program",
            )
    return values


def _model_of(values: Mapping[str, Any], locate: Locator) -> type[AnySettings]:
    kind = values.get("kind")
    if isinstance(kind, str) and kind in KINDS:
        return KINDS[kind]
    raise BadInput(
        f"{kind!r} is no kind of a stack" if kind else "the stack does not say what it declares",
        where=locate(("kind",)),
        allowed=", ".join(KINDS),
    )


def _as_value(text: Any) -> Any:
    """Pulumi hands objects as JSON text and anything else as it stands."""
    if isinstance(text, str) and text[:1] in ("{", "["):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text
    return text


def _locator(file: StackFile) -> Locator:
    def locate(path: KeyPath) -> str:
        line = next((line for end in range(len(path), 0, -1) if (line := file.line_of(path[:end]))), None)
        return f"{file.path.name}{f', line {line}' if line else ''}, {key_name(path)}"

    return locate


def _refuse_plain_secrets(settings: Settings, file: StackFile | None, locate: Locator | None) -> None:
    """Inside the program secrets look like any text: what Pulumi and the stack file say of them is compared."""
    for path in secret_paths(settings):
        written = file.get(path) if file else None
        if isinstance(written, str) or not pulumi_config.is_config_secret(f"{PROJECT}:{path[0]}"):
            raise plain_secret(path, locate or key_name)


def secret_paths(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The key path of every secret that a part of the settings holds."""
    if isinstance(value, Secret):
        return [path]
    inner: Mapping[Any, object] = {}
    if isinstance(value, BaseModel):
        inner = {field.alias or name: getattr(value, name) for name, field in type(value).model_fields.items()}
    elif isinstance(value, Mapping):
        inner = value
    return [found for key, item in inner.items() for found in secret_paths(item, (*path, key))]
