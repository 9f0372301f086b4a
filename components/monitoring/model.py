"""The parts of a monitoring stack's configuration: what each key means, its unit and the reason for its default."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.model import Model, Name, Quantity, Resources
from components.monitoring.names import NAMESPACE, RECEIVER, RECEIVER_PORT
from components.secret import Secret

_BYTES = {"": 1, "K": 10**3, "KI": 2**10, "M": 10**6, "MI": 2**20, "G": 10**9, "GI": 2**30, "T": 10**12, "TI": 2**40}

Address = Annotated[str, Field(pattern=r"^[^\s:/]+:[0-9]+$")]
"""`host:port`."""

LeftOut = Literal["node", "registry", "grafana"]
"""What a monitoring stack need not bring: sources of metrics by their names, and Grafana."""

Replicas = Annotated[int, Field(ge=1, le=5)]


class MonitoringImages(Model):
    """Images of the monitoring, by digest or version."""

    prometheus: str = Field(default="docker.io/prom/prometheus:v3.16.0", description="Prometheus, version 3.")
    alertmanager: str = Field(default="docker.io/prom/alertmanager:v0.34.2", description="Alertmanager.")
    node_exporter: str = Field(default="docker.io/prom/node-exporter:v1.12.1", description="node-exporter.")
    prober: str = Field(
        default="docker.io/prom/blackbox-exporter:v0.27.0",
        description="Blackbox exporter, which asks for certificates.",
    )
    loki: str = Field(default="docker.io/grafana/loki:3.7.8", description="Loki, version 3.")
    victorialogs: str = Field(default="docker.io/victoriametrics/victoria-logs:v1.52.1", description="VictoriaLogs.")
    collector: str = Field(
        default="docker.io/otel/opentelemetry-collector-contrib:0.149.0",
        description="OpenTelemetry Collector with the receivers of files and of Kubernetes' states.",
    )
    loader: str = Field(
        default="quay.io/kiwigrid/k8s-sidecar:1.30.3",
        description="Copies labelled ConfigMaps of the environments into a folder of Prometheus or Grafana.",
    )
    grafana: str = Field(default="docker.io/grafana/grafana:12.4.10", description="Grafana, version 12.")


class PrometheusModel(Model):
    """How metrics are collected and kept."""

    replicas: Replicas = Field(
        default=1,
        description="Number of instances. Each scrapes and keeps everything by itself; two survive the loss of a node.",
    )
    scrape_seconds: int = Field(default=15, ge=1, le=300, description="How often every target is scraped, in seconds.")
    service_scrape_seconds: int = Field(
        default=5,
        ge=1,
        le=5,
        description="How often services and the kubelets' counts of their probes are scraped, in seconds: what rolls a "
        "release back is known no sooner. At most 5, since the rules for that look at the last 15.",
    )
    retention_days: int = Field(default=15, ge=1, description="How long metrics are kept, in days.")
    retention_size: Annotated[str, Field(pattern=r"^[1-9][0-9]*[KMGT]B$")] = Field(
        default="8GB", description="How many bytes of metrics are kept at most: the oldest go first."
    )
    storage: Quantity = Field(
        default="10Gi",
        description="Size of each instance's volume; above `retentionSize`, which leaves out what is being written.",
    )
    storage_class: str | None = Field(default=None, description="StorageClass of that volume. Default: the cluster's.")
    verify_kubelets: bool = Field(
        default=True,
        description="Whether kubelets must have a certificate of the cluster's authority. False where they sign their "
        "own (kubeadm without `serverTLSBootstrap`).",
    )
    resources: Resources = Field(
        default_factory=lambda: Resources.model_validate({"cpu": "100m", "memory": "256Mi", "memoryLimit": "1Gi"}),
        description="What an instance's container asks for; memory grows with the number of series.",
    )

    @model_validator(mode="after")
    def _storage_above_retention(self) -> Self:
        if _bytes(self.storage) <= _bytes(self.retention_size.removesuffix("B")):
            raise ValueError("storage must be above retentionSize, or the volume is full before anything is deleted")
        return self


class Email(Model):
    """Alerts by e-mail."""

    to: str = Field(pattern=r"@", description="Who gets it; several with commas.")
    sender: str = Field(pattern=r"@", description="Whom it comes from.")
    smarthost: str = Field(pattern=r"^[^\s:]+:[0-9]+$", description="The server that takes it: `host:port`.")
    username: str | None = Field(default=None, description="Who we are to that server. Default: it asks for nobody.")
    password: Secret | None = Field(default=None, description="The password there; encrypted.")
    require_tls: bool = Field(default=True, description="Whether a server without TLS is refused.")


class Slack(Model):
    """Alerts to a channel of Slack, or of what understands its incoming webhooks (Mattermost, Rocket.Chat)."""

    url: Secret = Field(description="The incoming webhook's address, which is all that one needs to write; encrypted.")
    channel: str | None = Field(default=None, description="The channel, where the webhook leaves a choice.")


class PagerDuty(Model):
    """Alerts as incidents of PagerDuty."""

    routing_key: Secret = Field(description="Integration key of a service (Events API v2); encrypted.")


class Webhook(Model):
    """Alerts as JSON to a program of one's own."""

    url: Secret = Field(description="The address, which may hold a token; encrypted.")
    token: Secret | None = Field(
        default=None, description="Sent as `Authorization: Bearer …`; encrypted. Default: nothing is sent."
    )


