"""A person's word in a stack's file: holds, freezes. One change, checked, written and committed, or nothing of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from adapters.errors import Refused, SlipwayError
from adapters.git import Repository
from adapters.stackfile import StackFile
from components.reading import read_file
from components.settings import EnvironmentSettings
from delivery.releases.journal import Journal
from delivery.releases.people import who
from delivery.workspace import Workspace


@dataclass
class Decree:
    """A stack's file to change, and who changes it; `message` is the commit's. Without one nothing is written."""

    settings: EnvironmentSettings
    file: StackFile
    by: str
    message: str = ""
    reason: str = ""
    commit: str | None = field(default=None, init=False)
    """The commit that was made, once it was."""


@contextlib.contextmanager
def decree(workspace: Workspace, stack: str, operation: str, name: str | None) -> Iterator[Decree]:
    """A stack's file, while nobody moves the stack; what was changed in it is then one commit.

    Raises `Locked` while somebody moves it, `Refused` if the file holds changes that nobody committed, and `BadInput`
    where the configuration directory is no git repository.
    """
    settings = workspace.environment(stack)
    path, repository, by = workspace.path(stack), workspace.repository, who(workspace, name)
    journal = Journal(repository, stack)
    with journal.lock(operation, by):
        _check_clean(repository, journal, path)
        found = Decree(settings, StackFile.load(path), by)
        before = found.file.content
        yield found
        if not found.message:
            return
        read_file(found.file, complete=False)
        found.file.save()
        body = [found.reason, ""] if found.reason else []
        try:
            found.commit = repository.commit(
                [path], "\n".join([found.message, "", *body, f"By: {by}"]), expect={path: found.file.content}
            )
        except SlipwayError:
            found.file.replace(before)
            raise


def _check_clean(repository: Repository, journal: Journal, path: Path) -> None:
    """Like the repository's, but changes of ours that were cut short are brought to their end by another command."""
    if not repository.is_clean(path) and (begun := journal.read()) is not None:
        raise Refused(
            f"{begun}, was cut short, and {path.name} is as that left it; nothing was changed",
            fix=f"Bring it to its end first: `slipway rollback {begun.stack} --recover`",
        )
    repository.check_clean([path])
