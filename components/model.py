"""The parts of a stack's configuration: what each key means, its unit and the reason for its default.

`components/settings.py` puts them together; the JSON schema for editors is made from both (`components/schema.py`).
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from adapters.errors import BadInput
from adapters.registry import Reference, parse_reference
from components.secret import Secret

DIGEST = r"^sha256:[0-9a-f]{64}$"
_NAME = r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$"
_QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$"

Name = Annotated[str, Field(pattern=_NAME)]
Quantity = Annotated[str, Field(pattern=_QUANTITY)]
Seconds = Annotated[int, Field(ge=0, le=3600)]
Port = Annotated[int, Field(ge=1, le=65535)]
UrlPath = Annotated[str, Field(pattern=r"^/")]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Model(BaseModel):
    """Refuses what it does not know; values are of their own type, never turned into it; keys are written camelCase."""

    # A class is made ready once it is used: few commands read stacks of every kind.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, alias_generator=to_camel, defer_build=True)


class Cluster(Model):
    """The cluster that a stack's objects are in."""

    context: str = Field(
        description="Context of the kubeconfig. Always named: what is current by chance is never used."
    )
    identifier: str = Field(
        description="What the cluster is called for good. Objects belong to it by this name, so that a moved or "
        "renamed kubeconfig replaces nothing."
    )
    kubeconfig: str | None = Field(
        default=None,
        description="Path of the kubeconfig: absolute, below `~`, or relative to the configuration directory. "
        "Default: `KUBECONFIG`, or `~/.kube/config`.",
    )


class Credentials(Model):
    """A user of the registry."""

    username: str = Field(pattern=r"^[^:\s]+$", description="Name of the user, as the registry knows it.")
    password: Secret = Field(description="Password or token; encrypted.")


class RegistryCredentials(Model):
    """Who may do what in the registry."""

    push: Credentials | None = Field(default=None, description="Pushes images; for CI, and for looking tags up.")
    pull: Credentials | None = Field(
        default=None, description="Only pulls; for environments and their nodes. Default: the registry needs none."
    )


class InClusterRegistry(Model):
    """A registry (CNCF distribution) that this stack runs in the cluster."""

    certificate: str | None = Field(
        default=None,
        description="Certificate for TLS with its chain, PEM. It holds the names and addresses that clients use. The "
        "local platform makes one.",
    )
    key: Secret | None = Field(default=None, description="The certificate's private key, PEM; encrypted.")
    node_port: int = Field(
        default=30500,
        ge=30000,
        le=32767,
        description="Port of each node where the read-only instance is reached: nodes pull images from it, and they do "
        "not resolve names of Services.",
    )
    storage: Quantity = Field(default="10Gi", description="Size of the volume that holds the images.")
    storage_class: str | None = Field(default=None, description="StorageClass of that volume. Default: the cluster's.")
    garbage_collection: str = Field(
        default="17 3 * * *",
        pattern=r"^\S+( \S+){4}$",
        description="When unreferenced blobs are deleted, as cron has it (minute hour day month weekday). Writing is "
        "off meanwhile, pulling is not.",
    )


class Registry(Model):
    """The registry that images are pushed to and pulled from. Image names elsewhere are relative to it."""

    push: str = Field(
        pattern=r"^[^\s/@]+(/[^\s@]+)?$",
        description="Where images are pushed to and looked up: `host[:port][/path]`, such as `ghcr.io/org`.",
    )
    pull: str = Field(
        pattern=r"^[^\s/@]+(/[^\s@]+)?$",
        description="What image names in pods begin with: `host[:port][/path]`. Differs from `push` where nodes reach "
        "the registry by another way.",
    )
    ca: str | None = Field(
        default=None,
        description="PEM file, beside the stack file, of the authority that signed the registry's certificate. "
        "Default: those the system trusts.",
    )
    in_cluster: InClusterRegistry | None = Field(
        default=None,
        description="Runs the registry in the cluster; only in the `shared` stack. Default: it is external.",
    )


class PlatformImages(Model):
    """Images of the platform itself, by digest or version."""

    registry: str = Field(default="docker.io/library/registry:3.0.0", description="CNCF distribution, version 3.")
    kubectl: str = Field(default="registry.k8s.io/kubectl:v1.36.3", description="kubectl; turns writing off and on.")


class Quota(Model):
    """What all pods of an environment may ask for together; an update's surge counts too."""

    cpu: Quantity = Field(default="2", description="CPU requests in all, in cores (`500m` is half of one).")
    memory: Quantity = Field(default="2Gi", description="Memory requests in all.")
    memory_limit: Quantity = Field(default="4Gi", description="Memory limits in all.")
    pods: int = Field(default=50, ge=1, description="Number of pods.")


class Limits(Model):
    """Bounds for a single container, and what one gets that names none."""

    cpu: Quantity = Field(default="50m", description="CPU request of a container that names none, in cores.")
    memory: Quantity = Field(default="64Mi", description="Memory request of a container that names none.")
    memory_limit: Quantity = Field(default="128Mi", description="Memory limit of a container that names none.")
    max_memory: Quantity = Field(default="1Gi", description="Highest memory limit a container may name.")


