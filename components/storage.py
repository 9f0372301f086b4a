"""What the pods that use the registry's volume have in common."""

from __future__ import annotations

import pulumi_kubernetes as k8s

from components import labels

PORT = 5000
CLAIM = "registry"
STORAGE_PATH = "/var/lib/registry"
CONFIG_PATH, CONFIG_FILE = "/etc/distribution/config", "config.yml"


def together(application: str) -> k8s.core.v1.AffinityArgs:
    """On the node where the other pods are: the volume can be mounted by one node only."""
    term = k8s.core.v1.PodAffinityTermArgs(
        label_selector=k8s.meta.v1.LabelSelectorArgs(match_labels={labels.NAME: application}),
        topology_key="kubernetes.io/hostname",
    )
    return k8s.core.v1.AffinityArgs(
        pod_affinity=k8s.core.v1.PodAffinityArgs(required_during_scheduling_ignored_during_execution=[term])
    )
