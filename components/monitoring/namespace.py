"""The namespaces in which the monitoring runs: one without any rights over the nodes, one of what must see them."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

from components import labels, pods


class MonitoringNamespace(pulumi.ComponentResource):
    """`name` is the namespace's; `security` are its labels that say which pods start in it."""

    def __init__(
        self,
        name: str,
        security: Mapping[str, str] = pods.RESTRICTED,
        *,
        protect: bool = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("slipway:index:MonitoringNamespace", name, None, opts)
        self.name = name
        self.namespace = k8s.core.v1.Namespace(
            name,
            metadata=k8s.meta.v1.ObjectMetaArgs(name=name, labels=labels.standard(name, "namespace") | dict(security)),
            opts=pulumi.ResourceOptions(parent=self, protect=protect),
        )
        self.register_outputs({"namespace": name})
