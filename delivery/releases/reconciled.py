"""What changed a stack and is not in git's main yet: what runs, and what everybody else builds upon, have parted."""

from __future__ import annotations

from pathlib import Path

from adapters.git import Repository

_DIGITS = 12


def unreconciled(config_dir: Path, file: Path) -> list[str]:
    """The commits of a stack's file that the branch followed lacks, the latest first, each with its title.

    None where the configuration directory follows no branch of another repository, as the local platform's.
    """
    repository = Repository(config_dir)
    if not repository.is_repository:
        return []
    return [f"{commit.sha[:_DIGITS]} {commit.title}" for commit in repository.unpushed(file)]
