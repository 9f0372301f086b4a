"""Bad input: one clear paragraph, the documented exit code, no traceback, nothing changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from adapters.errors import BadInput, Refused, Unreachable
from adapters.kubernetes import JsonObject
from tests.done import Done
from tests.e2e.platform import Platform

DIGEST = f"sha256:{'0' * 64}"


@pytest.fixture(autouse=True)
def nothing_changes(platform: Platform) -> Iterator[None]:
    """Whatever a test does, the environment and the record stay as they are."""
    before = _state(platform)
    yield
    assert _state(platform) == before


def _state(platform: Platform) -> dict[str, Any]:
    def version(obj: JsonObject) -> tuple[str, int | str]:
        metadata = obj["metadata"]
        return metadata["uid"], metadata.get("generation") or metadata["resourceVersion"]

    kinds = [("apps/v1", "Deployment"), ("v1", "Service"), ("v1", "ConfigMap"), ("policy/v1", "PodDisruptionBudget")]
    found = {
        f"{kind} {o['metadata']['name']}": version(o)
        for api, kind in kinds
        for o in platform.kube.list(api, kind, "stage")
    }
    records = platform.kube.list("v1", "Secret", "slipway-system", labels="app.kubernetes.io/component=record")
    found |= {o["metadata"]["name"]: version(o) for o in records}
    return found


def _assert_explained(done: Done, code: int, *words: str) -> None:
    assert done.code == code, done.said
    assert "Traceback" not in done.said
    assert done.err.strip(), "errors go to standard error"
    for word in words:
        assert word in done.err, done.err


def test_an_unknown_key_is_refused_with_the_valid_ones(platform: Platform) -> None:
    with platform.edited("stage", services__hello__replcias=3):
        done = platform.slipway("up", "stage")
    _assert_explained(done, BadInput.exit_code, "replcias", "replicas", "Pulumi.stage.yaml")


RULES = """\
groups:
  - name: hello
    rules:
      - alert: NobodyIsGreeted
        expr: {expr}
        labels: {{severity: warning}}
        annotations: {{summary: Nobody is greeted, description: None, runbook_url: "https://example.org/"}}
