"""Baking: for a time after its promotion a release is compared with the one before it, a control of which still serves.

Only a promotion begins it and only a rollback or `slipway settle` ends it, by a key of the stack's file: so what the
file says and what runs never part, and an update alone changes neither.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from components.delivery_model import Time
from components.model import Image, Model, Name

Automation = Literal["off", "observe", "on"]
"""What alerts may do to an environment by themselves."""


class Bake(Model):
    """How a release bakes once it was promoted."""

    minutes: int = Field(
        default=0,
        ge=0,
        le=1440,
        description="For how long from its promotion on; only meanwhile may alerts roll it back. Default: not at all.",
    )
    control: bool = Field(
        default=True,
        description="Whether one replica of the release before serves beside it meanwhile. Without it alerts on errors "
        "and latency roll nothing back: there is nothing to compare with.",
    )


def _has_digest(image: Image) -> Image:
    if image.digest is None:
        raise ValueError(f"{image} is named by a tag alone; a control is what ran before, `name:tag@sha256:…`")
    return image


class Baking(Model):
    """The release that bakes now. Written by promotion, removed by rollback and by `slipway settle`."""

    since: Time = Field(description="When it was promoted.")
    until: Time = Field(description="When it has baked: alerts roll it back no more.")
    controls: dict[Name, Annotated[Image, AfterValidator(_has_digest)]] = Field(
        default={}, description="What each service ran before, one replica of which serves beside its release."
    )

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.until <= self.since:
            raise ValueError("until is not after since")
        return self
