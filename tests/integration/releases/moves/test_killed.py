"""A command that is killed between any two of its steps: what comes next makes file, git, cluster and records agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from delivery.releases.journal import Entry, Journal, Step
from tests.integration.releases.moves.conftest import Team
from tests.integration.releases.moves.team import die

A, B, C = ("sha-" + letter * 12 for letter in "abc")
STEPS = [Step.PRE_DEPLOY, Step.WRITE, Step.COMMIT, Step.UPDATE, Step.VERIFY, Step.RECORD]
WHY = ("--yes", "--reason", "orders are lost")

Patch = Callable[[str, Step | None], None]


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch) -> Patch:
    """Kill `before` the journal says that a step begins, or right `after`; None is the end, when it is removed."""

    def patch(when: str, step: Step | None) -> None:
        write, clear = Journal.write, Journal.clear

        def writing(journal: Journal, entry: Entry) -> None:
            if (when, step) == ("before", entry.step):
                die()
            write(journal, entry)
            if (when, step) == ("after", entry.step):
                die()

        def clearing(journal: Journal) -> None:
            if step is None:
                die()
            clear(journal)

        monkeypatch.setattr(Journal, "write", writing)
        monkeypatch.setattr(Journal, "clear", clearing)

    return patch


@pytest.fixture
def migrating(team: Team) -> Team:
    team.edit("prod", services={"hello": {"port": 8080, "preDeploy": {"command": ["migrate"]}}})
    return team


POINTS: list[Any] = [(when, step) for step in STEPS for when in ("before", "after")] + [("before", None)]


@pytest.mark.parametrize(("when", "step"), POINTS)
def test_a_promotion(
    migrating: Team, kill: Patch, monkeypatch: pytest.MonkeyPatch, when: str, step: Step | None
) -> None:
    kill(when, step)
    migrating.run_until_killed("promote", B, "prod", "--yes")
    monkeypatch.undo()
    monkeypatch.setattr("shutil.which", lambda _: None)
    begun = migrating.journal("prod")
    assert (begun is None) == ((when, step) == ("before", Step.PRE_DEPLOY))

    done = migrating.run("rollback", "prod", "--recover")

    assert done.code == 0, done.said
    is_updated = step is None or (step in (Step.VERIFY, Step.RECORD) and (when, step) != ("before", Step.VERIFY))
    assert migrating.has("prod", "B" if is_updated else "A")
    results = [result for _, result in migrating.results("prod")]
    if begun is None:
        assert results == []
    elif begun.step is Step.PRE_DEPLOY:
        assert results == ["failed"]
    else:
        assert set(results) == {"succeeded" if is_updated else "restored"}
    assert migrating.repository.is_clean(migrating.path("prod"))


@pytest.mark.parametrize(("when", "step"), POINTS[2:])
def test_a_rollback(team: Team, kill: Patch, monkeypatch: pytest.MonkeyPatch, when: str, step: Step | None) -> None:
    for release in (A, B, C):
        team.run("promote", release, "prod", "--yes")
    kill(when, step)
    team.run_until_killed("rollback", "prod", *WHY)
    monkeypatch.undo()
    monkeypatch.setattr("shutil.which", lambda _: None)
    begun = team.journal("prod")

    assert team.run("rollback", "prod", "--recover").code == 0

    assert team.has("prod", "C" if begun is None else "B")
    held = [hold["digest"] for hold in team.config("prod").get("slipway:holds", [])]
    assert held == ([] if begun is None else [team.releases["C"].services["hello"]])


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_restoration(team: Team, kill: Patch, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    team.smoke = lambda *_: False
    kill(when, Step.RESTORE)
    team.run_until_killed("promote", B, "prod", "--yes")
    monkeypatch.undo()
    monkeypatch.setattr("shutil.which", lambda _: None)
    done = team.run("rollback", "prod", "--recover")
    assert done.code == (0 if when == "after" else 1), done.said
    assert team.has("prod", "A")
    assert team.results("prod") == [("B", "restored")]


def test_the_next_promotion_ends_it_first(team: Team, kill: Patch, monkeypatch: pytest.MonkeyPatch) -> None:
    kill("after", Step.UPDATE)
    team.run_until_killed("promote", B, "prod", "--yes")
    monkeypatch.undo()
    monkeypatch.setattr("shutil.which", lambda _: None)
    done = team.run("promote", C, "prod", "--yes")
    assert done.code == 0, done.said
    assert "was cut short" in done.out
    assert team.has("prod", "C")
    assert team.results("prod") == [("B", "restored"), ("C", "succeeded")]
    assert [record.origin for record in team.records("prod")] == [team.releases["A"].digest] * 2


def test_other_commands_name_it(team: Team, kill: Patch, monkeypatch: pytest.MonkeyPatch) -> None:
    kill("after", Step.UPDATE)
    team.run_until_killed("promote", B, "prod", "--yes")
    monkeypatch.undo()
    monkeypatch.setattr("shutil.which", lambda _: None)
    for args in (["status"], ["history", "prod"], ["up", "prod", "--yes"]):
        done = team.run(*args)
        assert f"the promotion of prod to {B}" in done.said, args
        assert "slipway rollback prod --recover" in done.said, args


def test_a_command_that_cannot_be_undone_goes_forward(
    migrating: Team, kill: Patch, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = {"port": 8080, "preDeploy": {"command": ["migrate"], "reversible": False}}
    migrating.edit("prod", services={"hello": shape})
    kill("after", Step.UPDATE)
    migrating.run_until_killed("promote", B, "prod", "--yes")
    monkeypatch.undo()
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert migrating.run("rollback", "prod", "--recover").code == 0
    assert migrating.has("prod", "B")
    assert migrating.results("prod") == [("B", "succeeded")]


def test_nothing_was_cut_short(team: Team) -> None:
    done = team.run("rollback", "prod", "--recover")
    assert (done.code, done.out.strip()) == (0, "Nothing was cut short.")


def test_a_journal_that_nobody_can_read_is_said(team: Team) -> None:
    path = Journal(team.repository, "prod").path
    path.parent.mkdir()
    path.write_text("{")
    team.run("rollback", "prod", "--recover").explains(3, str(path), "not readable")


def test_a_killed_command_leaves_no_lock(team: Team, kill: Patch, monkeypatch: pytest.MonkeyPatch) -> None:
    kill("after", Step.WRITE)
    team.run_until_killed("promote", B, "prod", "--yes")
    monkeypatch.undo()
    with Journal(team.repository, "prod").lock("a test", "maria"):
        pass
