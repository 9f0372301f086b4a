"""What the parts of the monitoring that run on every node have in common: they see its files, and change none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_kubernetes as k8s

from components import labels, pods
from components.monitoring.part import Part

_TIMEOUT = "180s"


class Agent(Part):
    """A program of the namespace of agents; `host_network` says what it needs the node's network for, if it does."""

    def _create_daemon_set(
        self,
        containers: Sequence[k8s.core.v1.ContainerArgs],
        volumes: Sequence[k8s.core.v1.VolumeArgs],
        *,
        annotations: Mapping[str, str],
        needs: Sequence[pulumi.Resource] = (),
        security: k8s.core.v1.PodSecurityContextArgs | None = None,
        account: str | None = None,
        host_network: str = "",
    ) -> k8s.apps.v1.DaemonSet:
        reason = {labels.HOST_NETWORK: host_network} if host_network else {}
        pod = k8s.core.v1.PodSpecArgs(
            service_account_name=account,
            automount_service_account_token=account is not None,
            enable_service_links=False,
            host_network=True if host_network else None,
            # Whatever else a node is kept free of, and however short it is: it is watched.
            tolerations=[k8s.core.v1.TolerationArgs(operator="Exists")],
            priority_class_name="system-node-critical",
            security_context=security or pods.pod_security(),
            containers=list(containers),
            volumes=list(volumes),
        )
        return k8s.apps.v1.DaemonSet(
            self._application,
            metadata=self._metadata(),
            spec=k8s.apps.v1.DaemonSetSpecArgs(
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=self._selector()),
                update_strategy=k8s.apps.v1.DaemonSetUpdateStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=k8s.apps.v1.RollingUpdateDaemonSetArgs(max_unavailable="10%"),
                ),
                template=k8s.core.v1.PodTemplateSpecArgs(
                    metadata=k8s.meta.v1.ObjectMetaArgs(labels=self._labels(), annotations={**annotations, **reason}),
                    spec=pod,
                ),
            ),
            opts=pulumi.ResourceOptions.merge(
                self._inside(*needs),
                pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create=_TIMEOUT, update=_TIMEOUT)),
            ),
        )
