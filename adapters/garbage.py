"""How often Python looks for garbage."""

from __future__ import annotations

import gc

_NEW_OBJECTS = 500_000  # which are less than 100 MB


def collect_rarely() -> None:
    """Look for garbage only after as many new objects as loading never makes, nearly all of which stay.

    For processes with a short life, before they load anything. Counting references goes on, which frees most of what
    is no longer used by itself; what waits is what refers to itself.
    """
    gc.set_threshold(_NEW_OBJECTS)
