"""Releases and proof in the real registry."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from adapters.errors import BadInput, Refused
from adapters.registry import RegistryClient, digest_of
from delivery.releases.artifact import EMPTY, MANIFEST_TYPE, MEDIA_TYPE, REPOSITORY, Release, descriptor, manifest
from delivery.releases.proof import Kind
from delivery.releases.signing import Signer, Trust
from delivery.releases.store import ReleaseStore
from tests.integration.releases.conftest import COMMIT

TAG = f"sha-{COMMIT[:12]}"
PASSED = {"stack": "test", "suite": "regression", "result": "pass", "configuration": "0" * 12, "by": "verifier"}


def test_a_release_is_found_by_each_of_its_names(store: ReleaseStore, release: Release) -> None:
    store.push(release, ["v1.2.0"])
    assert store.find(TAG) == (release, TAG)
    assert store.find("v1.2.0") == (release, "v1.2.0")
    assert store.find(TAG[:11]) == (release, "v1.2.0")
    for name in (release.digest, release.digest[:19], release.digest.removeprefix("sha256:")[:12]):
        assert store.find(name) == (release, "v1.2.0")
    assert store.tags() == {TAG: release.digest, "v1.2.0": release.digest}


def test_what_is_no_release_is_refused_with_those_there_are(store: ReleaseStore, release: Release) -> None:
    for name in ("v9", "sha256:" + "0" * 64, "0" * 12, "hello"):
        with pytest.raises(BadInput, match=f"no release '{name}'.*Allowed: {TAG}"):
            store.find(name)


def test_proof_is_no_release(store: ReleaseStore, release: Release, signers: dict[str, Signer]) -> None:
    piece = store.attach(REPOSITORY, release.digest, Kind.VERIFICATION, PASSED, signers["verifier"])
    assert list(store.tags()) == [TAG]
    for name in (piece.tag, piece.digest):
        with pytest.raises(BadInput, match="no release"):
            store.find(name)


def test_a_tag_of_a_commit_or_a_version_never_comes_to_mean_another_release(
    store: ReleaseStore, release: Release, push_image: Callable[[str, str], str]
) -> None:
    store.push(release, ["v1.0.0", "latest"])
    other = Release(COMMIT, {"hello": push_image("hello", "another")})
    for tag in (TAG, "v1.0.0"):
        with pytest.raises(Refused, match=f"{tag} is a release already"):
            store.push(other, ["new", tag])
    assert "new" not in store.tags()
    store.push(release, [TAG, "v1.0.0"])
    store.push(other, ["latest"])
    assert store.tags() == {TAG: release.digest, "v1.0.0": release.digest, "latest": other.digest}


def test_images_tell_their_release_and_tags_tell_which_of_several(
    store: ReleaseStore, release: Release, push_image: Callable[[str, str], str]
) -> None:
    same = Release("f" * 40, release.services)
    store.push(same, ["sha-ffffffffffff"])
    assert store.of_images(release.services) == release
    assert store.of_images(same.images("sha-ffffffffffff")) == same
    assert store.of_images(release.images("no-such-tag")) == release
    store.push(same, ["v1.0.0"])
    assert store.of_images(release.services) == same
    assert store.of_images({"hello": push_image("hello", "unreleased")}) is None
    assert store.of_images({**release.services, "more": release.services["hello"]}) is None
    assert store.of_images({"hello": "hello:v1"}) is None


def test_proof_of_a_release_and_of_its_images_comes_back_judged_with_the_newest_last(
    store: ReleaseStore, release: Release, signers: dict[str, Signer], registry: RegistryClient, trust: Trust
) -> None:
    image = release.services["hello"]
    later, earlier = {"at": "2026-03-01T10:00:00Z"}, {"at": "2026-02-01T10:00:00+01:00"}
    report = b"<testsuite/>"
    store.attach(
        REPOSITORY,
        release.digest,
        Kind.VERIFICATION,
        PASSED | later | {"report": digest_of(report)},
        signers["verifier"],
        {"report.xml": report},
    )
    store.attach("hello", image, Kind.PROVENANCE, {"buildDefinition": {}} | earlier, signers["ci"])
    pieces = ReleaseStore(registry, trust).proof_of(release)
    assert [(piece.kind, piece.subject, piece.signed_by, piece.fault) for piece in pieces] == [
        (Kind.PROVENANCE, image, "ci", None),
        (Kind.VERIFICATION, release.digest, "verifier", None),
    ]
    assert pieces[0].at.isoformat() == "2026-02-01T09:00:00+00:00"
    assert pieces[1].predicate["suite"] == "regression"
    assert pieces == store.proof_of(release)
    assert store.blob(REPOSITORY, pieces[1], "report.xml") == report
    assert [piece.kind for piece in store.proof(REPOSITORY, release.digest)] == [Kind.VERIFICATION]


def test_a_piece_is_an_artifact_linked_to_its_subject(
    store: ReleaseStore, release: Release, signers: dict[str, Signer], registry: RegistryClient
) -> None:
    piece = store.attach(REPOSITORY, release.digest, Kind.SOAK, {"stack": "stage"}, signers["verifier"])
    stored = json.loads(registry.manifest(REPOSITORY, piece.digest) or b"")
    assert stored["subject"] == descriptor(MANIFEST_TYPE, release.manifest)
    assert stored["artifactType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert piece.tag == f"sha256-{release.digest[7:]}.soak.{piece.digest[7:23]}"


def test_writers_at_once_lose_nothing(
    store: ReleaseStore, release: Release, signers: dict[str, Signer], project: str, trust: Trust
) -> None:
    def attach(number: int) -> str:
        with RegistryClient(project) as client:
            predicate = PASSED | {"note": str(number)}
            return (
                ReleaseStore(client, trust)
                .attach(REPOSITORY, release.digest, Kind.VERIFICATION, predicate, signers["verifier"])
                .tag
            )

    with ThreadPoolExecutor(8) as executor:
        tags = list(executor.map(attach, range(40)))
    pieces = store.proof(REPOSITORY, release.digest)
    assert sorted(piece.tag for piece in pieces) == sorted(tags)
    assert {piece.predicate["note"] for piece in pieces if piece.counts} == {str(number) for number in range(40)}


def test_a_document_too_large_for_a_manifest_is_proof_like_any_other(
    store: ReleaseStore, release: Release, signers: dict[str, Signer], registry: RegistryClient, trust: Trust
) -> None:
    document = {"creationInfo": {"created": "2026-03-01T10:00:00Z"}, "packages": ["x" * 100] * 50_000}
    attached = store.attach("hello", release.services["hello"], Kind.SBOM, document, signers["ci"])
    (piece,) = ReleaseStore(registry, trust).proof("hello", release.services["hello"])
    assert (piece, piece.fault, piece.predicate) == (attached, None, document)


def test_an_artifact_that_only_looks_like_a_release_is_none(store: ReleaseStore, registry: RegistryClient) -> None:
    registry.put_blob(REPOSITORY, EMPTY)
    content = b'{"commit":"dev","services":{}}'
    registry.put_blob(REPOSITORY, content)
    manifests = [
        manifest([descriptor(MEDIA_TYPE, content, embed=True)]),
        manifest([descriptor(MEDIA_TYPE, content)]),
        manifest([descriptor("text/plain", content, embed=True)]),
    ]
    for number, pretender in enumerate(manifests):
        digest = registry.put_manifest(REPOSITORY, f"pretender-{number}", pretender, MANIFEST_TYPE)
        assert store.get(digest) is None
    with pytest.raises(BadInput, match="no release 'pretender-0'"):
        store.find("pretender-0")
    assert store.of_images({"hello": "sha256:" + "0" * 64}) is None
