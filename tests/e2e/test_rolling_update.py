"""A rolling update and its reversal, by the image config alone, lose no request; an autoscaler takes over undipped."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

from tests.e2e.platform import Platform, changed_service


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


def test_switching_the_autoscaler_on_never_drops_below_the_running_number_of_pods(platform: Platform) -> None:
    running = platform.kube.get("apps/v1", "Deployment", "hello", "prod")["spec"]["replicas"]
    seen: list[int] = []
    events = platform.kube.watch("apps/v1", "Deployment", "prod", name="hello", timeout_s=120)

    def follow() -> None:
        for _, deployment in events:
            seen.append(deployment["spec"]["replicas"])
            if (deployment["metadata"].get("annotations") or {}).get("test/end"):
                return

    follower = Thread(target=follow)
    follower.start()
    with platform.edited("prod", services__hello__autoscaling={"minReplicas": 1, "maxReplicas": running + 1}):
        on = platform.slipway("up", "prod", "--yes")
    assert on.code == 0, on.said
    assert platform.kube.get("autoscaling/v2", "HorizontalPodAutoscaler", "hello", "prod") is not None
    off = platform.slipway("up", "prod", "--yes")
    platform.kube.patch("apps/v1", "Deployment", "hello", {"metadata": {"annotations": {"test/end": "1"}}}, "prod")
    follower.join(timeout=30)
    platform.kube.patch("apps/v1", "Deployment", "hello", {"metadata": {"annotations": {"test/end": None}}}, "prod")

    assert off.code == 0, off.said
    assert platform.kube.get("autoscaling/v2", "HorizontalPodAutoscaler", "hello", "prod") is None
    assert min(seen) >= running, seen