class EnvironmentRules(Model):
    """What holds for a whole environment."""

    protect: bool = Field(
        default=False, description="Whether the namespace is protected from deletion; true where its loss is an outage."
    )
    may_name_tags: bool = Field(
        default=False,
        description="Whether `slipway:images` may name a bare tag, which is resolved to its digest by each update. "
        "Only for test: elsewhere a release is what was verified, so it is named by digest.",
    )
    quota: Quota = Field(default_factory=Quota, description="Bounds for all pods together.")
    limits: Limits = Field(default_factory=Limits, description="Bounds and defaults for each container.")


class Resources(Model):
    """What a service's container asks for. There is no CPU limit: it would slow the pod down while the node is idle."""

    cpu: Quantity = Field(default="50m", description="CPU request in cores; the share it gets when the node is busy.")
    memory: Quantity = Field(default="64Mi", description="Memory request.")
    memory_limit: Quantity = Field(default="128Mi", description="Memory at which the container is killed.")


class Probes(Model):
    """How the cluster knows how a pod is."""

    startup: UrlPath = Field(default="/healthz", description="HTTP path that answers 200 once the process is up.")
    startup_seconds: Seconds = Field(
        default=60,
        ge=1,
        description="How long a start may take before the container is started anew; asked each second.",
    )
    readiness: UrlPath = Field(default="/readyz", description="HTTP path that answers 200 while requests may come.")
    readiness_period_seconds: Seconds = Field(
        default=1, ge=1, description="How often readiness is asked. Short: an update goes on as soon as a pod is ready."
    )
    liveness: UrlPath = Field(
        default="/healthz",
        description="HTTP path that answers 200 unless only a restart helps; must not ask dependencies.",
    )
    liveness_period_seconds: Seconds = Field(
        default=10, ge=1, description="How often liveness is asked; three in a row count."
    )


class Rollout(Model):
    """Timing of an update and of a pod's end; the defaults lose no request and take seconds."""

    surge: str = Field(
        default="50%",
        pattern=r"^[0-9]+%?$",
        description="How many pods may run on top of the declared number during an update: a number or a percentage. "
        "None is ever taken away before another one is ready.",
    )
    min_ready_seconds: Seconds = Field(
        default=1, description="How long a pod must have been ready to count: one that fails at once stops the update."
    )
    pre_stop_seconds: Seconds = Field(
        default=3,
        ge=1,
        description="How long an ending pod goes on before it is told: longer than its removal from Services takes.",
    )
    drain_seconds: Seconds = Field(
        default=1,
        description="How long the process, once told to end, still takes requests; given to it as DRAIN_SECONDS.",
    )
    grace_seconds: Seconds = Field(
        default=20, description="How long running requests may then take to finish; given to it as GRACE_SECONDS."
    )
    progress_deadline_seconds: Seconds = Field(
        default=120,
        ge=5,
        description="How long an update may go without progress before it has failed; longer than pulling the image "
        "and starting take.",
    )

    @model_validator(mode="after")
    def _deadline_above_ready(self) -> Self:
        if self.progress_deadline_seconds <= self.min_ready_seconds:
            raise ValueError("progressDeadlineSeconds must be above minReadySeconds, or every update would fail")
        return self


class Autoscaling(Model):
    """Runs more pods under load; `replicas` is the least number."""

    max_replicas: int = Field(ge=1, le=1000, description="The most pods; above `replicas`.")
    cpu_percent: int = Field(
        default=70, ge=1, le=1000, description="CPU use, in percent of the request, above which pods are added."
    )


class Ingress(Model):
    """Makes a service reachable from outside, through the cluster's ingress controller."""

    host: str = Field(pattern=r"^[a-z0-9*]([-a-z0-9.]*[a-z0-9])?$", description="Host name the service answers to.")
    path: UrlPath = Field(default="/", description="Path below which requests go to the service.")
    class_name: str | None = Field(default=None, description="IngressClass. Default: the cluster's.")
    tls_secret: str | None = Field(
        default=None, description="Secret in the environment with the host's certificate. Default: no TLS here."
    )
    annotations: dict[str, str] = Field(default={}, description="Annotations that the ingress controller reads.")


class PreDeploy(Model):
    """A command that has to succeed before the service's pods are replaced, such as a migration."""

    command: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] = Field(
        description="Program and arguments, run once in the new image, with the service's own env, secrets and config."
    )
    deadline_seconds: int = Field(
        default=300, ge=1, le=86400, description="How long it may take before it has failed; it is not tried again."
    )
    reversible: bool = Field(
        default=True,
        description="Whether the release before still works after it. If not, nothing rolls back by itself.",
    )
    env: dict[VariableName, str] = Field(default={}, description="Further environment variables, in plain text.")


class LatencyObjective(Model):
    """How many of the answered requests are fast."""

    percent: float = Field(ge=50, lt=100, description="How many of a hundred answered requests take less time.")
    below_seconds: float = Field(
        gt=0,
        le=60,
        description="Than this, in seconds: a bound of the service's histogram http_request_duration_seconds.",
    )


