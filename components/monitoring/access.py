"""What a namespace lets the monitoring see: pods, to find what to scrape, and ConfigMaps, for rules and dashboards.

The namespace's stack says so itself. The rights exist only where something is watched, end with the namespace, and need
no order between stacks: a binding may name an account that is not there yet.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_kubernetes as k8s

from components import labels
from components.monitoring.names import NAMESPACE, PROMETHEUS

_RBAC = "rbac.authorization.k8s.io"


class MonitoringAccess(pulumi.ComponentResource):
    """A Role in a namespace and its binding to the account of a part of the monitoring, by default Prometheus.

    `resources` are what it reads there; `place` makes the namespace.
    """

    def __init__(
        self,
        name: str,
        namespace: str,
        resources: Sequence[str],
        place: pulumi.Resource,
        *,
        account: str = PROMETHEUS,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("slipway:index:MonitoringAccess", name, None, opts)
        metadata = k8s.meta.v1.ObjectMetaArgs(
            name=account,
            namespace=namespace,
            labels=labels.standard(namespace, "monitoring-access"),
        )
        self.role = k8s.rbac.v1.Role(
            account,
            metadata=metadata,
            # Watching goes by labels, which rights cannot be bound to. Secrets are not among it.
            rules=[
                k8s.rbac.v1.PolicyRuleArgs(api_groups=[""], resources=list(resources), verbs=["get", "list", "watch"])
            ],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[place]),
        )
        self.binding = k8s.rbac.v1.RoleBinding(
            account,
            metadata=metadata,
            role_ref=k8s.rbac.v1.RoleRefArgs(api_group=_RBAC, kind="Role", name=account),
            subjects=[k8s.rbac.v1.SubjectArgs(kind="ServiceAccount", name=account, namespace=NAMESPACE)],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[place, self.role]),
        )
        self.register_outputs({})
