"""Results of suites in the real registry: recorded either way, revoking, and never said of what did not run."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.errors import SlipwayError
from adapters.paths import REPOSITORY as CHECKOUT
from adapters.registry import RegistryClient
from delivery.releases.artifact import REPOSITORY, Release
from delivery.releases.proof import Kind, Piece
from delivery.releases.running import RunningService
from delivery.releases.signing import KeySigner
from delivery.releases.store import ReleaseStore
from delivery.releases.subject import Subject
from delivery.releases.verification import Verifier, record_by_hand
from tests.integration.releases.serving import hello

CONFIGURATION = "0123456789ab"
SUITES = CHECKOUT / "tests" / "environments"
DEAD = {"hello": "http://127.0.0.1:9"}


class World:
    """An environment that a test can change under the verifier's feet."""

    def __init__(self, release: Release, stack: str = "stage") -> None:
        self.release, self.stack, self.configuration = release, stack, CONFIGURATION
        since = datetime(2026, 1, 2, tzinfo=UTC)
        self.running = {name: RunningService(digest, "uid/1", since) for name, digest in release.services.items()}

    @property
    def subject(self) -> Subject:
        return Subject(
            self.stack, self.release, self.configuration, self.running, lambda: (self.running, self.configuration)
        )

    def roll_out(self) -> None:
        """What `kubectl rollout undo` and back again looks like: the same image, another rollout."""
        self.running = {name: replace(found, rollout="uid/3") for name, found in self.running.items()}


@pytest.fixture
def world(release: Release) -> World:
    return World(release)


@pytest.fixture
def url(release: Release) -> Iterator[str]:
    with hello(release=release.services["hello"].removeprefix("sha256:")[:12], environment="stage") as url:
        yield url


@pytest.fixture
def said() -> list[str]:
    return []


Make = Callable[..., Verifier]


@pytest.fixture
def make(world: World, store: ReleaseStore, signers: dict[str, KeySigner], said: list[str]) -> Make:
    def _make(urls: dict[str, str] | None = None, suites: Path = SUITES) -> Verifier:
        return Verifier(world.subject, store, signers["verifier"], urls or DEAD, suites, said.append)

    return _make


@pytest.fixture
def suites(tmp_path: Path) -> Callable[[str], Path]:
    """A folder of suites with one, `own`, of one file."""

    def write(source: str) -> Path:
        (tmp_path / "own").mkdir(exist_ok=True)
        (tmp_path / "own" / "test_own.py").write_text(textwrap.dedent(source))
        (tmp_path / "pytest.ini").write_text((SUITES / "pytest.ini").read_text())
        return tmp_path

    return write


def _all(store: ReleaseStore, release: Release) -> list[Piece]:
    return store.proof(REPOSITORY, release.digest)


def test_a_pass_is_signed_and_attached_with_its_report(  # noqa: PLR0917 - fixtures
    make: Make, url: str, store: ReleaseStore, release: Release, registry: RegistryClient, said: list[str]
) -> None:
    piece = make({"hello": url}).run("smoke")

    assert piece.counts, piece.fault
    assert (piece.kind, piece.subject, piece.signed_by) == (Kind.VERIFICATION, release.digest, "verifier")
    facts: dict[str, Any] = dict(piece.predicate)
    wanted = {"stack": "stage", "suite": "smoke", "result": "pass", "configuration": CONFIGURATION, "by": "verifier"}
    assert facts | wanted == facts
    assert "revokes" not in facts
    report = registry.blob(REPOSITORY, facts["report"]).decode()
    assert 'name="test_every_answer_is_of_the_expected_release"' in report
    assert store.blob(REPOSITORY, piece, "report.xml").decode() == report
    assert _all(store, release) == [piece]
    assert any("smoke passed" in line for line in said)


def test_a_fail_is_recorded_and_its_tests_are_named(
    make: Make, store: ReleaseStore, release: Release, said: list[str]
) -> None:
    piece = make().run("smoke")
    assert piece.counts
    assert piece.predicate["result"] == "fail"
    assert "test_it_is_alive" in piece.predicate["note"]
    assert "revokes" not in piece.predicate, "there is no pass that it could revoke"
    assert "ConnectError" in store.blob(REPOSITORY, piece, "report.xml").decode()
    assert "  test_it_is_alive" in said
    assert any("ConnectError" in line for line in said)


