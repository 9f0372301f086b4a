"""What a monitoring stack watches, and what it does not: by the sources of metrics that it has."""

from __future__ import annotations

from collections.abc import Mapping

from components.monitoring import rules
from components.monitoring.sources import Source
from components.settings import MonitoringSettings


def present(settings: MonitoringSettings) -> frozenset[Source]:
    """The sources that the stack scrapes: all that it can bring, but what its settings leave out."""
    brought = {Source.NODE, Source.REGISTRY, Source.COLLECTOR, Source(settings.logs.store)}
    brought |= {Source.CERTIFICATES} if settings.certificates else set()
    brought |= {Source.SLIPWAY} if settings.alertmanager.receiver_metrics else set()
    return rules.BASIC | {Source.ALERTMANAGER} | {source for source in brought if source not in settings.leave_out}


def unwatched(settings: MonitoringSettings) -> Mapping[str, list[str]]:
    """The alerts that are left out, by what they lack."""
    found: dict[str, list[str]] = {}
    # Of the stores of logs one is there, and nobody misses the other.
    for alert, lack in rules.unwatched(present(settings) | {Source.LOKI, Source.VICTORIALOGS}).items():
        found.setdefault(lack, []).append(alert)
    return found
