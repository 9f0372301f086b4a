"""Where Slipway keeps things on this machine: a cache that may be thrown away, and a state that may not."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path, user_state_path

REPOSITORY = Path(__file__).resolve().parent.parent
"""The checkout this program runs from: `__main__.py`, `Pulumi.yaml` and the services are below it."""


def cache_dir() -> Path:
    """Binaries, images and proof, by version and content; `SLIPWAY_CACHE_DIR` or the user's cache directory."""
    return Path(os.environ.get("SLIPWAY_CACHE_DIR") or user_cache_path("slipway")).absolute()


def state_dir() -> Path:
    """Local clusters and the local configuration directory; `SLIPWAY_STATE_DIR` or the user's state directory."""
    return Path(os.environ.get("SLIPWAY_STATE_DIR") or user_state_path("slipway")).absolute()
