"""The namespace in which the monitoring runs, without any rights over the nodes."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as k8s

from components import labels, pods
from components.monitoring.names import NAMESPACE


class MonitoringNamespace(pulumi.ComponentResource):
    """Protected, since what was measured and logged goes with it."""

    namespace: k8s.core.v1.Namespace

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:MonitoringNamespace", name, None, opts)
        self.namespace = k8s.core.v1.Namespace(
            NAMESPACE,
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=NAMESPACE, labels=labels.standard(NAMESPACE, "namespace") | pods.RESTRICTED
            ),
            opts=pulumi.ResourceOptions(parent=self, protect=True),
        )
        self.register_outputs({"namespace": NAMESPACE})