class Dispatch(Model):
    """A receiver beside Alertmanager that starts a rollback workflow: for a team, whose stack files are on GitHub."""

    image: str = Field(
        description="Slipway's own image, by digest or version: built of the repository's Dockerfile, by whoever runs "
        "it, and pushed to where the cluster's nodes pull from."
    )
    repository: str = Field(
        pattern=r"^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", description="Where the workflow is: `OWNER/NAME`."
    )
    workflow: str = Field(
        default="rollback.yml", pattern=r"^[A-Za-z0-9._-]+\.ya?ml$", description="The workflow's file."
    )
    ref: str = Field(default="main", min_length=1, description="The branch that it is started on.")
    github_token: Secret = Field(
        description="A token of that repository with `actions: write` and nothing else; encrypted."
    )
    api: str = Field(
        default="https://api.github.com",
        pattern=r"^https?://\S+$",
        description="GitHub's API. Default: github.com's; a server of one's own has it below `/api/v3`.",
    )
    storage: Quantity = Field(default="100Mi", description="Size of its volume: the alerts that it has taken.")
    storage_class: str | None = Field(default=None, description="StorageClass of that volume. Default: the cluster's.")
    resources: Resources = Field(
        default_factory=lambda: Resources.model_validate({"cpu": "10m", "memory": "96Mi", "memoryLimit": "256Mi"}),
        description="What its container asks for.",
    )

    @property
    def replicas(self) -> int:
        """What it has taken it answers once, so there is one of it."""
        return 1


class RollbackWebhook(Model):
    """The receiver of alerts that ask for a rollback: `slipway serve`, where it runs or as it is deployed here."""

    url: Secret | None = Field(
        default=None, description="The address of one that runs elsewhere, which may hold a token; encrypted."
    )
    dispatch: Dispatch | None = Field(
        default=None, description="One that is deployed beside Alertmanager, and starts the rollback workflow."
    )
    token: Secret | None = Field(
        default=None,
        description="Sent as `Authorization: Bearer …`, at least 16 characters; encrypted. Default: nothing is sent.",
    )
    metrics: str | None = Field(
        default=None,
        pattern=r"^[^\s:/]+:[0-9]+$",
        description="Where one that runs elsewhere gives its metrics, `host:port`. Default: they are not collected.",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.url is None) == (self.dispatch is None):
            raise ValueError("a receiver either runs elsewhere (url) or is deployed here (dispatch)")
        if self.dispatch and (self.metrics or not self.token):
            raise ValueError("with dispatch there is a token, and no metrics: they are known")
        return self


class Receiver(Model):
    """Where alerts go; every way that is named is taken."""

    email: Email | None = Field(default=None, description="By e-mail.")
    slack: Slack | None = Field(default=None, description="To a channel.")
    pager_duty: PagerDuty | None = Field(default=None, description="As an incident.")
    webhook: Webhook | None = Field(default=None, description="To a program.")

    @model_validator(mode="after")
    def _some_way(self) -> Self:
        if not (self.email or self.slack or self.pager_duty or self.webhook):
            raise ValueError("a receiver has at least one of email, slack, pagerDuty and webhook")
        return self


class Route(Model):
    """Which alerts a receiver gets; what is left out matches everything."""

    receiver: Name = Field(description="Key in `receivers`.")
    severity: Literal["critical", "warning"] | None = Field(
        default=None, description="critical: a person is needed now; warning: on this working day."
    )
    environment: Name | None = Field(default=None, description="Only alerts of this environment.")
    team: str | None = Field(default=None, min_length=1, description="Only alerts whose rule has this label `team`.")


