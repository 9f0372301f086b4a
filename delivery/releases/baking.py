"""What a promotion writes into `slipway:baking`: from when to when its release bakes, and what serves beside it.

Half of it is decided by what changes. The same images under another tag go on baking as they did. A service whose image
stays has nothing to be compared with, and one whose release before cannot work any more, or must not run, has no
control: it would fail the requests that it gets.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.stackfile import StackFile
from delivery.releases import pre_deploy
from delivery.releases.present import Present


def begin(present: Present, after: Mapping[str, str], now: datetime) -> dict[str, Any] | None:
    """The value of `slipway:baking` once the images are `after`; None where nothing bakes."""
    settings = present.settings
    changed = [name for name, image in after.items() if present.digests.get(name) != image.rpartition("@")[2]]
    if not changed:
        return written(present)
    if not settings.bake.minutes:
        return None
    until = now + timedelta(minutes=settings.bake.minutes)
    baking: dict[str, Any] = {"since": _text(now), "until": _text(until)}
    if controls := _controls(present, changed, after) if settings.bake.control else {}:
        baking["controls"] = controls
    return baking


def written(present: Present) -> dict[str, Any] | None:
    """The value of `slipway:baking` as the file has it now."""
    baking: dict[str, Any] | None = present.file.get(["baking"])
    return baking


def write(file: StackFile, baking: Mapping[str, Any] | None) -> None:
    """Put the value of `slipway:baking` into a stack's file, or take it out."""
    if baking:
        file.set(["baking"], dict(baking))
    else:
        file.delete(["baking"])


def _controls(present: Present, changed: list[str], after: Mapping[str, str]) -> dict[str, str]:
    settings = present.settings
    gone = pre_deploy.irreversible(settings, pre_deploy.needed(settings, present.images, after))
    return {
        name: str(image)
        for name, image in present.references.items()
        if name in changed
        and name not in gone
        and settings.services[name].replicas
        and not settings.hold_on(str(image.digest))
    }


def _text(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
