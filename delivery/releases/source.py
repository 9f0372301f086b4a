"""The repository that services are built from: its commit, whether anything in it is not committed, its services."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from adapters.command import CommandFailed, run
from adapters.errors import BadInput, Refused
from adapters.paths import REPOSITORY
from delivery.releases import artifact
from local.images import content_hash

TAG_DIGITS = 12
SERVICES = "services"

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SERVICE = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
_SHOWN = 5
_NOBODYS = "dev"


@dataclass(frozen=True)
class SourceService:
    """A service's directory, and the hash of everything in it that may get into its image."""

    name: str
    directory: Path

    @cached_property
    def content(self) -> str:
        """64 hex digits; equal for equal content, wherever it lies."""
        return content_hash(self.directory)

    @property
    def requirements(self) -> Path | None:
        """The Python packages it requires, if it says so."""
        path = self.directory / "requirements.txt"
        return path if path.is_file() else None


@dataclass(frozen=True)
class Source:
    """What a release is made of. `commit` is as `Release` has it: 40 hex digits, `dirty-` before them, or `dev`."""

    directory: Path
    commit: str
    uri: str
    services: tuple[SourceService, ...]

    @property
    def tag(self) -> str:
        """The tag of its images and its release: `sha-<12 hex digits>`, `dirty-<12 hex digits>` or `dev`."""
        return tag_of(self.commit)

    @property
    def dependency(self) -> dict[str, Any]:
        """The source as SLSA's `resolvedDependencies` have it."""
        sha = self.commit.removeprefix("dirty-")
        return {"uri": self.uri} | ({"digest": {"gitCommit": sha}} if _COMMIT.fullmatch(sha) else {})


def tag_of(commit: str) -> str:
    """The tag for a release's commit."""
    prefix, _, sha = commit.rpartition("-")
    if not prefix and not _COMMIT.fullmatch(sha):
        return commit
    return f"{prefix or 'sha'}-{sha[:TAG_DIGITS]}"


def find_directory(named: Path | None) -> Path:
    """The repository that is named, or that we stand in if it has services; else this checkout."""
    if named is not None:
        if not (named / SERVICES).is_dir():
            raise BadInput(f"there is no folder `{SERVICES}`", where=str(named), fix="Name a repository with services")
        return named.absolute()
    root = _git(Path.cwd(), "rev-parse", "--show-toplevel")
    here = Path(root.strip()) if root else Path.cwd()
    return here if (here / SERVICES).is_dir() else REPOSITORY


def head_tag(directory: Path) -> str:
    """The tag that a release of what is checked out has; raises `BadInput` where nothing is."""
    head = (_git(directory, "rev-parse", "HEAD") or "").strip()
    if not head:
        raise BadInput("there is no commit to name the release by", where=str(directory), fix="Name the release")
    return tag_of(head)


@contextlib.contextmanager
def open_source(directory: Path, *, dirty: bool) -> Iterator[Source]:
    """Read a repository; without `dirty`, raises `Refused` if anything in it is in no commit.

    Of a commit, its files are checked out anew for as long as they are needed: what git ignores, such as somebody's
    own `.env`, lies beside them and is in no commit either. Raises `BadInput` for a service with an impossible name,
    and where there is none.
    """
    source = _read(directory, dirty=dirty)
    if source.tag.startswith("sha-"):
        with tempfile.TemporaryDirectory(prefix="slipway-source-") as scratch:
            place = _check_out(directory, Path(scratch))
            yield replace(source, directory=place, services=_services(place))
    else:
        yield source


def _read(directory: Path, *, dirty: bool) -> Source:
    head = (_git(directory, "rev-parse", "HEAD") or "").strip()
    changed = (_git(directory, "status", "--porcelain", "--untracked-files=all") or "").splitlines() if head else []
    if (changed or not head) and not dirty:
        raise _not_committed(directory, changed)
    commit = _NOBODYS if not head else f"dirty-{head}" if changed else head
    return Source(directory, commit, _uri(directory), _services(directory))


def _check_out(directory: Path, target: Path) -> Path:
    """The services as the index has them, which is what the commit has where nothing is changed; where they are."""
    listed = _git(directory, "ls-files", "-z", "--", SERVICES) or ""
    try:
        run(["git", "-C", str(directory), "checkout-index", "-z", "--stdin", f"--prefix={target}/"], stdin=listed)
    except CommandFailed as error:
        raise BadInput(f"git does not check out the services: {error.output.strip()}", where=str(directory)) from error
    return target / (_git(directory, "rev-parse", "--show-prefix") or "").strip()


def _services(directory: Path) -> tuple[SourceService, ...]:
    folders = sorted(dockerfile.parent for dockerfile in (directory / SERVICES).glob("*/Dockerfile"))
    if not folders:
        raise BadInput(
            "there is no service to build", where=str(directory / SERVICES), allowed=f"{SERVICES}/<name>/Dockerfile"
        )
    for folder in folders:
        if not _SERVICE.fullmatch(folder.name) or folder.name == artifact.REPOSITORY:
            raise BadInput(
                f"{folder.name!r} can be no service",
                where=str(folder),
                allowed="lower case letters, digits and `-`, at most 40, and not `releases`",
            )
    return tuple(SourceService(folder.name, folder) for folder in folders)


def _not_committed(directory: Path, changed: list[str]) -> Refused:
    files = [line[3:] for line in changed]
    more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
    what = f"{', '.join(files[:_SHOWN])}{more} would be in no commit" if files else "the source is in no commit"
    return Refused(
        f"{what}, so that nobody could build this release again",
        where=str(directory),
        fix="Commit it, or say --dirty for a release that can go to test only",
    )


def _uri(directory: Path) -> str:
    """Where the repository comes from, without credentials; its name alone if that is a place on this machine."""
    remote = (_git(directory, "remote", "get-url", "origin") or "").strip()
    if found := re.fullmatch(r"(?:[^@/]+@)?([^/:]+\.[^/:]+):(.+)", remote):  # the short form of ssh
        return f"git+ssh://{found[1]}/{found[2]}"
    parts = urlsplit(remote)
    if parts.scheme in ("https", "http", "ssh", "git") and parts.hostname:
        host = parts.hostname + (f":{parts.port}" if parts.port else "")
        return f"git+{urlunsplit((parts.scheme, host, parts.path, '', ''))}"
    return f"git:{directory.name}"


def _git(directory: Path, *args: str) -> str | None:
    """What git says; None where it has nothing to say."""
    try:
        return run(["git", "-C", str(directory), *args], env={"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"})
    except CommandFailed:
        return None
