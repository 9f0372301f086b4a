"""What the collectors do: how lines become entries of the store, and which states of workloads are told.

A line is kept as it was written; of one that is JSON its fields are kept beside it. What looks like the inside of a
traceback belongs to the line before. Entries carry four labels, by which the store groups them: `environment`,
`service`, `release` and `level`. All else (request ids, paths, the pod) has too many values to group by.

No line is lost on the way: how far a file was read is written down once its lines are in a queue on disk, and they
leave that when the store has taken them. While the store is away the queue grows; when it is full, files wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from components import labels
from components.monitoring.log_store import Intake
from components.monitoring.names import AGENTS_NAMESPACE, COLLECTOR

LOGS_PATH = "/var/log/pods"
STATE_PATH = "/var/lib/collector"
HEALTH_PORT, OWN_METRICS_PORT, WORKLOADS_PORT = 13133, 8888, 8889
SYNCHRONOUS = "stanza.synchronousLogEmitter"
"""The feature without which lines that were read would for a moment be nowhere but in memory."""

WATCHED = {
    "": ["events", "namespaces", "nodes", "pods", "replicationcontrollers", "resourcequotas", "services"],
    "apps": ["daemonsets", "deployments", "replicasets", "statefulsets"],
    "batch": ["cronjobs", "jobs"],
    "autoscaling": ["horizontalpodautoscalers"],
}
"""What states of workloads are made of, by API group."""

_LEVELS = ["trace", "debug", "info", "warn", "warning", "error", "critical", "fatal"]
# Lines that no log begins with: indented ones, and those of Python's and Java's tracebacks that are not.
_CONTINUED = (
    r"^(\\s|$|Traceback \\(most recent call last\\)|During handling of the above|The above exception was"
    r"|Caused by: |[A-Za-z_][A-Za-z0-9_.]*(Error|Exception|Interrupt|Exit|Warning)(: |$))"
)
# Fields of a line that say what the labels say, are the line itself, or are a mark of the container's runtime.
_LEFT_OUT = ("environment", "service", "release", "level", "message", "exc_info", "logtag")
_NEVER = "0s"
_PATHS = 512  # more than a node has containers

Config = dict[str, Any]


def logs_configuration(intake: Intake, environments: Sequence[str]) -> Config:
    """Of the collector on each node: from its pods' files to the store."""
    return {
        "extensions": {
            "health_check": {"endpoint": f"0.0.0.0:{HEALTH_PORT}"},
            "file_storage": {"directory": STATE_PATH, "compaction": {"on_start": True, "directory": STATE_PATH}},
        },
        "receivers": {"file_log": _files(environments)},
        "processors": {"memory_limiter": _memory_limiter(), "k8s_attributes": _pod_labels(of_this_node=True)},
        "exporters": {"otlp_http": _sending(intake)},
        "service": {
            "extensions": ["health_check", "file_storage"],
            "telemetry": _telemetry(),
            "pipelines": {
                "logs": {
                    "receivers": ["file_log"],
                    "processors": ["memory_limiter", "k8s_attributes"],
                    "exporters": ["otlp_http"],
                }
            },
        },
    }


def workloads_configuration() -> Config:
    """Of the one collector that watches the API server; Prometheus scrapes what it found."""
    return {
        "extensions": {"health_check": {"endpoint": f"0.0.0.0:{HEALTH_PORT}"}},
        "receivers": {
            "k8s_cluster": {
                "collection_interval": "5s",
                # The conditions as one series each instead, with the condition as a label.
                "node_conditions_to_report": [],
                "metrics": {
                    "k8s.container.status.reason": {"enabled": True},
                    "k8s.node.condition": {"enabled": True},
                },
            }
        },
        "processors": {"memory_limiter": _memory_limiter(), "k8s_attributes": _pod_labels(of_this_node=False)},
        "exporters": {
            "prometheus": {
                "endpoint": f"0.0.0.0:{WORKLOADS_PORT}",
                "resource_to_telemetry_conversion": {"enabled": True},
                "add_metric_suffixes": False,
                "without_scope_info": True,
                "metric_expiration": "30s",  # of what is gone
            }
        },
        "service": {
            "extensions": ["health_check"],
            "telemetry": _telemetry(),
            "pipelines": {
                "metrics": {
                    "receivers": ["k8s_cluster"],
                    "processors": ["memory_limiter", "k8s_attributes"],
                    "exporters": ["prometheus"],
                }
            },
        },
    }


