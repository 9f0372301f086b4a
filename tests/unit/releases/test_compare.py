"""Where two environments differ, and where they may."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.paths import REPOSITORY
from adapters.stackfile import StackFile
from components.reading import read_file, read_mapping
from components.settings import EnvironmentSettings
from delivery.releases.compare import Difference, differences, forbidden


def settings(hello: dict[str, Any] | None = None, **values: Any) -> EnvironmentSettings:
    config: dict[str, Any] = {
        "kind": "environment",
        "cluster": {"context": "c", "identifier": "c"},
        "registry": {"push": "r:1", "pull": "r"},
        "services": {"hello": hello or {}},
    }
    named = {f"slipway:{key}": value for key, value in (config | values).items()}
    found = read_mapping(named, stack="prod", complete=False)
    assert isinstance(found, EnvironmentSettings)
    return found


def compare(a: EnvironmentSettings, b: EnvironmentSettings, *may_differ: str) -> list[Difference]:
    return differences(a, b, may_differ)


def test_equal_environments_do_not_differ() -> None:
    assert compare(settings({"replicas": 2}), settings({"replicas": 2})) == []


def test_a_default_that_is_written_out_is_no_difference() -> None:
    assert compare(settings({"port": 8080, "probes": {"startup": "/healthz"}}), settings()) == []


@pytest.mark.parametrize(
    ("a", "b", "path", "values"),
    [
        ({"replicas": 1}, {"replicas": 3}, "replicas", (1, 3)),
        ({"resources": {"cpu": "20m"}}, {"resources": {"cpu": "30m"}}, "resources.cpu", ("20m", "30m")),
        ({"env": {"LEVEL": "debug"}}, {}, "env.LEVEL", ("debug", None)),
        ({}, {"env": {"LEVEL": "debug"}}, "env.LEVEL", (None, "debug")),
        ({"secrets": {"TOKEN": {"secure": "v1:a:b"}}}, {}, "secrets.TOKEN", ("encrypted", None)),
        ({"preDeploy": {"command": ["a"]}}, {"preDeploy": {"command": ["b"]}}, "preDeploy.command", (["a"], ["b"])),
    ],
)
def test_a_difference_names_its_place_and_both_values(
    a: dict[str, Any], b: dict[str, Any], path: str, values: tuple[Any, Any]
) -> None:
    (found,) = compare(settings(a), settings(b))
    assert (found.path, (found.a, found.b)) == (f"services.hello.{path}", values)
    assert not found.allowed


def test_a_part_that_one_of_them_has_not_is_one_difference() -> None:
    (found,) = compare(settings({"ingress": {"host": "a.example"}}), settings())
    assert found.path == "services.hello.ingress"
    assert found.a["host"] == "a.example"
    assert found.b is None


def test_a_service_that_one_of_them_has_not_is_one_difference() -> None:
    (found,) = compare(settings(services={"hello": {}, "more": {}}), settings(), "replicas")
    assert (found.path, found.b, found.allowed) == ("services.more", None, False)


def test_two_secrets_are_the_same_whatever_they_hold() -> None:
    one, other = ({"secrets": {"TOKEN": {"secure": f"v1:{text}:{text}"}}} for text in "ab")
    assert compare(settings(one), settings(other)) == []


@pytest.mark.parametrize(
    ("may_differ", "allowed"),
    [
        (["resources"], True),
        (["resources.cpu"], True),
        (["resources.memory"], False),
        (["res"], False),
        (["environment"], False),
        ([], False),
    ],
)
def test_a_path_allows_what_is_at_it_and_below_it(may_differ: list[str], allowed: bool) -> None:
    a, b = settings({"resources": {"cpu": "20m"}}), settings({"resources": {"cpu": "30m"}})
    (found,) = compare(a, b, *may_differ)
    assert found.allowed is allowed


def test_rules_of_the_environment_are_compared_too() -> None:
    a, b = settings(environment={"protect": True}), settings(environment={"mayNameTags": True})
    found = {difference.path: difference.allowed for difference in compare(a, b, "environment.protect")}
    assert found == {"environment.protect": True, "environment.mayNameTags": False}


def test_where_it_runs_what_it_runs_and_who_may_change_that_is_each_ones_own() -> None:
    digest = "sha256:" + "1a" * 32
    other = settings(
        cluster={"context": "x", "identifier": "y", "kubeconfig": "/z"},
        registry={"push": "q:2", "pull": "q"},
        images={"hello": f"hello@{digest}"},
        holds=[{"digest": digest, "reason": "r", "author": "a"}],
        gates=["built"],
        freeze={"until": "2027-01-01T00:00:00Z", "reason": "r", "author": "a"},
        scan={"failOn": "low"},
        shared="another",
    )
    assert compare(settings(), other) == []


def test_what_the_second_one_lets_differ_closes_no_gate() -> None:
    a, b = settings({"replicas": 1, "port": 1}), settings({"replicas": 2, "port": 2}, mayDiffer=["replicas"])
    assert forbidden(a, b) == ["services.hello.port"]
    assert forbidden(b, a) == ["services.hello.port"]  # by default replicas may differ


def test_the_committed_stage_is_close_to_the_committed_prod() -> None:
    stage, prod = (
        read_file(StackFile.load(REPOSITORY / f"Pulumi.{name}.yaml"), complete=False) for name in ("stage", "prod")
    )
    assert isinstance(stage, EnvironmentSettings)
    assert isinstance(prod, EnvironmentSettings)
    assert forbidden(stage, prod) == []
    assert differences(stage, prod, ())
