"""What the monitoring sees of real environments."""

from __future__ import annotations

import json
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx2
import pytest
import yaml

from tests.e2e.platform import Platform, kill
from tests.e2e.prometheus import LONGEST_S, Prometheus, Series, links, until

ENVIRONMENTS = ("test", "stage", "prod")
RELEASE = re.compile(r"[0-9a-f]{12}")

Alert = dict[str, Any]


@pytest.fixture(scope="module")
def prometheus(platform: Platform) -> Prometheus:
    return Prometheus(platform)


def test_every_target_of_the_platform_is_scraped(prometheus: Prometheus) -> None:
    jobs = {"services", "apiserver", "kubelet", "cadvisor", "probes", "coredns", "prometheus", "alertmanager"}
    jobs |= {"node", "registry", "certificates", "collector", "workloads", "victorialogs", "slipway"}

    def all_up(series: list[Series]) -> bool:
        """A pod that has just gone is no target any more once Prometheus has heard of that."""
        return {s["job"] for s in series} == jobs and {s["value"] for s in series} == {1}

    prometheus.eventually("up", all_up)


def test_hellos_requests_are_counted_in_each_environment_by_service_and_release(
    platform: Platform, prometheus: Prometheus
) -> None:
    for environment in ENVIRONMENTS:
        httpx2.get(f"{links(platform)[f'{environment}/hello']}/version", trust_env=False).raise_for_status()
    series = prometheus.eventually(
        'http_requests_total{route="/version", code="200"}',
        lambda found: {s["environment"] for s in found} == set(ENVIRONMENTS),
    )
    for s in series:
        image = platform.stack(s["environment"]).get(["images", "hello"])
        assert RELEASE.fullmatch(s["release"])
        assert s["release"] == image.rpartition("@sha256:")[2][:12], "the release that the stack file says"
        assert (s["service"], s["track"], s["job"]) == ("hello", "release", "services")
        assert s["pod"].startswith("hello-")
        assert not [label for label in s if label.startswith("exported_")]


def test_what_the_kubelet_measures_of_a_service_carries_environment_and_service(prometheus: Prometheus) -> None:
    probes = 'prober_probe_total{service="hello", probe_type="Readiness", result="successful"}'
    series = prometheus.eventually(probes, lambda found: {s["environment"] for s in found} == set(ENVIRONMENTS))
    assert {s["environment"] == s["namespace"] for s in series} == {True}
    prometheus.eventually(
        'container_memory_working_set_bytes{pod=~"hello-.*"} > 0',
        lambda found: {s["environment"] for s in found} == set(ENVIRONMENTS),
    )


def test_every_rule_of_the_platform_is_evaluated_without_an_error_and_nothing_of_it_but_the_watchdog_fires(
    prometheus: Prometheus,
) -> None:
    def rules() -> list[dict[str, Any]]:
        groups = (prometheus.get("/api/v1/rules") or {"groups": []})["groups"]
        return [rule for group in groups for rule in group["rules"] if "/rules/" in group["file"]]

    found = until(rules, lambda rules: bool(rules) and all(rule["health"] != "unknown" for rule in rules))
    assert [(rule["name"], rule.get("lastError")) for rule in found if rule["health"] != "ok"] == []
    assert "Watchdog" in {rule["name"] for rule in found}
    firing = prometheus.eventually('ALERTS{alertstate="firing"}', bool)
    # Whether this machine's clock is right and its disk has room is not the platform's doing.
    assert {alert["alertname"] for alert in firing if not alert["alertname"].startswith("Node")} == {"Watchdog"}


@pytest.fixture
def rule(platform: Platform) -> Iterator[str]:
    """A recording rule that an environment brings; gives what it records."""
    metadata = {"name": "e2e-rules", "namespace": "stage", "labels": {"slipway.dev/rules": "true"}}
    rules = {"groups": [{"name": "e2e", "rules": [{"record": "e2e:up", "expr": 'count(up{environment="stage"})'}]}]}
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    platform.kube.create(config_map | {"data": {"hello.yaml": yaml.safe_dump(rules)}})
    yield "e2e:up"
    platform.kube.delete("v1", "ConfigMap", "e2e-rules", "stage")


def test_a_rule_of_an_environment_is_evaluated_and_forgotten_with_its_config_map_and_nothing_restarts(
    platform: Platform, prometheus: Prometheus, rule: str
) -> None:
    def groups() -> set[str]:
        return {group["name"] for group in (prometheus.get("/api/v1/rules") or {"groups": []})["groups"]}

    prometheus.eventually(rule, lambda found: [s["value"] for s in found] == [2.0])
    platform.kube.delete("v1", "ConfigMap", "e2e-rules", "stage")
    assert "e2e" not in until(groups, lambda found: "e2e" not in found)
    (pod,) = platform.kube.list("v1", "Pod", "monitoring", labels="app.kubernetes.io/name=prometheus")
    assert {status["restartCount"] for status in pod["status"]["containerStatuses"]} == {0}


