"""Errors on their way to the person: what is shown of each, and how the process ends.

They cross from the process of the plan pass to the main one, so they are data, not exceptions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.errors import SlipwayError


@dataclass(frozen=True)
class Failure:
    """A paragraph, the exit code it stands for, and the URN of the resource it is about (or '')."""

    text: str
    exit_code: int
    urn: str = ""

    @classmethod
    def of(cls, error: BaseException, urn: str = "") -> Failure:
        """`error` as data; errors that are not ours are named by their type."""
        if isinstance(error, SlipwayError):
            return cls(error.paragraph(), error.exit_code, urn)
        return cls(f"{type(error).__name__}: {error}", 1, urn)


class Failed(SlipwayError):
    """Several failures at once, a paragraph each; the process ends with the first one's code."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        self.failures = tuple(failures)
        self.exit_code = failures[0].exit_code
        super().__init__("\n".join(dict.fromkeys(failure.text for failure in failures)))

    def paragraph(self) -> str:
        """Each failure on a line of its own."""
        return self.what
