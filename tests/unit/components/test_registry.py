from __future__ import annotations

import json
from typing import Any

import bcrypt
import pytest

from components import htpasswd

from .conftest import Declare, Plain, Recorded, Registered, shared

INSTANCES = ("registry", "registry-read")


def config_of(recorded: Recorded, instance: str) -> dict[str, Any]:
    text = recorded.one("ConfigMap", f"{instance}-config").manifest["data"]["config.yml"]
    config: dict[str, Any] = json.loads(text)
    return config


def users_of(recorded: Recorded, instance: str) -> dict[str, bytes]:
    lines = recorded.one("Secret", f"{instance}-users").manifest["stringData"]["htpasswd"].splitlines()
    return {name: hashed.encode() for name, _, hashed in (line.partition(":") for line in lines)}


def pod_of(recorded: Recorded, instance: str) -> dict[str, Any]:
    spec: dict[str, Any] = recorded.one("Deployment", instance).manifest["spec"]["template"]["spec"]
    return spec


def test_only_those_who_push_are_known_where_writing_is_possible(declare_once: Declare) -> None:
    recorded = declare_once(shared(), stack="shared")
    users = users_of(recorded, "registry")
    assert list(users) == ["ci"]
    assert bcrypt.checkpw(b"push-password", users["ci"])
    assert not config_of(recorded, "registry")["storage"]["maintenance"]["readonly"]["enabled"]


def test_both_are_known_where_only_reading_is_possible(declare_once: Declare) -> None:
    recorded = declare_once(shared(), stack="shared")
    users = users_of(recorded, "registry-read")
    assert bcrypt.checkpw(b"push-password", users["ci"])
    assert bcrypt.checkpw(b"pull-password", users["node"])
    storage = config_of(recorded, "registry-read")["storage"]
    assert storage["maintenance"]["readonly"]["enabled"]
    assert not storage["delete"]["enabled"]
    (container,) = pod_of(recorded, "registry-read")["containers"]
    assert next(m for m in container["volumeMounts"] if m["name"] == "storage")["readOnly"] is True


def test_hashes_are_the_same_in_each_run_and_differ_between_clusters_and_users() -> None:
    salts = {htpasswd.salt(of) for of in ("one/ci", "one/node", "other/ci")}
    assert len(salts) == 3
    assert htpasswd.salt("one/ci") in salts
    assert all(bcrypt.hashpw(b"password", salt).startswith(salt[:28]) for salt in salts)


