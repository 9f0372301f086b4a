"""`kill -9` of the command at any moment, then `up` again: the declared state is reached and nothing is orphaned.

The engine's own tests do this at many more moments, with small objects; here it is the whole command and real pods.
"""

from __future__ import annotations

import contextlib
import subprocess

import pytest

from tests.e2e.platform import Platform


@pytest.mark.parametrize("moment_s", [1.0, 2.0, 4.0])
def test_updates_that_were_killed_are_finished_by_the_next(platform: Platform, moment_s: float) -> None:
    image = platform.stack("test").get(["images", "hello"])

    with platform.edited("test", services__extra={"port": 8080}, images__extra=image):
        _kill_after(platform.start("up", "test"), moment_s)
        _assert_reached(platform, {"hello", "extra"})
    _kill_after(platform.start("up", "test"), moment_s)
    _assert_reached(platform, {"hello"})


def _kill_after(process: subprocess.Popen[str], moment_s: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=moment_s)
    process.kill()
    process.communicate()


def _assert_reached(platform: Platform, services: set[str]) -> None:
    again = platform.slipway("up", "test")
    assert again.code == 0, again.said
    for api_version, kind in (("apps/v1", "Deployment"), ("v1", "Service"), ("policy/v1", "PodDisruptionBudget")):
        assert {obj["metadata"]["name"] for obj in platform.kube.list(api_version, kind, "test")} == services
    assert "Nothing changed" in platform.slipway("up", "test").said
    assert platform.slipway("drift", "test").code == 0
