"""Rules that a service brings itself: whose they become, and which are refused before anything is deployed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.errors import BadInput
from components.monitoring import own_rules
from components.monitoring.rules import RuleFile
from tests.unit.components.conftest import Declare, environment

GOOD = """\
# What only the team knows.
groups:
  - name: hello
    rules:
      - record: hello:greetings:rate5m
        expr: sum(rate(http_requests_total{environment="${environment}", service="${service}", route="/"}[5m]))
      - alert: NobodyIsGreeted
        expr: hello:greetings:rate5m{environment="${environment}"} == 0
        for: 10m
        labels: {severity: warning}
        annotations:
          summary: Nobody is greeted in {{ $labels.environment }}
          description: For ten minutes.
          runbook_url: https://example.org/nobody
"""


def read(tmp_path: Path, text: str, *, environment: str = "prod") -> dict[str, Any]:
    (tmp_path / "rules").mkdir(exist_ok=True)
    (tmp_path / "rules" / "hello.yaml").write_text(text)
    files = own_rules.read(tmp_path, ["rules/hello.yaml"], environment, "hello")
    ((name, made),) = files.items()
    assert name == f"{environment}-hello-rules-hello.yaml"
    assert RuleFile.parse(name, made).rules
    return yaml.safe_load(made)


def test_a_file_becomes_the_environments_own_and_what_it_gives_says_so(tmp_path: Path) -> None:
    (group,) = read(tmp_path, GOOD, environment="stage")["groups"]
    assert group["labels"] == {"environment": "stage", "service": "hello"}
    assert 'environment="stage", service="hello"' in group["rules"][0]["expr"]
    assert group["rules"][1]["annotations"]["summary"] == "Nobody is greeted in {{ $labels.environment }}"


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('{environment="${environment}"} == 0', " == 0", 8, "of every environment"),
        ('environment="${environment}", service', "service", 6, "of every environment"),
        ('environment="${environment}", service', 'environment="test", service', 6, "of every environment"),
        ("== 0", "== == 0", 8, "not PromQL"),
        ("severity: warning", "severity: high", 7, "critical, warning, none"),
        ("for: 10m", "fro: 10m", 9, "did you mean 'for'"),
        ("- record", "- - record", 6, "not YAML"),
        ("          runbook_url: https://example.org/nobody\n", "", 7, "runbook_url"),
    ],
)
def test_a_wrong_rule_is_refused_with_file_and_line(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    assert old in GOOD
    with pytest.raises(BadInput) as refused:
        read(tmp_path, GOOD.replace(old, new))
    assert f"rules/hello.yaml, line {line}" in str(refused.value)
    assert words in str(refused.value)


def test_a_file_that_is_not_there_is_refused_by_its_key(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"slipway:services\.hello\.rules\[0\].*No such file"):
        own_rules.read(tmp_path, ["hello.yaml"], "prod", "hello")


def test_they_lie_in_the_environment_where_prometheus_finds_them(declare: Declare, tmp_path: Path) -> None:
    (tmp_path / "hello.yaml").write_text(GOOD)
    config_map = declare(environment(rules=["hello.yaml"]), stack="prod").one("ConfigMap", "hello-rules").manifest
    assert config_map["metadata"]["namespace"] == "prod"
    assert config_map["metadata"]["labels"]["slipway.dev/rules"] == "true"
    assert list(config_map["data"]) == ["prod-hello-hello.yaml"]


def test_a_wrong_one_declares_nothing_of_it(declare: Declare, tmp_path: Path) -> None:
    (tmp_path / "hello.yaml").write_text(GOOD.replace("== 0", "== =="))
    with pytest.raises(BadInput, match=r"hello\.yaml, line 8"):
        declare(environment(rules=["hello.yaml"]), stack="prod")
