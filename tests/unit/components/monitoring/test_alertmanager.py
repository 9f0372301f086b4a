"""Alertmanager as it is declared: who is told of what, judged by amtool on the very file that is deployed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.command import run
from adapters.errors import BadInput
from components.reading import read_mapping
from local.images import platform_binary
from tests.unit.components.conftest import Declare, Plain, Recorded, committed, in_clear, secrets_of

needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="amtool is built with Go")

EVERYTHING: dict[str, Any] = {
    "replicas": 3,
    "receivers": {
        "people": {
            "email": {
                "to": "team@example.org",
                "sender": "slipway@example.org",
                "smarthost": "mail.example.org:587",
                "username": "slipway",
                "password": Plain("smtp-s3cret"),
            },
            "slack": {"url": Plain("https://hooks.example.org/T0/B0"), "channel": "#alerts"},
        },
        "on-call": {"pagerDuty": {"routingKey": Plain("0123456789abcdef")}},
        "shop": {"webhook": {"url": Plain("https://shop.example.org/hook"), "token": Plain("shop-token")}},
    },
    "default": "people",
    "routes": [
        {"receiver": "shop", "team": "shop"},
        {"receiver": "on-call", "severity": "critical", "environment": "prod"},
    ],
    "rollback": {"url": Plain("http://receiver.example.org/"), "token": Plain("rollback-token")},
    "watchdog": {"url": Plain("https://deadman.example.org/ping-secret")},
}


def monitoring(declare: Declare, alertmanager: dict[str, Any]) -> Recorded:
    return declare(committed("monitoring") | {"alertmanager": alertmanager}, stack="monitoring")


def config_of(recorded: Recorded) -> str:
    return str(recorded.one("ConfigMap", "alertmanager-config").manifest["data"]["alertmanager.yml"])


Told = Callable[..., set[str]]


@pytest.fixture
def told(tmp_path: Path) -> Callable[[Recorded], Told]:
    """Who is told of an alert with some labels, as amtool says."""
    amtool = str(platform_binary("alertmanager", program="amtool"))
    file = tmp_path / "alertmanager.yml"

    def by(recorded: Recorded) -> Told:
        file.write_text(config_of(recorded))

        def ask(**labels: str) -> set[str]:
            arguments = [f"{label}={value}" for label, value in labels.items()]
            return set(run([amtool, "config", "routes", "test", f"--config.file={file}", *arguments]).split(",")) - {""}

        return lambda **labels: {name.strip() for name in ask(**labels)}

    return by


@needs_go
@pytest.mark.parametrize("shape", [{}, {"replicas": 2}, EVERYTHING], ids=["nothing", "several", "everything"])
def test_amtool_takes_the_configuration_that_is_deployed(
    declare: Declare, tmp_path: Path, shape: dict[str, Any]
) -> None:
    file = tmp_path / "alertmanager.yml"
    file.write_text(config_of(monitoring(declare, shape)))
    assert "SUCCESS" in run([str(platform_binary("alertmanager", program="amtool")), "check-config", str(file)])


@needs_go
def test_routes_go_by_severity_environment_and_team_and_the_rest_to_the_default(
    declare: Declare, told: Callable[[Recorded], Told]
) -> None:
    who = told(monitoring(declare, EVERYTHING))
    assert who(alertname="A", severity="critical", environment="prod") == {"team-on-call"}
    assert who(alertname="A", severity="warning", environment="prod") == {"team-people"}
    assert who(alertname="A", severity="critical", environment="stage") == {"team-people"}
    assert who(alertname="A", severity="warning", environment="stage", team="shop") == {"team-shop"}


@needs_go
def test_an_alert_that_asks_for_a_rollback_goes_to_its_receiver_and_to_people(
    declare: Declare, told: Callable[[Recorded], Told]
) -> None:
    who = told(monitoring(declare, EVERYTHING))
    labels = {"alertname": "A", "severity": "critical", "environment": "prod", "action": "rollback"}
    assert who(**labels) == {"slipway-rollback", "team-on-call"}
    del labels["action"]
    assert who(**labels) == {"team-on-call"}


@needs_go
def test_the_watchdog_goes_outside_and_what_is_no_matter_to_nobody(
    declare: Declare, told: Callable[[Recorded], Told]
) -> None:
    who = told(monitoring(declare, EVERYTHING))
    assert who(alertname="Watchdog", severity="none") == {"slipway-watchdog"}
    assert who(alertname="A", severity="none") == {"nobody"}
    quiet = told(monitoring(declare, {}))
    for labels in ({"alertname": "Watchdog"}, {"alertname": "A", "severity": "critical", "action": "rollback"}):
        assert quiet(**labels) == {"nobody"}


def test_rollbacks_are_told_at_once_each_minute_and_one_a_release(declare: Declare) -> None:
    routes = yaml.safe_load(config_of(monitoring(declare, EVERYTHING)))["route"]["routes"]
    (rollback,) = [route for route in routes if route["receiver"] == "slipway-rollback"]
    assert rollback["group_by"] == ["environment", "service", "release"]
    assert (rollback["group_wait"], rollback["repeat_interval"]) == ("0s", "1m")


def test_nothing_inhibits_an_alert_that_asks_for_a_rollback(declare: Declare) -> None:
    inhibitions = yaml.safe_load(config_of(monitoring(declare, {})))["inhibit_rules"]
    assert len(inhibitions) == 3
    for rule in inhibitions:
        assert 'action=""' in rule["target_matchers"]
        for label in rule["equal"]:
            there = f'{label}=~".+"'
            assert there in rule["source_matchers"], "two alerts without a label would be of the same"
            assert there in rule["target_matchers"]


def test_every_secret_is_in_the_secret_alone_and_every_file_is_there(declare: Declare) -> None:
    recorded = monitoring(declare, EVERYTHING)
    secret = recorded.one("Secret", "alertmanager-secrets")
    files = secret.manifest["stringData"]
    assert set(files.values()) == secrets_of(EVERYTHING)
    assert secret.marks("stringData")
    config = config_of(recorded)
    assert sorted(_files_of(yaml.safe_load(config))) == sorted(f"/etc/alertmanager/secrets/{name}" for name in files)
    for resource in recorded.objects:
        assert not [text for text in secrets_of(EVERYTHING) if text in in_clear(resource)]


def _files_of(config: Any) -> list[str]:
    if isinstance(config, dict):
        own = [value for key, value in config.items() if key.endswith("_file")]
        return own + [file for value in config.values() for file in _files_of(value)]
    return [file for item in config for file in _files_of(item)] if isinstance(config, list) else []


def test_several_instances_know_each_other_and_prometheus_tells_each(declare: Declare) -> None:
    recorded = monitoring(declare, {"replicas": 3})
    container = recorded.one("StatefulSet", "alertmanager").manifest["spec"]["template"]["spec"]["containers"][0]
    peers = {argument for argument in container["args"] if argument.startswith("--cluster.peer=")}
    hosts = [f"alertmanager-{number}.alertmanager-peers.monitoring.svc" for number in range(3)]
    assert peers == {f"--cluster.peer={host}:9094" for host in hosts}
    prometheus = yaml.safe_load(recorded.one("ConfigMap", "prometheus-config").manifest["data"]["prometheus.yml"])
    (told,) = prometheus["alerting"]["alertmanagers"]
    assert told["static_configs"] == [{"targets": [f"{host}:9093" for host in hosts]}]
    assert recorded.one("Service", "alertmanager-peers").manifest["spec"]["publishNotReadyAddresses"] is True
    assert recorded.one("PodDisruptionBudget", "alertmanager")


def test_one_instance_gossips_with_nobody(declare: Declare) -> None:
    recorded = monitoring(declare, {})
    container = recorded.one("StatefulSet", "alertmanager").manifest["spec"]["template"]["spec"]["containers"][0]
    assert [a for a in container["args"] if a.startswith("--cluster")] == ["--cluster.listen-address="]


def test_another_configuration_starts_it_anew_and_the_same_does_not(declare: Declare) -> None:
    def annotations(shape: dict[str, Any]) -> Any:
        spec = monitoring(declare, shape).one("StatefulSet", "alertmanager").manifest["spec"]
        return spec["template"]["metadata"]["annotations"]

    assert annotations({}) == annotations({})
    assert annotations({}) != annotations({"groupWaitSeconds": 1})


@pytest.mark.parametrize(
    ("alertmanager", "where", "said"),
    [
        ({"default": "poeple"}, "slipway:alertmanager", "there is no receiver 'poeple' (there are: none)"),
        ({"receivers": {"people": {}}}, "slipway:alertmanager.receivers.people", "at least one of email, slack"),
        ({"routes": [{"receiver": "x", "severity": "urgent"}]}, "slipway:alertmanager.routes", "critical"),
        ({"rollback": {"url": "http://plain"}}, "slipway:alertmanager.rollback.url", "plain text"),
    ],
)
def test_mistakes_are_refused_by_name_and_secrets_in_plain_text(
    alertmanager: dict[str, Any], where: str, said: str
) -> None:
    config = committed("monitoring") | {"alertmanager": alertmanager}
    with pytest.raises(BadInput) as caught:
        read_mapping({f"slipway:{key}": value for key, value in config.items()}, stack="monitoring")
    paragraph = caught.value.paragraph()
    assert where in paragraph
    assert said in paragraph
