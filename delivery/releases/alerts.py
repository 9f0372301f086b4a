"""Alerts about a release while it soaks: which fired, and whether anybody looked all the while.

Every Prometheus that watches the environment is asked, by way of the API server like pods for their counters, so that
whoever may look into the cluster needs no other address and no setting. Each evaluates the rules by itself: what one of
them saw counts, and one that looked all the time is enough.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from adapters.apiserver import KubernetesError
from adapters.errors import SlipwayError, Unreachable
from adapters.kubernetes import JsonObject, Kubernetes
from components import labels
from components.monitoring.names import COMPONENT, NAMESPACE, PROMETHEUS
from components.settings import MonitoringSettings
from delivery.workspace import Workspace

_MISSED = 4  # evaluations that did not come; fewer may be a restart of Prometheus
_SHORTEST_GAP_S = 60
_STEP_S = 15

Sample = dict[str, Any]


class Watch:
    """What the Prometheus instances of a cluster know of releases in one of its environments.

    `releases` are what those call themselves; alerts that name another are not about them. `gap_s` is how long nothing
    may be evaluated before it counts as not having looked, seconds. Both methods raise `Unreachable` if none answers.
    """

    def __init__(self, kube: Kubernetes, environment: str, releases: Collection[str], gap_s: int) -> None:
        self._kube, self._gap_s = kube, gap_s
        self._about = f'environment="{environment}",release=~"{"|".join(sorted(releases))}|",severity!="none"'

    def looking_since(self, since: datetime, until: datetime) -> datetime:
        """From when on somebody looked without a gap, `since` at the earliest."""
        looked = f'absent_over_time(ALERTS{{alertname="Watchdog"}}[{self._gap_s}s])'
        blind = f"max_over_time(timestamp({looked})[{_seconds(since, until)}s:{_STEP_S}s])"
        found = [max((_value(sample) for sample in samples), default=0.0) for samples in self._ask(blind, until)]
        return max(since, datetime.fromtimestamp(min(found), UTC))

    def fired(self, since: datetime, until: datetime) -> list[str]:
        """The names of the alerts that fired in this time; raises `SlipwayError` if nobody looked for a part of it.

        One from before that ended meanwhile is of the release before; one that still fires is this one's, too.
        """
        looking = self.looking_since(since, until)
        if looking > since:
            raise SlipwayError(
                f"Prometheus evaluated no alerts until {looking:%H:%M:%S} UTC, so nothing was recorded",
                fix="Begin the soak anew with `slipway verify`: its time counts from then on",
            )
        window = f"[{_seconds(since, until)}s]"
        firing = f'ALERTS{{alertstate="firing",{self._about}}}'
        began = f"max_over_time(ALERTS_FOR_STATE{{{self._about}}}{window}) >= {since.timestamp():.3f}"
        asked = f"count_over_time({firing}{window}) and ignoring(alertstate) ({began}) or {firing}"
        names = {sample["metric"]["alertname"] for samples in self._ask(asked, until) for sample in samples}
        return sorted(names)

    def _ask(self, query: str, at: datetime) -> list[list[Sample]]:
        """The samples that each instance answers with (https://prometheus.io/docs/prometheus/latest/querying/api/)."""
        selector = ",".join(f"{key}={value}" for key, value in labels.selector(PROMETHEUS, COMPONENT).items())
        params = {"query": query, "time": f"{at.timestamp():.3f}"}
        answers: list[list[Sample]] = []
        for pod in self._kube.list("v1", "Pod", NAMESPACE, labels=selector):
            try:
                text = self._kube.ask_pod(NAMESPACE, pod["metadata"]["name"], _port(pod), "/api/v1/query", params)
                answers.append(json.loads(text)["data"]["result"])
            except (KubernetesError, ValueError, KeyError):  # it is just starting, or not it who answers
                continue
        if not answers:
            raise Unreachable(
                "no Prometheus says whether there were alerts",
                where=f"namespace {NAMESPACE}, context {self._kube.target.context}",
                fix="Bring the monitoring up, or take the environment out of its `slipway:environments`",
            )
        return answers


def watcher_of(workspace: Workspace, environment: str) -> MonitoringSettings | None:
    """The stack that watches an environment, None where the stack files have none that does."""
    for name, declared in workspace.stacks.items():
        if declared.kind == "monitoring":
            settings = workspace.settings(name, complete=False)
            if isinstance(settings, MonitoringSettings) and environment in settings.environments:
                return settings
    return None


def gap_of(settings: MonitoringSettings) -> int:
    """How long a Prometheus may evaluate nothing and still count as having looked, seconds."""
    return max(_SHORTEST_GAP_S, _MISSED * settings.prometheus.scrape_seconds)


def _port(pod: JsonObject) -> int:
    ports = [port for container in pod["spec"]["containers"] for port in container.get("ports", ())]
    return next(int(port["containerPort"]) for port in ports if port.get("name") == "http")


def _value(sample: Sample) -> float:
    return float(sample["value"][1])


def _seconds(since: datetime, until: datetime) -> int:
    return max(1, round((until - since).total_seconds()))
