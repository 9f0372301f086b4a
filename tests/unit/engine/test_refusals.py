"""What the engine does not support is refused by its name, before anything is registered."""

from __future__ import annotations

import pytest

from adapters.errors import BadInput
from local.engine.cli import COMMANDS, parse
from local.engine.project import Project

REFUSED = {
    "resources of other providers": 'pulumi.CustomResource("Thing", "t", {}, Opts(), None)',
    "no such provider": """
        import pulumi_github
        pulumi_github.Provider("g", owner="x")
        """,
    "names no provider": 'k8s.core.v1.ConfigMap("a", metadata={"name": "a", "namespace": "ns"})',
    "autonaming": 'k8s.core.v1.ConfigMap("a", data={}, opts=Opts(provider=provider))',
    "generateName": 'k8s.core.v1.ConfigMap("a", metadata={"generate_name": "a-"}, opts=Opts(provider=provider))',
    "Patch resources": """
        k8s.core.v1.ConfigMapPatch("a", metadata={"name": "a", "namespace": "ns"}, opts=Opts(provider=provider))
        """,
    "List resources": 'k8s.core.v1.ConfigMapList("a", items=[], opts=Opts(provider=provider))',
    "Helm releases and charts": 'k8s.helm.v3.Release("a", chart="x", opts=Opts(provider=provider))',
    "import_": 'config_map("a", import_="ns/a")',
    "replace_on_changes": 'config_map("a", replace_on_changes=["data"])',
    "delete_before_replace=False": 'config_map("a", delete_before_replace=False)',
    "transforms": 'config_map("a", transforms=[lambda args: None])',
    "hooks": """
        hook = pulumi.ResourceHook("h", lambda args: None)
        config_map("a", hooks=pulumi.ResourceHookBinding(after_create=[hook]))
        """,
    "reads no resources": 'k8s.core.v1.ConfigMap.get("a", "ns/a", opts=Opts(provider=provider))',
    "does not answer this function": """
        pulumi.runtime.invoke("other:index:thing", {}, pulumi.InvokeOptions(provider=provider))
        """,
    "does not honour the provider argument": 'k8s.Provider("p", context="c", render_yaml_to_directory="x")',
    "only server-side apply": 'k8s.Provider("p", context="c", enable_server_side_apply=False)',
    "neither a context nor a cluster_identifier": 'k8s.Provider("p")',
    "no duration": 'config_map("a", custom_timeouts=pulumi.CustomTimeouts(create="soon"))',
    "no property path": "config_map('a', ignore_changes=['data[\"x'])",
    "two resources have this URN": 'config_map("a"); config_map("a")',
    "asset or archive": 'config_map("a", {"x": pulumi.StringAsset("text")})',
}


@pytest.mark.parametrize("named", REFUSED)
def test_a_program_that_needs_the_pulumi_cli_is_refused_by_name(run, named):
    recording = run(REFUSED[named])
    assert any(named in text for text, _ in recording.errors), recording.errors
    assert {code for _, code in recording.errors} == {3}
    assert [d.identity.name for d in recording.declared] in ([], ["a"])


def test_yaml_components_are_refused(run):
    recording = run(
        """
        k8s.yaml.v2.ConfigGroup("g", yaml="apiVersion: v1", opts=Opts(provider=provider))
        """
    )
    assert any("does not support" in text for text, _ in recording.errors), recording.errors
    assert recording.declared == []


@pytest.mark.parametrize(
    ("named", "args"),
    [
        ("--target", ["up", "--target", "urn:pulumi:a::b::c::d"]),
        ("--replace", ["up", "--replace", "urn"]),
        ("--exclude", ["up", "--exclude", "urn"]),
        ("inline programs", ["up", "--client=127.0.0.1:1"]),
        ("--continue-on-error", ["up", "--continue-on-error"]),
        ("--remote", ["up", "--remote"]),
        ("--plan", ["up", "--plan", "p"]),
        ("--config-file", ["up", "--config-file", "f"]),
        ("--attach-debugger", ["up", "--attach-debugger"]),
        ("--run-program", ["up", "--run-program=true"]),
        ("--import-file", ["preview", "--import-file", "f"]),
        ("--clear-pending-creates", ["refresh", "--clear-pending-creates"]),
        ("import", ["import", "--yes"]),
        ("stack rename", ["stack", "rename", "x"]),
        ("stack import", ["stack", "import"]),
        ("stack tag", ["stack", "tag", "ls"]),
        ("config env", ["config", "env", "add", "x"]),
        ("plugin install", ["plugin", "install"]),
        ("login", ["login"]),
    ],
)
def test_a_command_line_that_is_not_understood_is_refused_by_name(named, args):
    with pytest.raises(BadInput) as caught:
        parse([*args, "--stack", "one"])
    assert named in caught.value.what
    assert caught.value.allowed


def test_other_policy_packs_are_refused():
    with pytest.raises(BadInput, match="no other policy packs"):
        parse(["up", "--stack", "one", "--policy-pack", "elsewhere"])


def test_the_supported_commands_are_understood():
    for command in COMMANDS:
        assert parse([*command, "--stack", "one"]).command == command


def test_flags_and_words_are_told_apart():
    line = parse(["config", "set", "--secret", "key", "--stack", "one", "--non-interactive", "--", "-value"])
    assert (line.command, line.arguments, line.stack) == (("config", "set"), ("key", "-value"), "one")
    assert parse(["up", "--event-log=x", "--stack", "one"]).event_log.name == "x"
    with pytest.raises(BadInput, match="no stack is named"):
        _ = parse(["up"]).stack


@pytest.mark.parametrize(
    ("named", "file", "text"),
    [
        ("awskms://", "Pulumi.one.yaml", "secretsprovider: awskms://alias/x\nencryptedkey: abc\n"),
        ("a cloud's key", "Pulumi.one.yaml", "encryptedkey: abc\n"),
        ("Pulumi ESC", "Pulumi.one.yaml", "environment: [shared]\n"),
        ("s3://bucket", "Pulumi.yaml", "backend: {url: s3://bucket}\n"),
        ("nodejs", "Pulumi.yaml", "runtime: nodejs\n"),
    ],
)
def test_configuration_that_needs_the_pulumi_cli_is_refused_by_name(stack, named, file, text):
    path = stack.project.directory / file
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith(text.split(":")[0])) + text, encoding="utf-8")
    with pytest.raises(BadInput, match=named):
        Project.load(stack.project.directory).stack("one")
