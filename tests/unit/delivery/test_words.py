"""A person's word: hold, unhold, freeze, unfreeze, compare. What is written, committed, refused and said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.command import run as run_program
from adapters.git import Repository
from delivery.releases.journal import Journal
from tests.unit.delivery.conftest import DIGEST, OTHER_DIGEST, FakeRegistry, World

THIRD_DIGEST = "sha256:" + "3c" * 32


@pytest.fixture
def git(world: World, registry: FakeRegistry) -> Repository:
    """The world's configuration directory as a git repository, all committed; test runs another image than the rest."""
    registry.images.add(("hello", OTHER_DIGEST))
    world.edit("test", images={"hello": f"hello:v2@{OTHER_DIGEST}"})
    run_program(["git", "-C", str(world.directory), "init", "--quiet", "--initial-branch=main"])
    (world.directory / ".gitignore").write_text(".slipway/\n")
    repository = Repository(world.directory)
    repository.commit([*world.directory.glob("Pulumi*"), world.directory / ".gitignore"], "Begin")
    world.environ["SLIPWAY_IDENTITY"] = "maria"
    return repository


in_git = pytest.mark.usefixtures("git")


def config(world: World, stack: str) -> dict[str, Any]:
    document = yaml.safe_load((world.directory / f"Pulumi.{stack}.yaml").read_text())
    found: dict[str, Any] = document["config"]
    return found


def commit(world: World, git: Repository, stack: str, **values: Any) -> None:
    """Put values into a stack file, and commit it."""
    world.edit(stack, **values)
    git.commit([world.directory / f"Pulumi.{stack}.yaml"], "By hand")


def all_files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.glob("Pulumi*")}


def hours(count: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=count)).strftime("%Y-%m-%dT%H:%M:%SZ")


class TestHold:
    def test_a_digest_is_held_in_one_commit_by_name_and_reason(self, world: World, git: Repository) -> None:
        done = world.run("hold", "prod", OTHER_DIGEST, "--reason", "loses orders")
        assert done.code == 0, done.said
        (held,) = config(world, "prod")["slipway:holds"]
        assert (held["digest"], held["reason"], held["author"]) == (OTHER_DIGEST, "loses orders", "maria")
        assert datetime.fromisoformat(held["at"]).tzinfo is not None
        last = git.log(limit=1)[0]
        assert last.title == f"Hold {OTHER_DIGEST} in prod"
        assert "loses orders" in last.message
        assert "By: maria" in last.message
        assert git.is_clean(world.directory / "Pulumi.prod.yaml")

    @in_git
    def test_from_then_on_it_is_refused_there_and_nowhere_else(self, world: World) -> None:
        world.run("hold", "stage", "hello", "--reason", "loses orders")
        world.run("up", "stage").explains(4, "loses orders", "maria", "slipway unhold")
        assert world.run("up", "test").code == 0

    @in_git
    def test_what_runs_now_is_said_with_the_way_out(self, world: World) -> None:
        done = world.run("hold", "prod", "hello", "--reason", "r")
        assert f"{DIGEST} is on hold in prod" in done.out
        assert "prod runs it now, as hello: `slipway rollback prod`" in done.out
        assert world.run("hold", "prod", DIGEST, "--reason", "r", "--json").json["running"] == ["hello"]

    @in_git
    def test_what_does_not_run_is_not_said_to(self, world: World) -> None:
        assert "runs it now" not in world.run("hold", "prod", OTHER_DIGEST, "--reason", "r").out

    def test_the_first_digits_are_enough(self, world: World, git: Repository) -> None:
        facts = world.run("hold", "prod", DIGEST[7:19], "--reason", "r", "--json").json
        assert facts["held"] == [DIGEST]
        assert facts["commit"] == git.head

    def test_other_holds_and_the_rest_of_the_file_stay(self, world: World, git: Repository) -> None:
        first = {"digest": OTHER_DIGEST, "reason": "old", "author": "ann"}
        commit(world, git, "prod", holds=[first])
        path = world.directory / "Pulumi.prod.yaml"
        path.write_text(f"# a note\n{path.read_text()}")
        git.commit([path], "A note")
        before = config(world, "prod")
        world.run("hold", "prod", "hello", "--reason", "new")
        after = config(world, "prod")
        assert after["slipway:holds"][0] == first
        assert [each["digest"] for each in after["slipway:holds"]] == [OTHER_DIGEST, DIGEST]
        assert {**after, "slipway:holds": None} == {**before, "slipway:holds": None}
        assert path.read_text().startswith("# a note\n")

    def test_what_is_held_already_is_said_and_nothing_is_committed(self, world: World, git: Repository) -> None:
        world.run("hold", "prod", "hello", "--reason", "first")
        head = git.head
        done = world.run("hold", "prod", "hello", "--reason", "second")
        assert done.code == 0
        assert "already: first (maria)" in done.out
        assert "Nothing changed." in done.out
        assert git.head == head

    @pytest.mark.parametrize(
        ("args", "code", "words"),
        [
            (["prod", "hello", "--reason", " "], 3, ["--reason is empty"]),
            (["prod", "hello"], 3, ["--reason"]),
            (["shared", "hello", "--reason", "r"], 3, ["no environment", "Allowed: "]),
            (["prd", "hello", "--reason", "r"], 3, ["'prd'", "prod"]),
        ],
    )
    def test_bad_input_changes_nothing(
        self, world: World, git: Repository, args: list[str], code: int, words: list[str]
    ) -> None:
        before, head = all_files(world.directory), git.head
        world.run("hold", *args).explains(code, *words)
        assert (all_files(world.directory), git.head) == (before, head)


