"""Whether there is room for what is about to be written."""

from __future__ import annotations

import shutil
from pathlib import Path

from adapters.errors import MachineUnfit


def require(directory: Path, needed: int, purpose: str, *, fix: str) -> None:
    """Raises `MachineUnfit` where fewer than `needed` bytes are free; a directory that is not there is not made."""
    there = next(place for place in (directory, *directory.parents) if place.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise MachineUnfit(
            f"there is not enough disk space {purpose}: {free / 2**30:.1f} GiB are free",
            where=str(directory),
            allowed=f"at least {needed / 2**30:.0f} GiB",
            fix=fix,
        )
