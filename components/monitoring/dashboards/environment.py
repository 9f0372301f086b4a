"""A whole environment: its workloads, what they use of what they may, and how its services fare."""

from __future__ import annotations

from collections.abc import Sequence

from components.monitoring.dashboards.board import WINDOW, Board, Look, Panel, Row
from components.monitoring.dashboards.marks import moments

_HERE, _NAMESPACE = 'environment="$environment"', 'namespace="$environment"'
_PODS = f'{_HERE}, pod!="", container=""'


def board(environments: Sequence[str]) -> Board:
    """The dashboard of each environment, chosen by its name."""
    return Board(
        uid="environment",
        title="Environment",
        description="Workloads, restarts, quota, and how the services of an environment fare.",
        variables={"environment": tuple(environments)},
        marks=moments("$environment"),
        rows=(
            Row("Now", _now()),
            Row("Workloads", _workloads()),
            Row("Services", _services()),
            Row("Resources", _resources()),
        ),
    )


def _now() -> tuple[Panel, ...]:
    requests = f"sum(release:requests:rate5m{{{_HERE}}})"
    return (
        Panel("Pods that answer", {"pods": f'count(up{{job="services", {_HERE}}} == 1)'}, Look.NUMBER, width=6),
        Panel("Requests", {"requests": requests}, Look.NUMBER, "reqps", width=6),
        Panel(
            "Errors",
            {"errors": f"sum(release:errors:rate5m{{{_HERE}}}) / {requests}"},
            Look.NUMBER,
            "percentunit",
            width=6,
            alarm=0.05,
        ),
        Panel(
            "Alerts firing",
            {"alerts": f'count(ALERTS{{alertstate="firing", {_HERE}}}) or vector(0)'},
            Look.NUMBER,
            width=6,
            alarm=1,
        ),
    )


def _workloads() -> tuple[Panel, ...]:
    running = f'count by (service, release, track) (up{{job="services", {_HERE}}} == 1)'
    missing = f"replicaset:desired:pods{{{_NAMESPACE}}} - replicaset:available:pods{{{_NAMESPACE}}}"
    return (
        Panel("What runs", {"pods": running}, Look.TABLE, width=12),
        Panel("Pods that are missing", {"{{replicaset}}": f"{missing}"}, width=12),
        Panel("Restarts", {"{{pod}}": f"sum by (pod) (container:restarts:count{{{_NAMESPACE}}})"}, width=12),
        Panel("Quota used", {"{{resource}}": f"quota:used:ratio{{{_NAMESPACE}}}"}, unit="percentunit", width=12),
    )


def _services() -> tuple[Panel, ...]:
    errors = (
        f"sum by (service) (release:errors:rate5m{{{_HERE}}}) / sum by (service) (release:requests:rate5m{{{_HERE}}})"
    )
    return (
        Panel("Requests", {"{{service}}": f"sum by (service) (release:requests:rate5m{{{_HERE}}})"}, unit="reqps"),
        Panel("Errors", {"{{service}}": errors}, unit="percentunit"),
        Panel("Slowest hundredth", {"{{service}}": f"service:latency_p99:seconds5m{{{_HERE}}}"}, unit="s"),
    )


def _resources() -> tuple[Panel, ...]:
    memory = f"max by (pod) (container_memory_working_set_bytes{{{_PODS}}})"
    limit = f"max by (pod) (container_spec_memory_limit_bytes{{{_PODS}}} > 0)"
    network = {
        f"{{{{pod}}}} {way}": f"sum by (pod) (rate(container_network_{name}_bytes_total{{{_HERE}}}[{WINDOW}]))"
        for way, name in (("in", "receive"), ("out", "transmit"))
    }
    return (
        Panel("CPU", {"{{pod}}": f"sum by (pod) (rate(container_cpu_usage_seconds_total{{{_PODS}}}[{WINDOW}]))"}),
        Panel("Memory, of its limit", {"{{pod}}": f"{memory} / {limit}"}, unit="percentunit"),
        Panel("Network", network, unit="Bps"),
    )