class TestUnhold:
    def test_it_may_run_again_and_the_commit_says_what_was_held(self, world: World, git: Repository) -> None:
        world.run("hold", "stage", "hello", "--reason", "loses orders")
        done = world.run("unhold", "stage", "hello", "--reason", "it was the database")
        assert done.code == 0, done.said
        assert "loses orders (maria)" in done.out
        assert "slipway:holds" not in config(world, "stage")
        message = git.log(limit=1)[0].message
        assert "it was the database" in message
        assert "loses orders" in message
        assert world.run("up", "stage").code == 0

    def test_others_stay_held(self, world: World, git: Repository) -> None:
        holds = [{"digest": digest, "reason": "r", "author": "a"} for digest in (OTHER_DIGEST, THIRD_DIGEST)]
        commit(world, git, "prod", holds=holds)
        facts = world.run("unhold", "prod", OTHER_DIGEST[7:20], "--json").json
        assert facts["freed"] == [OTHER_DIGEST]
        assert config(world, "prod")["slipway:holds"] == holds[1:]

    def test_what_is_not_held_is_refused_with_what_is(self, world: World, git: Repository) -> None:
        world.run("unhold", "prod", "hello").explains(3, "hello is not on hold in prod", "nothing is on hold")
        commit(world, git, "prod", holds=[{"digest": OTHER_DIGEST, "reason": "why", "author": "a"}])
        world.run("unhold", "prod", "hello").explains(3, OTHER_DIGEST[7:19], "why")


