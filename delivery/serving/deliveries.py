"""How delivery goes in each environment, as metrics: what runs, how often that changes, how fast, how well.

They are the four of DORA (https://dora.dev/guides/dora-metrics-four-keys/), read from the signed records in the
registry: so they are the same whoever promoted, and outlive this process. Lead time begins with the build that CI makes
of a commit; time to restore is from a failing release's deployment to the end of the rollback that left it.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from components.settings import EnvironmentSettings
from delivery.releases.proof import Kind
from delivery.releases.provenance import begun_at
from delivery.releases.records import SUCCEEDED, Known, Record
from delivery.serving.situation import release_of

RESULTS = ("succeeded", "failed", "rolled_back")
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_LEAD = (10 * _MINUTE, 30 * _MINUTE, _HOUR, 4 * _HOUR, 12 * _HOUR, _DAY, 3 * _DAY, 7 * _DAY, 30 * _DAY)
_RESTORE = (30.0, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 30 * _MINUTE, _HOUR, 4 * _HOUR, _DAY)


@dataclass(frozen=True)
class Delivery:
    """What is measured of an environment: `running` is service → (release, version); times are in seconds."""

    running: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    results: Mapping[str, int] = field(default_factory=dict)
    lead_times: Sequence[float] = ()
    restore_times: Sequence[float] = ()


def delivery_of(settings: EnvironmentSettings, known: Known) -> Delivery:
    """What the records of an environment, and its stack file, say."""
    deployments = [record for record in known.records if record.kind is Kind.DEPLOYMENT]
    left = [(record, deployment) for record, deployment in _rollbacks(known.records) if deployment is not None]
    gone_back = {id(deployment) for _, deployment in left}
    results = Counter(
        "failed" if record.result != SUCCEEDED else "rolled_back" if id(record) in gone_back else "succeeded"
        for record in deployments
    )
    begun = {release: _begun(known, release) for release in {record.release for record in deployments}}
    return Delivery(
        {
            service: (release_of(image.digest), image.tag or "")
            for service, image in settings.images.items()
            if image.digest
        },
        {result: results[result] for result in RESULTS},
        [
            (record.ended - start).total_seconds()
            for record in deployments
            if record.result == SUCCEEDED and (start := begun[record.release]) is not None
        ],
        [(record.ended - deployment.ended).total_seconds() for record, deployment in left],
    )


def _rollbacks(records: Sequence[Record]) -> Iterator[tuple[Record, Record | None]]:
    """Each rollback that succeeded, and the deployment of what it left."""
    for index, record in enumerate(records):
        if record.kind is Kind.ROLLBACK and record.result == SUCCEEDED:
            earlier = [each for each in records[:index] if each.result == SUCCEEDED and each.release == record.origin]
            last = earlier[-1] if earlier else None
            yield record, last if last is not None and last.kind is Kind.DEPLOYMENT else None


def _begun(known: Known, release: str) -> datetime | None:
    times = [
        begun_at(piece) for piece in known.proof.get(release, ()) if piece.kind is Kind.PROVENANCE and piece.counts
    ]
    return min(filter(None, times), default=None)


class Deliveries(Collector):
    """The latest of each environment; set from one thread, collected from another."""

    def __init__(self) -> None:
        self.latest: Mapping[str, Delivery] = {}

    def collect(self) -> Iterator[Metric]:
        """As Prometheus' client asks for it."""
        deployments = CounterMetricFamily(
            "slipway_deployments", "Promotions, by how they ended.", labels=("environment", "result")
        )
        info = GaugeMetricFamily(
            "slipway_release_info",
            "What each service runs.",
            labels=("environment", "service", "release", "version"),
        )
        lead = HistogramMetricFamily(
            "slipway_lead_time_seconds", "From a release's build to its end of a promotion.", labels=("environment",)
        )
        restore = HistogramMetricFamily(
            "slipway_time_to_restore_seconds",
            "From the deployment of a release that was rolled back to the end of that.",
            labels=("environment",),
        )
        for environment, found in self.latest.items():
            for result in RESULTS:
                deployments.add_metric((environment, result), found.results.get(result, 0))
            for service, (release, version) in found.running.items():
                info.add_metric((environment, service, release, version), 1)
            lead.add_metric((environment,), *_histogram(found.lead_times, _LEAD))
            restore.add_metric((environment,), *_histogram(found.restore_times, _RESTORE))
        yield from (deployments, info, lead, restore)


def _histogram(values: Sequence[float], limits: Sequence[float]) -> tuple[list[tuple[str, float]], float]:
    """Cumulative buckets and the sum."""
    ordered = sorted(values)
    buckets = [(str(limit), float(bisect.bisect_right(ordered, limit))) for limit in limits]
    return [*buckets, ("+Inf", float(len(ordered)))], sum(ordered)
