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


def volume(name: str, *, claim: str | None = None, config_map: str | None = None) -> k8s.core.v1.VolumeArgs:
    """A volume from a claim or a ConfigMap."""
    return k8s.core.v1.VolumeArgs(
        name=name,
        persistent_volume_claim=k8s.core.v1.PersistentVolumeClaimVolumeSourceArgs(claim_name=claim) if claim else None,
        config_map=k8s.core.v1.ConfigMapVolumeSourceArgs(name=config_map) if config_map else None,
    )


def volume_mount(
    name: str, path: str, *, read_only: bool = True, sub_path: str | None = None
) -> k8s.core.v1.VolumeMountArgs:
    """Where a container sees a volume, or the folder `sub_path` of it; not writable unless it has to be."""
    return k8s.core.v1.VolumeMountArgs(name=name, mount_path=path, sub_path=sub_path, read_only=read_only)
