"""The parts of a monitoring stack's configuration: what each key means, its unit and the reason for its default."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from components.model import Model, Quantity, Resources

_BYTES = {"": 1, "K": 10**3, "KI": 2**10, "M": 10**6, "MI": 2**20, "G": 10**9, "GI": 2**30, "T": 10**12, "TI": 2**40}

Replicas = Annotated[int, Field(ge=1, le=5)]


class MonitoringImages(Model):
    """Images of the monitoring, by digest or version."""

    prometheus: str = Field(default="docker.io/prom/prometheus:v3.16.0", description="Prometheus, version 3.")
    loader: str = Field(
        default="quay.io/kiwigrid/k8s-sidecar:1.30.3",
        description="Copies labelled ConfigMaps of the environments into a folder of Prometheus.",
    )


class PrometheusModel(Model):
    """How metrics are collected and kept."""

    replicas: Replicas = Field(
        default=1,
        description="Number of instances. Each scrapes and keeps everything by itself; two survive the loss of a node.",
    )
    scrape_seconds: int = Field(default=15, ge=1, le=300, description="How often every target is scraped, in seconds.")
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


def _bytes(text: str) -> float:
    number = text.rstrip("kKMGTim")
    return float(number) * _BYTES[text[len(number) :].upper()]
