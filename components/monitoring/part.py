"""What every program of the monitoring has: a name by which its objects are called and found, and a namespace."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

from components import labels
from components.monitoring.names import COMPONENT, NAMESPACE
from components.monitoring.namespace import MonitoringNamespace


class Part(pulumi.ComponentResource):
    """A program of the monitoring; `application` is what it is called in the cluster."""

    def __init__(
        self,
        kind: str,
        name: str,
        application: str,
        place: MonitoringNamespace,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(kind, name, None, opts)
        self._application, self._place = application, place

    def _create_config_map(
        self, name: str, files: Mapping[str, str], component: str = COMPONENT
    ) -> k8s.core.v1.ConfigMap:
        return k8s.core.v1.ConfigMap(
            name, metadata=self._metadata(name, component), data=dict(files), opts=self._inside()
        )

    def _create_service(self, port: int, *, session_affinity: str | None = None) -> k8s.core.v1.Service:
        """Where it is reached by its name; its container's port is called `http`."""
        return k8s.core.v1.Service(
            self._application,
            metadata=self._metadata(),
            spec=k8s.core.v1.ServiceSpecArgs(
                type="ClusterIP",
                selector=self._selector(),
                session_affinity=session_affinity,
                ports=[k8s.core.v1.ServicePortArgs(name="http", port=port, target_port="http", protocol="TCP")],
            ),
            opts=self._inside(),
        )

    def _address(self, port: int) -> str:
        return f"http://{self._application}.{NAMESPACE}:{port}"

    def _labels(self, component: str = COMPONENT) -> dict[str, str]:
        return labels.standard(self._application, component)

    def _selector(self) -> dict[str, str]:
        return labels.selector(self._application, COMPONENT)

    def _metadata(self, name: str = "", component: str = COMPONENT) -> k8s.meta.v1.ObjectMetaArgs:
        return k8s.meta.v1.ObjectMetaArgs(
            name=name or self._application, namespace=NAMESPACE, labels=self._labels(component)
        )

    def _inside(self, *needs: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=[self._place, *needs])
