"""Which engine a stack has, by one code path for both."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pulumi.automation import CommandResult
from pulumi.automation.errors import create_command_error

from adapters.errors import BadInput, Locked, MachineUnfit, Unreachable, UpdateFailed
from delivery.engines import PULUMI, backend_env, pulumi_command
from delivery.stack import failure_of
from tests.unit.delivery.conftest import Step, World


def recorded(world: World, stack: str, engine: str) -> None:
    world.marker(stack).parent.mkdir(exist_ok=True)
    world.marker(stack).write_text(f"{engine}\n")


def test_the_first_update_records_the_engine(world: World) -> None:
    world.run("up", "stage")
    assert world.marker("stage").read_text() == "local\n"


def test_an_update_that_never_began_records_none(world: World) -> None:
    world.engine.failures["up", "stage"] = (3, "wrong.")
    world.run("up", "stage")
    assert not world.marker("stage").exists()


def test_an_update_that_failed_half_way_records_the_engine(world: World) -> None:
    world.engine.failures["up", "stage"] = (1, "half of it failed.")
    world.run("up", "stage")
    assert world.marker("stage").read_text() == "local\n"


def test_the_recorded_engine_is_used(world: World) -> None:
    recorded(world, "stage", "pulumi")
    assert world.run("up", "stage").code == 0
    assert world.engines["pulumi"].asked("up") == ["stage"]
    assert world.engine.calls == []


def test_the_pulumi_cli_is_the_default_for_a_team_that_has_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda program: f"/usr/bin/{program}")
    world.run("up", "stage")
    assert world.engines["pulumi"].asked("up") == ["stage"]


def test_both_engines_are_asked_with_the_same_words(world: World) -> None:
    world.run("up", "stage")
    world.run("up", "test", "--engine", "pulumi")
    ours, theirs = (next(a for a in e.arguments if a[0] == "up") for e in world.engines.values())
    assert [a.replace("test", "stage") for a in theirs] == ours
    assert "--policy-pack" in ours


@pytest.mark.parametrize("command", [["up"], ["preview"], ["drift"], ["down", "--yes"], ["history", "--updates"]])
def test_another_engine_than_the_stacks_is_refused(world: World, command: list[str]) -> None:
    recorded(world, "stage", "local")
    world.run(*command, "stage", "--engine", "pulumi").explains(4, "'local'", "'pulumi'", "slipway engine adopt stage")
    assert world.engines["pulumi"].calls == []


def test_an_unknown_recorded_engine_is_refused(world: World) -> None:
    recorded(world, "stage", "terraform")
    world.run("up", "stage").explains(3, "'terraform'", "local, pulumi")


def test_adopting_needs_a_preview_without_changes(world: World) -> None:
    recorded(world, "stage", "local")
    world.engines["pulumi"].steps["stage"] = [Step("create", "Namespace", "stage")]
    world.run("engine", "adopt", "stage").explains(4, "Namespace stage/stage (create)", "stays local")
    assert world.marker("stage").read_text() == "local\n"


def test_adopting_changes_the_recorded_engine_and_says_so(world: World) -> None:
    recorded(world, "stage", "local")
    done = world.run("engine", "adopt", "stage", "--json")
    assert done.json == {"stack": "stage", "engine": "pulumi", "before": "local", "changed": True}
    assert world.marker("stage").read_text() == "pulumi\n"
    assert world.engines["pulumi"].asked("up") == []


def test_adopting_the_engine_it_has_changes_nothing(world: World) -> None:
    recorded(world, "stage", "local")
    done = world.run("engine", "adopt", "stage", "--engine", "local")
    assert done.code == 0
    assert "already" in done.out
    assert world.engine.calls == []


def test_without_the_pulumi_cli_the_machine_is_unfit_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    pulumi_command.cache_clear()
    with pytest.raises(MachineUnfit, match=r"not on PATH.*--engine local"):
        pulumi_command(PULUMI)


def test_state_is_kept_in_files_where_pulumi_is_told_nothing_else(tmp_path: Path) -> None:
    told: dict[str, str] = {"PULUMI_HOME": str(tmp_path / "home")}
    (tmp_path / "Pulumi.yaml").write_text("name: slipway\n")
    assert backend_env(tmp_path, told) == {"PULUMI_BACKEND_URL": f"file://{tmp_path}/.slipway/state"}
    assert (tmp_path / ".slipway" / "state").is_dir()
    assert backend_env(tmp_path, told | {"PULUMI_BACKEND_URL": "s3://bucket"}) == {}
    assert backend_env(tmp_path, told | {"PULUMI_ACCESS_TOKEN": "token"}) == {}
    (tmp_path / "Pulumi.yaml").write_text("name: slipway\nbackend: {url: s3://bucket}\n")
    assert backend_env(tmp_path, told) == {}


@pytest.mark.parametrize(
    ("stderr", "kind"),
    [
        ("error: the stack is currently locked by 1 lock(s).", Locked),
        ("error: [409] Conflict: Another update is currently in progress.", Locked),
        ("error: getting secrets manager: incorrect passphrase", BadInput),
        ("warning: old\nerror: update failed", UpdateFailed),
    ],
)
def test_errors_of_the_pulumi_cli_become_ours(stderr: str, kind: type[Exception]) -> None:
    error = failure_of(create_command_error(CommandResult("", stderr, 255)), "stage")
    assert type(error) is kind
    assert "stage" in str(error)
    assert "warning" not in str(error)


def on_github(world: World) -> None:
    config = {
        "slipway:kind": "github",
        "slipway:github": {"owner": "org", "repository": "slipway", "teams": {"platform": "maintain"}},
    }
    (world.directory / "Pulumi.github.yaml").write_text(yaml.dump({"config": config}, Dumper=yaml.CSafeDumper))


@pytest.mark.parametrize("command", [["up"], ["preview"], ["drift"], ["down", "--yes"], ["render", "--out", "new"]])
def test_the_repository_on_github_is_refused_by_name_where_there_is_no_pulumi_cli(
    world: World, command: list[str]
) -> None:
    on_github(world)
    world.run(command[0], "github", *command[1:]).explains(4, "the stack github", "local engine", "Take the Pulumi CLI")
    assert world.engine.calls == []


def test_the_repository_on_github_is_left_alone_unless_it_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_github(world)
    monkeypatch.setattr("shutil.which", lambda program: f"/usr/bin/{program}")
    assert world.run("up", "--yes").code == 0
    assert "github" not in world.engines["pulumi"].asked("up")
    assert world.run("up", "github").code == 0
    assert world.engines["pulumi"].asked("up")[-1] == "github"
    assert [stack["name"] for stack in world.run("status", "--json").json["stacks"]] == [
        "shared",
        "stage",
        "test",
        "prod",
    ]


class Cluster:
    """Like a client of a cluster: one that answers, or not."""

    def __init__(self, *, answers: bool) -> None:
        self._answers = answers

    def version(self) -> str:
        if not self._answers:
            raise Unreachable("the cluster does not answer")
        return "v1.36.3"

    def close(self) -> None:
        """Nothing is open."""


def test_a_preview_by_the_pulumi_cli_asks_the_cluster_first_since_the_cli_does_not(world: World) -> None:
    world.seams["connect"] = lambda _: Cluster(answers=False)
    world.run("preview", "stage", "--engine", "pulumi").explains(5, "the cluster does not answer")
    assert world.engines["pulumi"].asked("preview") == []
    world.seams["connect"] = lambda _: Cluster(answers=True)
    assert world.run("preview", "stage", "--engine", "pulumi").code == 0
    assert world.engines["pulumi"].asked("preview") == ["stage"]
