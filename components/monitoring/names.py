"""Names by which the parts of the monitoring, and the environments they watch, know each other."""

from __future__ import annotations

NAMESPACE = "monitoring"
AGENTS_NAMESPACE = "monitoring-agents"
"""Of what runs on every node and reads the node's own files."""
PROMETHEUS = "prometheus"
"""Its service account, which environments let see their pods and rules, and its Service."""

ALERTMANAGER = "alertmanager"
PROBER = "blackbox-exporter"
LOKI, VICTORIALOGS = "loki", "victorialogs"
COLLECTOR = "collector"
WORKLOADS = "workloads"
"""The collector that reads states of workloads from the API server, rather than logs from a node."""
GRAFANA = "grafana"
"""Its Service, and its service account, which environments let see their dashboards."""

RECEIVER = "rollback-receiver"
"""Answers alerts that ask for a rollback; also its service account, which environments let read how they deliver."""
RECEIVER_PORT = 9095

COMPONENT = "monitoring"
"""The `app.kubernetes.io/component` of what people reach: the local platform prints a link for each."""

RULES_LABEL = "slipway.dev/rules"
"""On ConfigMaps of an environment whose files are rules of Prometheus, with the value `true`."""

NOT_USERS = 'route!~"/healthz|/readyz|/metrics"'
"""The matcher of requests that people, or programs for them, made: probes and scrapes count nowhere."""

DASHBOARDS_LABEL = "slipway.dev/dashboards"
"""On ConfigMaps whose files are dashboards of Grafana, with the value `true`."""
