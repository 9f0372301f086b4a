"""Pieces of proof: their tags, their times, and what makes each count or not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from adapters.registry import digest_of
from components.delivery_model import SignerSettings
from delivery.releases import proof
from delivery.releases.artifact import descriptor
from delivery.releases.proof import PREDICATE_TYPE, Kind, Piece, Tag
from delivery.releases.signing import KeySigner, Trust

SUBJECT, OTHER = "sha256:" + "a1" * 32, "sha256:" + "b2" * 32
AT = {"at": "2026-03-01T10:00:00Z"}
ROLES = {"ci": "builder", "verifier": "verifier", "alice": "approver"}
SIGNERS = {name: KeySigner(name, role, ec.generate_private_key(ec.SECP256R1())) for name, role in ROLES.items()}
TRUST = Trust({name: SignerSettings(roles=(role,), key=SIGNERS[name].known_by) for name, role in ROLES.items()})  # type: ignore[arg-type]


def _judged(  # what an attacker may choose, each as it would be if nothing was wrong
    kind: Kind,
    by: str,
    predicate: dict[str, Any] | None = None,
    *,
    signed_for: str = SUBJECT,
    linked_to: str = SUBJECT,
    found_for: str = SUBJECT,
    found_as: Kind | None = None,
    tag: str | None = None,
) -> Piece:
    statement = proof.statement("releases", signed_for, kind, AT | (predicate or {}))
    bundle = SIGNERS[by].sign(statement)
    subject = descriptor("application/vnd.oci.image.manifest.v1+json", b"") | {"digest": linked_to}
    manifest = proof.manifest(kind, subject, bundle, {})
    tag = tag or str(Tag.of(found_for, found_as or kind, digest_of(manifest)))
    return proof.judge(found_for, tag, manifest, bundle, TRUST)


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_counts_by_its_role_and_by_no_other(kind: Kind) -> None:
    for name, role in ROLES.items():
        piece = _judged(kind, name)
        assert piece.signed_by == name
        assert piece.roles == (role,)
        assert piece.counts is (role == proof.ROLE_OF[kind])
        if not piece.counts:
            assert piece.fault == f"{name} signed it, who counts as {role}, and not as {proof.ROLE_OF[kind]}"


def test_a_verification_by_hand_may_be_an_approvers_too() -> None:
    by_hand = {"suite": proof.MANUAL}
    assert [name for name in ROLES if _judged(Kind.VERIFICATION, name, by_hand).counts] == ["verifier", "alice"]


def test_what_was_signed_for_another_subject_does_not_count() -> None:
    swapped = _judged(Kind.SIGN_OFF, "alice", signed_for=OTHER)
    assert swapped.fault == f"it was signed as proof of another subject, {OTHER}"


def test_what_was_signed_as_another_kind_does_not_count() -> None:
    swapped = _judged(Kind.SOAK, "verifier", found_as=Kind.VERIFICATION)
    assert (swapped.kind, swapped.fault) == (
        Kind.VERIFICATION,
        "it was signed as another kind of proof, https://slipway.dev/soak/v1",
    )


def test_what_is_found_by_another_pieces_tag_does_not_count() -> None:
    replayed = _judged(Kind.VERIFICATION, "verifier", tag=f"{proof.prefix_of(SUBJECT)}verification.0123456789abcdef")
    assert replayed.fault == "its tag is another piece's"


def test_what_is_linked_to_another_subject_does_not_count() -> None:
    assert _judged(Kind.SOAK, "verifier", linked_to=OTHER).fault == "its manifest links it to another subject"


@pytest.mark.parametrize("at", [None, 5, "yesterday", "2026-03-01T10:00:00", "0001-01-01T00:00:00+10:00"])
def test_what_does_not_say_when_does_not_count(at: object) -> None:
    assert _judged(Kind.SOAK, "verifier", {"at": at}).fault == "it does not say when it was made"


def test_without_a_bundle_nothing_is_signed() -> None:
    tag = str(Tag.of(SUBJECT, Kind.SOAK, digest_of(b"{}")))
    piece = proof.judge(SUBJECT, tag, b"{}", None, TRUST)
    assert (piece.signed_by, piece.fault) == (None, "it is no bundle with a statement in it")


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ({"subject": []}, "another subject, none"),
        ({"subject": [{"digest": {"sha512": "a1" * 32}}]}, "another subject, none"),
        ({"subject": "a1"}, "another subject, none"),
        ({"predicate": [1]}, "does not say when"),
        ({"predicate": None}, "does not say when"),
        ({"predicateType": None}, "another kind of proof, None"),
    ],
)
def test_a_statement_that_a_signer_got_wrong_does_not_count(statement: dict[str, Any], fault: str) -> None:
    whole = proof.statement("releases", SUBJECT, Kind.SOAK, AT) | statement
    bundle = SIGNERS["verifier"].sign(whole)
    manifest = proof.manifest(Kind.SOAK, {"digest": SUBJECT}, bundle, {})
    piece = proof.judge(SUBJECT, str(Tag.of(SUBJECT, Kind.SOAK, digest_of(manifest))), manifest, bundle, TRUST)
    assert fault in str(piece.fault)


def test_a_statement_names_its_subject_as_in_toto_does() -> None:
    statement = proof.statement("hello", SUBJECT, Kind.PROVENANCE, {"buildDefinition": {}})
    assert statement == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "hello", "digest": {"sha256": "a1" * 32}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {"buildDefinition": {}},
    }
    assert len(set(PREDICATE_TYPE.values())) == len(Kind)


@pytest.mark.parametrize("kind", Kind)
def test_a_tag_is_read_back(kind: Kind) -> None:
    tag = Tag.of(SUBJECT, kind, OTHER)
    assert str(tag) == f"sha256-{'a1' * 32}.{kind}.{'b2' * 8}"
    assert len(str(tag)) <= 128
    assert Tag.parse(str(tag)) == tag


@pytest.mark.parametrize(
    "text",
    [
        "v1.0.0",
        "sha256-" + "a1" * 32,
        f"sha256-{'a1' * 32}.sig",
        f"sha256-{'a1' * 32}.unheard-of.{'b2' * 8}",
        f"sha256-{'a1' * 32}.soak.{'b2' * 7}",
        f"sha256-{'A1' * 32}.soak.{'b2' * 8}",
    ],
)
def test_other_tags_are_no_proofs(text: str) -> None:
    assert Tag.parse(text) is None


@pytest.mark.parametrize(
    "predicate",
    [
        {"at": "2026-03-01T11:00:00+01:00"},
        {"runDetails": {"metadata": {"finishedOn": "2026-03-01T10:00:00Z"}}},
        {"metadata": {"scanFinishedOn": "2026-03-01T10:00:00.000000000Z"}},
        {"creationInfo": {"created": "2026-03-01T10:00:00Z"}},
    ],
)
def test_time_is_read_where_each_format_says_it(predicate: dict[str, Any]) -> None:
    assert proof.time_of(predicate) == datetime(2026, 3, 1, 10, tzinfo=UTC)