class AlertmanagerModel(Model):
    """Who is told what."""

    replicas: Replicas = Field(
        default=1, description="Number of instances. Several gossip, so that each alert is told once; 3 for production."
    )
    receivers: dict[Name, Receiver] = Field(default={}, description="Where alerts go, by name.")
    default: Name | None = Field(
        default=None, description="The receiver of alerts that no route takes. Default: they are shown and told nobody."
    )
    routes: Annotated[tuple[Route, ...], Field(strict=False)] = Field(
        default=(), description="Who gets which alerts; the first that matches decides."
    )
    rollback: RollbackWebhook | None = Field(
        default=None,
        description="Who answers alerts labelled `action: rollback`, which go there at once and each minute, and to "
        "people as all others do.",
    )
    watchdog: Webhook | None = Field(
        default=None,
        description="A dead-man's switch outside of the cluster: it gets an alert that always fires, each minute, and "
        "raises alarm when that stays away.",
    )
    group_wait_seconds: int = Field(
        default=30, ge=0, description="How long a first alert waits for others of its group, in seconds."
    )
    group_interval_seconds: int = Field(
        default=300, ge=1, description="How soon what is new in a group is told, in seconds."
    )
    repeat_hours: int = Field(default=4, ge=1, description="How often what goes on is told again, in hours.")
    storage: Quantity = Field(default="1Gi", description="Size of each instance's volume: silences, what was told.")
    storage_class: str | None = Field(default=None, description="StorageClass of that volume. Default: the cluster's.")
    resources: Resources = Field(
        default_factory=lambda: Resources.model_validate({"cpu": "10m", "memory": "32Mi", "memoryLimit": "128Mi"}),
        description="What an instance's container asks for.",
    )

    @property
    def receiver_metrics(self) -> str | None:
        """Where the receiver of rollbacks gives its metrics, `host:port`."""
        if self.rollback and self.rollback.dispatch:
            return f"{RECEIVER}.{NAMESPACE}.svc:{RECEIVER_PORT}"
        return self.rollback.metrics if self.rollback else None

    @model_validator(mode="after")
    def _receivers_are_there(self) -> Self:
        named = [route.receiver for route in self.routes] + ([self.default] if self.default else [])
        if missing := [name for name in named if name not in self.receivers]:
            known = ", ".join(self.receivers) or "none"
            raise ValueError(f"there is no receiver {missing[0]!r} (there are: {known})")
        return self


class ObjectStorage(Model):
    """A bucket of S3, or of what understands its API."""

    bucket: str = Field(min_length=3, description="The bucket's name; it must be there.")
    region: str = Field(default="us-east-1", description="Where the bucket is.")
    endpoint: str | None = Field(
        default=None, pattern=r"^https?://", description="The server's address. Default: Amazon's of the region."
    )
    access_key: str | None = Field(
        default=None, description="Who we are there. Default: whom the node's or the pod's identity makes us."
    )
    secret_key: Secret | None = Field(default=None, description="The key's secret; encrypted.")

    @model_validator(mode="after")
    def _whole_key(self) -> Self:
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("accessKey and secretKey belong together")
        return self


class LogsModel(Model):
    """How logs are collected and kept."""

    store: Literal["loki", "victorialogs"] = Field(
        default="loki",
        description="Where logs are kept. VictoriaLogs is for those who may not run software under the AGPL, as Loki "
        "is; the panels of logs in Grafana read Loki alone.",
    )
    retention_days: int = Field(default=15, ge=1, description="How long logs are kept, in days.")
    storage: Quantity = Field(default="10Gi", description="Size of the store's volume.")
    storage_class: str | None = Field(default=None, description="StorageClass of that volume. Default: the cluster's.")
    s3: ObjectStorage | None = Field(
        default=None, description="Where Loki keeps what is a few hours old. Default: on its volume."
    )
    resources: Resources = Field(
        default_factory=lambda: Resources.model_validate({"cpu": "50m", "memory": "128Mi", "memoryLimit": "1Gi"}),
        description="What the store's container asks for.",
    )
    collector_resources: Resources = Field(
        default_factory=lambda: Resources.model_validate({"cpu": "50m", "memory": "96Mi", "memoryLimit": "384Mi"}),
        description="What the collector's container asks for, on each node.",
    )

    @property
    def replicas(self) -> int:
        """Each store is a single program here, which keeps what it took through any restart."""
        return 1

    @model_validator(mode="after")
    def _only_loki_knows_buckets(self) -> Self:
        if self.s3 and self.store != "loki":
            raise ValueError("s3 is for the store loki alone: VictoriaLogs keeps logs on its volume")
        return self


class GrafanaModel(Model):
    """How people see what was measured. There is one instance: several would need a database of their own."""

    admin_password: Secret = Field(
        description="The password of the user `admin`; encrypted. It counts at the first start: later it is changed in "
        "Grafana.",
    )
    root_url: Annotated[str, Field(pattern=r"^https?://")] | None = Field(
        default=None, description="Where browsers reach it, for links and for redirects. Default: where they ask."
    )
    storage: Quantity = Field(default="1Gi", description="Size of its volume: users, annotations, playlists.")
    storage_class: str | None = Field(default=None, description="StorageClass of that volume. Default: the cluster's.")
    resources: Resources = Field(
        default_factory=lambda: Resources.model_validate({"cpu": "50m", "memory": "128Mi", "memoryLimit": "512Mi"}),
        description="What its container asks for.",
    )

    @property
    def replicas(self) -> int:
        """One, always."""
        return 1


def _bytes(text: str) -> float:
    number = text.rstrip("kKMGTim")
    return float(number) * _BYTES[text[len(number) :].upper()]
