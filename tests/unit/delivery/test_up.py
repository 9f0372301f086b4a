"""`slipway up`: order, what is checked before anything is changed, what is said."""

from __future__ import annotations

import pytest

from tests.unit.delivery.conftest import DIGEST, OTHER_DIGEST, PASSPHRASE, PASSWORD, FakeRegistry, Step, World


def test_all_stacks_are_updated_after_the_one_they_stand_on(world: World) -> None:
    done = world.run("up", "--yes")

    assert done.code == 0, done.said
    updated = world.engine.asked("up")
    assert updated[0] == "shared"
    assert sorted(updated) == ["prod", "shared", "stage", "test"]
    assert world.engines["pulumi"].calls == []


def test_only_the_named_stacks_are_updated(world: World) -> None:
    assert world.run("up", "stage", "test").code == 0
    assert sorted(world.engine.asked("up")) == ["stage", "test"]


def test_that_nothing_changed_is_said(world: World) -> None:
    assert "Nothing changed." in world.run("up", "stage").out


def test_that_something_changed_is_not_called_nothing(world: World) -> None:
    world.engine.steps["stage"] = [Step("update", "Deployment", "hello")]
    assert "Nothing changed" not in world.run("up", "stage").said


def test_lines_of_several_stacks_begin_with_the_stacks_name(world: World) -> None:
    lines = world.run("up", "stage", "test").out.splitlines()
    assert "stage │ the engine works on stage" in lines
    assert "test  │ the engine works on test" in lines


def test_the_message_reaches_the_engines_history(world: World) -> None:
    world.run("up", "stage", "--message", "a new try")
    arguments = next(args for args in world.engine.arguments if args[0] == "up")
    assert arguments[arguments.index("--message") + 1] == "a new try"


def test_when_a_stack_fails_those_that_stand_on_it_are_not_attempted(world: World) -> None:
    world.engine.failures["up", "shared"] = (1, "Deployment registry: it does not start.")

    done = world.run("up", "--yes")

    assert done.code == 1
    assert world.engine.asked("up") == ["shared"]
    assert "Deployment registry: it does not start." in done.err
    assert "Not attempted, since what they stand on failed: stage, test, prod." in done.err


def test_when_an_environment_fails_the_others_go_on_and_every_error_is_told(world: World) -> None:
    world.engine.failures["up", "test"] = (1, "the first.")
    world.engine.failures["up", "stage"] = (6, "the second.")

    done = world.run("up", "--yes")

    assert sorted(world.engine.asked("up")) == ["prod", "shared", "stage", "test"]
    assert "test: the first." in done.err
    assert "stage: the second." in done.err
    assert done.code in (1, 6)


@pytest.mark.parametrize("code", [1, 3, 4, 5, 6, 7])
def test_the_engines_exit_code_and_paragraph_are_the_commands(world: World, code: int) -> None:
    world.engine.failures["up", "stage"] = (code, "stage: what happened. What to do.")
    done = world.run("up", "stage")
    done.explains(code, "stage: what happened. What to do.")
    assert done.err.count("what happened") == 1


def test_an_unknown_stack_is_refused_with_the_valid_ones(world: World) -> None:
    world.run("up", "staging").explains(3, "'staging'", "shared", "test", "stage", "prod")
    assert world.engine.calls == []


def test_a_wrong_passphrase_is_refused_before_anything_is_changed(world: World) -> None:
    world.environ["PULUMI_CONFIG_PASSPHRASE"] = "a guess"
    done = world.run("up", "stage")
    done.explains(3, "wrong passphrase")
    assert "a guess" not in done.said
    assert world.engine.asked("up") == []


def test_without_a_passphrase_the_command_says_how_to_give_one(world: World) -> None:
    del world.environ["PULUMI_CONFIG_PASSPHRASE"]
    world.run("up", "stage").explains(3, "PULUMI_CONFIG_PASSPHRASE_FILE")


@pytest.mark.parametrize("image", [f"hello:v1@{OTHER_DIGEST}", f"nobody:v1@{DIGEST}"])
def test_an_image_that_is_not_in_the_registry_is_refused(world: World, registry: FakeRegistry, image: str) -> None:
    world.edit("stage", images={"hello": image})
    world.run("up", "stage").explains(3, image, registry.address, "Pulumi.stage.yaml", "slipway:images.hello")
    assert world.engine.asked("up") == []
    assert not world.marker("stage").exists()


def test_a_bare_tag_is_looked_up_where_tags_may_be_named(world: World) -> None:
    world.edit("test", images={"hello": "hello:v1"})
    assert world.run("up", "test").code == 0
    world.edit("test", images={"hello": "hello:v2"})
    world.run("up", "test").explains(3, "hello:v2")


