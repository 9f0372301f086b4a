"""Baking: what promotion writes for it, what ends it, and what is left of it when something fails."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.errors import UpdateFailed
from delivery.releases.artifact import Release
from tests.integration.releases.moves.conftest import Team
from tests.integration.releases.moves.team import away

A, B = "sha-" + "a" * 12, "sha-" + "b" * 12
BACK = ("rollback", "prod", "--to", A, "--override", "--reason", "orders are lost", "--yes")
BAKE = {"minutes": 30}
CONTROL = {
    "metadata": {"name": "hello-control"},
    "spec": {"selector": {"matchLabels": {"slipway.dev/track": "control"}}},
}


@pytest.fixture
def team(team: Team) -> Team:
    """Releases bake in prod."""
    team.edit("prod", bake=BAKE)
    return team


def baking(team: Team, *, at: str | None = None) -> Any:
    return team.config("prod", at=at).get("slipway:baking")


def image(team: Team, letter: str) -> str:
    return f"hello:sha-{letter.lower() * 12}@{team.releases[letter].services['hello']}"


class TestPromotion:
    def test_writes_the_window_and_the_release_before_in_the_commit_of_the_images(self, team: Team) -> None:
        began = datetime.now(UTC).replace(microsecond=0)
        done = team.run("promote", B, "prod", "--yes")
        assert done.code == 0, done.said
        written = baking(team, at="HEAD")
        since, until = (datetime.fromisoformat(written[key]) for key in ("since", "until"))
        assert began <= since <= datetime.now(UTC)
        assert until - since == timedelta(minutes=30)
        assert written["controls"] == {"hello": image(team, "A")}
        before = team.repository.log(team.path("prod"))[1]
        assert baking(team, at=before.sha) is None
        assert team.images("prod") == {"hello": image(team, "B")}
        assert f"It bakes until {written['until']} beside {image(team, 'A')}" in done.out

    def test_shows_in_a_dry_run_how_the_file_would_change(self, team: Team) -> None:
        diff = team.run("promote", B, "prod", "--dry-run").out
        assert "+  slipway:baking:" in diff
        assert baking(team) is None

    def test_where_nothing_bakes_writes_nothing(self, team: Team) -> None:
        team.edit("prod", bake={"minutes": 0})
        assert team.run("promote", B, "prod", "--yes").code == 0
        assert baking(team) is None

    def test_without_a_control_bakes_alone(self, team: Team) -> None:
        team.edit("prod", bake=BAKE | {"control": False})
        assert team.run("promote", B, "prod", "--yes").code == 0
        assert baking(team).keys() == {"since", "until"}

    def test_has_no_control_that_could_not_work_any_more(self, team: Team) -> None:
        migration = {"command": ["migrate"], "reversible": False}
        team.edit("prod", services={"hello": {"port": 8080, "preDeploy": migration}})
        assert team.run("promote", B, "prod", "--yes").code == 0
        assert "controls" not in baking(team)

    def test_has_no_control_that_must_not_run(self, team: Team) -> None:
        assert team.run("hold", "prod", "hello", "--reason", "loses orders").code == 0
        assert team.run("promote", B, "prod", "--yes").code == 0
        assert "controls" not in baking(team)

    def test_has_no_control_of_a_service_of_which_nothing_runs(self, team: Team) -> None:
        team.edit("prod", services={"hello": {"port": 8080, "replicas": 0}})
        assert team.run("promote", B, "prod", "--yes").code == 0
        assert "controls" not in baking(team)

    def test_of_the_same_images_under_another_name_goes_on_baking(self, team: Team) -> None:
        assert team.run("promote", B, "prod", "--yes").code == 0
        before = baking(team)
        again = Release("d" * 40, team.releases["B"].services)
        team.store.push(again, ["sha-" + "d" * 12])
        assert team.run("promote", "sha-" + "d" * 12, "prod", "--yes").code == 0
        assert baking(team) == before

    def test_of_the_next_release_bakes_anew_beside_the_last_one(self, team: Team) -> None:
        assert team.run("promote", B, "prod", "--yes").code == 0
        assert team.run("promote", "sha-" + "c" * 12, "prod", "--yes").code == 0
        assert baking(team)["controls"] == {"hello": image(team, "B")}

    def test_that_fails_leaves_what_baked_before(self, team: Team) -> None:
        assert team.run("promote", B, "prod", "--yes").code == 0
        before = team.path("prod").read_bytes()
        team.smoke = lambda _stack, images: "c" * 12 not in images["hello"]
        assert team.run("promote", "sha-" + "c" * 12, "prod", "--yes").code == 1
        assert team.path("prod").read_bytes() == before


class TestRollback:
    def test_ends_it_in_the_commit_of_the_images(self, team: Team) -> None:
        before = team.path("prod").read_text()
        assert team.run("promote", B, "prod", "--yes").code == 0
        done = team.run(*BACK)
        assert done.code == 0, done.said
        assert baking(team, at="HEAD") is None
        assert team.path("prod").read_text().partition("  slipway:holds:")[0] == before

    def test_that_fails_has_ended_it_all_the_same(self, team: Team) -> None:
        assert team.run("promote", B, "prod", "--yes").code == 0
        team.engine.on_up = lambda *_: away()
        assert team.run(*BACK).code == 1
        team.engine.on_up = lambda *_: None
        assert team.run("rollback", "prod", "--recover", "--yes").code == 0
        assert baking(team, at="HEAD") is None
        assert team.has("prod", "A")


class TestSettle:
    @pytest.fixture
    def baked(self, team: Team) -> Team:
        """Whose time is over."""
        assert team.run("promote", B, "prod", "--yes").code == 0
        over = baking(team) | {"since": "2026-01-01T00:00:00Z", "until": "2026-01-01T00:30:00Z"}
        team.edit("prod", baking=over)
        team.jobs.deployments = [CONTROL]
        return team

    def test_takes_the_control_away_by_a_commit_and_an_update(self, baked: Team) -> None:
        updates = len(baked.engine.asked("up"))
        done = baked.run("settle", "prod", "--yes", "--json")
        assert done.code == 0, done.said
        assert baking(baked, at="HEAD") is None
        assert baked.has("prod", "B")
        assert len(baked.engine.asked("up")) == updates + 1
        assert (done.json["changed"], done.json["controls"]) == (True, ["hello-control"])
        assert done.json["commit"] == baked.repository.head

    def test_is_refused_before_the_time_is_over(self, team: Team) -> None:
        assert team.run("promote", B, "prod", "--yes").code == 0
        before = team.path("prod").read_bytes()
        team.run("settle", "prod", "--yes").explains(4, "bakes until", "--now")
        assert team.path("prod").read_bytes() == before
        assert team.run("settle", "prod", "--now", "--yes").code == 0
        assert baking(team, at="HEAD") is None

    def test_in_prod_is_agreed_to(self, baked: Team) -> None:
        before = baked.path("prod").read_bytes()
        baked.run("settle", "prod").explains(4, "take the control away in prod", "--yes")
        assert baked.path("prod").read_bytes() == before

    def test_where_nothing_bakes_changes_nothing(self, team: Team) -> None:
        head = team.repository.head
        done = team.run("settle", "prod", "--yes")
        assert (done.code, done.out) == (0, "Nothing bakes in prod.\n")
        assert team.engine.asked("up") == []
        assert team.repository.head == head

    def test_that_was_cut_short_before_its_update_is_brought_to_its_end_by_the_next(self, baked: Team) -> None:
        baked.engine.on_up = lambda *_: away()
        assert baked.run("settle", "prod", "--yes").code != 0
        assert baking(baked, at="HEAD") is None
        baked.engine.on_up = lambda *_: None
        updates = len(baked.engine.asked("up"))
        done = baked.run("settle", "prod", "--yes")
        assert (done.code, "hello-control was taken away" in done.out) == (0, True), done.said
        assert len(baked.engine.asked("up")) == updates + 1

    def test_happens_in_a_freeze_too(self, baked: Team) -> None:
        assert baked.run("freeze", "prod", "--until", "2h", "--reason", "holidays").code == 0
        assert baked.run("settle", "prod", "--yes").code == 0
        assert baking(baked) is None


def test_status_says_what_bakes_and_until_when(team: Team) -> None:
    assert team.run("promote", B, "prod", "--yes").code == 0
    assert f"prod bakes until {baking(team)['until']}, beside {image(team, 'A')}" in team.run("status").out


def test_an_update_alone_changes_neither_the_window_nor_the_control(team: Team) -> None:
    assert team.run("promote", B, "prod", "--yes").code == 0
    before = team.path("prod").read_bytes()
    team.up("prod")
    assert team.path("prod").read_bytes() == before


def test_a_promotion_whose_update_fails_bakes_nothing(team: Team) -> None:
    def refuse(_stack: str, images: dict[str, str]) -> None:
        if "b" * 12 in images["hello"]:
            raise UpdateFailed("no pod gets ready")

    before = team.path("prod").read_bytes()
    team.engine.on_up = refuse
    assert team.run("promote", B, "prod", "--yes").code == 1
    assert team.path("prod").read_bytes() == before