def _files(environments: Sequence[str]) -> Config:
    return {
        "include": [f"{LOGS_PATH}/*/*/*.log"],
        "exclude": [f"{LOGS_PATH}/{AGENTS_NAMESPACE}_{COLLECTOR}-*/*/*.log"],  # its own lines would make more of them
        "start_at": "beginning",
        "include_file_path": True,
        "include_file_name": False,
        "preserve_trailing_whitespaces": True,  # the runtime cuts long lines, also at a space
        "storage": "file_storage",
        "retry_on_failure": {"enabled": True, "max_elapsed_time": _NEVER},
        "operators": [
            *_runtime_format(),
            *_pod_of_path(),
            {
                "type": "recombine",
                "if": 'not (body startsWith "{")',
                "combine_field": "body",
                "is_first_entry": f'not (body matches "{_CONTINUED}")',
                "source_identifier": 'attributes["log.file.path"]',
                "force_flush_period": "1s",
                "max_log_size": "256KiB",
            },
            {"type": "remove", "field": 'attributes["log.file.path"]'},
            {
                "type": "json_parser",
                "if": 'body startsWith "{" and body endsWith "}"',
                "parse_to": "attributes",
                "on_error": "send_quiet",
            },
            {"type": "add", "field": "resource.level", "value": f"EXPR({_level()})"},
            *(
                {"type": "remove", "if": f"attributes.{field} != nil", "field": f"attributes.{field}"}
                for field in _LEFT_OUT
            ),
            *_place(environments),
        ],
    }


def _runtime_format() -> list[Config]:
    """What a container's runtime writes around each line (KEP-60), which it also cuts where it is long.

    The operator `container` reads it as well, but gathers lines for a tenth of a second in memory, synchronous or not.
    """
    return [
        {
            "type": "regex_parser",
            "regex": r"^(?P<time>\S+) (?P<stream>stdout|stderr) (?P<logtag>\S*) ?(?P<line>.*)$",
            "timestamp": {
                "parse_from": "attributes.time",
                "layout_type": "gotime",
                "layout": "2006-01-02T15:04:05.999999999Z07:00",
            },
        },
        {"type": "move", "from": "attributes.line", "to": "body"},
        {
            "type": "recombine",
            "combine_field": "body",
            "combine_with": "",
            "is_last_entry": "attributes.logtag == 'F'",
            "source_identifier": 'attributes["log.file.path"]',
        },
        {"type": "move", "from": "attributes.stream", "to": 'attributes["log.iostream"]'},
        {"type": "remove", "field": "attributes.time"},
    ]


def _pod_of_path() -> list[Config]:
    """The kubelet's names of folders and files say whose lines they hold."""
    names = {
        "namespace": "k8s.namespace.name",
        "pod": "k8s.pod.name",
        "uid": "k8s.pod.uid",
        "container": "k8s.container.name",
        "restarts": "k8s.container.restart_count",
    }
    path = r"/(?P<namespace>[^_/]+)_(?P<pod>[^_/]+)_(?P<uid>[^_/]+)/(?P<container>[^/]+)/(?P<restarts>\d+)\.log$"
    return [
        {
            "type": "regex_parser",
            "parse_from": 'attributes["log.file.path"]',
            "regex": path,
            "cache": {"size": _PATHS},
        },
        *({"type": "move", "from": f"attributes.{name}", "to": f'resource["{key}"]'} for name, key in names.items()),
    ]


def _level() -> str:
    """A known level in small letters, or `unknown`: a label has few values, whatever a program writes."""
    said = "lower(string(attributes.level ?? ''))"
    return f"{said} in {_LEVELS!r} ? {said} : 'unknown'"


def _place(environments: Sequence[str]) -> list[Config]:
    """Environment and service from the file's path: so they are known of pods that are gone, too."""
    known = f'resource["k8s.namespace.name"] in {list(environments)!r}'
    sources = {"environment": "k8s.namespace.name", "service": "k8s.container.name"}
    return [
        {"type": "copy", "if": known, "from": f'resource["{source}"]', "to": f"resource.{label}"}
        for label, source in sources.items()
    ]


def _pod_labels(*, of_this_node: bool) -> Config:
    """What the cluster says of a pod; what is known already stays."""
    wanted = {"service": labels.NAME, "release": labels.RELEASE, "track": labels.TRACK}
    return {
        "auth_type": "serviceAccount",
        **({"filter": {"node_from_env_var": "NODE_NAME"}} if of_this_node else {}),
        "pod_association": [{"sources": [{"from": "resource_attribute", "name": "k8s.pod.uid"}]}],
        "extract": {
            "metadata": ["k8s.pod.name"],
            "labels": [{"tag_name": tag, "key": key, "from": "pod"} for tag, key in wanted.items()],
        },
        "wait_for_metadata": True,
    }


def _sending(intake: Intake) -> Config:
    return {
        "logs_endpoint": intake.endpoint,
        "headers": dict(intake.headers),
        "timeout": "10s",
        "retry_on_failure": {
            "enabled": True,
            "initial_interval": "500ms",
            "max_interval": "5s",
            "max_elapsed_time": _NEVER,
        },
        "sending_queue": {
            "enabled": True,
            "storage": "file_storage",
            "sizer": "bytes",
            "queue_size": 256 << 20,
            "block_on_overflow": True,
            "num_consumers": 4,
        },
    }


def _memory_limiter() -> Config:
    return {"check_interval": "1s", "limit_percentage": 80, "spike_limit_percentage": 20}


def _telemetry() -> Config:
    exposed = {"host": "0.0.0.0", "port": OWN_METRICS_PORT, "without_scope_info": True}  # noqa: S104 - in its pod
    return {
        "logs": {"level": "warn", "encoding": "json"},
        "metrics": {"level": "normal", "readers": [{"pull": {"exporter": {"prometheus": exposed}}}]},
    }
