"""A rolling update and its reversal, by the image config alone, lose no request; an autoscaler takes over undipped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from tests.e2e.platform import Platform, changed_service

_DEPLOYMENT = ("apps/v1", "Deployment", "hello")
_END = "example.com/end-of-test"
_LONGEST_S = 120


def test_an_update_of_prod_and_its_reversal_lose_none_of_ten_thousand_requests(
    platform: Platform, tmp_path: Path
) -> None:
    before = platform.stack("prod").get(["images", "hello"])
    after = platform.release(changed_service(tmp_path / "hello", "app.py", "Hello from", "Good day from"))
    assert after != before

    with platform.load("prod", "hello", requests=10_000) as load:
        platform.edit("prod", images__hello=after)
        forth = platform.slipway("up", "prod", "--yes")
        platform.edit("prod", images__hello=before)
        back = platform.slipway("up", "prod", "--yes")

    assert forth.code == 0, forth.said
    assert back.code == 0, back.said
    assert load.counts["failures"] == 0, load.counts
    assert load.counts["sent"] >= 10_000
    releases = {image.rpartition("@sha256:")[2][:12] for image in (before, after)}
    assert set(load.counts["releases"]) == releases, "both releases answered meanwhile"


def test_switching_the_autoscaler_on_and_off_never_drops_below_the_running_number_of_pods(platform: Platform) -> None:
    running = platform.kube.get(*_DEPLOYMENT, "prod")["spec"]["replicas"]

    with _replicas_seen(platform) as seen:
        with platform.edited("prod", services__hello__autoscaling={"maxReplicas": running + 1}):
            on = platform.slipway("up", "prod", "--yes")
            assert platform.kube.get("autoscaling/v2", "HorizontalPodAutoscaler", "hello", "prod") is not None, on.said
        off = platform.slipway("up", "prod", "--yes")

    assert on.code == 0, on.said
    assert off.code == 0, off.said
    assert platform.kube.get("autoscaling/v2", "HorizontalPodAutoscaler", "hello", "prod") is None
    assert min(seen) >= running, seen


@contextmanager
def _replicas_seen(platform: Platform) -> Iterator[list[int]]:
    """Every number of replicas that prod's Deployment asked for while the body ran."""
    seen: list[int] = []

    def follow() -> None:
        for _, deployment in platform.kube.watch("apps/v1", "Deployment", "prod", name="hello", timeout_s=_LONGEST_S):
            seen.append(deployment["spec"]["replicas"])
            if _END in (deployment["metadata"].get("annotations") or {}):
                return

    follower = Thread(target=follow, daemon=True)
    follower.start()
    yield seen
    for value in ("1", None):
        platform.kube.patch(*_DEPLOYMENT, {"metadata": {"annotations": {_END: value}}}, "prod")
    follower.join(timeout=_LONGEST_S)
    assert not follower.is_alive()
