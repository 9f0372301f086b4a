"""How many requests a release has answered: what a soak is worth.

Until a Prometheus is asked, each pod is: its own counter `http_requests_total`, labelled `route`, at `/metrics`
(services/hello shows how). That is a lower bound, since what a pod counted is gone with the pod.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from adapters.apiserver import KubernetesError
from adapters.kubernetes import JsonObject, Kubernetes
from components import labels
from components.model import Service
from components.settings import EnvironmentSettings
from delivery.releases.running import RunningService

_METRICS = "/metrics"
_SAMPLE = re.compile(r"http_requests_total\{([^}]*)\} (\S+)")
_ROUTE = re.compile(r'(?:^|,)route="([^"]*)"')


class RequestCounter(Protocol):
    """Counts requests."""

    def count(self, running: Mapping[str, RunningService]) -> int:
        """The requests that these releases have answered until now, without probes and scrapes."""


class PodCounters:
    """Asks the pods of an environment, by way of its API server."""

    def __init__(self, kube: Kubernetes, settings: EnvironmentSettings) -> None:
        self._kube, self._settings = kube, settings

    def count(self, running: Mapping[str, RunningService]) -> int:
        """See `RequestCounter`."""
        return sum(
            self._of_pod(pod, self._settings.services[service])
            for service, found in running.items()
            for pod in pods_of(self._kube, self._settings.stack, service, found.release)
        )

    def _of_pod(self, pod: JsonObject, shape: Service) -> int:
        name = pod["metadata"]["name"]
        try:
            text = self._kube.ask_pod(self._settings.stack, name, shape.port, _METRICS)
        except KubernetesError:  # it has none, or is gone by now
            return 0
        return count_requests(text, shape)


def pods_of(kube: Kubernetes, namespace: str, service: str, release: str) -> list[JsonObject]:
    """The pods of a service that run a release and are not about to end."""
    selector = {**labels.selector(service, "service"), labels.RELEASE: release}
    found = kube.list("v1", "Pod", namespace, labels=",".join(f"{key}={value}" for key, value in selector.items()))
    return [
        pod for pod in found if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
    ]


def count_requests(exposition: str, shape: Service) -> int:
    """The requests of a pod's metrics text (https://prometheus.io/docs/instrumenting/exposition_formats/).

    What the cluster and the scraper ask all the time are no requests of anybody.
    """
    idle = {shape.probes.startup, shape.probes.readiness, shape.probes.liveness, _METRICS}
    total = 0.0
    for line in exposition.splitlines():
        if sample := _SAMPLE.match(line):
            route = _ROUTE.search(sample[1])
            if route is None or route[1] not in idle:
                total += float(sample[2])
    return int(total)
