"""Commits of the App that promotes and rolls back: they may change what runs, and nothing else.

Its commits go to main without a pull request, so that nobody has read them: a token of it that is stolen must not be
worth more than moving between releases that carry their proof.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from adapters import yamledit
from adapters.git import Commit, Repository
from adapters.stackfile import PROJECT

KEYS = tuple(f"{PROJECT}:{key}" for key in ("images", "holds", "baking"))
"""What promotions and rollbacks write."""

_DIGITS = 12


def trespasses(repository: Repository, base: str, head: str) -> Iterator[str]:
    """What commits between two others change beyond `KEYS` of environments, each as a line; nothing if all is well.

    The configuration directory has to be the repository's root: what lies elsewhere is beyond.
    """
    for commit in repository.between(base, head):
        for change in repository.changes(commit.sha):
            why = _beyond(repository, commit, change.path) if change.is_edit else "is new, gone, or of another kind"
            if why:
                yield f"{commit.sha[:_DIGITS]} ({commit.title}): {change.path} {why}"


def _beyond(repository: Repository, commit: Commit, path: str) -> str | None:
    if not (path.startswith("Pulumi.") and path.endswith(".yaml") and path != "Pulumi.yaml"):
        return "is no stack file"
    try:
        before, after = (_document(repository, path, name) for name in (f"{commit.sha}^1", commit.sha))
    except (UnicodeDecodeError, yaml.YAMLError, AttributeError):
        return "is no stack file as we write it"
    if before.get(f"{PROJECT}:kind") != "environment":
        return "is of no environment"
    if beyond := sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key)):
        return f"changes {', '.join(beyond)}"
    return None


def _document(repository: Repository, path: str, commit: str) -> dict[str, Any]:
    """All that a stack file says but what may change, its configuration beside what else there is."""
    document = yamledit.parse((repository.content(Path(path), commit) or b"").decode())
    config = document.pop("config", None) or {}
    return {**document, **{key: value for key, value in config.items() if key not in KEYS}}
