"""What Prometheus scrapes, and which labels each series carries.

Series of a service carry `environment`, `service` and `release` (12 hex digits of the image's digest), whatever their
source: the service itself, or the kubelet that watches its containers. The program's own labels of these names would
only repeat them, so they are dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from components import labels, registry
from components.monitoring import certificates, node_exporter
from components.monitoring.collecting import WORKLOADS_PORT
from components.monitoring.log_store import Intake
from components.monitoring.model import PrometheusModel
from components.monitoring.names import AGENTS_NAMESPACE, COLLECTOR, NAMESPACE, PROBER, WORKLOADS
from components.monitoring.sources import Source

_CREDENTIALS = "/var/run/secrets/kubernetes.io/serviceaccount"
_KUBELET_PATHS = {"kubelet": "/metrics", "cadvisor": "/metrics/cadvisor", "probes": "/metrics/probes"}
# Thousands of series that no rule or person reads here.
_UNREAD = (
    r"(apiserver_request_(body_size|sli_duration|slo_duration)_.*|apiserver_(response_sizes|watch_events_sizes)_bucket"
    r"|apiserver_request_duration_seconds_bucket|etcd_request_duration_seconds_bucket|.*_admission_.*_bucket"
    r"|apiserver_watch_(cache|list)_.*_bucket|rest_client_.*_bucket|workqueue_.*_bucket|storage_operation_.*_bucket"
    r"|kubelet_(runtime_operations|cgroup_manager|http_requests|pod_worker|pleg)_.*_bucket|kubernetes_feature_enabled"
    r"|container_(tasks_state|memory_failures_total|blkio_device_usage_total|file_descriptors|ulimits_soft))"
)

Config = dict[str, Any]


@dataclass(frozen=True)
class Targets:
    """What there is to scrape.

    `environments` are namespaces, `alertmanagers` the instances, `certificates` what has some and `receiver` what
    answers alerts, all `host:port`;
    `logs` is the store of logs; `present` are the sources that are scraped, beside those that are always there.
    """

    environments: Sequence[str]
    alertmanagers: Sequence[str]
    certificates: Sequence[str]
    receiver: str | None
    logs: Intake
    present: frozenset[Source]


def scrape_configs(targets: Targets, shape: PrometheusModel) -> list[Config]:
    """The `scrape_configs` of Prometheus' configuration. What rules judge a release by is scraped most often."""
    often = {"scrape_interval": f"{shape.service_scrape_seconds}s"}
    brought = {
        Source.NODE: _node(),
        Source.REGISTRY: _registry(),
        Source.CERTIFICATES: _certificates(targets.certificates),
        Source.SLIPWAY: {"job_name": "slipway", "static_configs": [{"targets": [targets.receiver]}]},
    }
    kubelets = _KUBELET_PATHS.items()
    return [
        _services(targets.environments) | often,
        *(
            _kubelet(job, path, targets.environments, verify=shape.verify_kubelets) | (often if job == "probes" else {})
            for job, path in kubelets
        ),
        _apiserver(),
        {"job_name": "coredns", "static_configs": [{"targets": ["kube-dns.kube-system.svc:9153"]}]},
        {"job_name": "prometheus", "static_configs": [{"targets": ["localhost:9090"]}]},
        {"job_name": "alertmanager", "static_configs": [{"targets": list(targets.alertmanagers)}]},
        {"job_name": targets.logs.job, "static_configs": [{"targets": [targets.logs.target]}]},
        _collectors(),
        _workloads(),
        *(config for source, config in brought.items() if source in targets.present),
    ]


def _services(environments: Sequence[str]) -> Config:
    """The port `http` of every pod of a service, whether it is ready or not."""
    copied = {
        "__meta_kubernetes_namespace": "environment",
        _pod_label(labels.NAME): "service",
        _pod_label(labels.RELEASE): "release",
        _pod_label(labels.TRACK): "track",
        _pod_label(labels.BESIDE): "beside",
        "__meta_kubernetes_pod_name": "pod",
    }
    return {
        "job_name": "services",
        "kubernetes_sd_configs": [{"role": "pod", "namespaces": {"names": list(environments)}}],
        "relabel_configs": [
            _keep(_pod_label(labels.COMPONENT), "service"),
            _keep("__meta_kubernetes_pod_container_port_name", "http"),
            _keep("__meta_kubernetes_pod_container_init", "false"),
            _keep("__meta_kubernetes_pod_phase", "Pending|Running"),
            *({"source_labels": [source], "target_label": target} for source, target in copied.items()),
        ],
        "metric_relabel_configs": [{"action": "labeldrop", "regex": "exported_(environment|service|release)"}],
    }


