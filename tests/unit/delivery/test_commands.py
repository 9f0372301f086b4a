"""The other commands: what they show, refuse and end with."""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path

import click
import pytest

from adapters.paths import REPOSITORY
from delivery.cli import main
from delivery.factory import Seams
from tests.unit.delivery.conftest import DIGEST, Step, World

COMMANDS = REPOSITORY / "delivery" / "commands"
DEPLOYMENT = Step("update", "Deployment", "hello", ("spec.replicas",))


def test_help_names_every_command_there_is(world: World) -> None:
    modules = [importlib.import_module(f"delivery.commands.{path.stem}") for path in COMMANDS.glob("[a-z]*.py")]
    commands = {found for module in modules for found in vars(module).values() if isinstance(found, click.Command)}
    within = {each for group in commands if isinstance(group, click.Group) for each in group.commands.values()}
    shown = re.findall(r"^  ([a-z][a-z-]+)  ", world.run("--help").out, flags=re.MULTILINE)
    assert sorted(shown) == sorted(str(command.name) for command in commands - within)


def test_help_says_in_one_line_what_each_command_does(world: World) -> None:
    listed = world.run("--help").out.partition("Commands:\n")[2].splitlines()
    assert all(re.fullmatch(r"  [a-z-]+ +[A-Z].+[^.]\.", line) for line in listed)


class NeverMade:
    """A local platform that nobody has made yet."""

    @staticmethod
    def find() -> None:
        return None


@pytest.mark.parametrize(
    ("args", "environ", "loads"),
    [
        (["promote", "test", "stage"], {}, True),
        (["rollback", "stage", "--reason", "r"], {}, True),
        (["status"], {}, False),
        (["--help"], {}, False),
        (["promote", "test", "stage"], {"SLIPWAY_CONFIG_DIR": "/a/team"}, False),
    ],
)
def test_the_engine_of_a_release_that_moves_here_loads_meanwhile(
    args: list[str], environ: dict[str, str], loads: bool
) -> None:
    done: list[str] = []
    seams = Seams(
        local_platform=lambda: NeverMade,
        prepare_engine=lambda: done.append("prepared"),
        dismiss_engine=lambda: done.append("dismissed"),
        environ=environ,
    )
    main(args, seams)
    assert done == [*(["prepared"] if loads else []), "dismissed"]


class TestPreview:
    def test_it_shows_changes_and_changes_nothing(self, world: World) -> None:
        world.engine.steps["stage"] = [DEPLOYMENT]
        done = world.run("preview", "stage", "--json")
        assert done.code == 0
        assert done.json["changed"] is True
        assert done.json["stacks"][0]["changes"] == [
            {"op": "update", "object": "Deployment stage/hello", "fields": ["spec.replicas"]}
        ]
        assert world.engine.asked("up") == []
        assert not (world.directory / ".slipway").exists()

    def test_it_says_when_there_is_nothing_to_change(self, world: World) -> None:
        assert "Nothing to change." in world.run("preview").out

    def test_it_refuses_what_up_would_refuse(self, world: World) -> None:
        world.edit("stage", holds=[{"digest": DIGEST, "reason": "loses orders", "author": "maria"}])
        world.run("preview", "stage").explains(4, "loses orders")

    def test_a_stack_the_engine_does_not_know_is_not_made(self, world: World) -> None:
        world.engine.unknown.add("stage")
        world.run("preview", "stage").explains(3, "does not know the stack", "slipway up stage")
        assert world.engine.asked("stack init") == []


class TestDrift:
    def test_no_drift_ends_with_0(self, world: World) -> None:
        done = world.run("drift")
        assert done.code == 0
        assert "No drift." in done.out

    def test_drift_ends_with_2_naming_objects_and_fields(self, world: World) -> None:
        world.engine.steps["stage"] = [DEPLOYMENT, Step("delete", "Service", "hello")]
        done = world.run("drift")
        done.explains(
            2, "stage: Deployment stage/hello (spec.replicas), Service stage/hello (delete)", "slipway up stage"
        )

    def test_it_only_looks(self, world: World) -> None:
        world.run("drift", "stage")
        arguments = next(args for args in world.engine.arguments if args[0] == "refresh")
        assert "--preview-only" in arguments

    def test_json_names_objects_and_fields(self, world: World) -> None:
        world.engine.steps["stage"] = [DEPLOYMENT]
        done = world.run("drift", "stage", "test", "--json")
        assert done.code == 2
        changed = {stack["name"]: stack["changed"] for stack in done.json["stacks"]}
        assert changed == {"stage": True, "test": False}

    def test_a_cluster_that_does_not_answer_is_no_drift(self, world: World) -> None:
        world.engine.failures["refresh", "stage"] = (5, "the cluster does not answer.")
        world.run("drift", "stage").explains(5, "does not answer")


