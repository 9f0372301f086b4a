"""The one family of errors a person is shown, and the exit code each of them ends a command with.

An error is one paragraph: what is wrong, where (file, key, line), what is allowed, what to do. Nothing that derives
from `SlipwayError` is ever shown with a traceback. The table of exit codes in README.md is this module in words.
"""

from __future__ import annotations


class SlipwayError(Exception):
    """Something went wrong in a way we can explain.

    `what` is a sentence. `where` names a file, key or object. `allowed` lists or describes valid values.
    `fix` says what the reader can do now. Sentences are given without their closing full stop.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", allowed: str = "", fix: str = "") -> None:
        self.what, self.where, self.allowed, self.fix = what, where, allowed, fix
        super().__init__(self.paragraph())

    def paragraph(self) -> str:
        """The whole message as one paragraph."""
        sentences = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.allowed:
            sentences.append(f"Allowed: {self.allowed}")
        if self.fix:
            sentences.append(self.fix)
        return " ".join(s.strip().rstrip(".") + "." for s in sentences)


class UpdateFailed(SlipwayError):
    """An update was started and at least one resource failed (exit code 1)."""

    exit_code = 1


class Drifted(SlipwayError):
    """The cluster differs from what is declared, or environments that must be alike differ (exit code 2)."""

    exit_code = 2


class BadInput(SlipwayError):
    """Configuration, arguments or names are wrong; nothing was changed (exit code 3)."""

    exit_code = 3


class Refused(SlipwayError):
    """The request is understood and not allowed: protected, held, another engine's, no `--yes` (exit code 4)."""

    exit_code = 4


class Unreachable(SlipwayError):
    """A cluster or a registry does not answer, or not us; nothing was changed (exit code 5)."""

    exit_code = 5


class Locked(SlipwayError):
    """Somebody else is updating the stack; the message names the holder (exit code 6)."""

    exit_code = 6


class MachineUnfit(SlipwayError):
    """This machine lacks what the command needs: root, Go, disk space, a package (exit code 7)."""

    exit_code = 7
