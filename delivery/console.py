"""What a person or a program is shown: facts on standard output, progress and questions on standard error.

With `--json` standard output holds one JSON document and nothing else, so progress moves to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import click

_COLOURS = ("cyan", "magenta", "green", "yellow", "blue")


class Console:
    """Standard output and error of a command; safe from any thread."""

    def __init__(self) -> None:
        self.json = False
        self._lock = threading.Lock()

    @property
    def is_terminal(self) -> bool:
        """Whether somebody is there who can answer a question."""
        return sys.stdin is not None and sys.stdin.isatty()

    def say(self, text: str = "") -> None:
        """Show a line for a person."""
        self._echo(text, err=self.json)

    def complain(self, text: str) -> None:
        """Show an error."""
        self._echo(text, err=True)

    def facts(self, facts: Mapping[str, Any], human: Callable[[], Iterable[str]]) -> None:
        """Show what was found: as JSON where that is wanted, else the lines of `human`."""
        if self.json:
            self._echo(json.dumps(facts, indent=2, ensure_ascii=False, default=str), err=False)
            return
        for line in human():
            self.say(line)

    def one(self, facts: Mapping[str, Any], human: Iterable[str]) -> None:
        """Show one of things that come without end: as a line of JSON where that is wanted, else the lines `human`."""
        if self.json:
            self._echo(json.dumps(facts, ensure_ascii=False, default=str), err=False)
            return
        for line in human:
            self.say(line)

    def lines_of(self, stack: str, stacks: Sequence[str]) -> Callable[[str], None]:
        """Shows lines of one stack of several: each line begins with the stack's name."""
        if len(stacks) == 1:
            return self.say
        width = max(map(len, stacks))
        colour = _COLOURS[stacks.index(stack) % len(_COLOURS)]
        prefix = click.style(f"{stack:<{width}} │", fg=colour)
        return lambda line: self.say(f"{prefix} {line}")

    def confirm(self, question: str) -> bool:
        """Ask on the terminal; no is the default."""
        return click.confirm(question, default=False, err=True)

    def _echo(self, text: str, *, err: bool) -> None:
        with self._lock:
            try:
                click.echo(text, err=err)
            except BrokenPipeError:  # nobody reads any more (`| head`); what was begun is finished all the same
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, (sys.stderr if err else sys.stdout).fileno())


def table(rows: Iterable[Sequence[str]], header: Sequence[str]) -> list[str]:
    """Lines with columns of equal width."""
    cells = [[*header], *map(list, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
