"""What every program of the monitoring has: a name by which its objects are called and found, and a namespace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from components import labels, pods
from components.monitoring.names import COMPONENT
from components.monitoring.namespace import MonitoringNamespace

_RBAC = "rbac.authorization.k8s.io"
WATCH = ["get", "list", "watch"]


@dataclass(frozen=True)
class Rights:
    """Who a program is to the API server, and what it may do."""

    account: k8s.core.v1.ServiceAccount
    role: k8s.rbac.v1.ClusterRole
    binding: k8s.rbac.v1.ClusterRoleBinding


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

    def _create_rights(self, rules: Sequence[k8s.rbac.v1.PolicyRuleArgs]) -> Rights:
        """Let it do what `rules` say, in every namespace and with what has none, as an account of its name."""
        name = f"slipway-{self._application}"
        of_cluster = k8s.meta.v1.ObjectMetaArgs(name=name, labels=self._labels())
        account = k8s.core.v1.ServiceAccount(
            self._application, metadata=self._metadata(), automount_service_account_token=False, opts=self._inside()
        )
        role = k8s.rbac.v1.ClusterRole(name, metadata=of_cluster, rules=list(rules), opts=self._inside())
        subject = k8s.rbac.v1.SubjectArgs(kind="ServiceAccount", name=self._application, namespace=self._place.name)
        binding = k8s.rbac.v1.ClusterRoleBinding(
            name,
            metadata=of_cluster,
            role_ref=k8s.rbac.v1.RoleRefArgs(api_group=_RBAC, kind="ClusterRole", name=name),
            subjects=[subject],
            opts=self._inside(role, account),
        )
        return Rights(account, role, binding)

    def _create_service(
        self, port: int, component: str = COMPONENT, *, session_affinity: str | None = None
    ) -> k8s.core.v1.Service:
        """Where it is reached by its name; its container's port is called `http`."""
        return k8s.core.v1.Service(
            self._application,
            metadata=self._metadata(component=component),
            spec=k8s.core.v1.ServiceSpecArgs(
                type="ClusterIP",
                selector=self._selector(),
                session_affinity=session_affinity,
                ports=[k8s.core.v1.ServicePortArgs(name="http", port=port, target_port="http", protocol="TCP")],
            ),
            opts=self._inside(),
        )

    def _template(
        self,
        containers: Sequence[k8s.core.v1.ContainerArgs],
        volumes: Sequence[k8s.core.v1.VolumeArgs],
        *,
        grace_seconds: int,
        annotations: Mapping[str, str],
        account: str | None = None,
    ) -> k8s.core.v1.PodTemplateSpecArgs:
        """The pod of an instance; only with `account` it gets a token for the API server."""
        spread = k8s.core.v1.TopologySpreadConstraintArgs(
            topology_key="kubernetes.io/hostname",
            max_skew=1,
            when_unsatisfiable="ScheduleAnyway",
            label_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=self._selector()),
        )
        return k8s.core.v1.PodTemplateSpecArgs(
            metadata=k8s.meta.v1.ObjectMetaArgs(labels=self._labels(), annotations=dict(annotations)),
            spec=k8s.core.v1.PodSpecArgs(
                service_account_name=account,
                automount_service_account_token=account is not None,
                enable_service_links=False,
                security_context=pods.pod_security(),
                termination_grace_period_seconds=grace_seconds,
                topology_spread_constraints=[spread],
                containers=list(containers),
                volumes=list(volumes),
            ),
        )

    def _address(self, port: int) -> str:
        return f"http://{self._application}.{self._place.name}:{port}"

    def _labels(self, component: str = COMPONENT) -> dict[str, str]:
        return labels.standard(self._application, component)

    def _selector(self) -> dict[str, str]:
        return labels.selector(self._application, COMPONENT)

    def _metadata(self, name: str = "", component: str = COMPONENT) -> k8s.meta.v1.ObjectMetaArgs:
        return k8s.meta.v1.ObjectMetaArgs(
            name=name or self._application, namespace=self._place.name, labels=self._labels(component)
        )

    def _inside(self, *needs: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=[self._place, *needs])
