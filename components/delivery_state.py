"""What an environment says in the cluster of its delivery: for the receiver of alerts, which has no stack files.

It is a part of the stack file, in a ConfigMap that is updated with the rest. A freeze is not in it, which holds from
its commit on and updates nothing, nor is what somebody changed in git and did not bring to the cluster: whoever acts on
it asks the stack file once more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

from components import labels
from components.baking import Automation, Baking
from components.model import Image, Model, Name
from components.monitoring.names import NAMESPACE, RECEIVER
from components.settings import EnvironmentSettings

NAME = "delivery"
"""The ConfigMap's, and that of the rights to read it."""
FILE = "state.json"
_RBAC = "rbac.authorization.k8s.io"
_KEYS = ("automation", "images", "baking")


class StatedDelivery(Model):
    """The keys of the stack file that say what alerts may do, each as it stands there."""

    automation: Automation
    images: dict[Name, Image]
    baking: Baking | None = None

    @property
    def controls(self) -> Mapping[str, Image]:
        """What one replica of serves beside each service's release, by service."""
        return self.baking.controls if self.baking else {}

    @classmethod
    def parse(cls, text: str) -> StatedDelivery:
        """What `stated` wrote; raises `ValueError` for anything else."""
        return cls.model_validate(json.loads(text))


def stated(settings: EnvironmentSettings) -> str:
    """The text of `FILE`."""
    said = {key: getattr(settings, key) for key in _KEYS if getattr(settings, key) is not None}
    return json.dumps(said, default=_as_written, sort_keys=True)


def _as_written(value: object) -> object:
    """As a stack file has it: images and times are text there."""
    if not isinstance(value, Model):
        return str(value)
    return {field.alias: getattr(value, name) for name, field in type(value).model_fields.items()}


class DeliveryState(pulumi.ComponentResource):
    """The ConfigMap, and the right of the receiver to read it and nothing else; `place` makes the namespace."""

    config: k8s.core.v1.ConfigMap
    role: k8s.rbac.v1.Role
    binding: k8s.rbac.v1.RoleBinding

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
