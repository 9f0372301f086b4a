"""Logs as they are declared: what the collectors may and do, and where entries go."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.command import CommandFailed, run
from adapters.errors import BadInput
from components.reading import read_mapping
from local.images import platform_binary
from policies import rules as policies
from tests.unit.components.conftest import Declare, Plain, Recorded, committed, in_clear

STORES = ["loki", "victorialogs"]
BUCKET = {
    "store": "loki",
    "s3": {
        "bucket": "slipway-logs",
        "accessKey": "AKIA0",
        "secretKey": Plain("s3-s3cret"),
        "endpoint": "http://minio:9000",
    },
}


def monitoring(declare: Declare, **logs: Any) -> Recorded:
    config = committed("monitoring")
    config["logs"] = logs
    return declare(config, stack="monitoring")


def collector(recorded: Recorded, name: str = "collector") -> dict[str, Any]:
    text = recorded.one("ConfigMap", f"{name}-config").manifest["data"]["collector.yaml"]
    config: dict[str, Any] = yaml.safe_load(text)
    return config


def loki(recorded: Recorded) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(recorded.one("ConfigMap", "loki-config").manifest["data"]["loki.yaml"])
    return config


def scraped(recorded: Recorded) -> dict[str, Any]:
    text = recorded.one("ConfigMap", "prometheus-config").manifest["data"]["prometheus.yml"]
    return {job["job_name"]: job for job in yaml.safe_load(text)["scrape_configs"]}


@pytest.mark.skipif(shutil.which("go") is None, reason="the collector is built with Go")
def test_the_collector_takes_the_configurations_that_are_deployed(declare: Declare, tmp_path: Path) -> None:
    binary, recorded = platform_binary("collector"), monitoring(declare, store="loki")
    for name in ("collector", "workloads"):
        config = collector(recorded, name)
        file = tmp_path / f"{name}.yaml"
        if name == "collector":  # which is there on a node
            config["extensions"]["file_storage"]["directory"] = str(tmp_path)
            config["extensions"]["file_storage"]["compaction"]["directory"] = str(tmp_path)
        argv = [str(binary), "validate", f"--config=file:{file}"]
        file.write_text(yaml.safe_dump(config))
        run(argv, env={"NODE_NAME": "node"})
        config["service"]["pipelines"] = {"logs/traces": {"receivers": ["nothing"], "exporters": []}}
        file.write_text(yaml.safe_dump(config))
        with pytest.raises(CommandFailed, match="nothing"):
            run(argv, env={"NODE_NAME": "node"})


@pytest.mark.skipif(shutil.which("loki") is None, reason="there is no Loki: it is never built here, and not on PATH")
def test_loki_takes_the_configurations_that_are_deployed(declare: Declare, tmp_path: Path) -> None:
    file = tmp_path / "loki.yaml"
    for shape in ({"store": "loki"}, BUCKET):
        file.write_text(yaml.safe_dump(loki(monitoring(declare, **shape))))
        run(["loki", f"-config.file={file}", "-config.expand-env=true", "-verify-config"])


@pytest.mark.parametrize("store", STORES)
def test_entries_go_to_the_store_of_the_settings_and_it_is_scraped(declare: Declare, store: str) -> None:
    recorded = monitoring(declare, store=store)
    service = recorded.one("Service", store).manifest
    address = f"{store}.monitoring:{service['spec']['ports'][0]['port']}"
    sending = collector(recorded)["exporters"]["otlp_http"]
    assert sending["logs_endpoint"].startswith(f"http://{address}/")
    assert scraped(recorded)[store]["static_configs"] == [{"targets": [address]}]
    (other,) = {*STORES} - {store}
    assert other not in scraped(recorded)
    assert not [r for r in recorded.of("StatefulSet") if r.manifest["metadata"]["name"] == other]


def test_both_stores_group_entries_by_the_same_four_labels(declare: Declare) -> None:
    headers = collector(monitoring(declare, store="victorialogs"))["exporters"]["otlp_http"]["headers"]
    limits = loki(monitoring(declare, store="loki"))["limits_config"]
    (rule,) = limits["otlp_config"]["resource_attributes"]["attributes_config"]
    assert rule["action"] == "index_label"
    assert (
        headers["VL-Stream-Fields"].split(",") == rule["attributes"] == ["environment", "service", "release", "level"]
    )


def test_nothing_is_given_up_on_the_way_and_what_waits_is_on_disk(declare: Declare) -> None:
    recorded = monitoring(declare, store="loki")
    config = collector(recorded)
    sending, reading = config["exporters"]["otlp_http"], config["receivers"]["file_log"]
    assert sending["retry_on_failure"]["max_elapsed_time"] == reading["retry_on_failure"]["max_elapsed_time"] == "0s"
    assert sending["sending_queue"]["block_on_overflow"] is True
    assert sending["sending_queue"]["storage"] == reading["storage"] == "file_storage"
    pod = recorded.one("DaemonSet", "collector").manifest["spec"]["template"]["spec"]
    mounts = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    kept = volumes[mounts[config["extensions"]["file_storage"]["directory"]]]
    assert kept["hostPath"]["path"] == policies.AGENTS_FOLDER


def test_the_collector_reads_files_as_root_and_may_nothing_else_that_root_may(declare: Declare) -> None:
    found = monitoring(declare, store="loki").one("DaemonSet", "collector").manifest
    assert policies.violations(found) == []
    (container,) = found["spec"]["template"]["spec"]["containers"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["DAC_READ_SEARCH"]}
    assert [m["name"] for m in container["volumeMounts"] if not m.get("readOnly")] == ["state"]
    del found["spec"]["template"]["metadata"]["annotations"][policies.ROOT_REASON]
    assert len(policies.violations(found)) == 2, "root, and its capability"


@pytest.mark.parametrize("name", ["slipway-collector", "slipway-workloads"])
def test_collectors_may_look_and_not_touch_and_see_no_secrets(declare: Declare, name: str) -> None:
    rules = monitoring(declare, store="loki").one("ClusterRole", name).manifest["rules"]
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list", "watch"}
    assert not {resource for rule in rules for resource in rule["resources"]} & {"secrets", "configmaps", "*"}


def test_the_pods_outside_of_the_agents_namespace_are_restricted(declare: Declare) -> None:
    recorded = monitoring(declare, store="loki")
    for kind in ("Deployment", "StatefulSet"):
        for resource in recorded.of(kind):
            assert resource.manifest["metadata"]["namespace"] == "monitoring"
            assert policies.violations(resource.manifest) == []
    enforced = {r.manifest["metadata"]["name"]: r.manifest["metadata"]["labels"] for r in recorded.of("Namespace")}
    assert enforced["monitoring"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_logs_outlive_pods_and_are_kept_for_as_long_as_is_said(declare: Declare) -> None:
    for store in STORES:
        recorded = monitoring(declare, store=store, retentionDays=3, storage="20Gi")
        spec = recorded.one("StatefulSet", store).manifest["spec"]
        (claim,) = spec["volumeClaimTemplates"]
        assert claim["spec"]["resources"]["requests"] == {"storage": "20Gi"}
        if store == "loki":
            assert loki(recorded)["limits_config"]["retention_period"] == "72h"
            assert loki(recorded)["compactor"]["retention_enabled"] is True
        else:
            assert "-retentionPeriod=3d" in spec["template"]["spec"]["containers"][0]["args"]


def test_loki_keeps_its_journal_on_the_volume_and_its_chunks_there_or_in_a_bucket(declare: Declare) -> None:
    on_disk, in_bucket = loki(monitoring(declare, store="loki")), loki(monitoring(declare, **BUCKET))
    for config, objects in ((on_disk, "filesystem"), (in_bucket, "s3")):
        (schema,) = config["schema_config"]["configs"]
        assert (schema["store"], schema["object_store"], schema["schema"]) == ("tsdb", objects, "v13")
        assert list(config["common"]["storage"]) == [objects]
        assert config["compactor"]["delete_request_store"] == objects
        assert config["ingester"]["wal"]["enabled"] is True
    assert on_disk["common"]["path_prefix"] == "/loki"
    bucket = in_bucket["common"]["storage"]["s3"]
    assert (bucket["endpoint"], bucket["insecure"], bucket["bucketnames"]) == ("minio:9000", True, "slipway-logs")


def test_the_buckets_key_is_in_a_secret_alone(declare: Declare) -> None:
    recorded = monitoring(declare, **BUCKET)
    secret = recorded.one("Secret", "loki-s3")
    assert secret.marks("stringData")
    ((variable, value),) = secret.manifest["stringData"].items()
    assert value == "s3-s3cret"
    assert loki(recorded)["common"]["storage"]["s3"]["secret_access_key"] == f"${{{variable}}}"
    (container,) = recorded.one("StatefulSet", "loki").manifest["spec"]["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "loki-s3"}}]
    assert "-config.expand-env=true" in container["args"]
    assert not [r for r in recorded.objects if "s3-s3cret" in in_clear(r)]


@pytest.mark.parametrize(
    "line",
    [
        "Traceback (most recent call last):",
        '  File "a.py", line 1, in <module>',
        "ValueError: nothing here",
        "app.errors.NotFoundError",
        "KeyboardInterrupt",
        "During handling of the above exception, another exception occurred:",
        "\tat com.example.Main.run(Main.java:3)",
        "Caused by: java.lang.IllegalStateException: gone",
        "",
    ],
)
def test_the_inside_of_a_traceback_begins_no_entry(declare_once: Declare, line: str) -> None:
    assert not begins(declare_once, line)


@pytest.mark.parametrize(
    "line", ["Listening on 8080", "ERROR: the database is gone", "2026-11-25 04:00:01 started", "[x]"]
)
def test_any_other_line_begins_one(declare_once: Declare, line: str) -> None:
    assert begins(declare_once, line)


def begins(declare: Declare, line: str) -> bool:
    operators = collector(declare(committed("monitoring"), stack="monitoring"))["receivers"]["file_log"]["operators"]
    (recombine,) = [operator for operator in operators if "is_first_entry" in operator]
    expression = re.fullmatch(r'not \(body matches "(.+)"\)', recombine["is_first_entry"])
    assert expression
    return re.search(expression[1].replace("\\\\", "\\"), line) is None


@pytest.mark.parametrize(
    ("logs", "where", "said"),
    [
        ({"store": "elastic"}, "slipway:logs.store", "'loki', 'victorialogs'|loki"),
        ({"store": "victorialogs", "s3": {"bucket": "logs"}}, "slipway:logs", "s3 is for the store loki alone"),
        (
            {"s3": {"bucket": "logs", "accessKey": "AKIA0"}},
            "slipway:logs.s3",
            "accessKey and secretKey belong together",
        ),
        ({"s3": {"bucket": "logs", "endpoint": "minio:9000"}}, "slipway:logs.s3.endpoint", "form"),
        ({"retention": 3}, "slipway:logs.retention", "did you mean 'retentionDays'"),
    ],
)
def test_mistakes_are_refused_by_name(logs: dict[str, Any], where: str, said: str) -> None:
    config = committed("monitoring") | {"logs": logs}
    with pytest.raises(BadInput) as caught:
        read_mapping({f"slipway:{key}": value for key, value in config.items()}, stack="monitoring")
    paragraph = caught.value.paragraph()
    assert where in paragraph
    assert re.search(said, paragraph)
