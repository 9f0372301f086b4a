"""The receiver that a team deploys beside Alertmanager, and what environments let it know."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.errors import BadInput
from components.reading import read_mapping
from components.settings import EnvironmentSettings
from components.stated_delivery import StatedDelivery
from delivery.serving.situation import situation_of
from policies.rules import violations
from tests.unit.components.conftest import (
    DIGEST,
    OTHER_DIGEST,
    Declare,
    Plain,
    Recorded,
    committed,
    environment,
    in_clear,
    secrets_of,
)

NOW = datetime.now(UTC)
BAKING = {
    "since": (NOW - timedelta(minutes=1)).isoformat(),
    "until": (NOW + timedelta(minutes=29)).isoformat(),
    "controls": {"hello": f"hello:v1.2.2@{OTHER_DIGEST}"},
}


def dispatching(**different: Any) -> dict[str, Any]:
    """The configuration of a monitoring stack with the receiver."""
    dispatch = {
        "image": "registry.example.com/slipway:1.0.0",
        "repository": "example/shop",
        "githubToken": Plain("github-token-of-the-team"),
    }
    rollback = {"token": Plain("the-token-of-alertmanager"), "dispatch": dispatch | different}
    pull = {"username": "node", "password": Plain("pull-password")}
    return committed("monitoring") | {
        "alertmanager": {"rollback": rollback},
        "registryCredentials": {"pull": pull},
    }


@pytest.fixture
def deployed(declare_once: Declare) -> Recorded:
    return declare_once(dispatching(), stack="monitoring")


def test_it_obeys_the_rules_and_shows_no_secret(deployed: Recorded) -> None:
    assert not [found for r in deployed.objects for found in violations({"kind": r.kind} | r.manifest)]
    for resource in deployed.resources:
        assert not [text for text in secrets_of(dispatching()) if text in in_clear(resource)]


def test_there_is_one_of_it_with_a_volume_for_what_it_has_taken(deployed: Recorded) -> None:
    spec = deployed.one("StatefulSet", "rollback-receiver").manifest["spec"]
    assert spec["replicas"] == 1
    (container,) = spec["template"]["spec"]["containers"]
    mounted = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert (mounted["data"]["mountPath"], mounted["data"]["readOnly"]) == ("/queue", False)
    assert {claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]} == {"data"}


def test_it_knows_whom_it_answers_for_and_what_it_starts(deployed: Recorded) -> None:
    pod = deployed.one("StatefulSet", "rollback-receiver").manifest["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "registry.example.com/slipway:1.0.0"
    assert {
        "--dispatch=example/shop",
        "--workflow=rollback.yml",
        "--ref=main",
        "--environment=test",
        "--environment=stage",
        "--environment=prod",
    } <= set(container["args"])


def test_its_account_may_do_nothing_here_and_pulls_the_teams_image(deployed: Recorded) -> None:
    account = deployed.one("ServiceAccount", "rollback-receiver").manifest
    assert account["imagePullSecrets"] == [{"name": "rollback-receiver-pull"}]
    bound = [subject["name"] for kind in ("RoleBinding", "ClusterRoleBinding") for r in deployed.of(kind)
             for subject in r.manifest["subjects"]]  # fmt: skip
    assert "rollback-receiver" not in bound


def test_alertmanager_tells_it_and_prometheus_asks_it(deployed: Recorded) -> None:
    told = deployed.one("ConfigMap", "alertmanager-config").manifest["data"]["alertmanager.yml"]
    assert "url: http://rollback-receiver.monitoring.svc:9095/alerts" in told
    scraped = deployed.one("ConfigMap", "prometheus-config").manifest["data"]["prometheus.yml"]
    assert "rollback-receiver.monitoring.svc:9095" in scraped


def test_without_dispatch_nothing_is_deployed(declare_once: Declare) -> None:
    recorded = declare_once(committed("monitoring"), stack="monitoring")
    assert not [r for r in recorded.objects if "rollback" in r.manifest["metadata"]["name"]]


@pytest.mark.parametrize(
    ("rollback", "said"),
    [
        ({}, "either runs elsewhere"),
        ({"url": {"secure": "v1:a:b"}, "dispatch": {}}, "image"),
        (
            {"dispatch": {"image": "a:1.0", "repository": "a/b", "githubToken": {"secure": "v1:a:b"}}},
            "there is a token",
        ),
        ({"dispatch": {"image": "a:1.0", "repository": "a/b", "githubToken": "in clear"}}, "plain text"),
        ({"dispatch": {"image": "a:1.0", "repository": "a", "githubToken": {"secure": "v1:a:b"}}}, "repository"),
    ],
    ids=["nothing", "both", "no token", "a token in clear", "no repository"],
)
def test_what_cannot_be_is_refused(rollback: dict[str, Any], said: str) -> None:
    config = committed("monitoring") | {"alertmanager": {"rollback": rollback}}
    with pytest.raises(BadInput, match=said):
        read_mapping(config, stack="monitoring")


@pytest.mark.parametrize("more", [{}, {"baking": BAKING}], ids=["nothing bakes", "it bakes"])
def test_an_environment_says_in_the_cluster_what_its_file_says(declare: Declare, more: dict[str, Any]) -> None:
    config = environment("prod") | more
    said = declare(config).one("ConfigMap", "delivery").manifest["data"]["state.json"]
    sealed = config | {"registryCredentials": {}}
    settings = read_mapping(sealed, stack="prod")
    assert isinstance(settings, EnvironmentSettings)
    assert situation_of(StatedDelivery.parse(said), NOW) == situation_of(settings, NOW)
    assert situation_of(settings, NOW).running == {"hello": DIGEST.removeprefix("sha256:")[:12]}


def test_the_receiver_may_read_that_and_nothing_else(declare_once: Declare) -> None:
    recorded = declare_once(environment("prod"))
    (rule,) = recorded.one("Role", "delivery").manifest["rules"]
    assert rule == {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["delivery"], "verbs": ["get"]}
    (subject,) = recorded.one("RoleBinding", "delivery").manifest["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": "rollback-receiver", "namespace": "monitoring"}


def test_where_alerts_do_nothing_it_learns_nothing(declare_once: Declare) -> None:
    recorded = declare_once(environment("stage"), stack="stage")
    assert not [r for r in recorded.objects if r.manifest["metadata"]["name"] == "delivery"]
