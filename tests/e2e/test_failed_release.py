"""A release that never becomes ready: the update fails in time and says why, while the old pods serve every request."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.platform import Platform, changed_service


def test_a_release_that_never_gets_ready_fails_loses_nothing_and_the_next_up_is_clean(
    platform: Platform, tmp_path: Path
) -> None:
    before = platform.stack("stage").get(["images", "hello"])
    broken = changed_service(tmp_path / "hello", "app.py", "if self._draining:", "if True:")
    image = platform.release(broken)

    with (
        platform.edited("stage", images__hello=image, services__hello__rollout__progressDeadlineSeconds=12),
        platform.load("stage", "hello", requests=1_000) as load,
    ):
        failed = platform.slipway("up", "stage")

    assert failed.code == 1, failed.said
    assert "progress deadline" in failed.said
    assert "Readiness probe failed" in failed.said or "Startup probe failed" in failed.said, failed.said
    assert '"logger"' in failed.said, "the pod's last log lines are shown"
    assert "Traceback" not in failed.said
    assert load.counts["failures"] == 0, load.counts
    assert set(load.counts["releases"]) == {before.rpartition("@sha256:")[2][:12]}

    healed = platform.slipway("up", "stage")
    assert healed.code == 0, healed.said
    again = platform.slipway("up", "stage")
    assert "Nothing changed" in again.said, again.said
