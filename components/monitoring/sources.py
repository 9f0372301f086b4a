"""Where metrics come from, and which of our rules need which source.

A metric's name begins with what gives it, so that the sources of a rule can be read from its expression: nobody keeps
a list that could be wrong. What is not there in a place is not watched there, and `rules.unwatched` says so by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import promql_parser


class Source(StrEnum):
    """What gives metrics, by the name of its scrape job."""

    SERVICES = "services"
    KUBELET = "kubelet"
    APISERVER = "apiserver"
    COREDNS = "coredns"
    NODE = "node"
    REGISTRY = "registry"
    PROMETHEUS = "prometheus"
    ALERTMANAGER = "alertmanager"
    LOKI = "loki"
    VICTORIALOGS = "victorialogs"
    COLLECTOR = "collector"
    KUBE_STATE_METRICS = "kube-state-metrics"
    CERTIFICATES = "certificates"
    SLIPWAY = "slipway"


_PREFIXES = {
    "http_request": Source.SERVICES,
    "prober_": Source.KUBELET,
    "container_": Source.KUBELET,
    "kubelet_": Source.KUBELET,
    "apiserver_": Source.APISERVER,
    "aggregator_": Source.APISERVER,
    "coredns_": Source.COREDNS,
    "node_": Source.NODE,
    "registry_": Source.REGISTRY,
    "prometheus_": Source.PROMETHEUS,
    "alertmanager_": Source.ALERTMANAGER,
    "loki_": Source.LOKI,
    "vl_": Source.VICTORIALOGS,
    "otelcol_": Source.COLLECTOR,
    "k8s_": Source.COLLECTOR,
    "kube_": Source.KUBE_STATE_METRICS,
    "probe_": Source.CERTIFICATES,
    "slipway_": Source.SLIPWAY,
    "scrape_": Source.PROMETHEUS,
}
# Jobs that are one source together.
_JOBS = {"cadvisor": Source.KUBELET, "probes": Source.KUBELET, "workloads": Source.COLLECTOR}


def selectors(expression: str) -> Iterator[promql_parser.VectorSelector]:
    """Every selector of series in an expression; raises `ValueError` for one that is not PromQL."""
    found: list[promql_parser.VectorSelector] = []

    def visit(node: promql_parser.Expr) -> bool:
        # A walk does not go into the selector that a range is of.
        selector = node.vector_selector if isinstance(node, promql_parser.MatrixSelector) else node
        if isinstance(selector, promql_parser.VectorSelector):
            found.append(selector)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return iter(found)


def source_of(selector: promql_parser.VectorSelector) -> Source | None:
    """Who gives the series; None for what rules record (their names have colons) and for names nobody gives."""
    name = selector.name or ""
    if name == "up":
        jobs = [m.value for m in selector.matchers.matchers if m.name == "job" and m.op == promql_parser.MatchOp.Equal]
        # Of all jobs: Prometheus says how each of its scrapes went.
        return _JOBS.get(jobs[0]) or Source(jobs[0]) if jobs else Source.PROMETHEUS
    if ":" in name:
        return None
    return next((source for prefix, source in _PREFIXES.items() if name.startswith(prefix)), None)
