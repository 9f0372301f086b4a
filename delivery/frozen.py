"""Freezes: for a time nothing new comes into an environment, and nothing happens there by itself.

Repair goes on: rollbacks by a person, holds, and `slipway up` of a file that declares only what was there before, as
after a `git revert`. What was there before is what git has of the file from before the freeze.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from adapters.errors import BadInput, Refused
from adapters.git import Commit, Repository
from adapters.stackfile import PROJECT, StackFile
from components.delivery_model import Freeze
from components.settings import EnvironmentSettings
from delivery.workspace import DeclaredStack, Workspace

_WORDS = frozenset(
    f"{PROJECT}:{key}" for key in ("freeze", "holds", "signers", "gates", "mayDiffer", "scan", "bake", "automation")
)
"""What people say of releases, which declares nothing."""
_COMMITS = 200
"""So far back in a file's history is looked for what was there before."""


def check_thawed(workspace: Workspace, stacks: Sequence[DeclaredStack]) -> None:
    """Raises `Refused` if one of the stacks is frozen."""
    for settings in _with_freeze(workspace, stacks):
        settings.check_freeze(datetime.now(UTC))


def check_brings_nothing_new(workspace: Workspace, stacks: Sequence[DeclaredStack], say: Callable[[str], None]) -> None:
    """Raises `Refused` if one of the stacks is frozen, and its file declares what it did not before that."""
    for settings in _with_freeze(workspace, stacks):
        try:
            settings.check_freeze(datetime.now(UTC))
        except Refused as refusal:
            if new := _what_is_new(workspace, settings.stack):
                raise Refused(
                    f"{refusal.what}; its file brings something new: {', '.join(new)}", fix=refusal.fix
                ) from None
            say(f"{refusal.what}; its file brings nothing that was not there before.")


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


def _what_is_new(workspace: Workspace, stack: str) -> list[str]:
    """The keys of a stack's file whose value it had at no time before its freeze; one left out is a value, too."""
    present = StackFile.load(workspace.path(stack)).config
    before = list(_before_freeze(workspace, stack))
    keys = present.keys() | {key for config in before for key in config}
    return sorted(key for key in keys - _WORDS if present.get(key) not in [config.get(key) for config in before])


def _before_freeze(workspace: Workspace, stack: str) -> Iterator[dict[str, Any]]:
    """The configurations that git has of a stack from before its freeze; none where there is no repository."""
    repository, path = workspace.repository, workspace.path(stack)
    commits = repository.log(path, limit=_COMMITS) if repository.is_repository else []
    for _, config in itertools.dropwhile(_is_frozen, ((each, _config(repository, path, each)) for each in commits)):
        yield config


def _is_frozen(version: tuple[Commit, dict[str, Any]]) -> bool:
    commit, config = version
    try:
        return Freeze.model_validate(config.get(f"{PROJECT}:freeze")).is_on(commit.at)
    except ValidationError:
        return False


def _config(repository: Repository, path: Path, commit: Commit) -> dict[str, Any]:
    try:
        return StackFile(path, repository.content(path, commit.sha) or b"").config
    except BadInput:  # somebody committed what is no stack file
        return {}
