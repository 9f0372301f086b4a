"""`slipway rollback`: where an environment goes back to, what is held, and that git alone leads to the same."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.errors import UpdateFailed
from delivery.releases.artifact import REPOSITORY
from delivery.releases.proof import Kind
from tests.integration.releases.moves.conftest import Team
from tests.integration.releases.moves.team import away, away_for, digests

A, B, C = ("sha-" + letter * 12 for letter in "abc")
WHY = ("--yes", "--reason", "orders are lost")


@pytest.fixture
def on_c(team: Team) -> Team:
    """Prod had A, then B, and has C."""
    for release in (A, B, C):
        team.run("promote", release, "prod", "--yes")
    team.store.attach(
        REPOSITORY, team.releases["A"].digest, Kind.BOOTSTRAP, {"note": "a fresh platform"}, team.signers["ci"]
    )
    return team


def test_to_the_newest_earlier_one_with_a_hold_in_the_same_commit(on_c: Team) -> None:
    done = on_c.run("rollback", "prod", *WHY)
    assert done.code == 0, done.said
    assert on_c.has("prod", "B")
    (hold,) = on_c.config("prod")["slipway:holds"]
    assert hold.pop("at")
    assert hold == {
        "digest": on_c.releases["C"].services["hello"],
        "reason": "orders are lost",
        "author": "maria",
    }
    assert on_c.titles("prod")[0] == f"Roll prod back to {B}"
    assert "slipway:holds" not in on_c.config("prod", at="HEAD~1")
    record = on_c.records("prod")[-1]
    assert (record.kind, record.result, record.by) == (Kind.ROLLBACK, "succeeded", "maria")
    assert (record.release, record.origin) == (on_c.releases["B"].digest, on_c.releases["C"].digest)
    assert (record.reason, record.cause) == ("orders are lost", "person")


def test_what_was_left_cannot_come_back(on_c: Team) -> None:
    on_c.run("rollback", "prod", *WHY)
    on_c.run("promote", C, "prod", "--yes").explains(4, "on hold", "orders are lost")
    on_c.run("rollback", "prod", "--to", C, *WHY, "--override").explains(4, "on hold", "unhold")


def test_again_goes_further_back_and_never_forward(on_c: Team) -> None:
    on_c.run("rollback", "prod", *WHY)
    assert on_c.run("rollback", "prod", *WHY).code == 0
    assert on_c.has("prod", "A")
    on_c.run("rollback", "prod", *WHY).explains(4, "no release that prod can go back to")


def test_what_a_fresh_platform_began_with_is_a_target(team: Team) -> None:
    team.run("promote", B, "prod", "--yes")
    team.store.attach(REPOSITORY, team.releases["A"].digest, Kind.BOOTSTRAP, {"note": "fresh"}, team.signers["ci"])
    assert team.run("rollback", "prod", *WHY).code == 0
    assert team.has("prod", "A")


def test_what_was_never_verified_there_is_not(team: Team) -> None:
    team.run("promote", B, "prod", "--yes")
    team.run("rollback", "prod", *WHY).explains(4, A, "never verified in prod")
    assert team.has("prod", "B")
    team.run("rollback", "prod", "--to", C, *WHY).explains(4, C, "never verified in prod", "--override")
    assert team.run("rollback", "prod", "--to", C, "--override", *WHY).code == 0
    assert team.records("prod")[-1].override == f"{C} was never verified in prod: orders are lost"


def test_a_record_that_nobody_trusts_makes_no_target(team: Team) -> None:
    record = {
        "stack": "prod",
        "result": "succeeded",
        "from": None,
        "by": "mallory",
        "started": "2026-01-01T00:00:00+00:00",
        "ended": "2026-01-01T00:00:01+00:00",
    }
    team.store.attach(REPOSITORY, team.releases["C"].digest, Kind.DEPLOYMENT, record, team.signers["stranger"])
    team.run("promote", B, "prod", "--yes")
    team.run("rollback", "prod", *WHY).explains(4, "no release that prod can go back to")
    assert "DOES NOT COUNT" in team.run("history", "prod").out


def test_one_that_is_on_hold_is_passed_over(on_c: Team) -> None:
    held = {"digest": on_c.releases["B"].services["hello"], "reason": "slow", "author": "jonas"}
    on_c.edit("prod", holds=[held])
    assert on_c.run("rollback", "prod", *WHY).code == 0
    assert on_c.has("prod", "A")
    assert [hold["author"] for hold in on_c.config("prod")["slipway:holds"]] == ["jonas", "maria"]


def test_one_that_failed_its_latest_smoke_test_there_is_passed_over(on_c: Team) -> None:
    failed = {"stack": "prod", "suite": "smoke", "result": "fail", "configuration": on_c.configuration("prod")}
    on_c.store.attach(REPOSITORY, on_c.releases["B"].digest, Kind.VERIFICATION, failed, on_c.signers["verifier"])
    assert on_c.run("rollback", "prod", *WHY).code == 0
    assert on_c.has("prod", "A")


def test_one_whose_image_the_registry_lost_is_passed_over_and_cannot_be_named(on_c: Team) -> None:
    lose(on_c, "B")
    done = on_c.run("rollback", "prod", "--to", B, *WHY, "--override")
    done.explains(4, "has no more", B)
    assert on_c.has("prod", "C")
    assert on_c.run("rollback", "prod", *WHY).code == 0
    assert on_c.has("prod", "A")


def test_where_every_earlier_image_is_lost_each_is_named(on_c: Team) -> None:
    lose(on_c, "A")
    lose(on_c, "B")
    on_c.run("rollback", "prod", *WHY).explains(4, A, B, "has no more")
    assert on_c.has("prod", "C")


def lose(team: Team, letter: str) -> None:
    """The registry's image of a release is deleted, and its proof with it or not: nobody can pull it."""
    team.registry.delete_manifest("hello", team.releases[letter].services["hello"])


