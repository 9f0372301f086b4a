from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.errors import BadInput, Refused
from adapters.paths import REPOSITORY
from adapters.stackfile import StackFile
from components.reading import read_file, read_mapping
from components.settings import EnvironmentSettings, SharedSettings

from .conftest import DIGEST, Declare, Plain, environment, shared

COMMITTED = ("shared", "test", "stage", "prod")


def sealed(config: Any) -> Any:
    """A configuration as it is in a stack file: secrets encrypted."""
    if isinstance(config, Plain):
        return {"secure": "v1:bm9uY2U=:Y2lwaGVy"}
    return {key: sealed(value) for key, value in config.items()} if isinstance(config, dict) else config


def read(config: dict[str, Any], stack: str = "prod", **options: Any) -> SharedSettings | EnvironmentSettings:
    return read_mapping({f"slipway:{k}": v for k, v in sealed(config).items()}, stack=stack, **options)


def change(path: str, value: object, config: dict[str, Any] | None = None) -> dict[str, Any]:
    """The configuration of prod with one value put in."""
    config = config or environment()
    *parents, last = path.split("/")
    place = config
    for step in parents:
        place = place.setdefault(step, {})
    place[last] = value
    return config


@pytest.mark.parametrize("stack", COMMITTED)
def test_the_committed_files_are_read_without_what_the_local_platform_adds(stack: str) -> None:
    file = StackFile.load(REPOSITORY / f"Pulumi.{stack}.yaml")
    settings = read_file(file, complete=False)
    assert settings.stack == stack
    assert settings.cluster.identifier == "slipway-local"
    with pytest.raises(BadInput):
        read_file(file)


def test_only_test_may_name_tags_and_only_prod_is_protected() -> None:
    rules = {}
    for stack in COMMITTED[1:]:
        settings = read_file(StackFile.load(REPOSITORY / f"Pulumi.{stack}.yaml"), complete=False)
        assert isinstance(settings, EnvironmentSettings)
        rules[stack] = (settings.environment.may_name_tags, settings.environment.protect)
    assert rules == {"test": (True, False), "stage": (False, False), "prod": (False, True)}


def test_environments_stand_on_the_shared_stack() -> None:
    assert read(environment()).stands_on() == ("shared",)
    assert read(shared()).stands_on() == ()


@pytest.mark.parametrize(
    ("config", "where", "said"),
    [
        (change("services/hello/replcias", 3), "slipway:services.hello.replcias", "did you mean 'replicas'"),
        (change("services/hello/replcias", 3), "slipway:services.hello.replcias", "Allowed: autoscaling, config, "),
        (change("imags", {}), "slipway:imags", "did you mean 'images'"),
        (change("aws:region", "x"), "aws:region", "there is no such configuration key"),
        (change("services/hello/probes", {"redyness": "/"}), "probes.redyness", "did you mean 'readiness'"),
        (change("services/hello/autoscaling", {"max": 3}), "autoscaling.max", "Allowed: cpuPercent, maxReplicas"),
        (change("services/hello/replicas", -1), "slipway:services.hello.replicas", "-1"),
        (change("services/hello/replicas", "two"), "slipway:services.hello.replicas", "is not a whole number"),
        (change("services/hello/replicas", True), "slipway:services.hello.replicas", "true is not a whole number"),
        (change("services/hello/port", 70000), "slipway:services.hello.port", "less than or equal to 65535"),
        (change("services/hello/resources/cpu", "lots"), "resources.cpu", "does not have the form"),
        (change("services/hello", None), "slipway:services.hello", "nothing is not a mapping"),
        (change("services/hello/env", {"DEBUG": 1}), "env.DEBUG", "1 is not text"),
        (change("services/hello/env", {"PORT": "1"}), "slipway:services.hello", "PORT is set by the platform"),
        (change("services/hello/autoscaling", {"maxReplicas": 1}), "slipway:services.hello", "from 1 to"),
        (change("services/Hello", {}), "slipway:services.Hello", "does not have the form"),
        (change("environment/protect", "yes"), "slipway:environment.protect", "'yes' is not true or false"),
        (change("cluster", {"context": "a"}), "slipway:cluster.identifier", "the key is missing"),
        (change("kind", "prod"), "slipway:kind", "Allowed: shared, environment"),
        (change("kind", ""), "slipway:kind", "does not say what it declares"),
        (change("registry/inCluster", {}), "slipway:registry", "belongs into the shared stack"),
        (change("images", {}), "slipway:images", "the service hello has no image"),
        (change("images/hello", "hello:v1"), "slipway:images.hello", "named by a tag alone"),
        (change("images/hello", f"hello:latest@sha256:{'0' * 64}"), "slipway:images.hello", "`latest`"),
        (change("images/hello", "hello"), "slipway:images.hello", "neither a tag nor a digest"),
        (change("images/hello", f"ghcr.io/org/hello@{DIGEST}"), "slipway:images.hello", "names a registry (ghcr.io)"),
        (change("images/helo", f"hello@{DIGEST}"), "slipway:images.helo", "did you mean 'hello'"),
        (change("holds", [{"digest": "x", "reason": "r", "author": "a"}]), "slipway:holds[0].digest", "form"),
        (change("registryCredentials/pull/password", "clear"), "pull.password", "stands here in plain text"),
        (change("services/hello/secrets", {"TOKEN": "clear"}), "hello.secrets.TOKEN", "stands here in plain text"),
        (change("platformImages", {}, shared()) | {"registryCredentials": {}}, "registry", "registryCredentials.push"),
    ],
)
def test_bad_input_is_one_paragraph_that_names_the_key_and_what_is_wrong(
    config: dict[str, Any], where: str, said: str
) -> None:
    with pytest.raises(BadInput) as raised:
        read(config)
    text = str(raised.value)
    assert where in text
    assert said in text
    assert "\n" not in text
    assert "clear" not in text.replace("--secret", "")