class TestFreeze:
    def test_it_is_written_and_committed_and_says_until_when(self, world: World, git: Repository) -> None:
        until = hours(2)
        done = world.run("freeze", "prod", "--until", until, "--reason", "database moves")
        assert done.code == 0, done.said
        assert "nothing new comes in" in done.out
        written = config(world, "prod")["slipway:freeze"]
        assert written == {"until": until, "reason": "database moves", "author": "maria"}
        assert git.log(limit=1)[0].title.startswith("Freeze prod until ")

    @in_git
    def test_a_length_is_from_now(self, world: World) -> None:
        facts = world.run("freeze", "prod", "--until", "90m", "--reason", "r", "--json").json
        left = datetime.fromisoformat(facts["freeze"]["until"]) - datetime.now(UTC)
        assert timedelta(minutes=88) < left <= timedelta(minutes=90)

    @in_git
    def test_another_zone_is_the_same_moment(self, world: World) -> None:
        facts = world.run("freeze", "prod", "--until", "2199-01-01T01:00:00+01:00", "--reason", "r", "--json").json
        assert facts["freeze"]["until"] == "2199-01-01T00:00:00Z"

    @in_git
    def test_up_of_anything_new_is_refused_with_reason_and_author(self, world: World, git: Repository) -> None:
        world.run("freeze", "stage", "--until", "2h", "--reason", "database moves")
        refusal = (4, "database moves (maria)", "something new: slipway:services", "slipway unfreeze stage")
        services = config(world, "stage")["slipway:services"]
        commit(world, git, "stage", services=services | {"hello": services["hello"] | {"replicas": 7}})
        world.run("up", "stage").explains(*refusal)
        world.run("freeze", "stage", "--until", "3h", "--reason", "database moves")
        world.run("up", "stage").explains(*refusal)
        assert world.engine.asked("up") == []

    @in_git
    def test_up_brings_it_to_what_was_there_before(self, world: World, git: Repository) -> None:
        before = config(world, "stage")["slipway:images"]
        commit(world, git, "stage", images={"hello": f"hello:v2@{OTHER_DIGEST}"})
        world.run("freeze", "stage", "--until", "2h", "--reason", "database moves")
        world.run("hold", "stage", OTHER_DIGEST, "--reason", "loses orders")
        commit(world, git, "stage", images=before)
        done = world.run("up", "stage")
        assert done.code == 0, done.said
        assert "stage is frozen until" in done.out
        assert "brings nothing that was not there before" in done.out
        assert world.engine.asked("up") == ["stage"]

    def test_without_git_nobody_knows_what_was_there_before(self, world: World) -> None:
        world.edit("stage", freeze={"until": hours(2), "reason": "database moves", "author": "maria"})
        world.run("up", "stage").explains(4, "database moves (maria)", "something new")

    @in_git
    def test_up_of_everything_leaves_it_as_it_is(self, world: World) -> None:
        world.run("freeze", "prod", "--until", "2h", "--reason", "database moves")
        done = world.run("up")
        assert done.code == 0, done.said
        assert "Left as it is: prod is frozen until" in done.out
        assert "prod" not in world.engine.asked("up")
        assert {"shared", "test", "stage"} == set(world.engine.asked("up"))

    @in_git
    def test_down_of_it_is_refused(self, world: World) -> None:
        world.run("freeze", "stage", "--until", "2h", "--reason", "database moves")
        world.run("down", "stage", "--yes").explains(4, "database moves")
        assert world.engine.asked("destroy") == []

    @in_git
    def test_looking_is_never_refused(self, world: World) -> None:
        world.run("freeze", "stage", "--until", "2h", "--reason", "database moves")
        for command in (["preview", "stage"], ["drift", "stage"]):
            assert world.run(*command).code == 0

    def test_one_that_has_ended_stops_nothing(self, world: World, git: Repository) -> None:
        commit(world, git, "stage", freeze={"until": hours(-1), "reason": "r", "author": "a"})
        assert world.run("up", "stage").code == 0

    def test_status_shows_freezes_and_holds(self, world: World, git: Repository) -> None:
        world.run("freeze", "prod", "--until", "2h", "--reason", "database moves")
        world.run("hold", "stage", OTHER_DIGEST, "--reason", "loses orders")
        commit(world, git, "test", freeze={"until": hours(-1), "reason": "over", "author": "a"})
        person = world.run("status").out
        assert "prod is frozen until " in person
        assert "database moves (maria)" in person
        assert f"stage must not run {OTHER_DIGEST[:19]}: loses orders (maria)" in person
        assert "over" not in person
        stacks = {stack["name"]: stack for stack in world.run("status", "--json").json["stacks"]}
        assert stacks["prod"]["freeze"]["reason"] == "database moves"
        assert stacks["stage"]["holds"][0]["digest"] == OTHER_DIGEST
        assert stacks["test"]["freeze"] is None

    @in_git
    def test_a_second_one_takes_the_place_of_the_first(self, world: World) -> None:
        world.run("freeze", "prod", "--until", "2199-01-01T00:00:00Z", "--reason", "first")
        done = world.run("freeze", "prod", "--until", "2198-01-01T00:00:00Z", "--reason", "second")
        assert "In place of the freeze until 2199-01-01T00:00:00Z" in done.out
        assert config(world, "prod")["slipway:freeze"]["reason"] == "second"

    def test_unfreeze_ends_it(self, world: World, git: Repository) -> None:
        world.run("freeze", "stage", "--until", "2h", "--reason", "database moves")
        done = world.run("unfreeze", "stage")
        assert "stage is frozen no more." in done.out
        assert "database moves" in git.log(limit=1)[0].message
        assert "slipway:freeze" not in config(world, "stage")
        assert world.run("up", "stage").code == 0

    def test_unfreeze_of_what_is_not_frozen_commits_nothing(self, world: World, git: Repository) -> None:
        head = git.head
        done = world.run("unfreeze", "stage", "--json")
        assert (done.code, done.json["changed"]) == (0, False)
        assert git.head == head

    @pytest.mark.parametrize(
        ("until", "words"),
        [
            ("soon", ["'soon' is no time", "2h"]),
            ("2199-01-01T00:00:00", ["in which zone", "Allowed: "]),
            ("2199-01-01", ["in which zone"]),
            ("2020-01-01T00:00:00Z", ["is not to come"]),
            ("0h", ["is not to come"]),
        ],
    )
    def test_a_time_that_is_none_or_not_to_come_changes_nothing(
        self, world: World, git: Repository, until: str, words: list[str]
    ) -> None:
        before, head = all_files(world.directory), git.head
        world.run("freeze", "prod", "--until", until, "--reason", "r").explains(3, *words)
        assert (all_files(world.directory), git.head) == (before, head)