def test_prometheus_that_is_killed_comes_back_with_its_data(platform: Platform, prometheus: Prometheus) -> None:
    before = 'count_over_time(up{job="prometheus"}[1m])'
    prometheus.eventually(before, lambda found: bool(found) and found[0]["value"] >= 2)
    moment = time.time()
    kill(platform, "/bin/prometheus")
    found = until(lambda: prometheus.query(before, at=moment), bool)
    assert [s["value"] >= 2 for s in found] == [True], "what was measured before is there"
    prometheus.eventually(f"max(timestamp(up)) > {moment}", bool)
    (pod,) = platform.kube.list("v1", "Pod", "monitoring", labels="app.kubernetes.io/name=prometheus")
    restarts = {status["name"]: status["restartCount"] for status in pod["status"]["containerStatuses"]}
    assert restarts["prometheus"] == 1


WEBHOOK_PORT = 18080


@dataclass
class Told:
    """What a webhook is told, in its order."""

    seen: list[Alert] = field(default_factory=list)
    coming: queue.SimpleQueue[Alert] = field(default_factory=queue.SimpleQueue)

    def listen(self, lines: IO[str]) -> None:
        """Take what the webhook prints, until it ends."""
        for line in lines:
            sent = json.loads(line)
            about = {"path": sent["path"], "known": sent["known"], "group": sent["body"]["groupLabels"]}
            for alert in sent["body"]["alerts"]:
                self.coming.put(about | alert)

    def wait_for(self, wanted: Callable[[Alert], bool]) -> Alert:
        """The next that is wanted; all that come before it are seen."""
        deadline = time.monotonic() + LONGEST_S
        while True:
            self.seen.append(self.coming.get(timeout=max(0.1, deadline - time.monotonic())))
            if wanted(self.seen[-1]):
                return self.seen[-1]


@pytest.fixture
def told(platform: Platform) -> Iterator[Told]:
    """Two Alertmanagers tell a webhook of every alert, and another of those that ask for a rollback."""
    argv = [sys.executable, str(Path(__file__).with_name("webhook.py")), platform.cluster.node_address]
    argv += [str(WEBHOOK_PORT), "the-token"]
    address = f"http://{platform.cluster.node_address}:{WEBHOOK_PORT}"

    def webhook(path: str) -> dict[str, Any]:
        return {key: {"secure": platform.crypter().encrypt(text)} for key, text in (
            ("url", f"{address}/{path}"), ("token", "the-token"),
        )}  # fmt: skip

    settings = {
        "replicas": 2,
        "receivers": {"people": {"webhook": webhook("people")}},
        "default": "people",
        "rollback": webhook("rollback"),
        "groupWaitSeconds": 0,
        "groupIntervalSeconds": 1,
    }
    received = Told()
    with subprocess.Popen(platform.cluster.inside(argv), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "started\n"
            threading.Thread(target=received.listen, args=(process.stdout,), daemon=True).start()
            with platform.edited("monitoring", alertmanager=settings, prometheus__scrapeSeconds=1):
                done = platform.slipway("up", "monitoring")
                assert done.code == 0, done.said
                yield received
        finally:
            process.kill()
    assert platform.slipway("up", "monitoring").code == 0


@pytest.fixture
def alert(platform: Platform) -> Iterator[str]:
    """An alert of the environment test that fires while hello has fewer than two pods there."""
    expression = 'count by (environment, service, release) (up{job="services", environment="test"} == 1) < 2'
    rules = [
        {"alert": name, "expr": expression, "for": "2s", "labels": {"severity": "warning"} | labels}
        for name, labels in (("E2eTooFew", {}), ("E2eRollBack", {"action": "rollback"}))
    ]
    metadata = {"name": "e2e-alerts", "namespace": "test", "labels": {"slipway.dev/rules": "true"}}
    data = {"hello.yaml": yaml.safe_dump({"groups": [{"name": "e2e-alerts", "rules": rules}]})}
    platform.kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    yield "E2eTooFew"
    platform.kube.delete("v1", "ConfigMap", "e2e-alerts", "test")


def test_an_alert_is_pending_fires_is_told_and_is_resolved_when_its_cause_is_gone(
    platform: Platform,
    prometheus: Prometheus,
    told: Told,
    alert: str,
) -> None:
    release = platform.stack("test").get(["images", "hello"]).rpartition("@sha256:")[2][:12]

    firing = told.wait_for(lambda sent: sent["labels"]["alertname"] == alert)
    assert (firing["status"], firing["path"], firing["known"]) == ("firing", "/people", True)
    about = {"environment": "test", "service": "hello", "release": release, "severity": "warning"}
    assert firing["labels"] == about | {"alertname": alert, "cluster": firing["labels"]["cluster"]}
    pending = f'ALERTS{{alertname="{alert}", alertstate="pending"}}'
    assert prometheus.query(f"count_over_time({pending}[5m])"), "it waited before it fired"

    asked = told.wait_for(lambda sent: sent["path"] == "/rollback")
    assert asked["labels"]["alertname"] == "E2eRollBack"
    assert asked["group"] == {"environment": "test", "service": "hello", "release": release}

    with platform.edited("test", services__hello__replicas=2):
        assert platform.slipway("up", "test").code == 0
        resolved = told.wait_for(lambda sent: sent["labels"]["alertname"] == alert and sent["status"] == "resolved")
    assert resolved["path"] == "/people"
    firings = [sent for sent in told.seen if (sent["labels"]["alertname"], sent["status"]) == (alert, "firing")]
    assert len(firings) == 1, "two Alertmanagers agree on who tells"
    peers = httpx2.get(f"{links(platform)['monitoring/alertmanager']}/api/v2/status", trust_env=False).json()
    assert len(peers["cluster"]["peers"]) == 2
    assert platform.slipway("up", "test").code == 0
