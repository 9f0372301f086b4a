"""Prometheus as it is declared: what it may see, what it keeps, and that promtool takes its configuration."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.command import run
from adapters.errors import BadInput
from components.monitoring.coverage import present, unwatched
from components.reading import read_mapping
from components.settings import MonitoringSettings
from local.images import platform_binary
from tests.unit.components.conftest import Declare, Recorded, committed, environment
from tests.unit.components.test_baking import baking


def monitoring(declare: Declare, **prometheus: Any) -> Recorded:
    config = committed("monitoring")
    config["prometheus"] |= prometheus
    return declare(config, stack="monitoring")


def config_of(recorded: Recorded) -> str:
    data = recorded.one("ConfigMap", "prometheus-config").manifest["data"]
    assert set(data) == {"prometheus.yml"}
    return str(data["prometheus.yml"])


def settings(**prometheus: Any) -> Any:
    config = committed("monitoring")
    config["prometheus"] |= prometheus
    return read_mapping({f"slipway:{k}": v for k, v in config.items()}, stack="monitoring")


@pytest.mark.skipif(shutil.which("go") is None, reason="promtool is built with Go")
def test_promtool_takes_the_configuration_that_is_deployed(declare: Declare, tmp_path: Path) -> None:
    file = tmp_path / "prometheus.yml"
    promtool = str(platform_binary("prometheus", program="promtool"))
    for shape in ({}, {"verifyKubelets": False, "scrapeSeconds": 1}):
        file.write_text(config_of(monitoring(declare, **shape)))
        assert "SUCCESS" in run([promtool, "check", "config", "--syntax-only", str(file)])


def test_services_are_scraped_in_the_environments_of_the_settings_and_nowhere_else(declare: Declare) -> None:
    jobs = {job["job_name"]: job for job in yaml.safe_load(config_of(monitoring(declare)))["scrape_configs"]}
    assert [sd["namespaces"]["names"] for sd in jobs["services"]["kubernetes_sd_configs"]] == [
        ["test", "stage", "prod"]
    ]
    assert {"apiserver", "kubelet", "cadvisor", "probes", "coredns", "prometheus"} < set(jobs)


def test_what_a_release_is_judged_by_is_scraped_more_often_than_the_rest(declare: Declare) -> None:
    jobs = yaml.safe_load(config_of(monitoring(declare, scrapeSeconds=30, serviceScrapeSeconds=3)))["scrape_configs"]
    often = {job["job_name"]: job["scrape_interval"] for job in jobs if "scrape_interval" in job}
    assert {name: often.get(name) for name in ("services", "probes", "kubelet")} == {
        "services": "3s",
        "probes": "3s",
        "kubelet": None,
    }


def test_every_rule_of_labels_names_a_label_that_pods_of_services_carry(declare: Declare) -> None:
    """Relabelling by a label that no pod has would silently leave the series without it."""
    control = declare(baking(), stack="prod").one("Deployment", "hello-control").manifest["spec"]["template"]
    carried = {"".join(c if c.isalnum() else "_" for c in label) for label in control["metadata"]["labels"]}
    (services,) = [
        job for job in yaml.safe_load(config_of(monitoring(declare)))["scrape_configs"] if job["job_name"] == "services"
    ]
    prefix = "__meta_kubernetes_pod_label_"
    used = {label for rule in services["relabel_configs"] for label in rule["source_labels"] if prefix in label}
    assert len(used) == 5
    assert {label.removeprefix(prefix) for label in used} <= carried


def test_the_rules_whose_sources_are_scraped_are_mounted_and_no_others(declare: Declare) -> None:
    recorded = monitoring(declare)
    jobs = {job["job_name"] for job in yaml.safe_load(config_of(recorded))["scrape_configs"]}
    assert {source.value for source in present(settings())} <= jobs
    files = recorded.one("ConfigMap", "prometheus-rules").manifest["data"]
    assert {"services.yaml", "prometheus.yaml", "alertmanager.yaml"} <= set(files)
    alerts = {
        rule.get("alert") for text in files.values() for g in yaml.safe_load(text)["groups"] for rule in g["rules"]
    }
    assert not alerts & {alert for left_out in unwatched(settings()).values() for alert in left_out}


def test_kubelets_certificates_are_verified_unless_the_settings_say_otherwise(declare: Declare) -> None:
    def tls(recorded: Recorded) -> set[bool]:
        jobs = yaml.safe_load(config_of(recorded))["scrape_configs"]
        kubelets = [job for job in jobs if job["job_name"] in ("kubelet", "cadvisor", "probes")]
        return {"ca_file" in job["tls_config"] for job in kubelets}

    assert tls(monitoring(declare)) == {True}
    assert tls(monitoring(declare, verifyKubelets=False)) == {False}


def test_it_may_read_nodes_and_metrics_and_of_namespaces_only_the_pods_of_agents(declare: Declare) -> None:
    recorded = monitoring(declare)
    rules = recorded.one("ClusterRole", "slipway-prometheus").manifest["rules"]
    assert {resource for rule in rules for resource in rule.get("resources", [])} == {"nodes", "nodes/metrics"}
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list", "watch"}
    role = recorded.one("Role").manifest
    assert role["metadata"]["namespace"] == "monitoring-agents"
    assert [rule["resources"] for rule in role["rules"]] == [["pods"]]


def test_pages_of_alerts_are_where_the_settings_say(declare: Declare) -> None:
    recorded = declare(committed("monitoring") | {"runbooks": "https://example.org/runbooks/"}, stack="monitoring")
    files = recorded.one("ConfigMap", "prometheus-rules").manifest["data"].values()
    rules = [rule for text in files for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    pages = {rule["annotations"]["runbook_url"] for rule in rules if "alert" in rule}
    assert {page.rpartition("/")[0] for page in pages} == {"https://example.org/runbooks"}


def test_what_is_left_out_is_neither_scraped_nor_watched_and_is_named(declare: Declare) -> None:
    config = committed("monitoring") | {"leaveOut": ["node", "registry", "grafana"], "certificates": []}
    recorded = declare(config, stack="monitoring")
    jobs = {job["job_name"] for job in yaml.safe_load(config_of(recorded))["scrape_configs"]}
    assert not jobs & {"node", "registry", "certificates"}
    assert [r.manifest["metadata"]["name"] for r in recorded.of("DaemonSet")] == ["collector"]
    assert [r.manifest["metadata"]["name"] for r in recorded.of("Deployment")] == ["workloads"]
    files = recorded.one("ConfigMap", "prometheus-rules").manifest["data"]
    assert not {"node.yaml", "registry.yaml", "certificates.yaml"} & set(files)
    left = unwatched(read_mapping({f"slipway:{k}": v for k, v in config.items()}, stack="monitoring"))
    assert "NodeDiskFull" in left["node"]
    assert "RegistryErrors" in left["registry"]
    assert "CertificateExpiring" in left["certificates"]


def test_certificates_are_asked_for_through_the_prober(declare: Declare) -> None:
    recorded = monitoring(declare)
    jobs = {job["job_name"]: job for job in yaml.safe_load(config_of(recorded))["scrape_configs"]}
    address = jobs["certificates"]["relabel_configs"][-1]["replacement"]
    service = recorded.one("Service", "blackbox-exporter").manifest
    assert address == f"blackbox-exporter.monitoring:{service['spec']['ports'][0]['port']}"
    config = yaml.safe_load(recorded.one("ConfigMap", "blackbox-exporter-config").manifest["data"]["blackbox.yml"])
    assert jobs["certificates"]["params"]["module"][0] in config["modules"]
    assert jobs["certificates"]["static_configs"][0]["targets"] == committed("monitoring")["certificates"]


def test_agents_alone_see_nodes_and_change_nothing_there(declare: Declare) -> None:
    recorded = monitoring(declare)
    pod = recorded.one("DaemonSet", "node-exporter").manifest["spec"]["template"]["spec"]
    assert pod["hostNetwork"] is True
    assert not pod.get("hostPID")
    assert not pod["automountServiceAccountToken"]
    (volume,) = pod["volumes"]
    (mount,) = pod["containers"][0]["volumeMounts"]
    assert (volume["hostPath"]["path"], mount["readOnly"]) == ("/", True)
    security = {n.manifest["metadata"]["name"]: n.manifest["metadata"]["labels"] for n in recorded.of("Namespace")}
    enforced = {name: labels["pod-security.kubernetes.io/enforce"] for name, labels in security.items()}
    assert enforced == {"monitoring": "restricted", "monitoring-agents": "privileged"}


def test_an_environment_lets_it_see_pods_and_config_maps_but_no_secrets(declare: Declare) -> None:
    account = monitoring(declare).one("ServiceAccount", "prometheus").manifest["metadata"]
    recorded = declare(environment("stage"), stack="stage")
    (rule,) = recorded.one("Role", "prometheus").manifest["rules"]
    assert (rule["resources"], rule["verbs"]) == (["pods", "configmaps"], ["get", "list", "watch"])
    binding = recorded.one("RoleBinding", "prometheus").manifest
    assert binding["metadata"]["namespace"] == "stage"
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    ]


def test_data_outlives_pods_and_the_namespace_is_protected(declare: Declare) -> None:
    recorded = monitoring(declare, storage="20Gi", retentionDays=30, retentionSize="16GB")
    spec = recorded.one("StatefulSet", "prometheus").manifest["spec"]
    (claim,) = spec["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"] == {"storage": "20Gi"}
    container = spec["template"]["spec"]["containers"][0]
    (mount,) = [m for m in container["volumeMounts"] if m["name"] == claim["metadata"]["name"]]
    assert f"--storage.tsdb.path={mount['mountPath']}" in container["args"]
    assert "--storage.tsdb.retention.time=30d" in container["args"]
    assert "--storage.tsdb.retention.size=16GB" in container["args"]
    assert recorded.one("Namespace", "monitoring").request.protect is True


def test_another_configuration_restarts_no_pod(declare: Declare) -> None:
    def template(recorded: Recorded) -> Any:
        return recorded.one("StatefulSet", "prometheus").manifest["spec"]["template"]

    one, other = monitoring(declare), monitoring(declare, scrapeSeconds=5)
    assert config_of(one) != config_of(other)
    assert template(one) == template(other)
    arguments = template(one)["spec"]["containers"][0]["args"]
    assert "--enable-feature=auto-reload-config" in arguments
    assert not [a for a in arguments if "enable-lifecycle" in a], "nobody in the cluster may end it"


def test_two_instances_have_a_disruption_budget_and_one_has_none(declare: Declare) -> None:
    assert not monitoring(declare).of("PodDisruptionBudget")
    two = monitoring(declare, replicas=2)
    assert two.one("StatefulSet", "prometheus").manifest["spec"]["replicas"] == 2
    assert two.one("PodDisruptionBudget", "prometheus").manifest["spec"]["maxUnavailable"] == 1


def test_the_committed_monitoring_watches_every_committed_environment() -> None:
    found = settings()
    assert isinstance(found, MonitoringSettings)
    assert found.environments == ("test", "stage", "prod")
    assert found.stands_on() == ()


@pytest.mark.parametrize(
    ("prometheus", "where", "said"),
    [
        ({"retentionSize": "10GB", "storage": "5Gi"}, "slipway:prometheus", "storage must be above retentionSize"),
        ({"retentionSize": "8"}, "slipway:prometheus.retentionSize", "form"),
        ({"scrapeSecond": 5}, "slipway:prometheus.scrapeSecond", "did you mean 'scrapeSeconds'"),
        ({"replicas": 0}, "slipway:prometheus.replicas", "0"),
    ],
)
def test_mistakes_are_refused_by_name(prometheus: dict[str, Any], where: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        settings(**prometheus)
    paragraph = caught.value.paragraph()
    assert where in paragraph
    assert said in paragraph
