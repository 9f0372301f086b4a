"""The Job of a pre-deploy command: it starts as the service's pods do."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi._types import input_type_to_dict

from components import pods
from components.reading import read_mapping
from components.settings import EnvironmentSettings
from delivery.releases import pre_deploy

OLD, NEW = (f"hello:v{n}@sha256:{str(n) * 64}" for n in (1, 2))


def settings(**shape: Any) -> EnvironmentSettings:
    config = {
        "slipway:kind": "environment",
        "slipway:cluster": {"context": "ours", "identifier": "ours"},
        "slipway:registry": {"push": "push.example.com", "pull": "pull.example.com/org"},
        "slipway:services": {"hello": {"preDeploy": {"command": ["migrate"], "deadlineSeconds": 9}, **shape}},
    }
    found = read_mapping(config, stack="prod", complete=False)
    assert isinstance(found, EnvironmentSettings)
    return found


def pod(**shape: Any) -> dict[str, Any]:
    template: dict[str, Any] = pre_deploy.manifest(settings(**shape), "hello", NEW, "x")["spec"]["template"]["spec"]
    return template


def _plain(value: Any) -> Any:
    """What a typed input is in a manifest."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if type(value).__name__.endswith("Args"):
        return _plain(input_type_to_dict(value))
    return value


def test_it_may_as_little_as_the_services_pods() -> None:
    assert pod()["securityContext"] == _plain(pods.pod_security())
    assert pod()["containers"][0]["securityContext"] == _plain(pods.container_security())
    assert pod()["serviceAccountName"] == "hello"
    assert pod()["automountServiceAccountToken"] is False


def test_it_has_what_the_service_has() -> None:
    sealed = {"secure": "v1:AAAAAAAAAAAAAAAA:AAAA"}
    found = pod(env={"DB": "orders"}, secrets={"PASSWORD": sealed}, config={"a.ini": "x"}, configPath="/etc/a")
    (container,) = found["containers"]
    variables = {each["name"]: each for each in container["env"]}
    assert variables["DB"]["value"] == "orders"
    assert variables["PASSWORD"]["valueFrom"]["secretKeyRef"] == {"name": "hello-secrets", "key": "PASSWORD"}
    assert variables["SLIPWAY_RELEASE"]["value"] == "2" * 12
    assert variables["SLIPWAY_VERSION"]["value"] == "v2"
    assert {"name": "config", "mountPath": "/etc/a", "readOnly": True} in container["volumeMounts"]
    assert {"name": "config", "configMap": {"name": "hello-config"}} in found["volumes"]
    assert container["image"] == f"pull.example.com/org/hello@sha256:{'2' * 64}"


def test_its_own_variables_come_last() -> None:
    shape = {"command": ["migrate"], "env": {"DB": "owner", "PASSWORD": "plain"}}
    sealed = {"secure": "v1:AAAAAAAAAAAAAAAA:AAAA"}
    (container,) = pod(env={"DB": "orders"}, secrets={"PASSWORD": sealed}, preDeploy=shape)["containers"]
    assert {each["name"]: each.get("value") for each in container["env"]} | {"DB": "owner", "PASSWORD": "plain"} == {
        each["name"]: each.get("value") for each in container["env"]
    }


def test_it_runs_once_and_no_longer_than_its_deadline() -> None:
    spec = pre_deploy.manifest(settings(), "hello", NEW, "x")["spec"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"]) == (0, 9)
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_no_service_takes_its_pod_for_its_own() -> None:
    labels = pre_deploy.manifest(settings(), "hello", NEW, "x")["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/component"] != "service"


@pytest.mark.parametrize(
    ("before", "after", "runs"),
    [
        ({"hello": OLD}, {"hello": NEW}, ["hello"]),
        ({}, {"hello": NEW}, ["hello"]),
        ({"hello": OLD}, {"hello": OLD.replace("v1", "v9")}, []),
        ({"hello": OLD}, {}, []),
    ],
)
def test_it_runs_for_another_image_only(before: dict[str, str], after: dict[str, str], runs: list[str]) -> None:
    assert pre_deploy.needed(settings(), before, after) == runs


def test_which_cannot_be_undone_is_known() -> None:
    assert pre_deploy.irreversible(settings(), ["hello"]) == []
    once = settings(preDeploy={"command": ["migrate"], "reversible": False})
    assert pre_deploy.irreversible(once, ["hello"]) == ["hello"]