class TestRender:
    def test_manifests_are_written_and_counted(self, world: World, tmp_path: Path) -> None:
        done = world.run("render", "prod", "--out", str(tmp_path / "out"), "--json")
        assert done.json == {"stack": "prod", "out": str(tmp_path / "out"), "files": ["namespace.yaml"]}

    def test_it_is_the_local_engines_work_for_every_stack(self, world: World, tmp_path: Path) -> None:
        world.marker("prod").parent.mkdir()
        world.marker("prod").write_text("pulumi\n")
        assert world.run("render", "prod", "--out", str(tmp_path / "out")).code == 0
        assert world.engines["pulumi"].calls == []

    def test_a_directory_that_holds_something_is_refused(self, world: World, tmp_path: Path) -> None:
        (tmp_path / "note").write_text("mine")
        world.run("render", "prod", "--out", str(tmp_path)).explains(3, str(tmp_path), "empty directory")
        assert (tmp_path / "note").read_text() == "mine"


class TestDown:
    def test_stacks_go_before_what_they_stand_on(self, world: World) -> None:
        assert world.run("down", "shared", "test", "--yes").code == 0
        assert world.engine.asked("destroy") == ["test", "shared"]

    def test_it_always_asks(self, world: World) -> None:
        world.run("down", "test").explains(4, "delete everything in test on cluster ours", "--yes")
        assert world.engine.asked("destroy") == []

    def test_what_holds_data_needs_a_flag_of_its_own(self, world: World) -> None:
        world.engine.protected["prod"] = ["prod"]
        world.run("down", "test", "prod", "--yes").explains(4, "prod (Namespace prod)", "--delete-data")
        assert world.engine.asked("destroy") == []

        assert world.run("down", "prod", "--yes", "--delete-data").code == 0
        assert world.engine.calls.index(("state unprotect", "prod")) < world.engine.calls.index(("destroy", "prod"))

    @pytest.mark.parametrize("flags", [[], ["--delete-data"]])
    def test_what_others_stand_on_is_not_taken_from_under_them(self, world: World, flags: list[str]) -> None:
        world.run("up", "shared", "test", "stage")
        done = world.run("down", "shared", "test", "--yes", *flags)
        command = " ".join(["`slipway down shared stage test", *flags]) + "`"
        done.explains(4, "what stands on shared", ": stage. ", command)
        assert world.engine.asked("destroy") == []

    def test_the_command_that_takes_both_down_has_the_flag_that_protected_ones_need(self, world: World) -> None:
        world.run("up", "shared", "stage")
        world.engine.protected["shared"] = ["slipway-registry"]
        world.run("down", "shared", "--yes").explains(4, "`slipway down shared stage --delete-data`")

    def test_what_others_stand_on_goes_together_with_them(self, world: World) -> None:
        world.run("up", "shared", "stage")
        assert world.run("down", "shared", "stage", "--yes").code == 0
        assert world.engine.asked("destroy") == ["stage", "shared"]

    def test_what_nothing_stands_on_any_more_goes_alone(self, world: World) -> None:
        world.run("up", "shared", "stage")
        world.run("down", "stage", "--yes")
        assert world.run("down", "shared", "--yes").code == 0

    def test_an_environment_that_nobody_recorded_the_engine_of_stands_too(self, world: World) -> None:
        world.engine.protected["prod"] = ["prod"]
        world.run("down", "shared", "--yes").explains(4, "what stands on shared", ": prod. ")

    def test_an_environment_that_the_engine_does_not_know_does_not_stand(self, world: World) -> None:
        world.engine.unknown.update(("test", "stage", "prod"))
        assert world.run("down", "shared", "--yes").code == 0

    def test_without_the_flag_nothing_is_unprotected(self, world: World) -> None:
        world.run("down", "test", "--yes")
        assert world.engine.asked("state unprotect") == []

    def test_afterwards_any_engine_may_make_the_stack_anew(self, world: World) -> None:
        world.run("up", "test")
        world.run("down", "test", "--yes")
        assert world.run("up", "test", "--engine", "pulumi").code == 0


