"""What an environment lets the monitoring see: its pods, to find what to scrape, and its ConfigMaps, for their rules.

The environment says so itself. The rights exist only where something is watched, end with the namespace, and need no
order between stacks: a binding may name an account that is not there yet.
"""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as k8s

from components import labels
from components.environment import Environment
from components.monitoring.names import NAMESPACE, PROMETHEUS

_NAME = "monitoring"
_RBAC = "rbac.authorization.k8s.io"


class MonitoringAccess(pulumi.ComponentResource):
    """A Role in the environment's namespace and its binding to Prometheus."""

    role: k8s.rbac.v1.Role
    binding: k8s.rbac.v1.RoleBinding

    def __init__(
        self, name: str, namespace: str, environment: Environment, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("slipway:index:MonitoringAccess", name, None, opts)
        metadata = k8s.meta.v1.ObjectMetaArgs(
            name=_NAME,
            namespace=namespace,
            labels=labels.standard(namespace, "monitoring-access") | {labels.ENVIRONMENT: namespace},
        )
        self.role = k8s.rbac.v1.Role(
            _NAME,
            metadata=metadata,
            # Watching goes by labels, which rights cannot be bound to. Secrets are not among it.
            rules=[
                k8s.rbac.v1.PolicyRuleArgs(
                    api_groups=[""], resources=["pods", "configmaps"], verbs=["get", "list", "watch"]
                )
            ],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[environment]),
        )
        self.binding = k8s.rbac.v1.RoleBinding(
            _NAME,
            metadata=metadata,
            role_ref=k8s.rbac.v1.RoleRefArgs(api_group=_RBAC, kind="Role", name=_NAME),
            subjects=[k8s.rbac.v1.SubjectArgs(kind="ServiceAccount", name=PROMETHEUS, namespace=NAMESPACE)],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[environment, self.role]),
        )
        self.register_outputs({})
