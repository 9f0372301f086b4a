"""Brings commits of a configuration directory to the branch that others read, on top of what they did meanwhile.

Where rules protect the branch (docs/github.md), it takes no commit that was not checked. Then the commits go to a
branch of their own, on which the check of image configuration runs; once that has passed, the branch takes them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from adapters.errors import Refused
from adapters.git import Repository

REMOTE = "origin"
_PAUSE_S = 5.0


def publish(
    repository: Repository, branch: str, *, checked_on: str, patience_s: float, say: Callable[[str], None]
) -> list[str]:
    """Push what the remote's branch has not; the titles of these commits, none if it has all.

    `checked_on` is the branch of their own where there has to be one; it is removed at the end. Raises `Refused` where
    others changed the same, or the remote does not take them within `patience_s` seconds; then they stay there.
    """
    deadline = time.monotonic() + patience_s
    waiting = ""
    while True:
        there = repository.fetch(REMOTE, branch)
        ours = repository.between(there, "HEAD")
        if not ours:
            return []
        if repository.between("HEAD", there):
            repository.rebase(there)
        head = repository.resolve("HEAD")
        refused = repository.push(REMOTE, head, branch)
        if refused is None:
            if waiting:
                repository.push(REMOTE, "", checked_on)
            return [commit.title for commit in ours]
        if head != waiting:
            say(f"{branch} does not take them yet: they go to {checked_on}, to be checked")
            refused = repository.push(REMOTE, head, checked_on, force=True) or refused
            waiting = head
        if time.monotonic() > deadline:
            raise Refused(
                f"{REMOTE} does not take the commits into {branch}: {refused}",
                where=str(repository.directory),
                fix=f"See why the check of its branch {checked_on} failed, and bring them into {branch}",
            )
        time.sleep(_PAUSE_S)
