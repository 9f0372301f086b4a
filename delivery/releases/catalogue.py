"""The releases there are, each with its tags, its time and its proof: what `release list`, `show` and `prune` go by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from delivery.releases import provenance
from delivery.releases.artifact import REPOSITORY, Release
from delivery.releases.proof import Kind, Piece
from delivery.releases.store import ReleaseStore, Subject
from delivery.releases.versions import LATEST, Version

_AT_ONCE = 4
_COMMIT_DIGITS = 12


@dataclass(frozen=True)
class Entry:
    """A release; `proof` is its own, `images` that of each of its services."""

    release: Release
    tags: tuple[str, ...]
    proof: Sequence[Piece]
    images: Mapping[str, Sequence[Piece]]

    @property
    def at(self) -> datetime | None:
        """When it was made, as its first piece that counts says; None if nobody whose word counts says so."""
        return min((piece.at for piece in self.proof if piece.counts), default=None)

    @property
    def short(self) -> str:
        """The first digits of its digest."""
        return self.release.digest.removeprefix("sha256:")[:_COMMIT_DIGITS]

    def to_json(self) -> dict[str, Any]:
        """For `--json`; times are UTC."""
        return {
            "digest": self.release.digest,
            "commit": self.release.commit,
            "tags": list(self.tags),
            "at": self.at.isoformat() if self.at else None,
            "services": dict(self.release.services),
        }


def read(store: ReleaseStore) -> list[Entry]:
    """All releases that have a tag, the newest first; those of which nobody says when come first of all."""
    tags = store.tags()
    digests = list(dict.fromkeys(tags.values()))
    with ThreadPoolExecutor(_AT_ONCE) as executor:
        releases = [release for release in executor.map(store.get, digests) if release is not None]
    found = store.proofs(subject for release in releases for subject in _subjects(release))
    entries = [_entry(release, tags, found) for release in releases]
    known = sorted((entry for entry in entries if entry.at), key=lambda entry: (entry.at, entry.tags), reverse=True)
    return [*(entry for entry in entries if not entry.at), *known]


def entry_of(store: ReleaseStore, release: Release, tags: Mapping[str, str]) -> Entry:
    """A release with everything that belongs to it; `tags` are those of all releases."""
    return _entry(release, tags, store.proofs(_subjects(release)))


def summary(entry: Entry) -> list[str]:
    """The proof that counts, in a few words, each kind as its newest piece has it."""
    words = []
    if _all_images(entry, Kind.PROVENANCE):
        words.append("built")
    if scans := _all_images(entry, Kind.SCAN):
        words.append(_scanned({str(piece.predicate.get("result")) for piece in scans}))
    latest: dict[str, str] = {}
    for piece in entry.proof:
        if piece.counts and piece.kind in _WORDS:
            subject = " ".join(str(piece.predicate[key]) for key in ("stack", "suite") if piece.predicate.get(key))
            bad = " ✗" if is_bad(piece) else ""
            latest[f"{piece.kind} {subject}"] = f"{_WORDS[piece.kind]} {subject}{bad}".strip()
    return [*words, *latest.values()]


def is_bad(piece: Piece) -> bool:
    """Whether what it says is that something went wrong."""
    return piece.predicate.get("result") in ("fail", "failed", "restored")


def is_open(piece: Piece) -> bool:
    """Whether it says that nobody knows."""
    return piece.predicate.get("result") == "unscanned"


def revoked(pieces: Sequence[Piece]) -> frozenset[str]:
    """The digests of pieces that a later word of the same kind, about the same thing, took back."""
    taken: set[str] = set()
    for number, piece in enumerate(pieces):
        if piece.counts and piece.predicate.get("result") == "fail":
            about = _about(piece)
            taken |= {
                earlier.digest
                for earlier in pieces[:number]
                if _about(earlier) == about and earlier.predicate.get("result") == "pass"
            }
    return frozenset(taken)


def _subjects(release: Release) -> list[Subject]:
    return [(REPOSITORY, release.digest), *release.services.items()]


def _entry(release: Release, tags: Mapping[str, str], found: Mapping[Subject, Sequence[Piece]]) -> Entry:
    own = sorted((tag for tag, digest in tags.items() if digest == release.digest), key=_order)
    images = {service: found[service, digest] for service, digest in release.services.items()}
    return Entry(release, tuple(own), found[REPOSITORY, release.digest], images)


def describe(piece: Piece) -> str:
    """What a piece says, in one line; written by others, so every key may be missing or anything."""
    said = piece.predicate
    match piece.kind:
        case Kind.PROVENANCE:
            return f"of {str(provenance.commit_of(piece) or 'an unknown commit')[:18]}"
        case Kind.SBOM:
            packages = said.get("packages")
            return f"{len(packages) if isinstance(packages, list) else 0} packages ({said.get('spdxVersion')})"
        case Kind.SCAN:
            return _describe_scan(said)
        case Kind.BOOTSTRAP:
            return str(said.get("note") or "what a fresh platform began with")
    keys = ("stack", "suite", "result", "by", "override", "reason", "note")
    words = [str(said[key]) if key in _BARE else f"{key} {said[key]}" for key in keys if said.get(key)]
    return ", ".join(words)


_BARE = ("stack", "suite", "result")
_WORDS = {
    Kind.BOOTSTRAP: "bootstrap",
    Kind.VERIFICATION: "verified",
    Kind.SOAK: "soaked",
    Kind.SIGN_OFF: "signed off",
    Kind.DEPLOYMENT: "deployed",
    Kind.ROLLBACK: "rolled back to",
}


def _about(piece: Piece) -> tuple[object, ...]:
    return piece.kind, piece.subject, piece.predicate.get("stack"), piece.predicate.get("suite")


def _all_images(entry: Entry, kind: Kind) -> list[Piece]:
    """The newest piece of a kind of each image; none at all if one image has none."""
    newest = [
        [piece for piece in pieces if piece.counts and piece.kind is kind][-1:] for pieces in entry.images.values()
    ]
    return [piece for found in newest for piece in found] if all(newest) else []


def _scanned(results: set[str]) -> str:
    return "scanned" if results == {"pass"} else "scan failed" if "fail" in results else "unscanned"


def _describe_scan(said: Mapping[str, Any]) -> str:
    if said.get("result") == "unscanned":
        return f"unscanned: {said.get('why')}"
    findings, accepted = (
        value if isinstance(value := said.get(key), list) else [] for key in ("findings", "exceptions")
    )
    database = said.get("database")
    built = f", database of {database['built']}" if isinstance(database, dict) and "built" in database else ""
    return f"{said.get('result')} at {said.get('threshold')}: {len(findings)} known, {len(accepted)} accepted{built}"


def _order(tag: str) -> tuple[int, str]:
    """Versions first, then commits; `latest` is only another name."""
    return (0 if Version.parse(tag) else 2 if tag == LATEST else 1), tag
