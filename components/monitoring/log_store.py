"""Where logs are kept: Loki or VictoriaLogs, which take entries alike and are declared by the same settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from components.monitoring.model import LogsModel, MonitoringImages
from components.monitoring.namespace import MonitoringNamespace
from components.monitoring.stateful import Stateful

STREAM_LABELS = ("environment", "service", "release", "level")
"""What entries are grouped by: Loki's index labels, VictoriaLogs' stream fields."""


@dataclass(frozen=True)
class Intake:
    """Where entries go: `endpoint` takes them by OTLP, with `headers`. Prometheus scrapes `target` as the job `job`."""

    job: str
    endpoint: str
    headers: Mapping[str, str]
    target: str


@dataclass(frozen=True)
class LogStoreArgs:
    """What it is, and where."""

    shape: LogsModel
    images: MonitoringImages
    place: MonitoringNamespace


class LogStore(Stateful):
    """A store of logs; `intake` is what the collector and Prometheus are told of it."""
