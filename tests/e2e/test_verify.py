"""What runs is verified from outside, and nothing is said of what was exchanged, drifted or restarted meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.kubernetes import JsonObject
from tests.e2e.platform import Platform
from tests.e2e.prometheus import Prometheus

_DEPLOYMENT = ("apps/v1", "Deployment", "hello")
_PODS = "app.kubernetes.io/name=hello,app.kubernetes.io/component=service"
_LONGEST_S = 120
_REQUESTS = 200


@pytest.mark.parametrize(
    ("stack", "suite"), [("test", "smoke"), ("test", "regression"), ("stage", "smoke"), ("prod", "smoke")]
)
def test_what_a_fresh_platform_runs_passes(platform: Platform, stack: str, suite: str) -> None:
    done = platform.slipway("verify", stack, suite, "--json")
    assert done.code == 0, done.said
    facts = json.loads(done.out)
    assert (facts["stack"], facts["suite"], facts["result"], facts["signed_by"]) == (stack, suite, "pass", "verifier")
    assert facts["report"].startswith("sha256:")


def test_what_was_changed_by_hand_is_not_verified(platform: Platform) -> None:
    before = platform.kube.get(*_DEPLOYMENT, "test")
    assert before is not None
    try:
        platform.kube.patch(*_DEPLOYMENT, {"spec": {"minReadySeconds": 2}}, "test")
        done = platform.slipway("verify", "test", "smoke")
    finally:
        assert platform.slipway("up", "test", "--yes").code == 0
    assert done.code == 2, done.said
    assert "minReadySeconds" in done.err
    assert "slipway up test" in done.err


@pytest.fixture
def gate(platform: Platform, tmp_path: Path) -> Iterator[Path]:
    """A suite `waits` of the platform's own, which ends once there is a file of this name."""
    opened = tmp_path / "open"
    folder = platform.config_dir / "tests"
    suite = folder / "environments" / "waits"
    suite.mkdir(parents=True)
    source = "import time\nfrom pathlib import Path\n\ndef test_waits():\n"
    source += f"    while not Path({str(opened)!r}).exists():\n        time.sleep(0.05)\n"
    (suite / "test_waits.py").write_text(source)
    (folder / "environments" / "pytest.ini").write_text("[pytest]\n")
    yield opened
    shutil.rmtree(folder)


def test_nothing_is_recorded_if_the_pods_are_exchanged_meanwhile(platform: Platform, gate: Path) -> None:
    before = _revision(platform.kube.get(*_DEPLOYMENT, "test") or {})
    process = platform.start("verify", "test", "waits")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("waits of test"), process.communicate()
    restarted = {"kubectl.kubernetes.io/restartedAt": "2026-01-02T03:04:05Z"}
    platform.kube.patch(*_DEPLOYMENT, {"spec": {"template": {"metadata": {"annotations": restarted}}}}, "test")
    _wait_for_rollout(platform, "test", before)
    gate.touch()
    out, err = process.communicate(timeout=_LONGEST_S)

    assert platform.slipway("up", "test", "--yes").code == 0
    assert process.returncode == 1, out + err
    assert "waits passed" in out
    assert "test changed meanwhile, so nothing was recorded: hello was rolled out" in err


def test_a_soak_counts_requests_of_people_and_fails_with_an_alert_and_with_a_restart(platform: Platform) -> None:
    soak = ("verify", "stage", "soak", "--wait", "--minutes", "1", "--requests", str(_REQUESTS), "--json")
    with platform.load("stage", "hello", requests=_REQUESTS, clients=1):  # its time may have begun only just now
        passed = platform.slipway(*soak)
    assert passed.code == 0, passed.said
    facts = json.loads(passed.out)
    assert (facts["kind"], facts["result"], facts["alerts"]) == ("soak", "pass", [])
    assert facts["requests"] >= _REQUESTS

    with _firing(platform, "E2eSoak"):
        alarmed = platform.slipway(*soak)
    assert alarmed.code == 1, alarmed.said
    assert "the alert E2eSoak" in alarmed.err

    pod = platform.kube.list("v1", "Pod", "stage", labels=_PODS)[0]
    _kill(pod)
    for _, seen in platform.kube.watch("v1", "Pod", "stage", name=pod["metadata"]["name"], timeout_s=_LONGEST_S):
        status = seen["status"]["containerStatuses"][0]
        if status["restartCount"] and status["ready"]:
            break
    failed = platform.slipway(*soak)
    assert failed.code == 1, failed.said
    assert json.loads(alarmed.out)["revokes"] == facts["piece"]
    assert f"{pod['metadata']['name']} was restarted" in failed.err


def _revision(deployment: JsonObject) -> str:
    return str(deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"])


def _wait_for_rollout(platform: Platform, namespace: str, before: str) -> None:
    for _, seen in platform.kube.watch("apps/v1", "Deployment", namespace, name="hello", timeout_s=_LONGEST_S):
        status, wanted = seen["status"], seen["spec"]["replicas"]
        counts = [status.get(key) for key in ("replicas", "updatedReplicas", "availableReplicas")]
        is_seen = status["observedGeneration"] == seen["metadata"]["generation"]
        if _revision(seen) != before and is_seen and counts == [wanted] * 3:
            return
    raise AssertionError("the rollout took too long")


@contextmanager
def _firing(platform: Platform, name: str) -> Iterator[None]:
    """An alert about stage that a rule of its own fires at once, and which Prometheus has seen firing."""
    rule = {"alert": name, "expr": "vector(1)", "labels": {"environment": "stage", "severity": "warning"}}
    data = {"soak.yaml": json.dumps({"groups": [{"name": name, "interval": "1s", "rules": [rule]}]})}
    metadata = {"name": "e2e-soak", "namespace": "stage", "labels": {"slipway.dev/rules": "true"}}
    platform.kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    try:
        asked = f'ALERTS{{alertname="{name}",alertstate="firing"}}'
        assert Prometheus(platform).eventually(asked, bool)
        yield
    finally:
        platform.kube.delete("v1", "ConfigMap", "e2e-soak", "stage")


def _kill(pod: JsonObject) -> None:
    """Kill the process of a pod's container, as the kernel does when memory runs out."""
    uid, name = pod["metadata"]["uid"], pod["spec"]["containers"][0]["name"]
    killed = False
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            is_its = uid in (process / "cgroup").read_text() and name in (process / "cmdline").read_text()
        except OSError:  # it has just ended
            continue
        if is_its:
            os.kill(int(process.name), signal.SIGKILL)
            killed = True
    assert killed
