"""Going back by the command and by git alone, and a promotion that is killed: on a real cluster, to the same end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from local import cluster as clusters
from tests.e2e.platform import Platform
from tests.e2e.source import Source

_STACK = "stage"
_AWAY_S = 30
_AGREED = ("--override", "--reason", "an end-to-end test", "--yes")
_GIT = ["git", "-c", "user.name=dev", "-c", "user.email=dev@example.com"]


@pytest.fixture(scope="module")
def tag(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A release with another image than the one that the platform began with."""
    source = Source(tmp_path_factory.mktemp("source") / "shop")
    built = platform.slipway("release", "build", "--source", str(source.directory), "--allow-unscanned", "--json")
    assert built.code == 0, built.said
    return str(json.loads(built.out)["tag"])


@pytest.mark.timeout(900)
def test_a_rollback_and_a_revert_lead_to_the_same_cluster(platform: Platform, tag: str) -> None:
    before = state(platform)
    platform.succeeds("promote", tag, _STACK, *_AGREED)
    promotion, promoted = head(platform), state(platform)
    assert promoted != before

    platform.succeeds("rollback", _STACK, "--reason", "an end-to-end test")
    assert state(platform) == before
    held = platform.slipway("promote", tag, _STACK, *_AGREED)
    assert (held.code, "on hold" in held.err) == (4, True), held.said

    revert(platform, head(platform))
    platform.succeeds("up", _STACK)
    assert state(platform) == promoted
    revert(platform, promotion)
    platform.succeeds("up", _STACK)
    assert state(platform) == before
    platform.succeeds("drift", _STACK)


@pytest.mark.timeout(900)
def test_a_promotion_that_is_killed_in_its_update_is_taken_back(platform: Platform, tag: str) -> None:
    before = state(platform)
    with platform.start("promote", tag, _STACK, *_AGREED) as promotion:
        assert promotion.stdout is not None
        for line in promotion.stdout:
            if "Deployment" in line:
                promotion.send_signal(signal.SIGKILL)
                break
        promotion.communicate()
    assert "was cut short" in platform.succeeds("status").out

    recovered = platform.succeeds("rollback", _STACK, "--recover")

    assert "is back on" in recovered.said
    assert state(platform) == before
    platform.succeeds("drift", _STACK)
    assert "was cut short" not in platform.succeeds("status").out
    latest = json.loads(platform.succeeds("history", _STACK, "--json").out)["releases"][0]
    assert (latest["name"], latest["result"]) == (tag, "restored")


@pytest.mark.timeout(900)
def test_an_api_server_that_is_away_for_half_a_minute_in_mid_promotion_parts_nothing(
    platform: Platform, tag: str
) -> None:
    before = state(platform)
    with platform.start("promote", tag, _STACK, *_AGREED) as promotion:
        assert promotion.stdout is not None
        for line in promotion.stdout:
            if "Deployment" in line:  # it is being rolled out
                break
        with away(platform):
            time.sleep(_AWAY_S)  # how long it is away is what this is about
        out, err = promotion.communicate()

    latest = json.loads(platform.succeeds("history", _STACK, "--json").out)["releases"][0]
    told = (promotion.returncode, latest["name"], latest["result"])
    assert told in ((0, tag, "succeeded"), (1, tag, "restored")), (told, out + err)
    assert (state(platform) == before) == (latest["result"] == "restored")
    platform.succeeds("drift", _STACK)
    assert "was cut short" not in platform.succeeds("status").out
    if latest["result"] == "succeeded":
        revert(platform, head(platform))
        platform.succeeds("up", _STACK)
    assert state(platform) == before


@pytest.mark.timeout(900)
def test_a_pre_deploy_command_that_fails_changes_nothing(platform: Platform, tag: str) -> None:
    before = state(platform)
    program = "import os, sys; sys.exit('no column of ' + os.environ['SLIPWAY_ENVIRONMENT'])"
    platform.edit(_STACK, services__hello__preDeploy={"command": ["python3", "-c", program], "deadlineSeconds": 60})
    commit(platform)
    try:
        refused = platform.slipway("promote", tag, _STACK, *_AGREED)
    finally:
        revert(platform, head(platform))
    assert refused.code == 1, refused.said
    assert "no column of stage" in refused.err
    assert state(platform) == before


@contextmanager
def away(platform: Platform) -> Iterator[None]:
    """The API server takes connections and answers nobody, as behind a network that is cut."""
    server = clusters.status(platform.cluster.name).components["kube-apiserver"].pid
    assert server is not None
    os.kill(server, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server, signal.SIGCONT)


def state(platform: Platform) -> dict[str, Any]:
    """What an environment is: what its file names, and what its pods are made of and told."""
    deployment = platform.kube.get("apps/v1", "Deployment", "hello", _STACK)
    version = platform.kube.get("v1", "ConfigMap", "hello-version", _STACK)
    assert deployment is not None
    assert version is not None
    images = platform.stack(_STACK).get(["images"])
    return {"images": images, "deployment": deployment["spec"], "version": version["data"]}


def head(platform: Platform) -> str:
    return git(platform.config_dir, "log", "--max-count=1", "--format=%H", "--", f"Pulumi.{_STACK}.yaml").strip()


def revert(platform: Platform, commit: str) -> None:
    git(platform.config_dir, "revert", "--no-edit", commit)


def commit(platform: Platform) -> None:
    git(platform.config_dir, "commit", "--quiet", "--all", "--message", "Edit a stack")


def git(directory: Path, *args: str) -> str:
    """Git, as a person uses it."""
    done = subprocess.run([*_GIT, "-C", str(directory), *args], check=True, capture_output=True, text=True)
    return done.stdout