def test_both_instances_use_one_protected_volume_on_one_node(declare_once: Declare) -> None:
    recorded = declare_once(shared(), stack="shared")
    claim = recorded.one("PersistentVolumeClaim")
    assert claim.request.protect is True
    assert recorded.one("Namespace").request.protect is True
    for instance in INSTANCES:
        pod = pod_of(recorded, instance)
        volume = next(v for v in pod["volumes"] if v["name"] == "storage")
        assert volume["persistentVolumeClaim"]["claimName"] == claim.manifest["metadata"]["name"]
        (term,) = pod["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        labels = recorded.one("Deployment", instance).manifest["spec"]["template"]["metadata"]["labels"]
        assert term["labelSelector"]["matchLabels"].items() <= labels.items()


def test_nodes_reach_only_the_reading_instance(declare_once: Declare) -> None:
    recorded = declare_once(shared(), stack="shared")
    (port,) = recorded.one("Service", "registry-read").manifest["spec"]["ports"]
    assert port["nodePort"] == 30500
    assert recorded.one("Service", "registry").manifest["spec"]["type"] == "ClusterIP"


@pytest.mark.parametrize("instance", INSTANCES)
def test_a_service_selects_its_own_instance_alone(declare_once: Declare, instance: str) -> None:
    recorded = declare_once(shared(), stack="shared")
    selector = recorded.one("Service", instance).manifest["spec"]["selector"].items()
    templates = {
        deployment.manifest["metadata"]["name"]: deployment.manifest["spec"]["template"]["metadata"]["labels"]
        for deployment in recorded.of("Deployment")
    }
    assert [name for name, labels in templates.items() if selector <= labels.items()] == [instance]


@pytest.mark.parametrize("change", ["certificate", "key", "password"])
def test_a_change_of_what_the_registry_reads_at_its_start_restarts_it(
    declare: Declare, declare_once: Declare, change: str
) -> None:
    before, config = declare_once(shared(), stack="shared"), shared()
    if change == "password":
        config["registryCredentials"]["push"]["password"] = Plain("another-password")
    else:
        config["registry"]["inCluster"][change] = Plain("another")
    after = declare(config, stack="shared")

    def annotations(recorded: Recorded) -> dict[str, str]:
        template = recorded.one("Deployment", "registry").manifest["spec"]["template"]
        found: dict[str, str] = template["metadata"]["annotations"]
        return found

    assert annotations(before) != annotations(after)


def job_of(recorded: Recorded) -> Registered:
    return recorded.one("CronJob")


def test_garbage_is_collected_only_after_writing_was_turned_off_and_its_pods_are_gone(declare_once: Declare) -> None:
    pod = job_of(declare_once(shared(), stack="shared")).manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    on, off, gone = pod["initContainers"]
    assert off["args"] == ["scale", "deployment/registry", "--replicas=0"]
    assert "--for=delete" in gone["args"]
    (collect,) = pod["containers"]
    assert collect["args"][0] == "garbage-collect"
    assert "--delete-untagged" not in collect["args"]
    assert on["restartPolicy"] == "Always"


def test_writing_is_turned_on_by_the_end_of_a_sidecar_however_collecting_ends(declare_once: Declare) -> None:
    spec = job_of(declare_once(shared(), stack="shared")).manifest["spec"]["jobTemplate"]["spec"]
    sidecar = spec["template"]["spec"]["initContainers"][0]
    assert sidecar["lifecycle"]["preStop"]["exec"]["command"] == [
        "kubectl",
        "scale",
        "deployment/registry",
        "--replicas=1",
    ]
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["backoffLimit"] > 0


def test_an_update_leaves_the_writer_as_collecting_has_scaled_it(declare_once: Declare) -> None:
    recorded = declare_once(shared(), stack="shared")
    assert list(recorded.one("Deployment", "registry").request.ignoreChanges) == ["spec.replicas"]
    assert list(recorded.one("Deployment", "registry-read").request.ignoreChanges) == []


def test_the_port_of_its_metrics_is_for_the_monitoring_alone_and_the_other_for_everybody(declare_once: Declare) -> None:
    recorded = declare_once(shared(), stack="shared")
    spec = recorded.one("NetworkPolicy").manifest["spec"]
    allowed = {rule["ports"][0]["port"]: rule.get("from") for rule in spec["ingress"]}
    monitoring = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    assert allowed == {"https": None, "metrics": [monitoring]}
    for instance in ("registry", "registry-read"):
        pod = recorded.one("Deployment", instance).manifest["spec"]["template"]
        assert spec["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        assert {port["name"] for port in pod["spec"]["containers"][0]["ports"]} == set(allowed)
        (served,) = recorded.one("Service", instance).manifest["spec"]["ports"]
        assert served["targetPort"] == "https"


def test_prometheus_sees_pods_of_the_registry_and_nothing_else_there(declare_once: Declare) -> None:
    (rule,) = declare_once(shared(), stack="shared").one("Role", "prometheus").manifest["rules"]
    assert (rule["resources"], rule["verbs"]) == (["pods"], ["get", "list", "watch"])


def test_collecting_may_scale_one_deployment_and_read_pods_and_nothing_else(declare_once: Declare) -> None:
    rules = declare_once(shared(), stack="shared").one("Role", "registry-collection").manifest["rules"]
    may_write = [rule for rule in rules if set(rule["verbs"]) - {"get", "list", "watch"}]
    assert [(rule["resources"], rule["resourceNames"]) for rule in may_write] == [(["deployments/scale"], ["registry"])]
    assert not [rule for rule in rules if "secrets" in rule["resources"] or "*" in rule["resources"] + rule["verbs"]]


def test_platform_images_are_those_of_the_configuration(declare: Declare) -> None:
    named = {"registry": "slipway.local/registry:3.0.0", "kubectl": "slipway.local/kubectl:1.36.3"}
    config = shared() | {"platformImages": named}
    recorded = declare(config, stack="shared")
    images = {c["image"] for i in INSTANCES for c in pod_of(recorded, i)["containers"]}
    pod = job_of(recorded).manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    images |= {c["image"] for c in pod["initContainers"] + pod["containers"]}
    assert images == set(named.values())


def test_an_external_registry_declares_nothing_in_the_cluster_and_says_the_same_of_itself(
    declare: Declare, declare_once: Declare
) -> None:
    config = shared()
    config["registry"] = {"push": "ghcr.io/org", "pull": "ghcr.io/org"}
    recorded = declare(config, stack="shared")
    assert recorded.objects == []
    assert recorded.outputs["registry"] == {"push": "ghcr.io/org", "pull": "ghcr.io/org"}
    assert recorded.outputs.keys() == declare_once(shared(), stack="shared").outputs.keys()