def test_a_failing_rerun_revokes_the_pass_before_it_and_only_that(
    make: Make, url: str, store: ReleaseStore, release: Release
) -> None:
    passed = make({"hello": url}).run("smoke")
    failed = make().run("smoke")
    again = make().run("smoke")
    assert failed.predicate["revokes"] == passed.digest
    assert "revokes" not in again.predicate
    assert [piece.predicate["result"] for piece in _all(store, release)] == ["pass", "fail", "fail"]

    anew = make({"hello": url}).run("smoke")
    assert make().run("smoke").predicate["revokes"] == anew.digest


def test_a_pass_in_another_stack_or_of_another_suite_is_not_revoked(  # noqa: PLR0917 - fixtures
    make: Make,
    url: str,
    suites: Callable[[str], Path],
    store: ReleaseStore,
    release: Release,
    signers: dict[str, KeySigner],
) -> None:
    elsewhere = World(release, stack="test").subject
    Verifier(elsewhere, store, signers["verifier"], DEAD, suites("def test_ok():\n    pass"), print).run("own")
    make({"hello": url}).run("smoke")
    failed = make(suites=suites("def test_bad():\n    assert 1 == 2")).run("own")
    assert failed.predicate["result"] == "fail"
    assert "revokes" not in failed.predicate


def test_a_suite_that_takes_too_long_is_a_fail(make: Make, suites: Callable[[str], Path], said: list[str]) -> None:
    folder = suites("import time\n\ndef test_waits():\n    time.sleep(3600)")
    piece = make(suites=folder).run("own", deadline_s=4)
    assert (piece.predicate["result"], piece.predicate["note"]) == ("fail", "it was not done within 4 s")
    assert piece.counts
    assert any("own FAILED" in line for line in said)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (World.roll_out, "hello was rolled out"),
        (lambda world: setattr(world, "configuration", "ba9876543210"), "its configuration was changed"),
        (lambda world: setattr(world, "running", {}), "hello is gone"),
    ],
)
def test_nothing_is_recorded_of_an_environment_that_changed_meanwhile(  # noqa: PLR0917 - fixtures
    change: Callable[[World], None],
    words: str,
    world: World,
    suites: Callable[[str], Path],
    store: ReleaseStore,
    release: Release,
    signers: dict[str, KeySigner],
) -> None:
    folder = suites("def test_ok():\n    pass")

    def say(line: str) -> None:
        if "own passed" in line:  # the suite is done, its result not yet recorded
            change(world)

    verifier = Verifier(world.subject, store, signers["verifier"], DEAD, folder, say)
    with pytest.raises(SlipwayError, match=f"stage changed meanwhile, so nothing was recorded: {words}"):
        verifier.run("own")
    assert _all(store, release) == []


@pytest.mark.parametrize("who", ["alice", "verifier"])
def test_a_person_or_the_verifier_records_by_hand(
    who: str, world: World, store: ReleaseStore, signers: dict[str, KeySigner]
) -> None:
    passed = record_by_hand(store, world.subject, signers[who], result="pass", note="orders, ticket 214")
    assert passed.counts, passed.fault
    assert passed.signed_by == who
    facts = dict(passed.predicate)
    assert facts | {"suite": "manual", "result": "pass", "note": "orders, ticket 214", "by": who} == facts
    failed = record_by_hand(store, world.subject, signers[who], result="fail", note="the total is wrong")
    assert failed.predicate["revokes"] == passed.digest


@pytest.mark.parametrize("who", ["ci", "stranger"])
def test_the_word_of_others_does_not_count(
    who: str, world: World, store: ReleaseStore, signers: dict[str, KeySigner]
) -> None:
    assert not record_by_hand(store, world.subject, signers[who], result="pass", note="fine").counts


def test_a_fail_of_somebody_whose_word_does_not_count_leaves_the_pass_to_be_revoked(
    world: World, store: ReleaseStore, signers: dict[str, KeySigner]
) -> None:
    passed = record_by_hand(store, world.subject, signers["alice"], result="pass", note="fine")
    record_by_hand(store, world.subject, signers["stranger"], result="fail", note="hm")
    failed = record_by_hand(store, world.subject, signers["alice"], result="fail", note="not fine")
    assert failed.predicate["revokes"] == passed.digest