class Objectives(Model):
    """What the users of a service are promised; alerts come of how fast the promise is broken."""

    availability: float | None = Field(
        default=None,
        ge=50,
        lt=100,
        description="How many of a hundred requests do not end with a 5xx code. Default: nothing is promised.",
    )
    latency: LatencyObjective | None = Field(
        default=None, description="How fast answers are. Default: nothing is promised."
    )
    period_days: int = Field(
        default=30, ge=7, le=90, description="The days for which the promise holds, and its error budget lasts."
    )

    @model_validator(mode="after")
    def _promises_something(self) -> Self:
        if self.availability is None and self.latency is None:
            raise ValueError("objectives name availability, latency or both")
        return self


Runbooks = Annotated[
    str,
    Field(
        pattern=r"^(https?://\S+/|docs/runbooks/)$",
        description="What addresses of runbooks begin with in alerts: where this repository's `docs/runbooks/` can be "
        "read, with a slash at the end. Default: the path within the repository.",
    ),
]
RUNBOOKS = "docs/runbooks/"
"""Where the pages are, in the repository."""

RuleFilePath = Annotated[str, Field(pattern=r"^[-._A-Za-z0-9][-._A-Za-z0-9/]*\.ya?ml$")]


class Service(Model):
    """The shape of one service; which image it runs stands in `slipway:images`."""

    port: Port = Field(default=8080, description="TCP port the process listens on; given to it as PORT.")
    replicas: int = Field(default=2, ge=0, le=1000, description="Number of pods; with autoscaling the least number.")
    resources: Resources = Field(default_factory=Resources, description="What its container asks for.")
    probes: Probes = Field(default_factory=Probes, description="How the cluster knows how its pods are.")
    rollout: Rollout = Field(default_factory=Rollout, description="Timing of updates and of a pod's end.")
    env: dict[VariableName, str] = Field(default={}, description="Environment variables in plain text.")
    secrets: dict[VariableName, Secret] = Field(
        default={}, description="Environment variables whose values are encrypted; they go through a Secret."
    )
    config: dict[Annotated[str, Field(pattern=r"^[-._A-Za-z0-9]+$")], str] = Field(
        default={},
        description="Files by name, mounted at `configPath`; a change restarts the pods, one after the other.",
    )
    config_path: UrlPath = Field(default="/etc/slipway", description="Directory where the files of `config` are.")
    autoscaling: Autoscaling | None = Field(
        default=None, description="Runs more pods under load. Default: `replicas` always."
    )
    ingress: Ingress | None = Field(default=None, description="Makes it reachable from outside. Default: it is not.")
    pre_deploy: PreDeploy | None = Field(
        default=None, description="A command that promotion runs before it updates the service. Default: none."
    )
    objectives: Objectives | None = Field(
        default=None,
        description="What its users are promised. Default: nothing beyond what every service is watched for.",
    )
    rules: Annotated[tuple[RuleFilePath, ...], Field(strict=False)] = Field(
        default=(),
        description="Files of Prometheus' rules of its own, by their paths relative to this file. In them "
        "`${environment}` and `${service}` stand for the names. Default: none.",
    )

    @model_validator(mode="after")
    def _autoscaling_above_replicas(self) -> Self:
        if self.autoscaling and not 0 < self.replicas <= self.autoscaling.max_replicas:
            raise ValueError("with autoscaling, replicas must be from 1 to autoscaling.maxReplicas")
        return self

    @model_validator(mode="after")
    def _variables_are_ours_or_theirs(self) -> Self:
        twice = self.env.keys() & self.secrets.keys()
        further = self.pre_deploy.env.keys() if self.pre_deploy else set()
        taken = (self.env.keys() | self.secrets.keys() | further) & RESERVED_VARIABLES
        if twice or taken:
            what = "in env and in secrets" if twice else "set by the platform"
            raise ValueError(f"{', '.join(sorted(twice or taken))} is {what}")
        return self


RESERVED_VARIABLES = frozenset(
    ("SLIPWAY_RELEASE", "SLIPWAY_VERSION", "SLIPWAY_ENVIRONMENT", "PORT", "DRAIN_SECONDS", "GRACE_SECONDS")
)
"""Environment variables that every service is given by the platform."""


def _read_image(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        reference = parse_reference(value)
    except BadInput as error:
        raise ValueError(f"{error.what} (allowed: {error.allowed})") from None
    if reference.tag == "latest":
        raise ValueError(f"{value!r}: `latest` is another image after each release, and never deployed; name a release")
    first, slash, _ = reference.name.partition("/")
    if slash and (set(first) & {".", ":"} or first == "localhost"):
        raise ValueError(f"{value!r} names a registry ({first}): image names are relative to slipway:registry")
    return reference


Image = Annotated[
    Reference,
    BeforeValidator(_read_image, json_schema_input_type=str),
    Field(description="`name:tag@sha256:…`; the name is relative to the registry."),
]
