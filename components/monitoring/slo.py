"""Makes rules of a service's objectives: what was promised to its users, and how fast that promise is being broken.

An objective leaves an error budget: of 99.9 % in 30 days, one request in a thousand may fail. What matters is how fast
the budget burns. Each alert looks at two windows: the long one says that it matters, the short one that it still goes
on, so that the alert ends soon after its cause. Windows, shares of the budget and severities are those of the Google
SRE workbook, chapter 5, "Multiwindow, Multi-Burn-Rate Alerts" (https://sre.google/workbook/alerting-on-slos/).

Two things are ours. A service with few requests would have somebody woken by a single failure (the same chapter, "Low-
Traffic Services"): so many bad requests must have come in the long window. And of an objective so low that no outage
could burn its budget that fast, an outage is told all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from components.model import RUNBOOKS, Objectives
from components.monitoring.names import NOT_USERS
from components.monitoring.rules import RuleFile

BUDGET_LEFT = "objective:budget_left:ratio"
"""What is left of an error budget, by environment, service and objective: 1 at first, below 0 once it is overdrawn."""

_LEAST_BAD = 10
_ALWAYS_AN_OUTAGE = 0.9  # of the requests; the threshold is never above it
_INTERVAL, _PERIOD_INTERVAL = "30s", "5m"
_HOURS = {"5m": 1 / 12, "30m": 0.5, "1h": 1, "2h": 2, "6h": 6, "1d": 24, "3d": 72}


@dataclass(frozen=True)
class _Burn:
    """An alert's condition: `share` of the budget is used within `long`, and it still burns in `short`."""

    share: float
    long: str
    short: str

    def threshold(self, objective: float, period_days: int) -> float:
        """The ratio of bad requests above which that much of the budget goes."""
        rate = self.share * period_days * 24 / _HOURS[self.long]
        return min(round(rate * (1 - objective), 6), _ALWAYS_AN_OUTAGE)


_ALERTS = {
    "ErrorBudgetBurnsFast": ("critical", (_Burn(0.02, "1h", "5m"), _Burn(0.05, "6h", "30m"))),
    "ErrorBudgetBurns": ("warning", (_Burn(0.10, "1d", "2h"), _Burn(0.10, "3d", "6h"))),
}


@dataclass(frozen=True)
class _Objective:
    """`bad` and `all` are selectors of counters, of which `{window}` is to be filled in."""

    name: str
    ratio: float
    bad: str
    all: str
    promise: str


def rules_of(environment: str, service: str, objectives: Objectives, runbooks: str = RUNBOOKS) -> str:
    """The text of a file of rules: counts by window, the part of the budget that is left, and alerts.

    `runbooks` is what the addresses of the alerts' pages begin with.
    """
    found = list(_objectives(environment, service, objectives))
    identity = {"environment": environment, "service": service}
    name, period = f"objectives-{environment}-{service}", f"{objectives.period_days}d"
    counts = [rule for objective in found for window in _HOURS for rule in _counts(objective, window, identity)]
    alerts = [
        _alert(name, objective, objectives.period_days, identity) for objective in found for name in _ALERTS
    ] + list(_unmeasured(environment, service, objectives, identity))
    budgets = [_budget(objective, period, identity) for objective in found]
    groups = [
        {"name": name, "interval": _INTERVAL, "rules": counts + alerts},
        {"name": f"{name}-budget", "interval": _PERIOD_INTERVAL, "rules": budgets},
    ]
    for alert in alerts:
        alert["annotations"]["runbook_url"] = f"{runbooks}{alert['alert']}.md"
    text = yaml.dump({"groups": groups}, Dumper=yaml.CSafeDumper, sort_keys=False, width=1000, allow_unicode=True)
    return RuleFile.parse(f"rules of the objectives of {service} in {environment}", text).text


