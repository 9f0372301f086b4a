"""The rules that are deployed, run by Prometheus' own tool against series that were thought out.

A test of an alert is three moments: not yet, firing, over. Another says what it leaves alone. What is checked here
beside is that no alert goes without them, and without a page that tells what to do.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.paths import REPOSITORY
from components.model import Objectives
from components.monitoring import rules, slo
from components.monitoring.sources import Source, selectors, source_of

CASES = sorted(Path(__file__).parent.glob("*.yaml"))
OBJECTIVES = Path(__file__).parent / "slo" / "objectives.yaml"
HEALTHY_HOUR = Path(__file__).parent / "hour" / "healthy.yaml"
FILES = rules.read()
PROMISED = {"availability": 99.9, "latency": {"percent": 99, "belowSeconds": 0.5}}
GENERATED = slo.rules_of("prod", "hello", Objectives.model_validate(PROMISED))
EVERY_RULE = [*(rule for file in FILES.values() for rule in file.rules), *rules.RuleFile.parse("made", GENERATED).rules]
ALERTS = sorted({rule.alert for rule in EVERY_RULE if rule.alert})
RUNBOOKS = REPOSITORY / "docs" / "runbooks"
ALWAYS_FIRING = {"Watchdog"}


def documents() -> list[dict[str, Any]]:
    return [case for path in [*CASES, OBJECTIVES] for case in yaml.safe_load(path.read_text())["tests"]]


@functools.cache
def firing_by_alert() -> dict[str, list[list[list[str]]]]:
    """For each alert the cases about it, for each of these what fires at each moment, in order."""
    found: dict[str, list[list[list[str]]]] = defaultdict(list)
    for case in documents():
        asked = {re.search(r'alertname="(\w+)"', check["expr"]) for check in case["promql_expr_test"]}
        (name,) = {match[1] for match in asked if match}
        found[name].append([[s["labels"] for s in check["exp_samples"]] for check in case["promql_expr_test"]])
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_alerts_fire_and_resolve_as_written(case: Path, promtool: Path) -> None:
    done = subprocess.run([promtool, "test", "rules", case], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_of_objectives_fire_and_resolve_as_written(promtool: Path, tmp_path: Path) -> None:
    (tmp_path / "objectives.rules.yaml").write_text(GENERATED)
    case = shutil.copy(OBJECTIVES, tmp_path)
    done = subprocess.run([promtool, "test", "rules", case], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_noisy_but_healthy_hour_fires_nothing(promtool: Path, tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    for name, text in {**rules.load(Source), "objectives.yaml": GENERATED}.items():
        (tmp_path / "rules" / name).write_text(text)
    case = shutil.copy(HEALTHY_HOUR, tmp_path)
    done = subprocess.run([promtool, "test", "rules", case], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_files_that_are_deployed(promtool: Path, tmp_path: Path) -> None:
    for name, text in rules.load(Source).items():
        (tmp_path / name).write_text(text)
    (tmp_path / "objectives.yaml").write_text(GENERATED)
    command = [promtool, "check", "rules", "--lint=all", "--lint-fatal", *sorted(tmp_path.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list(tmp_path.iterdir())) == len(FILES)  # all but the second source of workloads, and the objectives


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_is_seen_firing_and_resolved_and_silent(alert: str) -> None:
    cases = firing_by_alert()[alert]
    assert any(case[-2] and not case[-1] for case in cases) or alert in ALWAYS_FIRING, "no test sees it resolve"
    assert any(not any(case) for case in cases) or alert in ALWAYS_FIRING, "no test sees it leave something alone"


@pytest.mark.parametrize("alert", ALERTS)
def test_what_an_alert_tells_people_is_filled_in(alert: str) -> None:
    fired = [labels for case in firing_by_alert()[alert] for moment in case for labels in moment]
    mine = [rule for rule in EVERY_RULE if rule.alert == alert]
    texts = [text for rule in mine for text in rule.annotations.values()]
    used = set(re.findall(r"\$labels\.(\w+)", " ".join(texts)))
    for labels in fired:
        assert used <= set(re.findall(r"(\w+)=", labels)), f"{alert} speaks of labels it does not have"


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_its_page(alert: str) -> None:
    for rule in (rule for rule in EVERY_RULE if rule.alert == alert):
        assert rule.annotations["runbook_url"] == f"docs/runbooks/{alert}.md"
    page = (RUNBOOKS / f"{alert}.md").read_text()
    assert page.startswith(f"# {alert}\n")
    for heading in ("## What it means", "## What to look at", "## What to do"):
        assert f"\n{heading}\n\n" in page, f"{alert}.md lacks {heading}"


def test_no_page_is_of_an_alert_that_is_gone() -> None:
    """Pages about what happens by itself, and about no single alert, are called in small letters."""
    assert {path.stem for path in RUNBOOKS.glob("[A-Z]*.md")} == set(ALERTS)


def test_every_series_that_a_rule_reads_is_given_by_somebody() -> None:
    recorded = {name for file in FILES.values() for name in file.recorded}
    for name, file in FILES.items():
        for selector in (selector for rule in file.rules for selector in selectors(rule.expr)):
            assert source_of(selector) or selector.name in recorded, f"{name} reads {selector.name}"


def test_a_file_is_about_what_one_source_gives_or_all_have() -> None:
    for name, file in FILES.items():
        is_everywhere = file.sources <= rules.BASIC
        assert len(file.sources) <= 1 or is_everywhere, (
            f"{name} would be left out where one of {file.sources} is missing"
        )


def test_both_sources_of_workloads_record_the_same() -> None:
    collector, other = (
        FILES[f"workloads-from-{source}.yaml"].recorded for source in ("collector", "kube-state-metrics")
    )
    assert collector == other - {"pod:labels:info"}
    assert FILES["workloads.yaml"].borrowed == collector


@pytest.mark.parametrize("alert", [a for a in ALERTS if a.startswith("Release")])
def test_an_alert_that_rolls_back_says_what(alert: str) -> None:
    (rule,) = (rule for rule in EVERY_RULE if rule.alert == alert)
    assert rule.labels == {"severity": "critical", "action": "rollback"}
    for labels in (labels for case in firing_by_alert()[alert] for moment in case for labels in moment):
        assert {"environment", "service", "release"} <= set(re.findall(r"(\w+)=", labels))


def test_the_documentation_names_every_alert_and_no_other() -> None:
    text = (REPOSITORY / "docs" / "monitoring.md").read_text().replace("ErrorBudgetBurns*", "ErrorBudgetBurns")
    assert set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)*)`", text)) == set(ALERTS)
