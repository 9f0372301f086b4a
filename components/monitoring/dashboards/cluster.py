"""The cluster under the environments: its nodes, the control plane, names, storage, the registry."""

from __future__ import annotations

from components.monitoring.dashboards.board import WINDOW, Board, Look, Panel, Row

_DISKS = 'fstype!~"tmpfs|overlay|squashfs|ramfs"'


def board() -> Board:
    """The dashboard of the whole cluster."""
    return Board(
        uid="cluster",
        title="Cluster",
        description="Nodes, the control plane, names, storage and the registry.",
        rows=(
            Row("Now", _now()),
            Row("Control plane and names", _control_plane()),
            Row("Who uses what", _use()),
            Row("Nodes", _nodes()),
            Row("Storage, registry, certificates", _storage()),
        ),
    )


def _now() -> tuple[Panel, ...]:
    return (
        Panel("Nodes that answer", {"nodes": 'count(up{job="kubelet"} == 1)'}, Look.NUMBER, width=6),
        Panel(
            "Nodes that are not ready",
            {"nodes": "count(node:ready:bool == 0) or vector(0)"},
            Look.NUMBER,
            width=6,
            alarm=1,
        ),
        Panel("Pods", {"pods": "sum(kubelet_running_pods)"}, Look.NUMBER, width=6),
        Panel("API server", {"instances": 'sum(up{job="apiserver"})'}, Look.NUMBER, width=6),
    )


def _control_plane() -> tuple[Panel, ...]:
    return (
        Panel(
            "Requests to the API",
            {"{{code}}": f'sum by (code) (rate(apiserver_request_total{{job="apiserver"}}[{WINDOW}]))'},
            unit="reqps",
        ),
        Panel(
            "Requests in flight",
            {"{{request_kind}}": 'sum by (request_kind) (apiserver_current_inflight_requests{job="apiserver"})'},
        ),
        Panel(
            "Answers of DNS",
            {"{{rcode}}": f'sum by (rcode) (rate(coredns_dns_responses_total{{job="coredns"}}[{WINDOW}]))'},
            unit="reqps",
        ),
    )


def _use() -> tuple[Panel, ...]:
    pods = 'pod!="", container=""'
    cpu = f"sum by (namespace) (rate(container_cpu_usage_seconds_total{{{pods}}}[{WINDOW}]))"
    return (
        Panel("CPU by namespace", {"{{namespace}}": cpu}),
        Panel(
            "Memory by namespace",
            {"{{namespace}}": f"sum by (namespace) (container_memory_working_set_bytes{{{pods}}})"},
            unit="bytes",
        ),
        Panel("Pods by node", {"{{node}}": "max by (node) (kubelet_running_pods)"}),
    )


def _nodes() -> tuple[Panel, ...]:
    name = "{{node}}"
    busy = f'1 - avg by (node) (rate(node_cpu_seconds_total{{mode="idle"}}[{WINDOW}]))'
    left = f"node_filesystem_avail_bytes{{{_DISKS}}} / node_filesystem_size_bytes{{{_DISKS}}}"
    network = {
        f"{name} {way}": f'sum by (node) (rate(node_network_{metric}_bytes_total{{device!="lo"}}[{WINDOW}]))'
        for way, metric in (("in", "receive"), ("out", "transmit"))
    }
    return (
        Panel("CPU busy", {name: busy}, unit="percentunit"),
        Panel(
            "Memory used",
            {name: "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes"},
            unit="percentunit",
        ),
        Panel("Disks, left", {f"{name} {{{{mountpoint}}}}": f"min by (node, mountpoint) ({left})"}, unit="percentunit"),
        Panel("Network", network, unit="Bps"),
        Panel("Short of", {f"{name} {{{{condition}}}}": "max by (node, condition) (node:pressure:bool)"}),
    )


def _storage() -> tuple[Panel, ...]:
    used = "1 - kubelet_volume_stats_available_bytes / kubelet_volume_stats_capacity_bytes"
    claim = "{{namespace}}/{{persistentvolumeclaim}}"
    registry = f"sum by (code) (rate(registry_http_requests_total[{WINDOW}]))"
    return (
        Panel("Volumes used", {claim: f"max by (namespace, persistentvolumeclaim) ({used})"}, unit="percentunit"),
        Panel("Requests to the registry", {"{{code}}": registry}, unit="reqps"),
        Panel(
            "Certificates, until they end",
            {"{{instance}}": "min by (instance) (probe_ssl_earliest_cert_expiry) - time()"},
            unit="s",
        ),
    )
