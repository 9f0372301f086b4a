"""Each rule of DESIGN.md, "Alert-driven rollback", that decides what an alert leads to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from delivery.serving.alerts import Alert
from delivery.serving.rules import Decision, Situation, Verdict, decide

NEW, OLD = "0123456789ab", "ba9876543210"
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
BAKES = (NOW - timedelta(minutes=2), NOW + timedelta(minutes=28))
GOOD = Situation("on", {"hello": NEW, "shop": OLD}, {"hello": OLD}, BAKES)
ALERT = Alert("ReleaseErrorsAboveControl", "prod", "hello", NEW, (NOW - timedelta(seconds=10)).isoformat())
CRASH = replace(ALERT, name="ReleaseCrashing")


def decision(alert: Alert = ALERT, *, received: datetime = NOW, now: datetime = NOW, **different: object) -> Decision:
    return decide(alert, replace(GOOD, **different), received=received, now=now)  # type: ignore[arg-type]


@pytest.mark.parametrize("alert", [ALERT, CRASH])
def test_what_fails_by_its_own_doing_while_it_bakes_is_rolled_back(alert: Alert) -> None:
    assert decision(alert).verdict is Verdict.ROLL_BACK


@pytest.mark.parametrize(("mode", "verdict"), [("observe", Verdict.OBSERVE), ("off", Verdict.IGNORE)])
def test_only_where_the_environment_allows_it(mode: str, verdict: Verdict) -> None:
    assert decision(automation=mode).verdict is verdict


def test_a_freeze_stops_it() -> None:
    found = decision(frozen="the year's end (maria)")
    assert (found.verdict, "the year's end" in found.why) == (Verdict.PAGE, True)


@pytest.mark.parametrize(
    "alert",
    [replace(ALERT, release=OLD), replace(ALERT, release="f" * 12), replace(ALERT, service="unknown")],
    ids=["the release before", "one that never was", "a service that is not there"],
)
def test_only_for_the_release_that_runs(alert: Alert) -> None:
    assert decision(alert).verdict is Verdict.IGNORE


def test_an_environment_that_is_not_there_is_nothing_to_act_on() -> None:
    assert decide(ALERT, None, received=NOW, now=NOW).verdict is Verdict.IGNORE


@pytest.mark.parametrize(
    "baking",
    [None, (NOW - timedelta(minutes=31), NOW), (NOW + timedelta(seconds=1), NOW + timedelta(minutes=30))],
    ids=["never", "not any more", "not yet"],
)
@pytest.mark.parametrize("alert", [ALERT, CRASH])
def test_only_while_it_bakes(baking: tuple[datetime, datetime] | None, alert: Alert) -> None:
    assert decision(alert, baking=baking).verdict is Verdict.PAGE


def test_an_alert_from_before_the_release_came_is_not_about_it() -> None:
    assert decision(baking=(NOW - timedelta(seconds=5), BAKES[1])).verdict is Verdict.PAGE


def test_without_a_control_alerts_on_requests_only_page_and_those_on_pods_do_not() -> None:
    assert decision(ALERT, controls={}).verdict is Verdict.PAGE
    assert decision(CRASH, controls={}).verdict is Verdict.ROLL_BACK


def test_an_alert_of_ones_own_is_held_for_one_on_requests() -> None:
    assert decision(replace(ALERT, name="TooFewOrders"), controls={}).verdict is Verdict.PAGE
    assert decision(replace(ALERT, name="TooFewOrders")).verdict is Verdict.ROLL_BACK


def test_a_rollback_is_never_rolled_back() -> None:
    assert decision(CRASH, came_by_rollback=True).verdict is Verdict.PAGE


@pytest.mark.parametrize("ago", [timedelta(minutes=21), timedelta(days=400), timedelta(minutes=-2)])
def test_an_alert_that_is_replayed_leads_to_nothing(ago: timedelta) -> None:
    alert = replace(CRASH, since=(NOW - ago).isoformat())
    assert decision(alert, baking=(NOW - timedelta(days=500), BAKES[1])).verdict is Verdict.IGNORE


def test_one_that_had_to_wait_for_somebodys_update_is_not_too_old_for_that() -> None:
    later = NOW + timedelta(minutes=25)
    assert decision(CRASH, received=NOW, now=later).verdict is Verdict.ROLL_BACK
