"""The watchers: whether Prometheus, Alertmanager and what keeps logs see, decide and tell."""

from __future__ import annotations

from components.monitoring.dashboards.board import WINDOW, Board, Look, Panel, Row


def board() -> Board:
    """The dashboard of the monitoring itself."""
    return Board(
        uid="monitoring",
        title="Monitoring",
        description="Targets, rules, alerts and logs: whether what watches works.",
        rows=(
            Row("Now", _now()),
            Row("Prometheus", _prometheus()),
            Row("Alerts", _alerts()),
            Row("Logs", _logs()),
        ),
    )


def _now() -> tuple[Panel, ...]:
    return (
        Panel("Targets that answer", {"targets": "sum(up)"}, Look.NUMBER, width=6),
        Panel("Targets that do not", {"targets": "count(up == 0) or vector(0)"}, Look.NUMBER, width=6, alarm=1),
        Panel("Series", {"series": "sum(prometheus_tsdb_head_series)"}, Look.NUMBER, width=6),
        Panel(
            "Alerts firing",
            {"alerts": 'count(ALERTS{alertstate="firing", severity!="none"}) or vector(0)'},
            Look.NUMBER,
            width=6,
            alarm=1,
        ),
    )


def _prometheus() -> tuple[Panel, ...]:
    kept = "prometheus_tsdb_storage_blocks_bytes + prometheus_tsdb_wal_storage_size_bytes"
    failing = f"sum by (rule_group) (rate(prometheus_rule_evaluation_failures_total[{WINDOW}]))"
    return (
        Panel("Targets by job", {"{{job}}": "sum by (job) (up)"}),
        Panel("How long a scrape takes", {"{{job}}": "max by (job) (scrape_duration_seconds)"}, unit="s"),
        Panel(
            "Samples taken in",
            {"{{instance}}": f"sum by (instance) (rate(prometheus_tsdb_head_samples_appended_total[{WINDOW}]))"},
            unit="cps",
        ),
        Panel(
            "How long rules take",
            {"{{rule_group}}": "topk(5, max by (rule_group) (prometheus_rule_group_last_duration_seconds))"},
            unit="s",
        ),
        Panel("Rules that fail", {"{{rule_group}}": failing}, unit="ops"),
        Panel("Kept on disk", {"{{instance}}": kept}, unit="bytes"),
    )


def _alerts() -> tuple[Panel, ...]:
    integration = "{{integration}}"
    return (
        Panel("Alerts firing", {"{{severity}}": 'count by (severity) (ALERTS{alertstate="firing"})'}),
        Panel(
            "Told",
            {integration: f"sum by (integration) (rate(alertmanager_notifications_total[{WINDOW}]))"},
            unit="cps",
        ),
        Panel(
            "Not told",
            {integration: f"sum by (integration) (rate(alertmanager_notifications_failed_total[{WINDOW}]))"},
            unit="cps",
        ),
    )


def _logs() -> tuple[Panel, ...]:
    exporter = "{{exporter}}"
    return (
        Panel(
            "Lines sent by the collector",
            {exporter: f"sum by (exporter) (rate(otelcol_exporter_sent_log_records_total[{WINDOW}]))"},
            unit="cps",
        ),
        Panel(
            "Waiting in the collector",
            {exporter: "max by (exporter) (otelcol_exporter_queue_size / otelcol_exporter_queue_capacity)"},
            unit="percentunit",
        ),
        Panel(
            "Lines rejected by Loki",
            {"{{reason}}": f"sum by (reason) (rate(loki_discarded_samples_total[{WINDOW}]))"},
            unit="cps",
        ),
        Panel(
            "Requests to Loki",
            {"{{status_code}}": f"sum by (status_code) (rate(loki_request_duration_seconds_count[{WINDOW}]))"},
            unit="reqps",
        ),
        Panel("Lines taken in by VictoriaLogs", {"lines": f"sum(rate(vl_rows_ingested_total[{WINDOW}]))"}, unit="cps"),
        Panel("Kept by VictoriaLogs", {"{{type}}": "sum by (type) (vl_data_size_bytes)"}, unit="bytes"),
    )
