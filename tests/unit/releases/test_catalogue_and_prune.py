"""What is said of releases in few words, and which of them go."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from delivery.releases.artifact import Release
from delivery.releases.catalogue import Entry, describe, revoked, summary
from delivery.releases.proof import Kind, Piece
from delivery.releases.prune import Need, plan

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)


def piece(kind: Kind, day: int = 0, fault: str | None = None, **predicate: Any) -> Piece:
    digest = f"{kind}{day}{predicate}"
    return Piece(kind, "sha256:0", predicate, "ci", ("builder",), BEGIN + timedelta(days=day), digest, "tag", fault)


def entry(day: int, *tags: str, images: Mapping[str, int] | None = None, dated: bool = True) -> Entry:
    """A release of a day; `images` are numbers for digests."""
    services = {name: f"sha256:{number:064x}" for name, number in (images or {"hello": day}).items()}
    proof = [piece(Kind.PROVENANCE, day)] if dated else []
    return Entry(Release(f"{day:040x}", services), tags or (f"sha-{day}",), proof, {name: [] for name in services})


def gone(entries: list[Entry], keep: int, *needs: Need) -> list[str]:
    return [found.tags[0] for found in plan(entries, needs, keep).going]


def test_the_newest_stay_and_the_rest_goes() -> None:
    assert gone([entry(day) for day in (5, 4, 3, 2, 1)], 2) == ["sha-3", "sha-2", "sha-1"]


def test_the_newest_version_stays_however_old_it_is() -> None:
    entries = [entry(4), entry(3), entry(2, "v1.10.0", "latest"), entry(1, "v1.9.0")]
    assert gone(entries, 1) == ["sha-3", "v1.9.0"]


def test_what_an_environment_needs_stays_with_the_reason() -> None:
    entries = [entry(3), entry(2), entry(1)]
    decided = plan(entries, [Need({entries[2].release.digest: "prod runs it"})], 1)
    assert [(found.tags[0], why) for found, why in decided.kept] == [
        ("sha-3", ["the newest"]),
        ("sha-1", ["prod runs it"]),
    ]
    assert [found.tags[0] for found in decided.going] == ["sha-2"]


def test_a_release_of_which_nobody_says_when_stays() -> None:
    assert gone([entry(1, dated=False), entry(3), entry(2)], 1) == ["sha-2"]


def test_an_image_goes_only_with_the_last_release_that_has_it_and_never_while_it_is_named() -> None:
    entries = [
        entry(3, images={"api": 1, "web": 3}),
        entry(2, images={"api": 1, "web": 2}),
        entry(1, images={"api": 9}),
    ]
    named = Need({}, frozenset({("api", f"sha256:{9:064x}")}))
    decided = plan(entries, [named], 1)
    assert decided.images == (("web", f"sha256:{2:064x}"),)


def test_a_summary_has_the_newest_word_of_each_kind_and_only_what_counts() -> None:
    own = [
        piece(Kind.VERIFICATION, 1, stack="test", suite="regression", result="pass"),
        piece(Kind.VERIFICATION, 2, stack="test", suite="regression", result="fail"),
        piece(Kind.SIGN_OFF, 3, stack="prod"),
        piece(Kind.SOAK, 3, fault="unknown key", stack="stage", result="pass"),
    ]
    built = [piece(Kind.PROVENANCE), piece(Kind.SCAN, result="pass"), piece(Kind.SCAN, 1, result="unscanned")]
    found = Entry(entry(1).release, ("sha-1",), own, {"hello": built})
    assert summary(found) == ["built", "unscanned", "verified test regression ✗", "signed off prod"]


def test_an_image_without_proof_makes_the_release_neither_built_nor_scanned() -> None:
    built = [piece(Kind.PROVENANCE), piece(Kind.SCAN, result="pass")]
    found = Entry(entry(1, images={"api": 1, "web": 2}).release, ("sha-1",), [], {"api": built, "web": []})
    assert summary(found) == []


def test_a_failed_run_takes_back_the_passes_before_it_and_no_others() -> None:
    passed = piece(Kind.VERIFICATION, 1, stack="test", suite="smoke", result="pass")
    elsewhere = piece(Kind.VERIFICATION, 1, stack="stage", suite="smoke", result="pass")
    failed = piece(Kind.VERIFICATION, 2, stack="test", suite="smoke", result="fail")
    later = piece(Kind.VERIFICATION, 3, stack="test", suite="smoke", result="pass")
    forged = piece(Kind.VERIFICATION, 4, "unknown key", stack="stage", suite="smoke", result="fail")
    assert revoked([passed, elsewhere, failed, later, forged]) == {passed.digest}


def test_what_others_wrote_is_described_whatever_it_is() -> None:
    for kind in Kind:
        for nonsense in ({}, {"packages": 3, "findings": "x", "buildDefinition": [], "result": ["a"], "note": {}}):
            assert isinstance(describe(piece(kind, **nonsense)), str)
