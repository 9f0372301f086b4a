"""What the engine prints: a line a resource, and never a secret."""

from __future__ import annotations

import io
import re
import sys
import threading
from collections.abc import Iterable
from typing import TextIO

from local.engine.values import HIDDEN, Tree, secret_strings

_SHORTEST = 4
_SHORTEST_MARKED = 8  # shorter texts in secret values are mostly words that occur elsewhere, such as a user's name


class Redactor:
    """Replaces every secret text it was told of. Texts of fewer than four characters are left: they are words, too."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()

    def learn(self, secrets: Iterable[str], *, shortest: int = _SHORTEST) -> None:
        """Hide these from now on, also a line of theirs alone."""
        parts = {part for secret in secrets for part in (secret, *secret.splitlines())}
        new = {part for part in parts if len(part.strip()) >= shortest} - self._known
        if not new:
            return
        with self._lock:
            self._known |= new
            self._pattern = None

    def learn_marked(self, tree: Tree) -> None:
        """Hide what a manifest marks as secret."""
        self.learn(secret_strings(tree), shortest=_SHORTEST_MARKED)

    def __call__(self, text: str) -> str:
        """`text` without secrets."""
        with self._lock:
            if self._pattern is None and self._known:
                longest_first = sorted(self._known, key=len, reverse=True)
                self._pattern = re.compile("|".join(map(re.escape, longest_first)))
            pattern = self._pattern
        return pattern.sub(HIDDEN, text) if pattern else text


class Display:
    """Standard output and error of an engine process; safe from any thread."""

    def __init__(self, out: TextIO = sys.stdout, err: TextIO = sys.stderr) -> None:
        self.redact = Redactor()
        self._out, self._err = out, err
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        """Print to standard output."""
        self._print(self._out, text)

    def complain(self, text: str) -> None:
        """Print to standard error."""
        self._print(self._err, text)

    def _print(self, stream: TextIO, text: str) -> None:
        text = self.redact(text)
        with self._lock:
            print(text, file=stream, flush=True)


class Lines(io.TextIOBase):
    """A text stream that hands on whole lines: stands for `sys.stdout` while the program runs."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._pending = ""

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str) -> int:
        """Print every line that is complete by now."""
        *lines, self._pending = (self._pending + text).split("\n")
        for line in lines:
            self._display.say(line)
        return len(text)

    def finish(self) -> None:
        """Print what lacks its end of line."""
        if self._pending:
            self._display.say(self._pending)
            self._pending = ""
