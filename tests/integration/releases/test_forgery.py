"""Proof that somebody with the right to push, and no key, puts into the registry: kept, and of no account."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from adapters.errors import BadInput
from adapters.registry import RegistryClient, digest_of
from delivery.releases import proof
from delivery.releases.artifact import MANIFEST_TYPE, REPOSITORY, Release, descriptor
from delivery.releases.proof import Kind, Piece, Tag
from delivery.releases.signing import KeySigner, Trust
from delivery.releases.store import ReleaseStore

PASSED = {"stack": "stage", "suite": "smoke", "result": "pass", "configuration": "0" * 12, "by": "verifier"}
FAILED = PASSED | {"result": "fail"}

Judged = Callable[[Release], dict[str, str | None]]
Attach = Callable[..., Piece]


class Attacker:
    """Reads and writes what is in the registry, and has no key that anybody trusts."""

    def __init__(self, registry: RegistryClient) -> None:
        self.registry = registry

    def manifest(self, piece: Piece) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.registry.manifest(REPOSITORY, piece.digest) or b"")
        return parsed

    def bundle(self, piece: Piece) -> dict[str, Any]:
        digest = self.manifest(piece)["layers"][0]["digest"]
        parsed: dict[str, Any] = json.loads(self.registry.blob(REPOSITORY, digest))
        return parsed

    def put(self, manifest: dict[str, Any] | bytes, subject: str, kind: Kind, tag: str | None = None) -> str:
        content = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        tag = tag or str(Tag.of(subject, kind, digest_of(content)))
        self.registry.put_manifest(REPOSITORY, tag, content, MANIFEST_TYPE)
        return tag

    def put_bundle(self, bundle: dict[str, Any] | bytes, release: Release, kind: Kind) -> str:
        """Store a bundle just as the store does."""
        content = bundle if isinstance(bundle, bytes) else json.dumps(bundle).encode()
        self.registry.put_blob(REPOSITORY, b"{}")
        self.registry.put_blob(REPOSITORY, content)
        subject = descriptor(MANIFEST_TYPE, release.manifest)
        return self.put(proof.manifest(kind, subject, content, {}), release.digest, kind)


@pytest.fixture
def attacker(registry: RegistryClient) -> Attacker:
    return Attacker(registry)


@pytest.fixture
def other(store: ReleaseStore, push_image: Callable[[str, str], str]) -> Release:
    made = Release("f" * 40, {"hello": push_image("hello", "the next one")})
    store.push(made, ["sha-ffffffffffff"])
    return made


@pytest.fixture
def judged(registry: RegistryClient, trust: Trust) -> Judged:
    """What somebody who looks for the first time finds: the fault of each piece of a release, by tag."""

    def judge(release: Release) -> dict[str, str | None]:
        return {piece.tag: piece.fault for piece in ReleaseStore(registry, trust).proof(REPOSITORY, release.digest)}

    return judge


@pytest.fixture
def attach(store: ReleaseStore, release: Release, signers: dict[str, KeySigner]) -> Attach:
    """Attaches a piece to the release, signed by the verifier or by another."""

    def attach(
        kind: Kind, predicate: dict[str, Any], blobs: dict[str, bytes] | None = None, by: str = "verifier"
    ) -> Piece:
        return store.attach(REPOSITORY, release.digest, kind, predicate, signers[by], blobs)

    return attach


@pytest.fixture
def verified(attach: Attach) -> Piece:
    return attach(Kind.VERIFICATION, PASSED)


def test_forged_by_a_key_that_nobody_trusts(
    attacker: Attacker, release: Release, signers: dict[str, KeySigner], judged: Judged
) -> None:
    forged = signers["stranger"].sign(proof.statement(REPOSITORY, release.digest, Kind.SIGN_OFF, PASSED))
    tag = attacker.put_bundle(forged, release, Kind.SIGN_OFF)
    assert judged(release) == {tag: "it is signed with a key that is unknown here"}


def test_forged_in_the_name_of_another(
    attacker: Attacker, verified: Piece, release: Release, signers: dict[str, KeySigner], judged: Judged
) -> None:
    forged = json.loads(signers["stranger"].sign(proof.statement(REPOSITORY, release.digest, Kind.SOAK, PASSED)))
    forged["verificationMaterial"] = attacker.bundle(verified)["verificationMaterial"]
    tag = attacker.put_bundle(forged, release, Kind.SOAK)
    assert judged(release)[tag] == "the signature is not one by the key of verifier over this content"


def test_tampered_with(attacker: Attacker, attach: Attach, release: Release, judged: Judged) -> None:
    failed = attach(Kind.VERIFICATION, FAILED)
    bundle = attacker.bundle(failed)
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"]).replace(b'"fail"', b'"pass"')
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    tag = attacker.put_bundle(bundle, release, Kind.VERIFICATION)
    assert judged(release) == {
        failed.tag: None,
        tag: "the signature is not one by the key of verifier over this content",
    }


def test_stripped_of_its_signature(attacker: Attacker, verified: Piece, release: Release, judged: Judged) -> None:
    bundle = attacker.bundle(verified)
    bundle["dsseEnvelope"]["signatures"] = []
    tag = attacker.put_bundle(bundle, release, Kind.VERIFICATION)
    assert judged(release) == {verified.tag: None, tag: "it is not signed"}


def test_stripped_of_its_bundle(attacker: Attacker, verified: Piece, release: Release, judged: Judged) -> None:
    manifest = attacker.manifest(verified)
    manifest["layers"] = [manifest["config"]]
    tag = attacker.put(manifest, release.digest, Kind.VERIFICATION)
    assert judged(release)[tag] == "it is no bundle with a statement in it"


def test_an_image_in_the_place_of_a_piece(attacker: Attacker, release: Release, judged: Judged) -> None:
    tag = attacker.put(release.manifest, release.digest, Kind.SIGN_OFF)
    assert judged(release) == {tag: "it is no bundle with a statement in it"}


def test_replayed_for_another_release(
    attacker: Attacker, verified: Piece, release: Release, other: Release, judged: Judged
) -> None:
    fault = f"it was signed as proof of another subject, {release.digest}"
    made_anew = attacker.put_bundle(attacker.bundle(verified), other, Kind.VERIFICATION)
    as_it_was = attacker.put(attacker.manifest(verified), other.digest, Kind.VERIFICATION)
    assert judged(other) == {made_anew: fault, as_it_was: fault}
    assert judged(release) == {verified.tag: None}


def test_an_older_piece_put_in_the_place_of_a_newer_one(
    attacker: Attacker, attach: Attach, verified: Piece, release: Release, judged: Judged
) -> None:
    failed = attach(Kind.VERIFICATION, FAILED)
    raw = json.dumps(attacker.manifest(verified), sort_keys=True, separators=(",", ":")).encode()
    assert digest_of(raw) == verified.digest
    attacker.put(raw, release.digest, Kind.VERIFICATION, failed.tag)
    assert judged(release) == {verified.tag: None, failed.tag: "its tag is another piece's"}


def test_an_older_piece_wrapped_anew_does_not_count_twice(
    attacker: Attacker, verified: Piece, release: Release, judged: Judged
) -> None:
    manifest = attacker.manifest(verified) | {"annotations": {"again": "yes"}}
    copy = attacker.put(manifest, release.digest, Kind.VERIFICATION)
    faults = judged(release)
    assert set(faults) == {verified.tag, copy}
    assert sorted(map(str, faults.values())) == ["None", "it is a copy of a piece that is there"]


def test_a_piece_of_another_kind(attacker: Attacker, verified: Piece, release: Release, judged: Judged) -> None:
    tag = attacker.put_bundle(attacker.bundle(verified), release, Kind.SOAK)
    assert judged(release)[tag] == "it was signed as another kind of proof, https://slipway.dev/verification/v1"


def test_a_builder_who_signs_off(attach: Attach, release: Release, judged: Judged) -> None:
    piece = attach(Kind.SIGN_OFF, {"stack": "prod"}, by="ci")
    assert judged(release) == {piece.tag: "ci signed it, who counts as builder, and not as approver"}
    assert piece.fault == judged(release)[piece.tag]


def test_a_report_that_was_exchanged_is_not_read(
    attacker: Attacker, attach: Attach, store: ReleaseStore, release: Release
) -> None:
    blobs = {"report.xml": b"<failed/>"}
    piece = attach(Kind.VERIFICATION, FAILED, blobs)
    assert store.blob(REPOSITORY, piece, "report.xml") == b"<failed/>"
    manifest = attacker.manifest(piece)
    attacker.registry.put_blob(REPOSITORY, b"<passed/>")
    manifest["layers"][1] |= {"digest": digest_of(b"<passed/>"), "size": len(b"<passed/>")}
    tag = attacker.put(manifest, release.digest, Kind.VERIFICATION)
    exchanged = next(found for found in store.proof(REPOSITORY, release.digest) if found.tag == tag)
    with pytest.raises(BadInput, match=r"nothing called 'report\.xml' was signed with this"):
        store.blob(REPOSITORY, exchanged, "report.xml")


def test_a_piece_that_was_deleted_is_gone_and_the_others_stay(
    attach: Attach, verified: Piece, release: Release, registry: RegistryClient, judged: Judged
) -> None:
    soaked = attach(Kind.SOAK, {"stack": "stage"})
    registry.delete_manifest(REPOSITORY, verified.digest)
    registry.delete_manifest(REPOSITORY, verified.digest)
    assert judged(release) == {soaked.tag: None}


def test_proof_of_what_is_not_there_is_refused(store: ReleaseStore, signers: Any) -> None:
    with pytest.raises(BadInput, match=r"no hello@sha256:0+ to attach proof to"):
        store.attach("hello", "sha256:" + "0" * 64, Kind.SCAN, {"result": "pass"}, signers["ci"])
