"""Secrets: encrypted wherever they are kept, shown nowhere, marked again where they come back."""

from __future__ import annotations

import base64
import gzip
import json

from pulumi import automation as auto

SECRET = "correct-horse-battery"
PROGRAM = """
password = config.require_secret("password")
made = k8s.core.v1.Secret("s", metadata=metadata("s"), string_data={"p": password}, opts=Opts(provider=provider))
config_map("holder", {"plain": "seen", "hidden": pulumi.Output.concat("url://", password)})
pulumi.export("password", password)
pulumi.export("data", made.data)
pulumi.export("plain", "seen")
"""


def test_no_secret_is_shown_or_kept_in_clear(project, kube, namespace):
    stack = project.stack()
    stack.set_config("password", auto.ConfigValue(SECRET, secret=True))
    assert SECRET not in (project.directory / f"Pulumi.{namespace}.yaml").read_text()
    project.program(PROGRAM + f'print("the program prints", "{SECRET}")')
    events, lines = [], []
    preview = stack.preview()
    result = stack.up(on_event=events.append, on_output=lines.append)
    log = json.dumps([str(vars(e)) for e in events]) + "".join(lines)
    history = str([vars(entry) for entry in stack.history()])
    export = json.dumps(stack.export_stack().deployment)
    encoded = base64.b64encode(SECRET.encode()).decode()
    for text in (preview.stdout, result.stdout, result.stderr, log, history, export):
        assert SECRET not in text
        assert encoded not in text
    records = [s for s in kube.list("v1", "Secret", "slipway-system") if namespace in s["metadata"]["name"]]
    assert records
    for secret in records:
        for value in secret["data"].values():
            raw = base64.b64decode(value)
            assert SECRET.encode() not in raw
            assert not raw.startswith(gzip.compress(b"")[:2])
    assert result.outputs["password"].secret
    assert result.outputs["data"].secret  # came from a secret, though the server does not know
    assert result.outputs["password"].value == SECRET
    assert not result.outputs["plain"].secret
    assert kube.get("v1", "Secret", "s", namespace)["data"] == {"p": encoded}
    # A change of it shows no value either.
    project.program(PROGRAM)
    stack.set_config("password", auto.ConfigValue("another-staple-entirely", secret=True))
    shown = stack.preview().stdout
    assert "data" in shown
    assert SECRET not in shown
    assert "another-staple" not in shown


def test_a_wrong_passphrase_is_told_and_nothing_is_changed(project, config_map):
    stack = project.stack()
    stack.workspace.env_vars["PULUMI_CONFIG_PASSPHRASE"] = "wrong"
    error = project.fails('config_map("a")')
    assert error.code == 3
    assert "wrong passphrase" in error.stderr
    assert config_map("a") is None


def test_outputs_of_another_stack_come_with_their_secrets_marked(project, config_map, namespace):
    project.program(
        """
        if config.get("role") == "reader":
            other = pulumi.StackReference("other", stack_name=config.require("other"))
            config_map("copy", {"name": other.require_output("name")})
            pulumi.export("token", other.require_output("token"))
        else:
            pulumi.export("name", "of the first")
            pulumi.export("token", pulumi.Output.secret("token-of-the-first"))
        """
    )
    project.configure(f"{namespace}-b", role="reader", other=f"organization/engine-tests/{namespace}-a")
    reader = project.stack(f"{namespace}-b")
    project.configure(f"{namespace}-b", role="reader", other=f"organization/engine-tests/{namespace}-a")
    project.stack(f"{namespace}-a").up()
    result = reader.up()
    assert config_map("copy") == {"name": "of the first"}
    assert result.outputs["token"].secret
    assert result.outputs["token"].value == "token-of-the-first"
    assert "token-of-the-first" not in result.stdout


def test_a_reference_to_a_stack_without_an_update_is_explained(project, namespace):
    project.stack(f"{namespace}-a")
    error = project.fails(f'pulumi.StackReference("x", stack_name="o/engine-tests/{namespace}-a").require_output("y")')
    assert error.code == 3
    assert "has never been updated" in error.stderr
