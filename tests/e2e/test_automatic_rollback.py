"""Production goes back by itself: releases pass the smoke suite and turn bad, and nobody touches anything."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.e2e import bad_release
from tests.e2e.bad_release import AGREED, PROD, Shop, latest, release_in, suffer, traffic, turn_bad
from tests.e2e.platform import Platform
from tests.e2e.prometheus import Prometheus, Series, until
from tests.e2e.test_baking import control, digest, running
from tests.e2e.test_failures import without_pods
from tests.e2e.test_release_moves import away, commit

pytestmark = pytest.mark.timeout(900)

_CHANGE = "\n        # number"
_AWAY_S = 30
_BAD = {
    "fails one request of five": (bad_release.FAILS, "ReleaseErrorsAboveControl"),
    "answers ten times slower": (bad_release.SLOW, "ReleaseLatencyAboveControl"),
    "crashes": (bad_release.CRASHES, "ReleaseCrashing"),
}


@pytest.fixture(scope="module")
def shop(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """With a first release of it in prod, which is not compared with hello; what was there before comes back."""
    file = platform.stack(PROD).path
    before = file.read_bytes()
    shop = Shop(platform, tmp_path_factory.mktemp("shop") / "source")
    platform.succeeds("promote", shop.build(f"{_CHANGE} one"), PROD, *AGREED)
    platform.succeeds("settle", PROD, "--now", "--yes")
    yield shop
    file.write_bytes(before)
    commit(platform)
    platform.succeeds("up", PROD, "--yes")


@pytest.mark.parametrize("fault", _BAD)
def test_a_release_that_passes_its_smoke_suite_and_turns_bad_is_taken_back_with_nobody_touching_it(
    platform: Platform, shop: Shop, fault: str
) -> None:
    change, alert = _BAD[fault]
    tag = shop.build(change)
    before = platform.stack(PROD).get(["images"])
    moments = suffer(platform, tag)
    print(f"a release that {fault}: {moments}")

    record = moments.record
    assert (record["result"], record["by"], record["alert"]["name"]) == ("succeeded", "slipway serve", alert)
    assert platform.stack(PROD).get(["images"]) == before
    assert digest(running(platform, "hello"))[7:19] == release_in(platform)
    assert control(platform) is None
    again = platform.slipway("promote", tag, PROD, *AGREED)
    assert (again.code, alert in again.said) == (4, True), again.said
    kinds = {text.partition(":")[0] for text in moments.counts["failed"]}
    by_the_release = {bad_release.FAILS: {"500"}, bad_release.SLOW: set()}.get(change, kinds)
    assert kinds <= by_the_release, "no request fails because of the rollback"


def test_an_api_server_that_is_away_for_half_a_minute_delays_it_and_no_more(platform: Platform, shop: Shop) -> None:
    tag = shop.build(f"{bad_release.CRASHES}  # once more")
    before = platform.stack(PROD).get(["images"])
    with traffic(platform):
        platform.succeeds("promote", tag, PROD, *AGREED)
        assert turn_bad(platform.cluster.name, release_in(platform)) >= 1
        until(lambda: platform.stack(PROD).get(["images"]), lambda images: images == before)  # it is being updated
        with away(platform):
            time.sleep(_AWAY_S)  # how long it is away is what this is about
    record = until(lambda: latest(platform), lambda newest: newest["kind"] == "rollback")
    assert (record["result"], record["by"]) == ("succeeded", "slipway serve"), record
    assert platform.stack(PROD).get(["images"]) == before
    assert digest(running(platform, "hello"))[7:19] == release_in(platform)
    assert control(platform) is None
    platform.succeeds("drift", PROD)


def test_what_a_dependency_fails_in_both_releases_pages_and_rolls_nothing_back(platform: Platform, shop: Shop) -> None:
    platform.succeeds("promote", shop.build(f"{_CHANGE} two"), PROD, *AGREED)
    present, prometheus = platform.stack(PROD).get(["images"]), Prometheus(platform)
    with traffic(platform, clients=12):  # a second each where stage does not answer
        prometheus.eventually(f'control:requests:increase2m{{environment="{PROD}"}}', _reach(50))
        with without_pods(platform, "Deployment", "hello", "stage"):
            prometheus.eventually(f'control:errors:increase2m{{environment="{PROD}"}}', _reach(100))
            page = f'ALERTS{{alertname="ErrorBudgetBurnsFast", environment="{PROD}", alertstate="firing"}}'
            assert prometheus.eventually(page, bool)[0]["severity"] == "critical"
        asked = f'ALERTS{{action="rollback", release="{release_in(platform)}", alertstate="firing"}}'
        assert prometheus.query(f"max_over_time({asked}[5m])") == []
    assert platform.stack(PROD).get(["images"]) == present
    assert latest(platform)["kind"] == "deployment"


def _reach(least: float) -> Callable[[list[Series]], bool]:
    """Whether a query has a series, and that is large enough: what it was at last is told where it never gets so."""
    return lambda found: any(series["value"] >= least for series in found)
