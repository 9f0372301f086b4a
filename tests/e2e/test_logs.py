"""Lines that real pods write, on their way to the store, through restarts of what carries and keeps them."""

from __future__ import annotations

import contextlib
import json
import signal
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx2

from tests.e2e.platform import Platform, kill
from tests.e2e.prometheus import Prometheus, links, until

AGENTS = "monitoring-agents"
INTERRUPTED = 130

# Counts on through whatever happens to others, ten times a second: once in JSON, once in plain text.
TALKER = """
import time
for number in range(100_000):
    print('{"number": %d}' % number, flush=True)
    print(f"number {number}", flush=True)
    time.sleep(0.1)
"""
FAILING = """
def inner(): raise KeyError("nothing here")
try: inner()
except KeyError as error: raise RuntimeError("it went wrong") from error
"""

Entries = list[dict[str, Any]]


def logs(platform: Platform, environment: str, service: str, *more: str) -> Entries:
    """What `slipway logs` shows; nothing while the store does not answer."""
    done = platform.slipway("logs", environment, service, "--json", *more)
    entries: Entries = json.loads(done.out)["entries"] if done.code == 0 else []
    return entries


def pod_of(platform: Platform, namespace: str, application: str) -> dict[str, Any]:
    (pod,) = platform.kube.list("v1", "Pod", namespace, labels=f"app.kubernetes.io/name={application}")
    return pod


@contextlib.contextmanager
def running(platform: Platform, program: str) -> Iterator[str]:
    """A pod of stage whose one container, called like the service hello, runs a program; gives the pod's name."""
    (hello, *_) = platform.kube.list("v1", "Pod", "stage", labels="app.kubernetes.io/name=hello")
    (container,) = hello["spec"]["containers"]
    kept = {key: container[key] for key in ("name", "image", "imagePullPolicy", "resources", "securityContext")}
    spec = {
        key: hello["spec"][key] for key in ("securityContext", "serviceAccountName", "automountServiceAccountToken")
    }
    pulled = {"imagePullSecrets": hello["spec"]["imagePullSecrets"]} if "imagePullSecrets" in hello["spec"] else {}
    name = f"e2e-logs-{uuid.uuid4().hex[:6]}"
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "stage"},
        "spec": spec
        | pulled
        | {"restartPolicy": "Never", "containers": [kept | {"command": ["python3", "-c", program]}]},
    }
    platform.kube.create(pod)
    try:
        yield name
    finally:
        platform.kube.delete("v1", "Pod", name, "stage")


def numbers(entries: Entries, pod: str, beginning: str) -> set[int]:
    """What a talker counted in lines that begin so, up to the last one that is there."""
    texts = [entry["text"] for entry in entries if entry["pod"] == pod]
    return {int(text.removeprefix(beginning).strip("}")) for text in texts if text.startswith(beginning)}


def test_a_line_written_in_prod_is_found_by_its_request_id(platform: Platform) -> None:
    request = f"e2e-{uuid.uuid4().hex}"
    found_at = links(platform)
    address, store = found_at["prod/hello"], found_at["monitoring/victorialogs"]
    httpx2.get(f"{address}/version", headers={"X-Request-Id": request}, trust_env=False).raise_for_status()
    answered = time.monotonic()
    query = {"query": f'{{environment="prod"}} request_id:="{request}"', "start": "5m"}
    until(lambda: httpx2.get(f"{store}/select/logsql/query", params=query, trust_env=False).text, bool)
    print(f"in the store {time.monotonic() - answered:.1f} s after the answer")
    (entry,) = logs(platform, "prod", "hello", "--since", "5m", "--grep", request)
    release = platform.stack("prod").get(["images", "hello"]).rpartition("@sha256:")[2][:12]
    assert (entry["level"], entry["fields"]["request_id"]) == ("info", request)
    assert (entry["fields"]["release"], entry["fields"]["route"]) == (release, "/version")
    assert entry["pod"].startswith("hello-")
    assert json.loads(entry["text"])["request_id"] == request