class TestOneCommitOrNothing:
    """What holds for each of these commands."""

    each = pytest.mark.parametrize(
        "args",
        [
            ["hold", "prod", "hello", "--reason", "r"],
            ["unhold", "prod", OTHER_DIGEST],
            ["freeze", "prod", "--until", "2h", "--reason", "r"],
            ["unfreeze", "prod"],
        ],
        ids=lambda args: args[0],
    )

    @pytest.fixture(autouse=True)
    def _held_and_frozen(self, world: World, git: Repository) -> None:
        holds = [{"digest": OTHER_DIGEST, "reason": "r", "author": "a"}]
        commit(world, git, "prod", holds=holds, freeze={"until": hours(1), "reason": "r", "author": "a"})

    @each
    def test_edits_that_nobody_committed_are_not_mixed_with_it(
        self, world: World, git: Repository, args: list[str]
    ) -> None:
        world.edit("prod", services={"hello": {"port": 9090}})
        before, head = all_files(world.directory), git.head
        world.run(*args).explains(4, "Pulumi.prod.yaml has changes that are not committed")
        assert (all_files(world.directory), git.head) == (before, head)

    @each
    def test_a_commit_that_git_does_not_take_leaves_the_file_as_it_was(
        self, world: World, git: Repository, args: list[str]
    ) -> None:
        hook = git.git_dir / "hooks" / "pre-commit"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text("#!/bin/sh\necho no commits on Fridays >&2\nexit 1\n")
        hook.chmod(0o755)
        before, head = all_files(world.directory), git.head
        world.run(*args).explains(1, "no commits on Fridays")
        assert (all_files(world.directory), git.head) == (before, head)
        assert git.is_clean(world.directory / "Pulumi.prod.yaml")

    @each
    def test_while_somebody_moves_the_stack_it_waits_for_nobody(
        self, world: World, git: Repository, args: list[str]
    ) -> None:
        before = all_files(world.directory)
        with Journal(git, "prod").lock("promoting", "ann"):
            world.run(*args).explains(6, "ann", "prod")
        assert all_files(world.directory) == before

    @each
    def test_other_files_are_not_part_of_the_commit(self, world: World, git: Repository, args: list[str]) -> None:
        world.edit("stage", services={"hello": {"port": 9090}})
        assert world.run(*args).code == 0
        assert not git.is_clean(world.directory / "Pulumi.stage.yaml")
        assert git.is_clean(world.directory / "Pulumi.prod.yaml")


