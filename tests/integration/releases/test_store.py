"""Releases and proof in the real registry."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from adapters.errors import BadInput, Refused
from adapters.registry import RegistryClient, digest_of
from delivery.releases import catalogue
from delivery.releases.artifact import EMPTY, MANIFEST_TYPE, MEDIA_TYPE, REPOSITORY, Release, descriptor, manifest
from delivery.releases.kept import Kept
from delivery.releases.proof import Kind
from delivery.releases.records import read_records
from delivery.releases.signing import KeySigner, Trust
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


def test_proof_is_no_release(store: ReleaseStore, release: Release, signers: dict[str, KeySigner]) -> None:
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
    store: ReleaseStore, release: Release, signers: dict[str, KeySigner], registry: RegistryClient, trust: Trust
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
    store: ReleaseStore, release: Release, signers: dict[str, KeySigner], registry: RegistryClient
) -> None:
    piece = store.attach(REPOSITORY, release.digest, Kind.SOAK, {"stack": "stage"}, signers["verifier"])
    stored = json.loads(registry.manifest(REPOSITORY, piece.digest) or b"")
    assert stored["subject"] == descriptor(MANIFEST_TYPE, release.manifest)
    assert stored["artifactType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert piece.tag == f"sha256-{release.digest[7:]}.soak.{piece.digest[7:23]}"


def test_writers_at_once_lose_nothing(
    store: ReleaseStore, release: Release, signers: dict[str, KeySigner], project: str, trust: Trust
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
    store: ReleaseStore, release: Release, signers: dict[str, KeySigner], registry: RegistryClient, trust: Trust
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


class Asked(RegistryClient):
    """A client that tells what was asked for."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.paths: list[str] = []

    def _ask(self, method: str, path: str, *rest: Any, **named: Any) -> Any:
        self.paths.append(f"{method} {path}")
        return super()._ask(method, path, *rest, **named)

    def listings(self) -> int:
        return sum(path.endswith("/tags/list") for path in self.paths)


@pytest.fixture
def asked(project: str) -> Iterator[Asked]:
    with Asked(project) as client:
        yield client


def test_tags_are_listed_once_a_repository_however_much_proof_there_is(  # noqa: PLR0917 - fixtures
    store: ReleaseStore,
    release: Release,
    signers: dict[str, KeySigner],
    push_image: Callable[[str, str], str],
    asked: Asked,
    trust: Trust,
) -> None:
    for number in range(5):
        other = Release(f"{number}" * 40, {"hello": push_image("hello", f"hello {number}")})
        store.push(other, [f"sha-{str(number) * 12}"])
        store.attach(REPOSITORY, other.digest, Kind.BOOTSTRAP, {"note": "x"}, signers["ci"])
    known = read_records(ReleaseStore(asked, trust), asked, "prod")
    assert len(known.proof) == 5
    assert asked.listings() == 2, "one that tells which releases there are, one for their proof"
    asked.paths.clear()
    assert len(catalogue.read(ReleaseStore(asked, trust))) == 6
    assert asked.listings() == 3, "releases, their proof, that of hello"


def test_what_a_tag_means_for_ever_is_asked_once(release: Release, asked: Asked, trust: Trust) -> None:
    store, tag = ReleaseStore(asked, trust), f"sha-{release.commit[:12]}"
    for _ in range(3):
        assert store.tags() == {tag: release.digest}
        assert store.find(tag) == (release, tag)
        assert store.of_images(release.images(tag)) == release
    assert len(asked.paths) - asked.listings() == 1


@pytest.fixture
def proven(store: ReleaseStore, release: Release, signers: dict[str, KeySigner]) -> Release:
    """A release with a small piece of proof, and a large one of its image."""
    large = {"creationInfo": {"created": "2026-03-01T10:00:00Z"}, "packages": ["x" * 100] * 1000}
    store.attach("hello", release.services["hello"], Kind.SBOM, large, signers["ci"])
    store.attach(REPOSITORY, release.digest, Kind.VERIFICATION, PASSED, signers["verifier"])
    return release


def test_what_was_read_on_this_machine_is_not_read_again(
    proven: Release, asked: Asked, trust: Trust, tmp_path: Path
) -> None:
    first = ReleaseStore(asked, trust, Kept(tmp_path / "proof")).proof_of(proven)
    asked.paths.clear()
    again = ReleaseStore(asked, trust, Kept(tmp_path / "proof"))
    assert again.proof_of(proven) == first
    assert len(asked.paths) == asked.listings() == 2
    assert all(piece.counts for piece in first)


def test_what_somebody_else_wrote_there_makes_nothing_count(
    proven: Release, asked: Asked, trust: Trust, tmp_path: Path
) -> None:
    first = ReleaseStore(asked, trust, Kept(tmp_path / "proof")).proof_of(proven)
    for path in (tmp_path / "proof").iterdir():
        path.write_bytes(b"{}")
    asked.paths.clear()
    assert ReleaseStore(asked, trust, Kept(tmp_path / "proof")).proof_of(proven) == first
    assert len(asked.paths) == 2 + 3, "two listings, two pieces, and what one of them holds"


def test_a_place_where_nothing_can_be_kept_is_no_matter(proven: Release, asked: Asked, trust: Trust) -> None:
    pieces = ReleaseStore(asked, trust, Kept(Path("/proc/none"))).proof_of(proven)
    assert [piece.fault for piece in pieces] == [None, None]


def test_a_piece_that_was_removed_is_gone_whatever_is_kept(
    proven: Release, asked: Asked, trust: Trust, tmp_path: Path
) -> None:
    pieces = ReleaseStore(asked, trust, Kept(tmp_path / "proof")).proof(REPOSITORY, proven.digest)
    asked.delete_manifest(REPOSITORY, pieces[0].digest)
    assert ReleaseStore(asked, trust, Kept(tmp_path / "proof")).proof(REPOSITORY, proven.digest) == []
