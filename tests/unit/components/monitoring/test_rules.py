"""Rules are checked before anything is deployed, and a person is told which line is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.errors import BadInput
from components.monitoring import rules
from components.monitoring.rules import RuleFile
from components.monitoring.sources import Source

GOOD = """\
groups:
  - name: disks
    rules:
      - record: disk:free:ratio
        expr: node_filesystem_avail_bytes / node_filesystem_size_bytes
      - alert: DiskFull
        expr: disk:free:ratio < 0.1
        for: 5m
        labels: {severity: critical}
        annotations:
          summary: Full
          description: It is full.
          runbook_url: docs/runbooks/DiskFull.md
"""


def refusal(text: str) -> str:
    with pytest.raises(BadInput) as refused:
        RuleFile.parse("rules/disks.yaml", text)
    return str(refused.value)


def test_a_good_file_is_taken_as_it_is() -> None:
    file = RuleFile.parse("rules/disks.yaml", GOOD)
    assert file.text == GOOD
    assert [rule.record or rule.alert for rule in file.rules] == ["disk:free:ratio", "DiskFull"]
    assert (file.sources, file.recorded, file.borrowed) == ({Source.NODE}, {"disk:free:ratio"}, set())


@pytest.mark.parametrize(
    ("right", "wrong", "line", "words"),
    [
        ("disk:free:ratio < 0.1", "disk:free:ratio <", 7, "not PromQL"),
        ("disk:free:ratio < 0.1", "rate(disk:free:ratio) < 0.1", 7, "expected type matrix"),
        ("disk:free:ratio < 0.1", "smooth(disk:free:ratio[5m]) < 0.1", 7, "unknown function"),
        ("for: 5m", "for: 5 minutes", 8, "5 minutes"),
        ("for: 5m", "fro: 5m", 8, "did you mean 'for'"),
        ("severity: critical", "severity: page", 6, "critical, warning, none"),
        ("          description: It is full.\n", "", 6, "missing: description"),
        ("{severity: critical}", "{severity: critical, action: reboot}", 6, "rollback"),
        ("record: disk:free:ratio", "record: disk_free_ratio", 4, "disk_free_ratio"),
        ("        for: 5m", "        record: a:b:c\n        for: 5m", 6, "either"),
        ("groups:", "groups: [", 2, "not YAML"),
        ("rules:", "rules: []\n    rulez:", 4, "rulez"),
    ],
)
def test_what_is_wrong_is_refused_with_file_and_line(right: str, wrong: str, line: int, words: str) -> None:
    assert right in GOOD
    message = refusal(GOOD.replace(right, wrong, 1))
    assert message.startswith(f"rules/disks.yaml, line {line}"), message
    assert words in message


def test_the_same_rule_twice_is_refused() -> None:
    twice = GOOD + GOOD.split("    rules:\n")[1]
    assert "line 14: the rule disk:free:ratio is there twice" in refusal(twice)


def test_one_bad_file_keeps_all_from_being_deployed(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text(GOOD.replace("< 0.1", "<"))
    with pytest.raises(BadInput, match=r"b\.yaml, line 7"):
        rules.load(Source, directory=tmp_path)


def test_what_has_no_source_here_is_left_out_and_named() -> None:
    deployed = rules.load(rules.BASIC | {Source.LOKI})
    assert {"services.yaml", "prometheus.yaml", "loki.yaml"} <= deployed.keys()
    assert not {"node.yaml", "workloads.yaml", "workloads-from-collector.yaml"} & deployed.keys()
    missing = rules.unwatched(rules.BASIC | {Source.LOKI})
    assert missing["NodeDiskFull"] == "node"
    assert missing["PodCrashLooping"] == "collector or kube-state-metrics"
    assert not {"LokiRejecting", "ServiceDown", "SourceMissing"} & missing.keys()


@pytest.mark.parametrize("source", [Source.COLLECTOR, Source.KUBE_STATE_METRICS])
def test_either_source_of_workloads_will_do(source: Source) -> None:
    deployed = rules.load(rules.BASIC | {source})
    assert {"workloads.yaml", f"workloads-from-{source}.yaml"} <= deployed.keys()
    assert "PodCrashLooping" not in rules.unwatched(rules.BASIC | {source})


def test_with_both_sources_each_state_is_recorded_once() -> None:
    assert "workloads-from-kube-state-metrics.yaml" not in rules.load(Source)
    assert rules.unwatched(Source) == {}


def test_pages_are_linked_where_the_repository_can_be_read() -> None:
    text = rules.load(runbooks="https://example.org/slipway/docs/runbooks/")["prometheus.yaml"]
    assert "runbook_url: https://example.org/slipway/docs/runbooks/Watchdog.md" in text
    assert "runbook_url: docs/" not in text