def test_to_a_named_one(on_c: Team) -> None:
    assert on_c.run("rollback", "prod", "--to", A, *WHY).code == 0
    assert on_c.has("prod", "A")


def test_to_the_present_one_is_refused(on_c: Team) -> None:
    on_c.run("rollback", "prod", "--to", C, *WHY).explains(3, "already")


def test_a_freeze_does_not_stop_it(on_c: Team) -> None:
    on_c.edit("prod", freeze={"until": "2999-01-01T00:00:00Z", "reason": "the sale", "author": "maria"})
    assert on_c.run("rollback", "prod", *WHY).code == 0
    assert on_c.has("prod", "B")


def test_while_what_runs_is_on_hold(on_c: Team) -> None:
    """Somebody held it first: then nothing but a rollback gets the file right again."""
    held = {"digest": on_c.releases["C"].services["hello"], "reason": "loses orders", "author": "jonas"}
    on_c.edit("prod", holds=[held])
    on_c.run("up", "prod", "--yes").explains(4, "loses orders")
    assert on_c.run("rollback", "prod", *WHY).code == 0
    assert on_c.has("prod", "B")
    assert on_c.config("prod")["slipway:holds"] == [held]


def test_it_needs_a_reason(on_c: Team) -> None:
    on_c.run("rollback", "prod", "--yes").explains(3, "--reason")


def test_it_asks_where_people_depend_on_it(on_c: Team) -> None:
    on_c.run("rollback", "prod", "--reason", "x").explains(4, f"roll prod back to {B}", "--yes")
    assert on_c.has("prod", "C")


def test_not_past_what_cannot_be_undone(on_c: Team) -> None:
    shape: dict[str, Any] = {"port": 8080, "preDeploy": {"command": ["migrate"], "reversible": False}}
    on_c.run("rollback", "prod", "--to", A, *WHY)
    on_c.edit("prod", services={"hello": shape}, holds=[])
    assert on_c.run("promote", B, "prod", "--yes").code == 0
    on_c.run("rollback", "prod", *WHY).explains(4, A, "pre-deploy command of hello", "cannot be undone")
    on_c.run("rollback", "prod", "--to", A, *WHY).explains(4, "cannot be undone", "--override")
    assert on_c.has("prod", "B")
    assert on_c.run("rollback", "prod", "--to", A, "--override", *WHY).code == 0
    assert on_c.has("prod", "A")
    assert "cannot be undone" in str(on_c.records("prod")[-1].override)


