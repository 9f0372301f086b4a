"""What an environment says in the cluster of its delivery: for the receiver of alerts, which has no stack files.

It is a part of the stack file, in a ConfigMap that is updated with the rest. A freeze is not in it, which holds from
its commit on and updates nothing, nor is what somebody changed in git and did not bring to the cluster: whoever acts on
it asks the stack file once more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from components.baking import Automation, Baking
from components.model import Image, Model, Name
from components.settings import EnvironmentSettings

NAME = "delivery"
"""The ConfigMap's, and that of the rights to read it."""
FILE = "state.json"
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