"""


@pytest.mark.parametrize(
    ("expr", "words"), [("up ==", "not PromQL"), ('up{service="hello"} == 0', "of every environment")]
)
def test_a_rule_of_a_service_that_is_wrong_is_refused_with_its_line(platform: Platform, expr: str, words: str) -> None:
    file = platform.config_dir / "wrong.yaml"
    file.write_text(RULES.format(expr=expr), encoding="utf-8")
    try:
        with platform.edited("stage", services__hello__rules=["wrong.yaml"]):
            done = platform.slipway("preview", "stage")
    finally:
        file.unlink()
    _assert_explained(done, BadInput.exit_code, "wrong.yaml, line", words)


@pytest.mark.parametrize(
    ("stack", "changed", "key"),
    [
        ("stage", {"services__hello__objectives": {"availability": 100}}, "slipway:services.hello.objectives"),
        ("monitoring", {"alertmanager__routes": [{"receiver": "somebody"}]}, "slipway:alertmanager"),
    ],
)
def test_a_wrong_objective_or_route_is_refused_with_its_line(
    platform: Platform, stack: str, changed: dict[str, Any], key: str
) -> None:
    with platform.edited(stack, **changed):
        done = platform.slipway("preview", stack)
    _assert_explained(done, BadInput.exit_code, f"Pulumi.{stack}.yaml, line", key)


@pytest.mark.parametrize("replicas", [-1, "many"])
def test_a_wrong_number_of_replicas_is_refused(platform: Platform, replicas: object) -> None:
    with platform.edited("stage", services__hello__replicas=replicas):
        done = platform.slipway("up", "stage")
    _assert_explained(done, BadInput.exit_code, "replicas", "Pulumi.stage.yaml")


def test_a_service_without_an_image_is_refused(platform: Platform) -> None:
    with platform.edited("stage", services__other={"port": 8080}):
        done = platform.slipway("up", "stage")
    _assert_explained(done, BadInput.exit_code, "other", "slipway:images")


@pytest.mark.parametrize("image", [f"hello:v9.9.9@{DIGEST}", f"nobody:v1@{DIGEST}"])
def test_an_image_that_is_not_in_the_registry_is_refused(platform: Platform, image: str) -> None:
    with platform.edited("stage", images__hello=image):
        done = platform.slipway("up", "stage")
    _assert_explained(done, BadInput.exit_code, image.split(":", maxsplit=1)[0], "registry")


def test_a_bare_tag_is_refused_outside_of_test(platform: Platform) -> None:
    tag = platform.stack("stage").get(["images", "hello"]).partition("@")[0]
    with platform.edited("stage", images__hello=tag):
        done = platform.slipway("up", "stage")
    _assert_explained(done, BadInput.exit_code, tag, "digest")


def test_a_held_digest_is_refused_with_who_and_why(platform: Platform) -> None:
    digest = platform.stack("stage").get(["images", "hello"]).rpartition("@")[2]
    hold = {"digest": digest, "reason": "loses orders", "author": "maria"}
    with platform.edited("stage", holds=[hold]):
        done = platform.slipway("up", "stage")
    _assert_explained(done, Refused.exit_code, "loses orders", "maria")


def test_an_unknown_stack_is_refused_with_the_ones_there_are(platform: Platform) -> None:
    done = platform.slipway("up", "staging")
    _assert_explained(done, BadInput.exit_code, "staging", "stage", "prod")


def test_a_wrong_passphrase_is_refused(platform: Platform) -> None:
    done = platform.slipway("up", "stage", env={"PULUMI_CONFIG_PASSPHRASE": "not it"})
    _assert_explained(done, BadInput.exit_code, "passphrase")


def test_a_secret_in_plain_text_is_refused_and_not_repeated(platform: Platform) -> None:
    credentials = {"username": "pull", "password": "correct-horse"}
    with platform.edited("stage", registryCredentials__pull=credentials):
        done = platform.slipway("up", "stage")
    _assert_explained(done, BadInput.exit_code, "registryCredentials", "--secret")
    assert "correct-horse" not in done.said


def test_a_cluster_that_does_not_answer_is_named(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> None:
    kubeconfig = tmp_path_factory.mktemp("kube") / "config"
    text = platform.cluster.kubeconfig.read_text(encoding="utf-8")
    server = next(line.split()[-1] for line in text.splitlines() if "server:" in line)
    kubeconfig.write_text(text.replace(server, "https://127.0.0.1:1"), encoding="utf-8")
    with platform.edited("stage", cluster__kubeconfig=str(kubeconfig)):
        done = platform.slipway("up", "stage")
    _assert_explained(done, Unreachable.exit_code, "127.0.0.1:1")


def test_prod_is_not_changed_without_a_yes(platform: Platform) -> None:
    done = platform.slipway("up", "prod")
    _assert_explained(done, Refused.exit_code, "--yes", "prod")


def test_what_holds_data_is_not_taken_down_without_its_own_flag(platform: Platform) -> None:
    done = platform.slipway("down", "prod", "--yes")
    _assert_explained(done, Refused.exit_code, "Namespace prod", "--delete-data")


@pytest.mark.parametrize("flags", [[], ["--delete-data"]])
def test_the_registry_is_not_taken_from_under_the_environments(platform: Platform, flags: list[str]) -> None:
    done = platform.slipway("down", "shared", "--yes", *flags)
    _assert_explained(done, Refused.exit_code, "stage", "`slipway down shared stage test prod --delete-data`")


def test_an_unknown_command_and_an_unknown_option_are_refused(platform: Platform) -> None:
    for arguments in (["upp"], ["up", "--target", "x"]):
        done = platform.slipway(*arguments)
        assert done.code == BadInput.exit_code, done.said
        assert "Traceback" not in done.said


def test_json_is_all_there_is_on_standard_output(platform: Platform) -> None:
    done = platform.slipway("status", "--json")
    assert json.loads(done.out)["config_dir"] == str(platform.config_dir)
