"""Soaks: when they are complete, what fails them, and that nothing is said of one that is neither."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.errors import SlipwayError
from delivery.releases.artifact import REPOSITORY, Release
from delivery.releases.proof import Kind
from delivery.releases.running import RunningService
from delivery.releases.signing import KeySigner
from delivery.releases.soak import Needs, Soak, beginning
from delivery.releases.store import ReleaseStore
from delivery.releases.subject import Subject
from delivery.stack import Update

BEGAN = datetime(2026, 1, 2, 12, tzinfo=UTC)
NEEDS = Needs(minutes=10, requests=1000)


@dataclass
class World:
    """An environment whose clock goes on only while somebody waits, and with it its requests."""

    release: Release
    minutes: float = 0
    requests: float = 0
    per_minute: float = 0
    restarts: list[str] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)
    on_pause: Callable[[World], None] = lambda _: None
    running: dict[str, RunningService] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.running = {name: RunningService(digest, "uid/1", BEGAN) for name, digest in self.release.services.items()}

    def now(self) -> datetime:
        return BEGAN + timedelta(minutes=self.minutes)

    def pause(self, seconds: float) -> None:
        self.minutes += seconds / 60
        self.requests += self.per_minute * seconds / 60
        self.on_pause(self)

    def count(self, running: Mapping[str, RunningService]) -> int:
        assert running == self.running
        return int(self.requests)

    @property
    def subject(self) -> Subject:
        return Subject("stage", self.release, "0" * 12, self.running, lambda: (self.running, "0" * 12))


@pytest.fixture
def world(release: Release) -> World:
    return World(release)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def soak(world: World, store: ReleaseStore, signers: dict[str, KeySigner], said: list[str]) -> Callable[..., Soak]:
    def make(**given: Any) -> Soak:
        return Soak(
            subject=world.subject,
            store=store,
            signer=signers["verifier"],
            began=BEGAN,
            counter=world,
            restarts=lambda _: world.restarts,
            say=said.append,
            now=world.now,
            pause=world.pause,
            **({"counted": 0} | given),
        )

    return make


def test_a_complete_soak_is_recorded_with_what_was_seen(
    world: World, soak: Callable[..., Soak], store: ReleaseStore, release: Release
) -> None:
    world.minutes, world.requests = 12, 1500
    piece = soak().run(NEEDS, wait_s=0)
    assert piece.counts, piece.fault
    assert (piece.kind, piece.subject) == (Kind.SOAK, release.digest)
    facts = dict(piece.predicate)
    wanted = {
        "stack": "stage",
        "result": "pass",
        "configuration": "0" * 12,
        "since": "2026-01-02T12:00:00+00:00",
        "until": "2026-01-02T12:12:00+00:00",
        "requests": 1500,
        "alerts": "unwatched",
    }
    assert facts | wanted == facts
    assert store.proof(REPOSITORY, release.digest) == [piece]


@pytest.mark.parametrize(("minutes", "requests"), [(9.9, 5000), (60, 999), (0, 0)])
def test_one_that_is_not_complete_is_no_failure_and_nothing_is_recorded(  # noqa: PLR0917 - fixtures
    minutes: float, requests: int, world: World, soak: Callable[..., Soak], store: ReleaseStore, release: Release
) -> None:
    world.minutes, world.requests = minutes, requests
    words = rf"not complete.*{minutes:.1f} of 10 minutes, {requests:,} of 1,000 requests"
    with pytest.raises(SlipwayError, match=words):
        soak().run(NEEDS, wait_s=0)
    assert store.proof(REPOSITORY, release.digest) == []


def test_it_is_waited_for(world: World, soak: Callable[..., Soak], said: list[str]) -> None:
    world.per_minute = 80  # so that the requests take longer than the time does
    piece = soak().run(NEEDS, wait_s=3600)
    assert piece.predicate["result"] == "pass"
    assert piece.predicate["requests"] >= 1000
    assert 12.5 <= world.minutes < 13
    assert said[0].startswith("soak of stage: 0.0 of 10 minutes")


def test_it_is_not_waited_for_beyond_the_deadline(
    world: World, soak: Callable[..., Soak], store: ReleaseStore, release: Release
) -> None:
    with pytest.raises(SlipwayError, match="not complete"):
        soak().run(NEEDS, wait_s=1200)
    assert world.minutes == pytest.approx(20)
    assert store.proof(REPOSITORY, release.digest) == []


def test_requests_from_before_it_began_do_not_count(world: World, soak: Callable[..., Soak]) -> None:
    world.minutes, world.requests = 12, 1500
    with pytest.raises(SlipwayError, match="500 of 1,000 requests"):
        soak(counted=1000).run(NEEDS, wait_s=0)


def test_a_restart_fails_it_and_revokes_the_soak_before(
    world: World, soak: Callable[..., Soak], said: list[str]
) -> None:
    world.minutes, world.requests = 12, 1500
    passed = soak().run(NEEDS, wait_s=0)
    world.restarts = ["hello-x was restarted (OOMKilled, code 137)"]
    failed = soak().run(NEEDS, wait_s=0)
    assert (failed.predicate["result"], failed.predicate["note"]) == ("fail", world.restarts[0])
    assert failed.predicate["revokes"] == passed.digest
    assert f"soak FAILED in stage: {world.restarts[0]}" in said


def test_an_alert_fails_it_at_once(world: World, soak: Callable[..., Soak]) -> None:
    world.per_minute = 1000
    world.on_pause = lambda world: world.alerts.append("HighErrorRate") if 3 < world.minutes < 3.09 else None
    piece = soak(alerts=lambda _since, _until: world.alerts).run(NEEDS, wait_s=3600)
    assert piece.predicate["result"] == "fail"
    assert piece.predicate["alerts"] == ["HighErrorRate"]
    assert world.minutes < 4


def test_watched_and_without_an_alert_says_so(world: World, soak: Callable[..., Soak]) -> None:
    world.minutes, world.requests = 12, 1500
    piece = soak(alerts=lambda _since, _until: []).run(NEEDS, wait_s=0)
    assert (piece.predicate["result"], piece.predicate["alerts"]) == ("pass", [])


def test_a_rollout_meanwhile_ends_it_without_a_record(
    world: World, soak: Callable[..., Soak], store: ReleaseStore, release: Release
) -> None:
    world.per_minute = 1000

    def roll_out(world: World) -> None:
        if world.minutes > 5:
            world.running = {name: replace(found, rollout="uid/2") for name, found in world.running.items()}

    world.on_pause = roll_out
    with pytest.raises(SlipwayError, match="stage changed meanwhile"):
        soak().run(NEEDS, wait_s=3600)
    assert store.proof(REPOSITORY, release.digest) == []


def _update(started: int, ended: int | None, **counts: int) -> Update:
    """An entry of the history, minutes after the rollout was complete; engines tell UTC without saying so."""
    begin = BEGAN.replace(tzinfo=None)
    end = None if ended is None else begin + timedelta(minutes=ended)
    return Update(1, "update", begin + timedelta(minutes=started), end, "succeeded", "", counts)


@pytest.mark.parametrize(
    ("history", "minutes"),
    [
        ([], 0),
        ([_update(-2, 1, update=1)], 0),  # the update that brought the rollout
        ([_update(30, 31, same=12), _update(-2, 1, update=1)], 0),  # one that changed nothing
        ([_update(30, 31, update=1, same=12), _update(-2, 1, update=1)], 31),
        ([_update(50, 51, same=12), _update(30, 31, create=1), _update(20, 21, update=1)], 31),
        ([_update(30, None, update=1)], 30),
    ],
)
def test_it_begins_with_the_last_rollout_or_the_last_update_that_changed_anything_else(
    history: list[Update], minutes: int
) -> None:
    assert beginning(BEGAN, history) == BEGAN + timedelta(minutes=minutes)
