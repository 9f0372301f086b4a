"""Alerts on disk: kept once, worked through once, and never more than the disk should have to hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from delivery.serving import inbox as inboxes
from delivery.serving.alerts import Alert
from delivery.serving.inbox import FINISHED_AT_MOST, PENDING_AT_MOST, Full, Inbox

ALERT = Alert("ReleaseCrashing", "prod", "hello", "0123456789ab", "2026-11-25T12:00:00.000+00:00")


def number(n: int) -> Alert:
    return replace(ALERT, release=f"{n:012x}")


def test_what_was_put_is_there_after_a_restart_the_oldest_first(tmp_path: Path) -> None:
    for n in range(3):
        assert Inbox(tmp_path).put(number(n))
    assert [item.alert for item in Inbox(tmp_path).waiting()] == [number(0), number(1), number(2)]


def test_the_same_is_kept_once_while_it_waits_and_after_it_is_finished(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    assert [inbox.put(ALERT), inbox.put(ALERT)] == [True, False]
    inbox.finish(ALERT, "rolled_back", "it was bad")
    assert (inbox.put(ALERT), inbox.waiting()) == (False, [])
    (finished,) = Inbox(tmp_path).finished()
    assert (finished["outcome"], finished["why"], finished["alert"]["service"]) == (
        "rolled_back",
        "it was bad",
        "hello",
    )


def test_what_is_resolved_before_its_turn_waits_no_longer(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    inbox.put(ALERT)
    assert inbox.put(replace(ALERT, fires=False)) is False
    assert inbox.waiting() == []
    assert inbox.finished()[0]["outcome"] == "ignored"


def test_what_is_resolved_and_never_came_is_nothing(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    assert inbox.put(replace(ALERT, fires=False)) is False
    assert (inbox.waiting(), inbox.finished()) == ([], [])


def test_attempts_are_counted_on_disk(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    inbox.put(ALERT)
    (item,) = inbox.waiting()
    inbox.count_attempt(item)
    (again,) = Inbox(tmp_path).waiting()
    assert (again.attempts, again.received) == (1, item.received)
    inbox.forgive_attempt(item)
    assert inbox.waiting() == [item]


def test_more_than_it_holds_is_refused_until_there_is_room(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    for n in range(PENDING_AT_MOST):
        inbox.put(number(n))
    with pytest.raises(Full):
        inbox.put(ALERT)
    assert inbox.put(number(0)) is False, "what is known needs no room"
    inbox.finish(number(0), "ignored", "")
    assert inbox.put(ALERT)


def test_of_what_is_finished_the_oldest_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inboxes, "FINISHED_AT_MOST", 3)
    inbox = Inbox(tmp_path)
    for n in range(5):
        inbox.put(number(n))
        inbox.finish(number(n), "ignored", "")
    assert len(inbox.finished()) == 3 < FINISHED_AT_MOST


def test_what_was_finished_when_somebody_killed_us_does_not_wait_again(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    inbox.put(ALERT)
    before = (tmp_path / "pending" / f"{ALERT.key}.json").read_bytes()
    inbox.finish(ALERT, "rolled_back", "")
    (tmp_path / "pending" / f"{ALERT.key}.json").write_bytes(before)
    assert Inbox(tmp_path).waiting() == []


def test_a_file_that_was_never_whole_is_passed_over(tmp_path: Path) -> None:
    Inbox(tmp_path)
    (tmp_path / "pending" / "broken.json").write_text('{"alert": ')
    inbox = Inbox(tmp_path)
    inbox.put(ALERT)
    assert [item.alert for item in inbox.waiting()] == [ALERT]