def test_a_bare_tag_that_means_a_held_digest_is_refused(world: World) -> None:
    hold = {"digest": DIGEST, "reason": "loses orders", "author": "maria"}
    world.edit("test", images={"hello": "hello:v1"}, holds=[hold])
    world.run("up", "test").explains(4, "loses orders", "maria")
    assert world.engine.asked("up") == []


def test_a_held_digest_is_refused_with_who_and_why(world: World) -> None:
    world.edit("stage", holds=[{"digest": DIGEST, "reason": "loses orders", "author": "maria"}])
    world.run("up", "stage").explains(4, DIGEST, "loses orders", "maria")
    assert world.engine.calls == []


def test_a_service_without_an_image_is_refused(world: World) -> None:
    world.edit("stage", images={})
    world.run("up", "stage").explains(3, "hello", "slipway:images")


def test_an_unreachable_registry_is_named(world: World) -> None:
    world.edit("stage", registry={"push": "127.0.0.1:1", "pull": "registry.example.com"})
    world.run("up", "stage").explains(5, "127.0.0.1:1", "does not answer")
    assert world.engine.asked("up") == []


def test_a_registry_that_does_not_know_the_password_is_named_without_it(world: World) -> None:
    world.edit("stage", registryCredentials=None)
    done = world.run("up", "stage")
    done.explains(3, "slipway:registryCredentials")


def test_a_mistake_in_one_stack_file_stops_all_of_them(world: World) -> None:
    world.edit("prod", services={"hello": {"port": 8080, "replicsa": 2}})
    world.run("up", "--yes").explains(3, "replicsa", "replicas", "Pulumi.prod.yaml")
    assert world.engine.asked("up") == []


def test_a_service_without_an_image_in_one_stack_stops_all_of_them(world: World) -> None:
    world.edit("prod", images=None)
    world.run("up", "--yes").explains(3, "hello", "Pulumi.prod.yaml")
    assert world.engine.asked("up") == []


def test_a_stack_that_stands_on_one_that_is_not_there_is_refused(world: World) -> None:
    world.edit("stage", shared="common")
    world.run("up", "stage").explains(3, "'common'", "Pulumi.stage.yaml")


def test_prod_is_not_updated_without_a_yes_where_nobody_can_be_asked(world: World) -> None:
    world.run("up").explains(4, "prod on cluster ours", "--yes")
    assert world.engine.calls == []


def test_a_protected_environment_needs_a_yes_whatever_its_name(world: World) -> None:
    world.edit("stage", environment={"protect": True})
    world.run("up", "stage").explains(4, "stage on cluster ours")


def test_prod_needs_a_yes_even_if_it_is_not_protected(world: World) -> None:
    world.edit("prod", environment=None)
    world.run("up", "prod").explains(4, "prod on cluster ours")


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 4), ("\n", 4)])
def test_on_a_terminal_prod_is_asked_for_and_no_is_the_default(
    world: World, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    monkeypatch.setattr("delivery.console.Console.is_terminal", True)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: answer.strip())
    done = world.run("up", "prod")
    assert done.code == code, done.said
    assert "prod on cluster ours" in done.err
    assert world.engine.asked("up") == (["prod"] if code == 0 else [])


def test_json_is_all_there_is_on_standard_output(world: World) -> None:
    world.engine.steps["stage"] = [Step("update", "Deployment", "hello")]
    done = world.run("up", "stage", "--json")
    assert done.json == {
        "changed": True,
        "stacks": [
            {"name": "stage", "changed": True, "counts": {"same": 3, "update": 1}, "changes": [], "error": None}
        ],
        "links": [],
    }
    assert "the engine works on stage" in done.err


def test_json_tells_of_errors_too(world: World) -> None:
    world.engine.failures["up", "shared"] = (1, "it broke.")
    done = world.run("up", "shared", "stage", "--json")
    assert done.code == 1
    assert done.json["stacks"] == [
        {"name": "shared", "error": "it broke."},
        {"name": "stage", "error": "not attempted, since what it stands on failed"},
    ]


def test_no_secret_is_printed_or_given_to_a_command_line(world: World) -> None:
    for command in (["up", "--yes"], ["preview"], ["drift"], ["status", "--json"], ["history", "prod", "--json"]):
        done = world.run(*command)
        assert done.code == 0, done.said
        for secret in (PASSPHRASE, PASSWORD):
            assert secret not in done.said
    for secret in (PASSPHRASE, PASSWORD):
        assert secret not in str(world.engine.arguments)
