"""The one provider of a stack: its cluster, whatever context happens to be current."""

from __future__ import annotations

import pulumi_kubernetes as k8s

from components.settings import ClusterSettings


def create_provider(settings: ClusterSettings) -> k8s.Provider:
    """Objects belong to the cluster's identifier, so that a moved kubeconfig replaces nothing.

    ConfigMaps and Secrets are changed in place; pods learn of it by the hash that their template carries.
    """
    return k8s.Provider(
        "cluster",
        kubeconfig=settings.kubeconfig,
        context=settings.cluster.context,
        cluster_identifier=settings.cluster.identifier,
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
    )
