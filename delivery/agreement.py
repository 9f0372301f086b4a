"""Asks before something is changed that people depend on; without anybody to ask, `--yes` must have been said."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.errors import Refused
from delivery.factory import Factory
from delivery.workspace import DeclaredStack


def agree_to_update(factory: Factory, stacks: Sequence[DeclaredStack]) -> None:
    """Raises `Refused` unless everybody concerned agrees: only prod and protected environments need that."""
    guarded = [stack for stack in stacks if stack.is_guarded]
    if guarded:
        agree(factory, f"update {_described(guarded)}")


def agree_to_deletion(factory: Factory, stacks: Sequence[DeclaredStack], *, with_data: bool) -> None:
    """Raises `Refused` unless it is agreed to that everything in the stacks is deleted."""
    agree(factory, f"delete everything in {_described(stacks)}{', its data too' if with_data else ''}")


def agree(factory: Factory, what: str) -> None:
    """Ask whether `what` shall be done; no is the default."""
    if factory.options.yes:
        return
    if not factory.console.is_terminal:
        raise Refused(
            f"this would {what}, and there is no terminal to ask on, so nothing was changed",
            fix="Look at it with `slipway preview`, then give --yes",
        )
    factory.console.complain(f"This will {what}.")
    if not factory.console.confirm("Go on?"):
        raise Refused("not agreed to, nothing was changed")


def _described(stacks: Sequence[DeclaredStack]) -> str:
    return ", ".join(f"{s.name} on {_place(s)}" for s in stacks)


def _place(stack: DeclaredStack) -> str:
    return "GitHub" if stack.is_repository else f"cluster {stack.cluster or 'unknown'}"