def _objectives(environment: str, service: str, objectives: Objectives) -> Iterator[_Objective]:
    where = f'job="services", environment="{environment}", service="{service}", {NOT_USERS}'
    if objectives.availability is not None:
        total = f"sum(increase(http_requests_total{{{where}}}[{{window}}]))"
        yield _Objective(
            name="availability",
            ratio=objectives.availability / 100,
            # Zero rather than nothing where no request failed; nothing where there was no request at all.
            bad=f'(sum(increase(http_requests_total{{{where}, code=~"5.."}}[{{window}}])) or 0 * {total})',
            all=total,
            promise=f"{objectives.availability:g} % of the requests are answered without an error of the service",
        )
    if (latency := objectives.latency) is not None:
        answered, bound = f'{where}, code!~"5.."', _bound(latency.below_seconds)
        total = f"sum(increase(http_request_duration_seconds_count{{{answered}}}[{{window}}]))"
        fast = f'sum(increase(http_request_duration_seconds_bucket{{{answered}, le="{bound}"}}[{{window}}]))'
        yield _Objective(
            name="latency",
            ratio=latency.percent / 100,
            bad=f"({total} - {fast})",
            all=total,
            promise=f"{latency.percent:g} % of the answered requests take less than {latency.below_seconds:g} s",
        )


def _counts(objective: _Objective, window: str, identity: dict[str, str]) -> Iterator[dict[str, Any]]:
    for kind, expression in (("bad", objective.bad), ("all", objective.all)):
        yield {
            "record": f"objective:{kind}:increase{window}",
            "expr": expression.replace("{window}", window),
            "labels": identity | {"objective": objective.name},
        }


def _budget(objective: _Objective, period: str, identity: dict[str, str]) -> dict[str, Any]:
    used = f"{objective.bad} / {objective.all}".replace("{window}", period)
    return {
        "record": BUDGET_LEFT,
        "expr": f"1 - {used} / {round(1 - objective.ratio, 6):g}",
        "labels": identity | {"objective": objective.name},
    }


def _alert(name: str, objective: _Objective, period_days: int, identity: dict[str, str]) -> dict[str, Any]:
    severity, burns = _ALERTS[name]
    selector = "{" + ", ".join(f'{k}="{v}"' for k, v in {**identity, "objective": objective.name}.items()) + "}"
    conditions = []
    for burn in burns:
        above = f"{burn.threshold(objective.ratio, period_days):g}"
        windows = [
            f"objective:bad:increase{window}{selector} / objective:all:increase{window}{selector} > {above}"
            for window in (burn.long, burn.short)
        ]
        enough = f"objective:bad:increase{burn.long}{selector} >= {_LEAST_BAD}"
        conditions.append("(" + " and ".join([*windows, enough]) + ")")
    shares = " or ".join(f"{burn.share:.0%} of it in {burn.long}" for burn in burns)
    where = "{{ $labels.service }} in {{ $labels.environment }}"
    return {
        "alert": name,
        "expr": " or ".join(conditions),
        "labels": {"severity": severity, "objective": objective.name},
        "annotations": {
            "summary": f"{where} uses up its error budget of {{{{ $labels.objective }}}}",
            "description": f"Promised: {objective.promise}. The budget of {period_days} days goes by {shares}.",
        },
    }


def _unmeasured(
    environment: str, service: str, objectives: Objectives, identity: dict[str, str]
) -> Iterator[dict[str, Any]]:
    """A bound that is no bucket of the service's histogram gives no series, and so would never alert."""
    if objectives.latency is None:
        return
    where = f'job="services", environment="{environment}", service="{service}"'
    bucket = f'{where}, le="{_bound(objectives.latency.below_seconds)}"'
    yield {
        "alert": "ObjectiveUnmeasured",
        "expr": f"sum(rate(http_request_duration_seconds_count{{{where}}}[5m])) > 0 "
        f"unless count(http_request_duration_seconds_bucket{{{bucket}}})",
        "for": "10m",
        "labels": {"severity": "warning", **identity},
        "annotations": {
            "summary": "The latency objective of {{ $labels.service }} in {{ $labels.environment }} cannot be measured",
            "description": f"Its histogram has no bucket up to {objectives.latency.below_seconds:g} s.",
        },
    }


def _bound(seconds: float) -> str:
    """A bucket's bound as Prometheus 3 writes it, whatever the service wrote: `0.25`, `1.0`."""
    return repr(float(seconds))
