"""Delivery: what runs where, and the four figures that DORA measures it by (https://dora.dev/guides/dora-metrics/).

The four come from `slipway serve`, which reads them from signed records of deployments; what runs, from the services.
"""

from __future__ import annotations

from components.monitoring.dashboards.board import RANGE, Board, Look, Panel, Row
from components.monitoring.dashboards.marks import moments
from components.monitoring.slo import BUDGET_LEFT

_RUNNING = 'count by (environment, service, release, track) (up{job="services"} == 1)'
_DEPLOYMENTS = f"sum by (environment) (increase(slipway_deployments_total[{RANGE}]))"


def board() -> Board:
    """The dashboard; a week at first."""
    return Board(
        uid="delivery",
        title="Delivery",
        description="What runs where; how often, how fast and how well it changes.",
        since="now-7d",
        marks=moments(),
        rows=(Row("Now", _now()), Row("The four figures", _figures()), Row("Over time", _over_time())),
    )


def _now() -> tuple[Panel, ...]:
    versions = "max by (environment, service, version, release) (slipway_release_info)"
    return (
        Panel("What runs where", {"pods": _RUNNING}, Look.TABLE, width=12),
        Panel("Which version that is", {"is": versions}, Look.TABLE, width=12),
        Panel(
            "Alerts that roll back",
            {"alerts": 'count(ALERTS{alertstate="firing", action="rollback"}) or vector(0)'},
            Look.NUMBER,
            width=6,
            alarm=1,
        ),
    )


def _figures() -> tuple[Panel, ...]:
    succeeded = f'sum by (environment) (increase(slipway_deployments_total{{result="succeeded"}}[{RANGE}]))'
    failed = f"1 - ({succeeded} or on (environment) 0 * {_DEPLOYMENTS}) / ({_DEPLOYMENTS} > 0)"
    name = "{{environment}}"
    return (
        Panel("Deployments", {name: _DEPLOYMENTS}, Look.NUMBER, width=6),
        Panel(
            "Lead time for changes",
            {name: _median("slipway_lead_time_seconds")},
            Look.NUMBER,
            "s",
            width=6,
            description="From commit to running; half of the deployments took less.",
        ),
        Panel(
            "Change failure rate",
            {name: failed},
            Look.NUMBER,
            "percentunit",
            width=6,
            description="Of the deployments, those that failed or were rolled back.",
        ),
        Panel(
            "Time to restore",
            {name: _median("slipway_time_to_restore_seconds")},
            Look.NUMBER,
            "s",
            width=6,
            description="From the failure's detection to its end; half of them took less.",
        ),
    )


def _median(histogram: str) -> str:
    return f"histogram_quantile(0.5, sum by (environment, le) (increase({histogram}_bucket[{RANGE}])))"


def _over_time() -> tuple[Panel, ...]:
    by = "environment, service"
    requests = f"sum by ({by}) (release:requests:rate5m)"
    errors = f"sum by ({by}) (release:errors:rate5m) / {requests}"
    name = "{{service}} in {{environment}}"
    deployments = {
        "{{environment}} {{result}}": "sum by (environment, result) (increase(slipway_deployments_total[1d]))"
    }
    return (
        Panel("Deployments a day", deployments),
        Panel("Requests", {name: requests}, unit="reqps"),
        Panel("Errors", {name: errors}, unit="percentunit"),
        Panel("Error budget left", {f"{name}: {{{{objective}}}}": BUDGET_LEFT}, unit="percentunit"),
    )