def test_a_revert_in_git_and_up_reach_the_same(on_c: Team) -> None:
    promotion = on_c.repository.head
    on_c.store.push(on_c.releases["B"], ["v1.2.0"])  # a name that it did not have when it was there
    assert on_c.run("rollback", "prod", "--reason", "x", "--yes").code == 0
    by_command = on_c.engine.runs("prod")
    on_c.repository.restore(on_c.path("prod"), str(promotion), "As before the rollback")
    on_c.up("prod")
    assert on_c.has("prod", "C")

    on_c.revert(str(promotion))
    on_c.up("prod")

    assert on_c.has("prod", "B")
    assert on_c.engine.runs("prod") == by_command


def test_json_says_what_was_done(on_c: Team) -> None:
    found = on_c.run("rollback", "prod", *WHY, "--json").json
    assert (found["result"], found["name"], found["from"]["name"]) == ("succeeded", B, C)
    assert found["holds"] == [on_c.releases["C"].services["hello"]]
    assert list(found["seconds"]) == ["plan", "write", "update", "verify", "record"]
    assert on_c.run("rollback", "prod", "--recover", "--json").json == {
        "stack": "prod",
        "changed": False,
        "recovered": None,
    }


class TestFailures:
    def test_the_update_fails(self, on_c: Team) -> None:
        def fails(*_: object) -> None:
            raise UpdateFailed("Deployment prod/hello: no progress")

        on_c.engine.on_up = fails
        done = on_c.run("rollback", "prod", *WHY)
        assert done.code == 1
        for words in ("no progress", f"File and git's history name {B}", "may run either", "--recover"):
            assert words in done.err
        on_c.engine.on_up = lambda *_: None
        assert on_c.run("rollback", "prod", "--recover").code == 0
        assert on_c.has("prod", "B")
        assert on_c.results("prod")[-1] == ("B", "succeeded")

    def test_what_it_goes_back_to_fails_too(self, on_c: Team) -> None:
        on_c.smoke = lambda *_: False
        done = on_c.run("rollback", "prod", *WHY)
        assert done.code == 1
        assert "it fails there too" in done.err
        assert on_c.has("prod", "B")
        assert on_c.results("prod")[-1] == ("B", "failed")

    def test_the_api_server_is_away(self, on_c: Team) -> None:
        on_c.seams["connect"] = away
        assert on_c.run("rollback", "prod", *WHY).code == 5
        assert on_c.has("prod", "C")

    def test_the_api_server_is_away_for_a_moment(self, on_c: Team) -> None:
        on_c.seams["patience_s"] = 30
        on_c.engine.on_up = away_for(1)
        assert on_c.run("rollback", "prod", *WHY).code == 0
        assert on_c.has("prod", "B")

    def test_the_registry_is_away(self, on_c: Team) -> None:
        on_c.edit("prod", registry={"push": "127.0.0.1:1", "pull": "registry.example.com"})
        on_c.run("rollback", "prod", *WHY).explains(5, "127.0.0.1:1")
        assert digests(on_c.images("prod")) == dict(on_c.releases["C"].services)

    def test_changes_that_nobody_committed(self, on_c: Team) -> None:
        on_c.edit("prod", commit=False, services={"hello": {"port": 9090}})
        on_c.run("rollback", "prod", *WHY).explains(4, "not committed")


def test_the_history_tells_it_all(on_c: Team) -> None:
    on_c.run("rollback", "prod", *WHY)
    found = on_c.run("history", "prod", "--json").json
    assert [(entry["name"], entry["kind"], entry["result"]) for entry in found["releases"]] == [
        (B, "rollback", "succeeded"),
        (C, "deployment", "succeeded"),
        (B, "deployment", "succeeded"),
    ]
    assert [entry["hold"] for entry in found["releases"]] == [None, "orders are lost (maria)", None]
    assert found["releases"][0]["proof"] == ["smoke in prod"]
    assert found["interrupted"] is None
    shown = on_c.run("history", "prod", "--limit", "2").out
    assert "ON HOLD: orders are lost (maria)" in shown
    assert len(shown.splitlines()) == 3


def test_the_history_is_the_environments_own(on_c: Team) -> None:
    assert on_c.run("history", "stage").out.strip() == "No release was promoted yet."


def test_what_the_engine_did_is_there_too(on_c: Team) -> None:
    for args in (["prod", "--updates"], ["shared"]):
        assert "updates" in on_c.run("history", *args, "--json").json
