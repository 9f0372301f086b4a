"""Rules made of objectives, against the figures of the book that they are from."""

from __future__ import annotations

import re
from typing import Any

import pytest

from adapters.errors import BadInput
from components.model import Objectives
from components.monitoring import slo
from components.monitoring.rules import Rule, RuleFile
from tests.unit.components.conftest import Declare, environment
from tests.unit.components.test_settings import read


def made(objectives: dict[str, Any]) -> list[Rule]:
    text = slo.rules_of("prod", "hello", Objectives.model_validate(objectives))
    return RuleFile.parse("made", text).rules


def thresholds(rules: list[Rule], alert: str) -> dict[str, float]:
    """By window, the ratio above which an alert fires."""
    (expr,) = (rule.expr for rule in rules if rule.alert == alert)
    found = re.findall(r"all:increase(\w+)\{[^}]*\} > ([\d.]+)", expr)
    return {window: float(bound) for window, bound in found}


def test_burn_rates_are_those_of_the_book() -> None:
    # https://sre.google/workbook/alerting-on-slos/: 14.4 in 1h and 5m, 6 in 6h and 30m, 3 in 1d and 2h, 1 in 3d and 6h.
    rules = made({"availability": 99.9})
    assert thresholds(rules, "ErrorBudgetBurnsFast") == {"1h": 0.0144, "5m": 0.0144, "6h": 0.006, "30m": 0.006}
    assert thresholds(rules, "ErrorBudgetBurns") == {"1d": 0.003, "2h": 0.003, "3d": 0.001, "6h": 0.001}


def test_a_shorter_period_has_a_smaller_budget() -> None:
    rules = made({"availability": 99.9, "periodDays": 15})
    assert thresholds(rules, "ErrorBudgetBurnsFast")["1h"] == 0.0072


def test_an_outage_is_told_however_little_was_promised() -> None:
    assert thresholds(made({"availability": 80}), "ErrorBudgetBurnsFast") == dict.fromkeys(
        ("1h", "5m", "6h", "30m"), 0.9
    )


def test_each_objective_is_counted_in_every_window_that_its_alerts_read() -> None:
    rules = made({"availability": 99.9, "latency": {"percent": 99, "belowSeconds": 0.5}})
    for objective in ("availability", "latency"):
        recorded = {rule.record for rule in rules if rule.labels.get("objective") == objective and rule.record}
        read = {
            name
            for rule in rules
            if rule.alert and rule.labels.get("objective") == objective
            for name in re.findall(r"objective:\w+:\w+", rule.expr)
        }
        assert read == recorded - {"objective:budget_left:ratio"}


@pytest.mark.parametrize(("seconds", "bound"), [(0.25, "0.25"), (1, "1.0"), (2.5, "2.5")])
def test_bounds_are_written_as_prometheus_writes_them(seconds: float, bound: str) -> None:
    rules = made({"latency": {"percent": 99, "belowSeconds": seconds}})
    assert any(f'le="{bound}"' in rule.expr for rule in rules)


@pytest.mark.parametrize(
    ("objectives", "words"),
    [
        ({}, "availability, latency or both"),
        ({"availability": 100}, "less than 100"),
        ({"availability": 99.9, "periodDays": 1}, "greater than or equal to 7"),
        ({"latency": {"percent": 99}}, "below_seconds|belowSeconds"),
        ({"availabilty": 99.9}, "did you mean 'availability'"),
    ],
)
def test_a_wrong_objective_is_refused_by_its_key(objectives: dict[str, Any], words: str) -> None:
    config = environment()
    config["services"]["hello"]["objectives"] = objectives
    with pytest.raises(BadInput, match=words) as refused:
        read(config)
    assert "slipway:services.hello.objectives" in str(refused.value)


def test_alerts_name_pages_where_the_settings_say_that_they_can_be_read(declare: Declare) -> None:
    config = environment() | {"runbooks": "https://example.org/runbooks/"}
    text = declare(config, stack="prod").one("ConfigMap", "hello-objectives").manifest["data"].popitem()[1]
    pages = {rule.annotations["runbook_url"] for rule in RuleFile.parse("made", text).rules if rule.alert}
    assert "https://example.org/runbooks/ErrorBudgetBurns.md" in pages
    assert {page.rpartition("/")[0] for page in pages} == {"https://example.org/runbooks"}


def test_the_rules_are_in_the_environment_where_prometheus_finds_them(declare: Declare) -> None:
    config = environment()
    config["services"]["hello"]["objectives"] = {"availability": 99.9}
    found = declare(config, stack="prod")
    rules = found.one("ConfigMap", "hello-objectives").manifest
    assert rules["metadata"]["labels"]["slipway.dev/rules"] == "true"
    assert rules["metadata"]["namespace"] == "prod"
    ((name, text),) = rules["data"].items()
    assert name == "prod-hello-objectives.yaml"
    assert RuleFile.parse(name, text).rules
