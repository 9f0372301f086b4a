"""One service in one environment: is it well, does one release differ from another, and what does it say itself."""

from __future__ import annotations

from components.monitoring.dashboards.board import WINDOW, Board, Look, Panel, Row
from components.monitoring.dashboards.marks import moments
from components.monitoring.names import NOT_USERS
from components.monitoring.slo import BUDGET_LEFT


def board(environment: str, service: str, *, has_objectives: bool) -> Board:
    """The dashboard that an environment brings for a service; it moves with the service's shape."""
    where = f'environment="{environment}", service="{service}"'
    # Not pods of something else whose name begins with this one's: a ReplicaSet's hash is a number in ten characters of
    # its own (k8s.io/apimachinery, pkg/util/rand, SafeEncodeString).
    pods = f'environment="{environment}", pod=~"{service}(-control)?-[4-9bcdf]{{1,10}}-[a-z0-9]{{5}}", container=""'
    logs = f'{{environment="{environment}", service="{service}"}}'
    return Board(
        uid=f"service-{environment}-{service}",
        title=f"{service} in {environment}",
        description="Requests, errors, latency and saturation by release; its logs beside them.",
        marks=moments(environment, service),
        rows=(
            Row("Now", _now(where, has_objectives=has_objectives)),
            Row("Releases beside each other", _by_release(where)),
            Row("Requests", _requests(where)),
            Row("Saturation", _saturation(where, pods)),
            Row("Logs", _logs(logs)),
        ),
    )


def _rate(where: str, by: str = "", *, code: str = "") -> str:
    """Requests a second of people; `code` is a matcher."""
    series = f'http_requests_total{{job="services", {where}, {NOT_USERS}{", " + code if code else ""}}}'
    return f"sum{f' by ({by}) ' if by else ''}(rate({series}[{WINDOW}]))"


def _errors(where: str, by: str = "") -> str:
    """The share of requests that fail; 0 rather than nothing where none does."""
    matching = f" on ({by})" if by else ""
    failed, all_ = _rate(where, by, code='code=~"5.."'), _rate(where, by)
    return f"({failed} or{matching} 0 * {all_}) / {all_}"


def _latency(where: str, quantile: float, by: str = "") -> str:
    series = f'http_request_duration_seconds_bucket{{job="services", {where}, {NOT_USERS}}}'
    return f"histogram_quantile({quantile}, sum by ({f'{by}, ' if by else ''}le) (rate({series}[{WINDOW}])))"


def _now(where: str, *, has_objectives: bool) -> tuple[Panel, ...]:
    panels = (
        Panel("Pods", {"pods": f'count(up{{job="services", {where}}} == 1)'}, Look.NUMBER, width=4),
        Panel("Requests", {"requests": _rate(where)}, Look.NUMBER, "reqps", width=4),
        Panel("Errors", {"errors": _errors(where)}, Look.NUMBER, "percentunit", width=4, alarm=0.05),
        Panel("Slowest hundredth", {"p99": _latency(where, 0.99)}, Look.NUMBER, "s", width=4, alarm=1),
        Panel(
            "Alerts firing",
            {"alerts": f'count(ALERTS{{alertstate="firing", {where}}}) or vector(0)'},
            Look.NUMBER,
            width=4,
            alarm=1,
        ),
    )
    if not has_objectives:
        return panels
    left = {"{{objective}}": f"min by (objective) ({BUDGET_LEFT}{{{where}}})"}
    return (*panels, Panel("Error budget left", left, Look.NUMBER, "percentunit", width=4))


def _by_release(where: str) -> tuple[Panel, ...]:
    by = "release, track"
    name = "{{release}} {{track}}"
    return (
        Panel("Pods that answer", {name: f'count by ({by}) (up{{job="services", {where}}} == 1)'}, width=6),
        Panel("Requests", {name: _rate(where, by)}, unit="reqps", width=6),
        Panel("Errors", {name: _errors(where, by)}, unit="percentunit", width=6),
        Panel("Slowest hundredth", {name: _latency(where, 0.99, by)}, unit="s", width=6),
    )


def _requests(where: str) -> tuple[Panel, ...]:
    quantiles = {f"{quantile:.0%}": _latency(where, quantile) for quantile in (0.5, 0.9, 0.99)}
    return (
        Panel("By answer", {"{{code}}": _rate(where, "code")}, unit="reqps"),
        Panel("By route", {"{{route}}": _rate(where, "route")}, unit="reqps"),
        Panel("Latency", quantiles, unit="s", description="Half, nine of ten, 99 of a hundred requests take less."),
    )


def _saturation(where: str, pods: str) -> tuple[Panel, ...]:
    used = f"max by (pod) (container_memory_working_set_bytes{{{pods}}})"
    limit = f"max by (pod) (container_spec_memory_limit_bytes{{{pods}}} > 0)"
    namespace = where.replace("environment=", "namespace=")
    return (
        Panel(
            "CPU", {"{{pod}}": f"sum by (pod) (rate(container_cpu_usage_seconds_total{{{pods}}}[{WINDOW}]))"}, width=6
        ),
        Panel("Memory, of its limit", {"{{pod}}": f"{used} / {limit}"}, unit="percentunit", width=6),
        Panel(
            "Probes",
            {
                "{{probe_type}} {{result}}": f"sum by (probe_type, result) (rate(prober_probe_total{{{where}}}"
                f"[{WINDOW}]))"
            },
            unit="ops",
            width=6,
        ),
        Panel("Restarts", {"{{pod}}": f"sum by (pod) (container:restarts:count{{{namespace}}})"}, width=6),
    )


def _logs(logs: str) -> tuple[Panel, ...]:
    lines = {"{{level}}": f"sum by (level) (count_over_time({logs}[$__auto]))"}
    return (
        Panel("Lines by level", lines, width=24, logql=True),
        Panel("What it says", {"logs": logs}, Look.LOGS, width=24, logql=True),
    )
