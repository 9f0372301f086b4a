"""A service's dashboard, in its environment: Grafana finds it by its label, and it moves and goes with the service."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as k8s

from components import labels
from components.environment import Environment
from components.monitoring.dashboards import service
from components.monitoring.dashboards.drawing import draw
from components.monitoring.names import DASHBOARDS_LABEL


class ServiceDashboard(pulumi.ComponentResource):
    """A ConfigMap. Whole wherever it is: an environment does not know what its cluster's monitoring lacks."""

    def __init__(
        self,
        name: str,
        service_name: str,
        namespace: str,
        environment: Environment,
        *,
        has_objectives: bool,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("slipway:index:ServiceDashboard", name, None, opts)
        board = service.board(namespace, service_name, has_objectives=has_objectives)
        standard = labels.standard(service_name, "dashboard") | {labels.ENVIRONMENT: namespace}
        self.config_map = k8s.core.v1.ConfigMap(
            name,
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=name, namespace=namespace, labels=standard | {DASHBOARDS_LABEL: "true"}
            ),
            data={f"{board.uid}.json": draw(board, board.rows)},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[environment]),
        )
        self.register_outputs({})
