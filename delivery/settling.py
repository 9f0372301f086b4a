"""Ends the baking of a release: the key in the stack's file goes, in a commit, and with the update the control does.

If it is cut short in between, the control is all that is left of it; whoever settles again finds that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from adapters.errors import Refused
from components import labels
from components.baking import Baking
from components.settings import EnvironmentSettings
from delivery.agreement import agree
from delivery.change import Changer
from delivery.decree import decree
from delivery.factory import Factory
from delivery.workspace import Workspace


@dataclass(frozen=True)
class Settled:
    """What was ended: the baking as the file had it, and the controls that ran."""

    baking: Baking | None
    controls: Sequence[str]
    commit: str | None

    @property
    def changed(self) -> bool:
        """Whether there was anything to end."""
        return self.baking is not None or bool(self.controls)


def settle(factory: Factory, workspace: Workspace, stack: str, *, early: bool, name: str | None) -> Settled:
    """End the baking of a stack's release once its time is over; with `early` before that, too.

    Raises `Refused` while it bakes, and what the update raises: then the file says already that nothing bakes.
    """
    (declared,) = workspace.select([stack])
    with decree(workspace, stack, "settling", name) as found:
        baking, controls = found.settings.baking, _running_controls(factory, found.settings)
        if baking is not None:
            _check_time(baking, stack, early=early)
            found.file.delete(["baking"])
            found.message = f"Let the release of {stack} be done baking"
        done = Settled(baking, controls, None)
        if done.changed and declared.is_guarded:
            agree(factory, f"take the control away in {stack} on cluster {declared.cluster or 'unknown'}")
    if done.changed:
        Changer(workspace, factory.console, [stack], found.message or "slipway settle").update(stack)
    return Settled(baking, controls, found.commit)


def _check_time(baking: Baking, stack: str, *, early: bool) -> None:
    if not early and datetime.now(UTC) < baking.until:
        raise Refused(
            f"the release of {stack} bakes until {baking.until:%Y-%m-%d %H:%M:%S} UTC",
            fix="Wait, or end it with --now: alerts roll it back no more from then on",
        )


def _running_controls(factory: Factory, settings: EnvironmentSettings) -> list[str]:
    with contextlib.closing(factory.seams.connect(settings)) as kube:
        deployments = kube.list("apps/v1", "Deployment", settings.stack)
    return [
        each["metadata"]["name"]
        for each in deployments
        if each["spec"]["selector"].get("matchLabels", {}).get(labels.TRACK) == labels.TRACK_CONTROL
    ]
