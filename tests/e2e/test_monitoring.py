"""What the monitoring sees of real environments."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import pytest
import yaml

from local.cluster.spec import Layout
from tests.e2e.platform import Platform

ENVIRONMENTS = ("test", "stage", "prod")
LONGEST_S = 180.0
RELEASE = re.compile(r"[0-9a-f]{12}")

Series = dict[str, Any]
T = TypeVar("T")


class Prometheus:
    """Prometheus by its link."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def get(self, path: str, **params: str) -> Any:
        """The `data` of an answer of its API; None while it does not answer."""
        links = {
            link["name"]: link["url"] for link in json.loads(self._platform.slipway("status", "--json").out)["links"]
        }
        try:
            answer = httpx2.get(f"{links['monitoring/prometheus']}{path}", params=params, trust_env=False)
        except httpx2.TransportError:
            return None
        return answer.json()["data"] if answer.status_code == httpx2.codes.OK else None

    def query(self, promql: str, *, at: float | None = None) -> list[Series]:
        """An instant query's series, each its labels and its `value`."""
        found = self.get("/api/v1/query", query=promql, **({"time": str(at)} if at else {}))
        return [r["metric"] | {"value": float(r["value"][1])} for r in found["result"]] if found else []

    def eventually(self, promql: str, enough: Callable[[list[Series]], bool]) -> list[Series]:
        """The series of a query, once they are `enough`: what is scraped comes when the next scrape does."""
        found = until(lambda: self.query(promql), enough)
        assert enough(found), f"{promql} gives {found}"
        return found


def until(look: Callable[[], T], enough: Callable[[T], bool]) -> T:
    """What `look` gives once it is `enough`, or at last."""
    deadline = time.monotonic() + LONGEST_S
    while not enough(found := look()) and time.monotonic() < deadline:
        time.sleep(0.5)  # Prometheus has no way to be told of a scrape
    return found


@pytest.fixture(scope="module")
def prometheus(platform: Platform) -> Prometheus:
    return Prometheus(platform)


def test_every_target_of_the_platform_is_scraped(prometheus: Prometheus) -> None:
    jobs = {"services", "kube-apiserver", "kubelet", "cadvisor", "kubelet-probes", "coredns", "prometheus"}
    up = prometheus.eventually("up", lambda series: jobs <= {s["job"] for s in series if s["value"] == 1})
    assert {s["job"] for s in up} == jobs
    assert [s for s in up if s["value"] != 1] == []


def test_hellos_requests_are_counted_in_each_environment_by_service_and_release(
    platform: Platform, prometheus: Prometheus
) -> None:
    links = {link["name"]: link["url"] for link in json.loads(platform.slipway("status", "--json").out)["links"]}
    for environment in ENVIRONMENTS:
        httpx2.get(f"{links[f'{environment}/hello']}/version", trust_env=False).raise_for_status()
    series = prometheus.eventually(
        'http_requests_total{route="/version"}', lambda found: {s["environment"] for s in found} == set(ENVIRONMENTS)
    )
    for s in series:
        image = platform.stack(s["environment"]).get(["images", "hello"])
        assert RELEASE.fullmatch(s["release"])
        assert s["release"] == image.rpartition("@sha256:")[2][:12], "the release that the stack file says"
        assert (s["service"], s["code"], s["track"], s["job"]) == ("hello", "200", "release", "services")
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


def kill(platform: Platform, program: str) -> None:
    """End a program of this cluster's pods without a warning, as a machine does that runs out of memory."""
    cgroup = Layout(platform.cluster.name).cgroup
    killed = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            argv = (process / "cmdline").read_bytes().split(b"\0")
            if argv[0] == program.encode() and cgroup in (process / "cgroup").read_text():
                os.kill(int(process.name), signal.SIGKILL)
                killed.append(process.name)
    assert len(killed) == 1
