"""Versions of releases: `vMAJOR.MINOR.PATCH` by https://semver.org, which only ever go up and never move."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.errors import BadInput, Refused
from adapters.registry import RegistryClient
from delivery.releases.artifact import REPOSITORY, Release
from delivery.releases.store import ReleaseStore

LATEST = "latest"

# https://semver.org/#is-there-a-suggested-regular-expression-regex-to-check-a-semver-string; a tag has no place for the
# `+` of build metadata, and the commit is known anyway.
_NUMBER = r"(0|[1-9]\d*)"
_IDENTIFIER = r"(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
_VERSION = re.compile(rf"v{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?", re.ASCII)


@functools.total_ordering
@dataclass(frozen=True, eq=True)
class Version:
    """A version; the order is semver's: `v1.0.0-rc.2` comes before `v1.0.0`."""

    major: int
    minor: int
    patch: int
    before: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Version | None:
        """Read `v1.2.3` or `v1.2.3-rc.1`; None for anything else."""
        found = _VERSION.fullmatch(text)
        if found is None:
            return None
        return cls(int(found[1]), int(found[2]), int(found[3]), tuple(found[4].split(".")) if found[4] else ())

    @property
    def is_final(self) -> bool:
        """Whether it is no version on the way to one."""
        return not self.before

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}.{self.patch}{'-' if self.before else ''}{'.'.join(self.before)}"

    def __lt__(self, other: Version) -> bool:
        return self._key() < other._key()

    def _key(self) -> tuple[Any, ...]:
        # Numbers come before words and are compared as numbers; a longer list comes after its beginning.
        words = tuple((0, int(word), "") if word.isdigit() else (1, 0, word) for word in self.before)
        return self.major, self.minor, self.patch, self.is_final, words


@dataclass(frozen=True)
class Tagged:
    """What a version was given to, and whether `latest` is that release now."""

    version: Version
    release: Release
    is_new: bool
    is_latest: bool


def versions(tags: Iterable[str]) -> list[Version]:
    """The versions among tags, ascending."""
    return sorted(version for tag in tags if (version := Version.parse(tag)) is not None)


def tag(store: ReleaseStore, registry: RegistryClient, text: str, release: Release, *, force: bool) -> Tagged:
    """Give a release and its images a version; images before the release, so that it has all of it or none.

    Raises `BadInput` for what is no version; `Refused` for a release that is in no commit, for a version that means
    another release, and without `force` for one below the newest.
    """
    version = Version.parse(text)
    if version is None:
        raise BadInput(
            f"{text!r} is no version", allowed="vMAJOR.MINOR.PATCH, or with a pre-release behind it: v1.4.0-rc.1"
        )
    if not release.is_clean:
        raise Refused(
            "a release of files that are in no commit gets no version", where=release.commit, fix="Commit, and build"
        )
    tags = store.tags()
    given = tags.get(text)
    _require_free(registry, text, given, release)
    present = versions(tags)
    if given is None and present and version < present[-1] and not force:
        raise Refused(
            f"{text} is below {present[-1]}, which is the newest version",
            fix="Choose a higher one; for a correction of an older line say --force, which leaves `latest` where it is",
        )
    for service, digest in release.services.items():
        registry.copy_tag(service, digest, text)
    store.push(release, [text])
    is_latest = _is_newest(version, present)
    if is_latest:
        for service, digest in release.services.items():
            registry.copy_tag(service, digest, LATEST)
        store.push(release, [LATEST])
    return Tagged(version, release, given is None, is_latest)


def _is_newest(version: Version, present: Sequence[Version]) -> bool:
    """Whether it is what `latest` means: the highest version that is final."""
    return version.is_final and all(other <= version for other in present if other.is_final)


def _require_free(registry: RegistryClient, text: str, given: str | None, release: Release) -> None:
    there = {REPOSITORY: (given, release.digest)}
    there |= {name: (registry.digest_of(name, text), digest) for name, digest in release.services.items()}
    for name, (found, wanted) in there.items():
        if found not in (None, wanted):
            raise Refused(
                f"{name}:{text} is {found} already, and not {wanted}",
                fix="A version never comes to mean anything else: choose a higher one",
            )