class TestStatus:
    def test_json_holds_what_runs_where(self, world: World) -> None:
        status = world.run("status", "--json").json
        assert status["config_dir"] == str(world.directory)
        assert (status["engine"], status["cluster"], status["links"]) == ("local", "ours", [])
        assert {stack["name"] for stack in status["stacks"]} == {"shared", "test", "stage", "prod"}
        stage = next(stack for stack in status["stacks"] if stack["name"] == "stage")
        assert stage == {
            "name": "stage",
            "kind": "environment",
            "engine": "local",
            "cluster": "ours",
            "last_update": "2026-01-02T03:04:09.500000Z",
            "result": "succeeded",
            "images": {"hello": {"name": "hello", "tag": "v1", "digest": DIGEST, "release": "1a" * 6}},
            "freeze": None,
            "holds": [],
            "baking": None,
            "left_out": [],
            "interrupted": None,
            "unreconciled": [],
            "problem": None,
        }

    def test_alerts_that_are_left_out_are_named_with_what_they_lack_where_there_is_a_monitoring(
        self, world: World
    ) -> None:
        assert world.run("status", "--json").json["unwatched"] == {}
        of_an_environment = dict.fromkeys(("shared", "services", "images", "environment"))
        world.edit("test", **of_an_environment, kind="monitoring", environments=["prod"], leaveOut=["node"])
        lacking = world.run("status", "--json").json["unwatched"]
        assert "NodeDiskFull" in lacking["node"]
        (line,) = [line for line in world.run("status").out.splitlines() if line.startswith("node ")]
        assert "NodeDiskFull" in line

    def test_parts_that_a_stack_does_without_are_named(self, world: World) -> None:
        world.edit("test", leaveOut=["grafana"])
        (test,) = [stack for stack in world.run("status", "--json").json["stacks"] if stack["name"] == "test"]
        assert test["left_out"] == ["grafana"]
        assert "test does without grafana, as its file says (slipway:leaveOut)" in world.run("status").out

    def test_a_cluster_that_does_not_answer_is_said_of_its_stack_only(self, world: World) -> None:
        world.engine.failures["stack history", "prod"] = (5, "the cluster does not answer.")
        done = world.run("status", "--json")
        assert done.code == 0
        person = world.run("status").out
        assert "prod    environment  ours     local   unknown" in person
        assert "prod: the cluster does not answer." in person
        problems = {stack["name"]: stack["problem"] for stack in done.json["stacks"]}
        assert problems == {"shared": None, "test": None, "stage": None, "prod": "the cluster does not answer."}

    def test_a_person_reads_tables(self, world: World) -> None:
        done = world.run("status")
        assert "hello:v1 1a1a1a1a1a1a" in done.out
        assert "2026-01-02 03:04:09" in done.out


class TestHistory:
    def test_it_lists_when_what_and_why(self, world: World) -> None:
        done = world.run("history", "prod", "--updates")
        for word in ("2026-01-02 03:04:05", "update", "succeeded", "4.5 s", "why"):
            assert word in done.out

    def test_json_leaves_the_configuration_out(self, world: World) -> None:
        history = world.run("history", "prod", "--updates", "--limit", "1", "--json").json
        assert history["updates"] == [
            {
                "version": 7,
                "kind": "update",
                "started": "2026-01-02T03:04:05Z",
                "ended": "2026-01-02T03:04:09.500000Z",
                "result": "succeeded",
                "message": "why",
                "counts": {"same": 3},
            }
        ]
        assert world.engine.arguments[-1][:5] == ["stack", "history", "--json", "--page-size", "1"]

    def test_an_unknown_stack_is_refused(self, world: World) -> None:
        world.run("history", "nothing").explains(3, "'nothing'", "prod")


class TestCommandLine:
    @pytest.mark.parametrize("args", [["upp"], ["up", "--target", "x"], ["render", "prod"], ["history", "a", "b"]])
    def test_what_is_not_understood_is_bad_input_with_where_to_read(self, world: World, args: list[str]) -> None:
        world.run(*args).explains(3, "--help")

    def test_an_unknown_configuration_directory_is_named(self, world: World, tmp_path: Path) -> None:
        world.run("--config-dir", str(tmp_path / "none"), "up").explains(3, str(tmp_path / "none"), "Pulumi.yaml")

    def test_options_of_every_command_may_stand_behind_its_name(self, world: World, tmp_path: Path) -> None:
        world.run("status", "--config-dir", str(tmp_path / "none")).explains(3, str(tmp_path / "none"))

    def test_an_interrupted_command_ends_with_130(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("delivery.commands.up.run", interrupted)
        done = world.run("up", "stage")
        assert done.code == 130
        assert "Traceback" not in done.said

    def test_a_mistake_of_ours_is_one_paragraph_that_repeats_nothing(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object, **__: object) -> None:
            raise ValueError("with a secret in it")

        monkeypatch.setattr("delivery.commands.up.run", broken)
        done = world.run("up", "stage")
        done.explains(1, "ValueError", "--debug")
        assert "secret" not in done.said
        assert "Traceback" in world.run("up", "stage", "--debug").err

    def test_a_reader_who_goes_away_does_not_stop_an_update(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read, write = os.pipe()
        os.close(read)
        with os.fdopen(write, "w", closefd=True) as nobody_reads:
            monkeypatch.setattr("sys.stdout", nobody_reads)
            done = world.run("up", "stage", "test")
        assert done.code == 0, done.said
        assert sorted(world.engine.asked("up")) == ["stage", "test"]

    @pytest.mark.parametrize(
        "command",
        [
            ["up"], ["preview"], ["drift"], ["render"], ["down"], ["status"], ["history"],
            ["cluster", "up"], ["cluster", "down"], ["cluster", "status"], ["cluster", "kubeconfig"],
            ["engine", "adopt"],
            ["hold"], ["unhold"], ["freeze"], ["unfreeze"], ["sign-off"], ["compare"],
        ],
        ids=" ".join,
    )  # fmt: skip
    def test_every_command_explains_itself_with_its_exit_codes(self, world: World, command: list[str]) -> None:
        done = world.run(*command, "--help")
        assert done.code == 0
        assert "Exit codes:" in done.out
