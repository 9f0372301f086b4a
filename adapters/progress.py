"""Progress of long operations: a line a step on standard error, with how long it took."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()


def say(message: str) -> None:
    """Print one line for the person watching; safe from any thread."""
    with _lock:
        print(message, file=sys.stderr, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Announce `title`, then say how long the body took, or that it failed."""
    say(f"  {title} …")
    started = time.monotonic()
    try:
        yield
    except BaseException:
        say(f"  {title}: failed after {time.monotonic() - started:.1f} s")
        raise
    say(f"  {title}: {time.monotonic() - started:.1f} s")
