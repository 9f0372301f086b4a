"""The ConfigMap in which an environment says what `stated_delivery` holds, and who may read it."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as k8s

from components import labels
from components.monitoring.names import NAMESPACE, RECEIVER
from components.settings import EnvironmentSettings
from components.stated_delivery import FILE, NAME, stated

_RBAC = "rbac.authorization.k8s.io"


class DeliveryState(pulumi.ComponentResource):
    """The ConfigMap, and the right of the receiver to read it and nothing else; `place` makes the namespace."""

    def __init__(
        self,
        name: str,
        settings: EnvironmentSettings,
        place: pulumi.Resource,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("slipway:index:DeliveryState", name, None, opts)
        metadata = k8s.meta.v1.ObjectMetaArgs(
            name=NAME, namespace=settings.stack, labels=labels.standard(settings.stack, "delivery")
        )
        inside = pulumi.ResourceOptions(parent=self, depends_on=[place])
        self.config = k8s.core.v1.ConfigMap(NAME, metadata=metadata, data={FILE: stated(settings)}, opts=inside)
        self.role = k8s.rbac.v1.Role(
            NAME,
            metadata=metadata,
            rules=[
                k8s.rbac.v1.PolicyRuleArgs(
                    api_groups=[""], resources=["configmaps"], resource_names=[NAME], verbs=["get"]
                )
            ],
            opts=inside,
        )
        self.binding = k8s.rbac.v1.RoleBinding(
            NAME,
            metadata=metadata,
            role_ref=k8s.rbac.v1.RoleRefArgs(api_group=_RBAC, kind="Role", name=NAME),
            subjects=[k8s.rbac.v1.SubjectArgs(kind="ServiceAccount", name=RECEIVER, namespace=NAMESPACE)],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[place, self.role]),
        )
        self.register_outputs({})
