"""A person's word in a stack's file: holds, freezes. One change, checked, written and committed, or nothing of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from adapters.errors import SlipwayError
from adapters.git import Repository
from adapters.stackfile import StackFile
from components.settings import EnvironmentSettings, Settings
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
    path, repository, by = workspace.path(stack), Repository(workspace.config_dir), who(workspace, name)
    with Journal(repository, stack).lock(operation, by):
        repository.check_clean([path])
        found = Decree(settings, StackFile.load(path), by)
        before = found.file.content
        yield found
        if not found.message:
            return
        Settings.from_file(found.file, complete=False)
        found.file.save()
        body = [found.reason, ""] if found.reason else []
        try:
            found.commit = repository.commit(
                [path], "\n".join([found.message, "", *body, f"By: {by}"]), expect={path: found.file.content}
            )
        except SlipwayError:
            found.file.replace(before)
            raise