def test_several_mistakes_are_all_named() -> None:
    config = change("services/hello/replicas", -1, change("services/hello/port", 0))
    with pytest.raises(BadInput, match=r"hello\.port.*Also wrong: slipway:services\.hello\.replicas"):
        read(config)


def test_an_error_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.prod.yaml"
    text = (REPOSITORY / "Pulumi.prod.yaml").read_text()
    path.write_text(text.replace("replicas:", "replcias:"))
    line = 1 + [entry.strip().split(":")[0] for entry in text.splitlines()].index("replicas")
    with pytest.raises(BadInput, match=rf"^Pulumi\.prod\.yaml, line {line}, slipway:services\.hello\.replcias: "):
        read_file(StackFile.load(path), complete=False)


def test_a_held_digest_is_refused_with_reason_and_author() -> None:
    config = change("holds", [{"digest": DIGEST, "reason": "loses orders", "author": "ann"}])
    with pytest.raises(Refused, match=r"slipway:images\.hello: .* on hold in prod: loses orders \(ann\)"):
        read(config)
    with pytest.raises(Refused):
        read(config | {"kind": "environment"}, complete=True)


def test_the_program_itself_refuses_a_held_digest(declare: Declare) -> None:
    with pytest.raises(Refused, match="loses orders"):
        declare(change("holds", [{"digest": DIGEST, "reason": "loses orders", "author": "ann"}]))


def test_a_hold_on_another_digest_stops_nothing() -> None:
    other = [{"digest": "sha256:" + "0" * 64, "reason": "r", "author": "a"}]
    assert isinstance(read(change("holds", other)), EnvironmentSettings)


def test_a_secret_from_a_stack_file_is_sealed_and_never_shown() -> None:
    settings = read(environment())
    assert settings.registry_credentials.pull is not None
    password = settings.registry_credentials.pull.password
    assert password.is_sealed
    with pytest.raises(RuntimeError, match="sealed"):
        password.output()
    assert "v1:" not in repr(settings)


def test_the_program_refuses_a_secret_that_its_engine_does_not_know_as_one(declare: Declare) -> None:
    config = change("registryCredentials/pull/password", "clear-text")
    with pytest.raises(
        BadInput, match=r"pull\.password: the value is a secret and stands here in plain text"
    ) as raised:
        declare(config)
    assert "clear-text" not in str(raised.value)


def test_the_program_refuses_a_plain_secret_beside_an_encrypted_one(declare: Declare, tmp_path: Path) -> None:
    (tmp_path / "Pulumi.prod.yaml").write_text(
        "config:\n"
        "  slipway:services:\n"
        "    hello:\n"
        "      secrets:\n"
        "        ONE: {secure: 'v1:a:b'}\n"
        "        TWO: clear-text\n"
    )
    config = change("services/hello/secrets", {"ONE": Plain("sealed"), "TWO": "clear-text"})
    with pytest.raises(BadInput, match=r"^Pulumi\.prod\.yaml, line 6, slipway:services\.hello\.secrets\.TWO: "):
        declare(config)


def test_the_empty_defaults_of_the_project_file_count_as_absent(declare: Declare) -> None:
    empty = {"platformImages": {}, "holds": [], "environment": {}, "shared": "", "services": {}, "images": {}}
    assert read(shared() | empty).kind == "shared"
    assert declare(shared() | empty, stack="shared").of("Deployment")


def test_keys_of_pulumi_itself_may_stand_beside_ours() -> None:
    config = {f"slipway:{k}": v for k, v in sealed(environment()).items()} | {"pulumi:tags": {"team": "a"}}
    assert read_mapping(config, stack="prod").kind == "environment"


def test_a_kubeconfig_and_an_authority_are_beside_the_stack_file(tmp_path: Path) -> None:
    settings = read(change("cluster/kubeconfig", "kube/config"), directory=tmp_path)
    assert settings.kubeconfig == str(tmp_path / "kube/config")
    with pytest.raises(BadInput, match=r"registry-ca\.pem"):
        settings.registry_ca()
    (tmp_path / "registry-ca.pem").write_text("PEM")
    assert settings.registry_ca() == "PEM"
