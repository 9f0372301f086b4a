"""A release that bakes: the one before it serves beside it, and no request is lost however that begins and ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.platform import Platform
from tests.e2e.source import Source
from tests.e2e.test_release_moves import commit

_STACK = "prod"
_AGREED = ("--override", "--reason", "an end-to-end test", "--yes")


@pytest.mark.timeout(900)
def test_rolling_out_baking_and_either_end_of_it_lose_no_request(platform: Platform, tmp_path: Path) -> None:
    # This load is more than the machine can answer, and which pod suffers most is chance.
    platform.edit(_STACK, automation="off")
    commit(platform)
    source = Source(tmp_path / "shop")
    source.change('"Hello again from', '"Hello, dear guest, from')
    built = platform.slipway("release", "build", "--source", str(source.directory), "--allow-unscanned", "--json")
    assert built.code == 0, built.said
    tag = json.loads(built.out)["tag"]
    before = platform.stack(_STACK).get(["images"])
    as_it_was = digest(running(platform, "hello"))

    with platform.load(_STACK, "hello", requests=10_000) as load:
        promoted = platform.succeeds("promote", tag, _STACK, *_AGREED)
        assert "It bakes until" in promoted.out
        assert platform.stack(_STACK).get(["baking", "controls"]) == before
        assert digest(running(platform, "hello-control")) == as_it_was

        platform.succeeds("rollback", _STACK, "--reason", "an end-to-end test", "--yes")
        assert control(platform) is None
        assert platform.stack(_STACK).get(["baking"]) is None

        platform.succeeds("unhold", _STACK, tag)
        platform.succeeds("promote", tag, _STACK, *_AGREED)
        baking = control(platform)
        assert baking is not None
        platform.succeeds("up", _STACK, "--yes")
        assert control(platform) == baking, "an update alone leaves it"

        assert platform.slipway("settle", _STACK, "--yes").code == 4, "half an hour is not over"
        platform.succeeds("settle", _STACK, "--now", "--yes")
        assert control(platform) is None

    assert load.counts["failures"] == 0, load.counts
    assert len(load.counts["releases"]) == 2, "both releases answered meanwhile"
    platform.succeeds("drift", _STACK)

    platform.succeeds("rollback", _STACK, "--reason", "the end of the test", "--yes")
    platform.succeeds("unhold", _STACK, tag)
    assert platform.stack(_STACK).get(["images"]) == before
    platform.edit(_STACK, automation="on")
    commit(platform)
    platform.succeeds("up", _STACK, "--yes")


def running(platform: Platform, deployment: str) -> Mapping[str, Any]:
    """What a Deployment of prod declares, once its pods are there and ready."""
    for _, found in platform.kube.watch("apps/v1", "Deployment", _STACK, name=deployment, timeout_s=60):
        if found.get("status", {}).get("availableReplicas"):
            spec: Mapping[str, Any] = found["spec"]
            return spec
    pytest.fail(f"{deployment} has no pod that is ready")


def digest(spec: Mapping[str, Any]) -> str:
    image: str = spec["template"]["spec"]["containers"][0]["image"]
    return image.partition("@")[2]


def control(platform: Platform) -> str | None:
    """Which Deployment serves beside the release, None if none does."""
    found = platform.kube.get("apps/v1", "Deployment", "hello-control", _STACK)
    return str(found["metadata"]["uid"]) if found else None
