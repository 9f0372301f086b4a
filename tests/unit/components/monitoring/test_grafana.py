"""Grafana as it is declared: who gets in, what it shows and where it reads; and a place that must do without."""

from __future__ import annotations

import configparser
import json
from typing import Any

import pytest
import yaml

from adapters.errors import BadInput
from components.monitoring.coverage import present
from components.monitoring.dashboards import platform
from components.reading import read_mapping
from components.settings import MonitoringSettings
from tests.unit.components.conftest import Declare, Plain, Recorded, committed, environment, in_clear, monitoring

PASSWORD = "admin-s3cret"


@pytest.fixture
def recorded(declare: Declare) -> Recorded:
    return declare(monitoring(grafana={"adminPassword": Plain(PASSWORD)}), stack="monitoring")


def files(recorded: Recorded) -> dict[str, str]:
    return dict(recorded.one("ConfigMap", "grafana-config").manifest["data"])


def container(recorded: Recorded, name: str) -> dict[str, Any]:
    spec = recorded.one("StatefulSet", "grafana").manifest["spec"]["template"]["spec"]
    return next(c for c in spec["containers"] if c["name"] == name)


def test_nobody_gets_in_without_a_password_which_is_in_a_secret_alone(recorded: Recorded) -> None:
    ini = configparser.ConfigParser()
    ini.read_string(files(recorded)["grafana.ini"])
    assert not ini.getboolean("auth.anonymous", "enabled")
    assert not ini.getboolean("users", "allow_sign_up")
    secret = recorded.one("Secret", "grafana-secrets")
    assert secret.manifest["stringData"] == {"admin-password": PASSWORD}
    assert secret.marks("stringData")
    (variable,) = container(recorded, "grafana")["env"]
    assert variable == {
        "name": "GF_SECURITY_ADMIN_PASSWORD__FILE",
        "value": "/etc/grafana/secrets/admin-password",
    }
    mounts = {mount["mountPath"] for mount in container(recorded, "grafana")["volumeMounts"]}
    assert "/etc/grafana/secrets" in mounts
    for resource in recorded.objects:
        assert PASSWORD not in in_clear(resource)


def test_it_reads_where_prometheus_and_alertmanager_are(recorded: Recorded) -> None:
    sources = yaml.safe_load(files(recorded)["datasources.yaml"])["datasources"]
    assert {source["uid"]: source["url"] for source in sources} == {
        "prometheus": recorded.outputs["addresses"]["prometheus"],
        "alertmanager": recorded.outputs["addresses"]["alertmanager"],
    }
    assert not [source for source in sources if source["editable"]]
    assert [source["uid"] for source in sources if source.get("isDefault")] == ["prometheus"]


def test_every_data_source_that_a_panel_names_is_provisioned(recorded: Recorded) -> None:
    there = {source["uid"] for source in yaml.safe_load(files(recorded)["datasources.yaml"])["datasources"]}
    for text in dashboards(recorded).values():
        named = {p["datasource"]["uid"] for p in json.loads(text)["panels"] if p["type"] != "row"}
        assert named <= there


def dashboards(recorded: Recorded) -> dict[str, str]:
    """The files of the ConfigMaps that are mounted where Grafana looks for dashboards."""
    spec = recorded.one("StatefulSet", "grafana").manifest["spec"]["template"]["spec"]
    (volume,) = (volume for volume in spec["volumes"] if volume["name"] == "platform")
    names = [source["configMap"]["name"] for source in volume["projected"]["sources"]]
    return {file: text for name in names for file, text in recorded.one("ConfigMap", name).manifest["data"].items()}


def test_each_dashboard_is_a_config_map_of_its_own_in_the_folder_that_grafana_reads(recorded: Recorded) -> None:
    config = {f"slipway:{key}": value for key, value in committed("monitoring").items()}
    settings = read_mapping(config, stack="monitoring")
    assert isinstance(settings, MonitoringSettings)
    expected = platform.load(present(settings), settings.environments)
    assert dashboards(recorded) == {f"{uid}.json": text for uid, text in expected.items()}
    providers = yaml.safe_load(files(recorded)["dashboards.yaml"])["providers"]
    mounts = {mount["mountPath"] for mount in container(recorded, "grafana")["volumeMounts"]}
    assert {provider["options"]["path"] for provider in providers} <= mounts
    assert not [provider for provider in providers if provider["allowUiUpdates"]]
    ini = configparser.ConfigParser()
    ini.read_string(files(recorded)["grafana.ini"])
    assert ini["dashboards"]["default_home_dashboard_path"].rpartition("/")[2] in dashboards(recorded)


def test_dashboards_of_services_come_from_the_environments_by_their_label_with_no_more_rights(
    recorded: Recorded, declare: Declare
) -> None:
    variables = {each["name"]: each["value"] for each in container(recorded, "dashboards")["env"]}
    assert variables["NAMESPACE"] == "test,stage,prod"
    prod = declare(environment("prod"))
    brought = prod.one("ConfigMap", "hello-dashboard")
    assert brought.manifest["metadata"]["labels"][variables["LABEL"]] == variables["LABEL_VALUE"]
    (file,) = brought.manifest["data"]
    assert json.loads(brought.manifest["data"][file])["uid"] == "service-prod-hello"
    (rule,) = prod.one("Role", "grafana").manifest["rules"]
    assert (rule["resources"], rule["verbs"]) == (["configmaps"], ["get", "list", "watch"])
    (subject,) = prod.one("RoleBinding", "grafana").manifest["subjects"]
    account = recorded.one("ServiceAccount", "grafana").manifest["metadata"]
    assert (subject["name"], subject["namespace"]) == (account["name"], account["namespace"])


def test_another_configuration_starts_it_anew_and_another_dashboard_does_not(declare: Declare) -> None:
    def pod(**values: Any) -> Any:
        recorded = declare(monitoring(**values), stack="monitoring")
        return recorded.one("StatefulSet", "grafana").manifest["spec"]["template"]

    elsewhere = {"adminPassword": Plain(PASSWORD), "rootUrl": "https://grafana.example.org"}
    assert pod()["metadata"]["annotations"] != pod(grafana=elsewhere)["metadata"]["annotations"]
    assert pod(environments=["prod"])["metadata"]["annotations"] == pod()["metadata"]["annotations"]


def test_where_it_is_left_out_nothing_of_it_is_declared(declare: Declare) -> None:
    recorded = declare(committed("monitoring"), stack="monitoring")
    names = [resource.manifest["metadata"]["name"] for resource in recorded.objects]
    assert not [name for name in names if "grafana" in name]
    assert "grafana" not in recorded.outputs["addresses"]


@pytest.mark.parametrize(
    ("values", "where", "said"),
    [
        ({"leaveOut": []}, "slipway:grafana", "Grafana has no password"),
        ({"leaveOut": ["graphana"]}, "slipway:leaveOut[0]", "'grafana'"),
        ({"grafana": {"adminPassword": "plain"}}, "slipway:grafana.adminPassword", "plain text"),
        (
            {"grafana": {"adminPassword": {"secure": "v1:x"}, "anonymous": True}},
            "slipway:grafana.anonymous",
            "there is",
        ),
    ],
)
def test_mistakes_are_refused_by_name(values: dict[str, Any], where: str, said: str) -> None:
    config = committed("monitoring") | values
    with pytest.raises(BadInput) as caught:
        read_mapping({f"slipway:{key}": value for key, value in config.items()}, stack="monitoring")
    paragraph = caught.value.paragraph()
    assert where in paragraph
    assert said in paragraph
