"""What the parts of the monitoring that keep data have in common: instances that each have a volume of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import pulumi
import pulumi_kubernetes as k8s

from components.model import Resources
from components.monitoring.part import Part

DATA = "data"
"""The volume of an instance, as its container mounts it."""


class Shape(Protocol):
    """How many instances there are, and what each may use: a part of every such program's settings."""

    @property
    def replicas(self) -> int:
        """Number of instances."""

    @property
    def storage(self) -> str:
        """Size of each instance's volume."""

    @property
    def storage_class(self) -> str | None:
        """StorageClass of that volume; None for the cluster's default."""

    @property
    def resources(self) -> Resources:
        """What the container of an instance asks for."""


class Stateful(Part):
    """Its children are attributes; `disruption_budget` is None for a single instance."""

    def _create_stateful_set(
        self,
        shape: Shape,
        template: k8s.core.v1.PodTemplateSpecArgs,
        *,
        needs: Sequence[pulumi.Resource],
        timeout: str,
        service_name: str = "",
    ) -> k8s.apps.v1.StatefulSet:
        """`service_name` is of the Service that gives instances names of their own; default: the application's."""
        claim = k8s.core.v1.PersistentVolumeClaimSpecArgs(
            access_modes=["ReadWriteOnce"],
            storage_class_name=shape.storage_class,
            resources=k8s.core.v1.VolumeResourceRequirementsArgs(requests={"storage": shape.storage}),
        )
        return k8s.apps.v1.StatefulSet(
            self._application,
            metadata=self._metadata(),
            spec=k8s.apps.v1.StatefulSetSpecArgs(
                replicas=shape.replicas,
                service_name=service_name or self._application,
                pod_management_policy="Parallel",
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=self._selector()),
                template=template,
                volume_claim_templates=[
                    k8s.core.v1.PersistentVolumeClaimArgs(
                        metadata=k8s.meta.v1.ObjectMetaArgs(name=DATA, labels=self._labels()), spec=claim
                    )
                ],
            ),
            opts=pulumi.ResourceOptions.merge(
                self._inside(*needs),
                pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create=timeout, update=timeout)),
            ),
        )

    def _create_disruption_budget(self, shape: Shape) -> k8s.policy.v1.PodDisruptionBudget | None:
        if shape.replicas == 1:
            return None
        return k8s.policy.v1.PodDisruptionBudget(
            self._application,
            metadata=self._metadata(),
            spec=k8s.policy.v1.PodDisruptionBudgetSpecArgs(
                max_unavailable=1, selector=k8s.meta.v1.LabelSelectorArgs(match_labels=self._selector())
            ),
            opts=self._inside(),
        )