def _kubelet(job: str, path: str, environments: Sequence[str], *, verify: bool) -> Config:
    return {
        "job_name": job,
        "scheme": "https",
        "metrics_path": path,
        "kubernetes_sd_configs": [{"role": "node"}],
        **_authenticated(verify=verify),
        # Some of a kubelet's series carry the time of their cause, which is not that of the scrape.
        "honor_timestamps": job != "cadvisor",
        "relabel_configs": [{"source_labels": ["__meta_kubernetes_node_name"], "target_label": "node"}],
        "metric_relabel_configs": [_drop_unread(), *_of_a_service(environments)],
    }


def _of_a_service(environments: Sequence[str]) -> list[Config]:
    """A container of a service has the service's name."""
    known = "|".join(environments)
    return [
        {"source_labels": ["namespace"], "regex": f"({known})", "target_label": "environment"},
        {
            "source_labels": ["environment", "container"],
            "regex": ".+;(.+)",
            "target_label": "service",
            "replacement": "$1",
        },
    ]


def _apiserver() -> Config:
    return {
        "job_name": "apiserver",
        "scheme": "https",
        **_authenticated(verify=True),
        "static_configs": [{"targets": ["kubernetes.default.svc:443"]}],
        "metric_relabel_configs": [_drop_unread()],
    }


def _collectors() -> Config:
    """The log collector of each node."""
    return {
        "job_name": "collector",
        "kubernetes_sd_configs": [{"role": "pod", "namespaces": {"names": [AGENTS_NAMESPACE]}}],
        "relabel_configs": [
            _keep(_pod_label(labels.NAME), COLLECTOR),
            _keep("__meta_kubernetes_pod_container_port_name", "metrics"),
            {"source_labels": ["__meta_kubernetes_pod_node_name"], "target_label": "node"},
        ],
    }


def _workloads() -> Config:
    """States of workloads, by the names that everything else here has for them."""
    kinds = "namespace|pod|container|replicaset|statefulset|daemonset|deployment|cronjob|hpa|node"
    return {
        "job_name": "workloads",
        "scrape_interval": "5s",  # by these a release is judged
        "honor_labels": True,
        "static_configs": [{"targets": [f"{WORKLOADS}.{NAMESPACE}.svc:{WORKLOADS_PORT}"]}],
        "metric_relabel_configs": [
            {"action": "labelmap", "regex": f"k8s_({kinds})_name", "replacement": "$1"},
            {"source_labels": ["k8s_job_name"], "target_label": "job_name"},
            {"action": "labeldrop", "regex": f"k8s_({kinds}|job|resourcequota)_name|.+_uid|container_(id|image_.+)"},
        ],
    }


def _node() -> Config:
    """node-exporter, which listens at the address where the node's kubelet does."""
    return {
        "job_name": "node",
        "kubernetes_sd_configs": [{"role": "node"}],
        "relabel_configs": [
            {
                "source_labels": ["__address__"],
                "regex": "(.+):[0-9]+",
                "target_label": "__address__",
                "replacement": f"$1:{node_exporter.PORT}",
            },
            {"source_labels": ["__meta_kubernetes_node_name"], "target_label": "node"},
        ],
    }


def _registry() -> Config:
    """Its pods that are there: the one that writes is taken away while garbage is collected."""
    return {
        "job_name": "registry",
        "kubernetes_sd_configs": [{"role": "pod", "namespaces": {"names": [registry.NAMESPACE]}}],
        "relabel_configs": [
            _keep("__meta_kubernetes_pod_container_port_name", registry.METRICS_PORT_NAME),
            _keep("__meta_kubernetes_pod_phase", "Pending|Running"),
            {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
        ],
    }


def _certificates(addresses: Sequence[str]) -> Config:
    """The prober is asked about each of them; `instance` is whom it asks."""
    return {
        "job_name": "certificates",
        "metrics_path": "/probe",
        "params": {"module": [certificates.MODULE]},
        "static_configs": [{"targets": list(addresses)}],
        "relabel_configs": [
            {"source_labels": ["__address__"], "target_label": "__param_target"},
            {"source_labels": ["__param_target"], "target_label": "instance"},
            {"target_label": "__address__", "replacement": f"{PROBER}.{NAMESPACE}:{certificates.PORT}"},
        ],
    }


def _authenticated(*, verify: bool) -> Config:
    tls = {"ca_file": f"{_CREDENTIALS}/ca.crt"} if verify else {"insecure_skip_verify": True}
    return {"authorization": {"credentials_file": f"{_CREDENTIALS}/token"}, "tls_config": tls}


def _drop_unread() -> Config:
    return {"action": "drop", "source_labels": ["__name__"], "regex": _UNREAD}


def _keep(label: str, regex: str) -> Config:
    return {"action": "keep", "source_labels": [label], "regex": regex}


def _pod_label(label: str) -> str:
    """A label of a pod as Prometheus names it."""
    return "__meta_kubernetes_pod_label_" + "".join(c if c.isalnum() else "_" for c in label)
