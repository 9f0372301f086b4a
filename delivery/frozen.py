"""Freezes: for a time nothing but a rollback changes an environment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from adapters.errors import Refused
from components.settings import EnvironmentSettings
from delivery.workspace import DeclaredStack, Workspace


def check_thawed(workspace: Workspace, stacks: Sequence[DeclaredStack]) -> None:
    """Raises `Refused` if one of the stacks is frozen."""
    for settings in _with_freeze(workspace, stacks):
        settings.check_freeze(datetime.now(UTC))


def leave_frozen(
    workspace: Workspace, stacks: Sequence[DeclaredStack], say: Callable[[str], None]
) -> list[DeclaredStack]:
    """The stacks that are not frozen; of the others it is said that they are left as they are."""
    frozen = set()
    for settings in _with_freeze(workspace, stacks):
        try:
            settings.check_freeze(datetime.now(UTC))
        except Refused as refusal:
            frozen.add(settings.stack)
            say(f"Left as it is: {refusal.what}")
    return [stack for stack in stacks if stack.name not in frozen]


def _with_freeze(workspace: Workspace, stacks: Sequence[DeclaredStack]) -> list[EnvironmentSettings]:
    """Read only where one is written, so that a mistake in the file of another stack is nobody's concern here."""
    written = [stack for stack in stacks if stack.kind == "environment" and stack.file.get(["freeze"])]
    return [workspace.environment(stack.name) for stack in written]