@pytest.mark.parametrize(
    "args", [["hold", "prod", "hello", "--reason", "r"], ["freeze", "prod", "--until", "2h", "--reason", "r"]]
)
def test_a_directory_that_is_no_repository_is_refused_and_stays_as_it_is(world: World, args: list[str]) -> None:
    before = all_files(world.directory)
    world.run(*args).explains(3, "no git repository", "git init")
    assert all_files(world.directory) == before


class TestCompare:
    def test_equal_environments_end_with_0(self, world: World) -> None:
        done = world.run("compare", "stage", "test", "--json")
        assert done.code == 2  # test may name tags
        world.edit("test", environment={})
        done = world.run("compare", "stage", "test")
        assert (done.code, done.out) == (0, "stage and test do not differ.\n")

    def test_what_may_differ_is_shown_and_ends_with_0(self, world: World) -> None:
        world.edit("prod", services={"hello": {"port": 8080, "replicas": 5}})
        done = world.run("compare", "stage", "prod")
        assert done.code == 0, done.said
        assert "services.hello.replicas  2      5     may differ" in done.out
        assert "environment.protect" in done.out

    def test_anything_else_ends_with_2_and_is_marked_first(self, world: World) -> None:
        world.edit("prod", services={"hello": {"port": 9090, "replicas": 5, "env": {"LEVEL": "info"}}})
        done = world.run("compare", "stage", "prod")
        assert done.code == 2
        assert "services.hello.env.LEVEL, services.hello.port" in done.err
        assert "slipway:mayDiffer of Pulumi.prod.yaml" in done.err
        lines = done.out.splitlines()
        assert [line.endswith("MUST NOT differ") for line in lines[1:]] == [True, True, False, False]

    def test_json_holds_paths_and_both_values(self, world: World) -> None:
        world.edit("prod", services={"hello": {"port": 9090}}, environment={})
        facts = world.run("compare", "stage", "prod", "--json").json
        assert facts == {
            "a": "stage",
            "b": "prod",
            "close": False,
            "differences": [{"path": "services.hello.port", "a": 8080, "b": 9090, "allowed": False}],
        }

    def test_the_second_ones_list_decides(self, world: World) -> None:
        world.edit("prod", services={"hello": {"port": 9090}}, mayDiffer=["port", "environment"])
        world.run("compare", "stage", "prod").explains(3, "mayDiffer", "environment")
        world.edit("prod", mayDiffer=["port", "environment.protect"])
        assert world.run("compare", "stage", "prod").code == 0
        world.run("compare", "prod", "stage").explains(2, "services.hello.port")

    @pytest.mark.parametrize(
        ("args", "words"),
        [
            (["stage", "stage"], ["stage is always like itself"]),
            (["stage", "prd"], ["'prd'", "prod"]),
            (["shared", "prod"], ["no environment"]),
            (["stage"], ["--help"]),
        ],
    )
    def test_bad_input(self, world: World, args: list[str], words: list[str]) -> None:
        world.run("compare", *args).explains(3, *words)
