"""A promotion to prod and its rollback beside what Kubernetes itself needs for the same change of image, in one run.

    .venv/bin/python benchmarks/release.py [--runs N]

It brings up a local platform of its own, builds one release beside the one there, and moves prod forth and back with
`slipway promote` and `slipway rollback`, then with `kubectl set image` and `kubectl rollout status`. "Pods" is the time
from the Deployment's new template until every pod of it is available, as the API server tells it; what is left of a
command is ours: start-up, gates, file and commit, the engine, the record. The verification (the smoke suite) has a row
of its own; with it, that is all but the pods, for which the goal is 2 s. Each begins when the pods of the one before
have ended. Times are medians; a ratio is over kubectl's way of the same direction.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the tests, whose tools are used here, are no package

from adapters.kubernetes import PRESENT, JsonObject, Kubernetes
from benchmarks.own_platform import own_platform
from local.images import platform_binary
from tests.e2e.platform import Platform
from tests.e2e.source import Source

_LONGEST_S = 300


@dataclass
class Direction:
    """Seconds of each run of a command, by part; `kubectl` are those of Kubernetes' own way."""

    parts: dict[str, list[float]] = field(default_factory=dict)
    kubectl: list[float] = field(default_factory=list)

    def add(self, seconds: Mapping[str, float]) -> None:
        """One run more."""
        for name, value in seconds.items():
            self.parts.setdefault(name, []).append(value)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="how often each is done (%(default)s)")
    runs = parser.parse_args().runs
    forth, back = Direction(), Direction()
    with own_platform() as platform, tempfile.TemporaryDirectory() as directory:
        kube = platform.kube
        release = Source(Path(directory) / "shop").build(platform)
        for _ in range(runs):
            forth.add(_measure(platform, "promote", release, "prod", "--override", "--reason", "benchmark"))
            after = _image(kube)
            back.add(_measure(platform, "rollback", "prod", "--reason", "benchmark"))
            before = _image(kube)
            platform.succeeds("unhold", "prod", release)
        kubeconfig = str(platform.cluster.kubeconfig)
        kubectl = [str(platform_binary("kubectl")), "--kubeconfig", kubeconfig, "--namespace", "prod"]
        for _ in range(runs):
            for direction, image in ((forth, after), (back, before)):
                _settle(kube)
                direction.kubectl.append(_set_image(kubectl, image))
    _print({"promote": forth, "rollback": back}, runs)


def _measure(platform: Platform, *args: str) -> dict[str, float]:
    """Run a command that moves prod; its seconds by part."""
    _settle(platform.kube)
    rollout = _Rollout(platform.kube)
    began = time.monotonic()
    seconds: dict[str, float] = json.loads(platform.succeeds(*args, "--yes", "--json").out)["seconds"]
    whole = time.monotonic() - began
    pods = rollout.seconds()
    verification = seconds.pop("verify", 0.0)
    update = seconds.pop("update", 0.0)
    parts = {
        "start-up": whole - sum(seconds.values()) - verification - update,
        **seconds,
        "update without pods": update - pods,
    }
    ours = sum(parts.values())
    sums = {"all of it ours": ours, "verification": verification, "all but pods": ours + verification}
    return {**parts, **sums, "pods ready": pods, "whole command": whole}


def _settle(kube: Kubernetes) -> None:
    """Wait until no pod of prod is ending any more."""
    ending: set[str] = set()
    are_known = False
    for event, pod in kube.watch("v1", "Pod", "prod", timeout_s=_LONGEST_S, present=True):
        if event == PRESENT:
            are_known = True
        elif event == "DELETED":
            ending.discard(pod["metadata"]["name"])
        elif "deletionTimestamp" in pod["metadata"]:
            ending.add(pod["metadata"]["name"])
        if are_known and not ending:
            return


class _Rollout:
    """Follows prod's Deployment: when its template changed, and when all pods of that were available."""

    def __init__(self, kube: Kubernetes) -> None:
        self._kube = kube
        self._revision = _deployment(kube)["metadata"]["generation"]
        self._began = self._ended = 0.0
        self._follower = threading.Thread(target=self._follow)
        self._follower.start()

    def seconds(self) -> float:
        """How long the rollout took."""
        self._follower.join()
        return self._ended - self._began

    def _follow(self) -> None:
        for _, seen in self._kube.watch("apps/v1", "Deployment", "prod", name="hello", timeout_s=_LONGEST_S):
            if seen["metadata"]["generation"] == self._revision:
                continue
            self._began = self._began or time.monotonic()
            if _is_rolled_out(seen):
                self._ended = time.monotonic()
                return


def _is_rolled_out(deployment: Mapping[str, Any]) -> bool:
    """As `kubectl rollout status` tells it."""
    wanted, status = deployment["spec"]["replicas"], deployment["status"]
    counts = [status.get(name) for name in ("replicas", "updatedReplicas", "availableReplicas")]
    return bool(status.get("observedGeneration") == deployment["metadata"]["generation"] and counts == [wanted] * 3)


def _deployment(kube: Kubernetes) -> JsonObject:
    found = kube.get("apps/v1", "Deployment", "hello", "prod")
    assert found is not None
    return found


def _image(kube: Kubernetes) -> str:
    """How prod's pods name the image of hello now."""
    containers = _deployment(kube)["spec"]["template"]["spec"]["containers"]
    return str(next(container["image"] for container in containers if container["name"] == "hello"))


def _set_image(kubectl: list[str], image: str) -> float:
    """Kubernetes' own way; seconds."""
    began = time.monotonic()
    subprocess.run([*kubectl, "set", "image", "deployment/hello", f"hello={image}"], check=True, capture_output=True)
    subprocess.run([*kubectl, "rollout", "status", "deployment/hello"], check=True, capture_output=True)
    return time.monotonic() - began


def _print(directions: Mapping[str, Direction], runs: int) -> None:
    print(f"\nprod, 3 pods, {os.cpu_count()} cores; medians of {runs}\n")
    for command, direction in directions.items():
        base = median(direction.kubectl)
        print(f"| {command} | seconds | ratio |\n|---|---:|---:|")
        for name, seconds in direction.parts.items():
            print(f"| {name} | {median(seconds):.1f} s | {median(seconds) / base:.1f} x |")
        print(f"| kubectl set image, rollout status | {base:.1f} s | 1.0 x |\n")


if __name__ == "__main__":
    main()