def test_entries_are_grouped_by_four_labels_and_nothing_else(platform: Platform) -> None:
    address = links(platform)["monitoring/victorialogs"]
    query = {"query": '{environment="prod",service="hello"}', "start": "1h"}
    answer = httpx2.get(f"{address}/select/logsql/stream_field_names", params=query, trust_env=False).json()
    assert {found["value"] for found in answer["values"]} == {"environment", "service", "release", "level"}


def test_a_traceback_stays_one_entry(platform: Platform) -> None:
    with running(platform, FAILING) as pod:

        def told() -> list[str]:
            found = logs(platform, "stage", "hello", "--since", "5m", "--grep", "Traceback|went wrong")
            return [entry["text"] for entry in found if entry["pod"] == pod]

        texts = until(told, bool)
    (text,) = texts
    assert "Traceback (most recent call last):\n  File " in text
    assert "\nKeyError: 'nothing here'\n\nThe above exception was the direct cause" in text
    assert text.endswith("\nRuntimeError: it went wrong")


def test_no_line_is_lost_while_the_store_and_the_collector_end_and_come_back(platform: Platform) -> None:
    in_json, in_text = '{"number": ', "number "
    with running(platform, TALKER) as pod:

        def told(beginning: str) -> set[int]:
            return numbers(logs(platform, "stage", "hello", "--since", "10m", "--limit", "5000"), pod, beginning)

        def lost(beginning: str) -> set[int]:
            """What was written by now and is never there: entries come late, and not in order."""
            written = set(range(last_of(platform, pod)))
            return until(lambda: written - told(beginning), lambda missing: not missing)

        until(lambda: told(in_text), bool)
        platform.kube.delete("v1", "Pod", "victorialogs-0", "monitoring")  # told to end, as when a node is drained
        collector = pod_of(platform, AGENTS, "collector")["metadata"]["name"]
        platform.kube.delete("v1", "Pod", collector, AGENTS)
        until(lambda: told(in_text), lambda found: max(found, default=0) > 100)
        assert (lost(in_json), lost(in_text)) == (set(), set())

        kill(platform, "/bin/collector", "--feature-gates")
        assert lost(in_json) == set(), "without a warning, too"
    assert until(lambda: restarts(platform), bool) == 1


def restarts(platform: Platform) -> int:
    """How often the collector's pod was restarted, as its status tells a moment later."""
    (status,) = pod_of(platform, AGENTS, "collector")["status"]["containerStatuses"]
    count: int = status["restartCount"]
    return count


def last_of(platform: Platform, pod: str) -> int:
    """The last number that a talker has written, by the node's own file."""
    return int(platform.kube.logs("stage", pod, tail=1).split()[-1].strip("}"))


def test_entries_are_followed_as_they_come(platform: Platform) -> None:
    request = f"e2e-{uuid.uuid4().hex}"
    address = links(platform)["test/hello"]
    with platform.start("logs", "test", "hello", "--follow", "--since", "1m", "--grep", request, "--json") as process:
        assert process.stdout is not None
        try:
            httpx2.get(f"{address}/version", headers={"X-Request-Id": request}, trust_env=False).raise_for_status()
            entry = json.loads(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGINT)
            _, said = process.communicate()
    assert process.returncode == INTERRUPTED, said
    assert entry["fields"]["request_id"] == request


def test_states_of_workloads_carry_what_alerts_are_told_by(platform: Platform) -> None:
    prometheus = Prometheus(platform)
    release = platform.stack("prod").get(["images", "hello"]).rpartition("@sha256:")[2][:12]
    prometheus.eventually(
        'container:ready:bool{namespace="prod", container="hello"} == 1',
        lambda found: {(series["service"], series["release"]) for series in found} == {("hello", release)},
    )
    prometheus.eventually('quota:used:ratio{namespace="prod"}', bool)
    prometheus.eventually("node:ready:bool == 1", bool)


def test_a_pattern_that_is_none_is_refused(platform: Platform) -> None:
    done = platform.slipway("logs", "prod", "hello", "--grep", "(")
    assert (done.code, "does not take the pattern" in done.err) == (3, True), done.said
