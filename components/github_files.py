"""What the repository itself says to GitHub: the jobs of its workflows, the actions they use, who owns what.

The `github` stack reads it here instead of repeating it, so that a job that is renamed stays required.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from adapters import yamledit
from adapters.errors import BadInput
from adapters.paths import REPOSITORY

FOLDER = REPOSITORY / ".github"

_ACTION = re.compile(r"(?P<repository>[-._A-Za-z0-9]+/[-._A-Za-z0-9]+)(/[^@]+)?@.+")
_OF_GITHUB = frozenset({"actions", "github"})


def required_checks(
    folder: Path, names: Iterable[str], *, triggers: Iterable[str] = ("pull_request",)
) -> tuple[str, ...]:
    """The names under which GitHub shows the jobs of the workflows `names` of the repository's folder `.github`.

    Raises `BadInput`, with file and line, for a job that is not shown by that name at each pull request, since a check
    that is required and never comes blocks every merge: with a matrix, of another file, of a workflow that does not
    always run at `triggers`.
    """
    checks: dict[str, Path] = {}
    for name in names:
        path = folder / "workflows" / name
        document = _load(path)
        if not isinstance(document.get("jobs"), dict):
            raise BadInput("this is no workflow: it has no jobs", where=str(path))
        for trigger in triggers:
            _check_trigger(path, document.get("on"), trigger)
        for job, body in document["jobs"].items():
            shown = _shown_name(path, job, body)
            if shown in checks:
                raise BadInput(
                    f"two jobs are called {shown!r}, and either would pass for the other",
                    where=_where(path, ("jobs", job)),
                    fix=f"Name it otherwise than the one in {checks[shown].name}",
                )
            checks[shown] = path
    return tuple(checks)


def foreign_actions(folder: Path) -> tuple[str, ...]:
    """The repositories of the actions that workflows, or actions of ours, use: `owner/name`; without GitHub's own."""
    found = set()
    for path in [*(folder / "workflows").glob("*.y*ml"), *(folder / "actions").glob("*/action.y*ml")]:
        for used in _uses(_load(path)):
            if (action := _ACTION.fullmatch(used)) and used.partition("/")[0] not in _OF_GITHUB:
                found.add(action["repository"])
    return tuple(sorted(found))


def check_owners(folder: Path, allowed: Iterable[str]) -> None:
    """Raises `BadInput` for an owner whose review GitHub would not ask for; it says so nowhere itself."""
    known, path = set(allowed), folder / "CODEOWNERS"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise BadInput(
            "nobody owns the code, and merging needs a review of its owners",
            where=str(path),
            fix="Write one: a line of a pattern and its owners (https://docs.github.com/articles/about-code-owners)",
        ) from None
    for number, line in enumerate(lines, start=1):
        for owner in line.partition("#")[0].split()[1:]:
            if owner not in known:
                raise BadInput(
                    f"{owner} owns code and may not write to the repository, so that GitHub asks nobody",
                    where=f"{path.name}, line {number}",
                    allowed=", ".join(sorted(known)),
                    fix="Correct the owner, or give the team `push` in slipway:github.teams",
                )


def _load(path: Path) -> dict[str, Any]:
    try:
        document = yamledit.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        there = sorted(file.name for file in path.parent.glob("*.y*ml"))
        raise BadInput(
            "there is no such workflow", where=str(path), allowed=", ".join(there) or "none is there"
        ) from None
    except yaml.YAMLError as error:
        raise BadInput(f"the workflow is no valid YAML: {error}".replace("\n", " "), where=str(path)) from None
    if not isinstance(document, dict):
        raise BadInput("this is no workflow", where=str(path), allowed="a mapping")
    return document


def _check_trigger(path: Path, triggers: object, wanted: str) -> None:
    if isinstance(triggers, str):
        triggers = [triggers]
    if not isinstance(triggers, list | dict) or wanted not in triggers:
        raise BadInput(
            f"the workflow's jobs are required and do not run on {wanted}, so that nothing could be merged",
            where=_where(path, ("on",)),
            fix=f"Let it run `on: {wanted}`, or require another workflow",
        )
    filters = triggers.get(wanted) or {} if isinstance(triggers, dict) else {}
    for filtered in ("paths", "paths-ignore"):
        if filtered in filters:
            raise BadInput(
                f"the workflow's jobs are required and do not run on every {wanted}, so that some could not be merged",
                where=_where(path, ("on", wanted, filtered)),
                fix="Let the jobs themselves decide whether there is something to do",
            )


def _shown_name(path: Path, job: str, body: Mapping[str, Any]) -> str:
    """Of a job with a matrix, or of another file, GitHub shows names that are not in this one."""
    strategy = body.get("strategy") or {}
    name = str(body.get("name") or job)
    for reason, place in (
        ("uses another workflow", ("uses",) if "uses" in body else None),
        ("has a matrix", ("strategy", "matrix") if "matrix" in strategy else None),
        ("has a name that is made as it runs", ("name",) if "${{" in name else None),
    ):
        if place:
            raise BadInput(
                f"the job {job!r} is required and {reason}, so that GitHub shows it under other names",
                where=_where(path, ("jobs", job, *place)),
                fix="Put it into another workflow, or let one job with a name of its own need it",
            )
    return name


def _uses(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("uses"), str):
            yield value["uses"]
        value = list(value.values())
    for inner in value if isinstance(value, list) else ():
        yield from _uses(inner)


def _where(path: Path, keys: Sequence[str]) -> str:
    line = yamledit.line_of(path.read_text(encoding="utf-8"), tuple(keys))
    return f"{path.name}{f', line {line}' if line else ''}, {'.'.join(keys)}"
