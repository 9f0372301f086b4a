"""What the rules have to know of an environment, read from its stack file."""

from __future__ import annotations

from datetime import datetime

from components.settings import EnvironmentSettings
from components.stated_delivery import StatedDelivery
from delivery.images import RELEASE_DIGITS
from delivery.releases.proof import Kind
from delivery.releases.records import Known
from delivery.serving.rules import Situation
from delivery.workspace import Workspace


def read_situation(workspace: Workspace, environment: str, now: datetime) -> Situation | None:
    """An environment as its file declares it now; None if there is none of that name."""
    declared = workspace.stacks.get(environment)
    if declared is None or declared.kind != "environment":
        return None
    return situation_of(workspace.environment(environment), now)


def situation_of(
    settings: EnvironmentSettings | StatedDelivery, now: datetime, known: Known | None = None
) -> Situation:
    """The same of settings; with what is recorded of the environment it is known how its release came."""
    present = known.present() if known else None
    baking = settings.baking
    freeze = settings.freeze if isinstance(settings, EnvironmentSettings) else None
    return Situation(
        automation=settings.automation,
        running={service: release_of(image.digest) for service, image in settings.images.items() if image.digest},
        controls={service: release_of(str(image.digest)) for service, image in settings.controls.items()},
        baking=(baking.since, baking.until) if baking else None,
        frozen=f"{freeze.reason} ({freeze.author})" if freeze and freeze.is_on(now) else None,
        came_by_rollback=present is not None and present.kind is Kind.ROLLBACK,
    )


def release_of(digest: str) -> str:
    """What an image's release is called in metrics: the first digits of its digest."""
    return digest.removeprefix("sha256:")[:RELEASE_DIGITS]
