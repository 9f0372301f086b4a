"""Ctrl-C and SIGTERM: what is under way is finished first; a second signal ends the process at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

_ENDED_BY_SIGNAL = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def stopping(stop: Callable[[], None], say: Callable[[str], None]) -> Iterator[None]:
    """While the body runs, the first signal calls `stop` and the second kills: the record knows what is intended."""
    asked = threading.Event()

    def on_signal(*_: object) -> None:
        if asked.is_set():
            os._exit(_ENDED_BY_SIGNAL)
        asked.set()
        # A handler interrupts any code, also code that holds the lock of the output.
        threading.Thread(target=_announce, args=(stop, say), daemon=True).start()

    before = {number: signal.signal(number, on_signal) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _announce(stop: Callable[[], None], say: Callable[[str], None]) -> None:
    stop()
    say("interrupted: what is under way is finished first; once more ends it at once")
