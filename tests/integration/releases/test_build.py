"""Releases are built into the real registry; the builder and the scanners are quick ones of the tests' own."""

from __future__ import annotations

import itertools
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.errors import Refused, Unreachable
from adapters.registry import RegistryClient
from components.delivery_model import ScanException, ScanRules
from delivery.releases.artifact import REPOSITORY, Release
from delivery.releases.making import BuildOptions
from delivery.releases.proof import Kind, Piece
from delivery.releases.scan import Finding
from delivery.releases.signing import KeySigner
from delivery.releases.source import SourceService
from delivery.releases.store import ReleaseStore
from local.images import BuiltImage
from tests.integration.releases.building import Bench, BreakingRegistry, QuickBuilder, QuickScanners, Sources

BAD = Finding("CVE-2099-0001", "h11", "1", "high", fixed="2")
OF_AN_IMAGE = {Kind.PROVENANCE, Kind.SBOM, Kind.SCAN}


@pytest.fixture
def bench(tmp_path: Path, store: ReleaseStore, registry: RegistryClient, signers: dict[str, KeySigner]) -> Bench:
    return Bench(Sources(tmp_path / "shop", "api", "web"), store, registry, signers["ci"])


def test_a_release_is_its_commit_and_images_with_proof_of_all_of_them(bench: Bench, store: ReleaseStore) -> None:
    built = bench.build()
    commit, tag = bench.sources.head, f"sha-{bench.sources.head[:12]}"
    assert (built.tag, built.is_new, built.release.commit) == (tag, True, commit)
    assert store.tags() == {tag: built.release.digest}
    for service, digest in built.release.services.items():
        assert bench.registry.digest_of(service, tag) == digest
        pieces = {piece.kind: piece for piece in store.proof(service, digest)}
        assert pieces.keys() == OF_AN_IMAGE
        assert all(piece.counts and piece.signed_by == "ci" for piece in pieces.values())
        said = pieces[Kind.PROVENANCE].predicate
        assert said["buildDefinition"]["resolvedDependencies"][0]["digest"] == {"gitCommit": commit}
        assert said["buildDefinition"]["externalParameters"]["path"] == f"services/{service}"
        assert pieces[Kind.SCAN].predicate["result"] == "pass"
        assert pieces[Kind.SBOM].predicate["spdxVersion"] == "SPDX-2.3"
    assert [piece.kind for piece in store.proof(REPOSITORY, built.release.digest) if piece.counts] == [Kind.PROVENANCE]


def test_neither_commit_nor_time_is_in_an_image(bench: Bench) -> None:
    digest = bench.build().release.services["api"]
    manifest = bench.registry.manifest("api", digest)
    assert manifest is not None
    config = bench.registry.blob("api", json.loads(manifest)["config"]["digest"])
    assert bench.sources.head[:12].encode() not in manifest + config
    assert json.loads(config)["created"] == "1970-01-01T00:00:00Z"


def test_only_what_changed_is_built_and_the_rest_keeps_its_digest_under_another_tag(bench: Bench) -> None:
    bench.builder.fickle = True
    first = bench.build()
    bench.sources.write("web", "second")
    tag = bench.sources.commit()
    second = bench.build()
    assert bench.builder.built == ["api", "web", "web"]
    assert second.release.services["api"] == first.release.services["api"]
    assert second.release.services["web"] != first.release.services["web"]
    assert bench.registry.digest_of("api", tag) == first.release.services["api"]
    services = {service.name: service for service in second.services}
    assert (services["api"].built, services["api"].commit) == (False, first.release.commit)
    scans = [piece for piece in bench.store.proof("api", first.release.services["api"]) if piece.kind is Kind.SCAN]
    assert len(scans) == 2, "what did not change is scanned again, since more is known by now"


def test_going_back_to_earlier_content_goes_back_to_its_digest(bench: Bench) -> None:
    bench.builder.fickle = True
    first = bench.build().release.services
    bench.sources.write("web", "second")
    bench.sources.commit()
    bench.build()
    bench.sources.write("web", "first")
    bench.sources.commit()
    assert bench.build().release.services == first


def test_the_same_commit_again_changes_nothing(bench: Bench) -> None:
    bench.builder.fickle = True
    first, second = bench.build(), bench.build()
    assert second.release == first.release
    assert (first.is_new, second.is_new) == (True, False)
    assert len(bench.store.proof(REPOSITORY, first.release.digest)) == 1


def test_a_rebuild_makes_everything_anew_and_never_moves_the_tag_of_a_commit(bench: Bench) -> None:
    bench.builder.fickle = True
    first = bench.build()
    with pytest.raises(Refused, match=r"is sha256:.* already.*never comes to mean another"):
        bench.build(options=BuildOptions(rebuild=True))
    bench.sources.commit()
    second = bench.build(options=BuildOptions(rebuild=True))
    assert set(first.release.services.values()).isdisjoint(second.release.services.values())


@pytest.mark.parametrize("fickle", [False, True])
def test_a_build_that_is_cut_short_leaves_nothing_without_proof_and_the_next_one_finishes_it(
    bench: Bench, project: str, fickle: bool
) -> None:
    """Cut short before each write to the registry in turn."""
    tag = f"sha-{bench.sources.head[:12]}"
    bench.builder.fickle = fickle
    for last in itertools.count():
        try:
            with BreakingRegistry(project, last) as breaking:
                built = bench.build(registry=breaking)
            break
        except Unreachable:
            store = ReleaseStore(bench.registry, bench.store.trust)
            assert tag not in store.tags()
            for service in ("api", "web"):
                digest = bench.registry.digest_of(service, tag)
                assert digest is None or counted(store.proof(service, digest)) >= OF_AN_IMAGE
    assert last > 20, "there are that many writes, so that this was cut short"
    assert bench.store.tags() == {tag: built.release.digest}
    assert counted(bench.store.proof(REPOSITORY, built.release.digest)) == {Kind.PROVENANCE}
    for service, digest in built.release.services.items():
        assert counted(bench.store.proof(service, digest)) >= OF_AN_IMAGE


def test_what_is_in_no_commit_is_refused_before_anything_is_built(bench: Bench) -> None:
    (bench.sources.directory / "services" / "api" / "new.py").touch()
    with pytest.raises(Refused, match=r"services/api/new\.py would be in no commit.*--dirty"):
        bench.build()
    assert bench.builder.built == []


def test_what_git_ignores_gets_into_no_release_of_a_commit(bench: Bench) -> None:
    folder = bench.sources.directory / "services" / "api"
    (bench.sources.directory / ".gitignore").write_text(".env\n")
    bench.sources.commit()
    (folder / ".env").write_text("PASSWORD=hunter2\n")
    seen: list[str] = []

    class Looking(QuickBuilder):
        def build(self, service: SourceService, scratch: Path) -> BuiltImage:
            seen.extend(path.name for path in service.directory.iterdir())
            return super().build(service, scratch)

    bench.builder = Looking()
    built = bench.build()
    assert sorted(seen) == ["Dockerfile", "Dockerfile", "app.py", "app.py"]
    (folder / ".env").unlink()
    bench.sources.commit()
    assert bench.build().release.services == built.release.services
    assert len(bench.builder.built) == 2


def test_a_folder_of_a_larger_repository_is_a_source_as_well(bench: Bench, tmp_path: Path) -> None:
    larger = tmp_path / "larger"
    shutil.copytree(bench.sources.directory / "services", larger / "shop" / "services")
    bench.sources = Sources(larger)
    bench.sources.directory = larger / "shop"
    assert bench.build().release.services.keys() == {"api", "web"}


def test_a_dirty_build_says_so_and_no_commit_takes_its_images_over(bench: Bench) -> None:
    bench.builder.fickle = True
    bench.sources.write("web", "not committed")
    dirty = bench.build(dirty=True)
    head = bench.sources.head
    assert (dirty.tag, dirty.release.commit) == (f"dirty-{head[:12]}", f"dirty-{head}")
    assert not dirty.release.is_clean
    again = bench.build(dirty=True)
    assert again.release == dirty.release
    bench.sources.commit()
    clean = bench.build()
    assert clean.release.is_clean
    assert set(clean.release.services.values()).isdisjoint(dirty.release.services.values())


def test_the_tag_of_a_dirty_build_may_move(bench: Bench) -> None:
    bench.sources.write("web", "one")
    first = bench.build(dirty=True)
    bench.sources.write("web", "two")
    second = bench.build(dirty=True)
    assert bench.store.tags() == {second.tag: second.release.digest}
    assert (first.tag, first.release) != (second.tag, second.release)


def test_a_tag_that_is_anothers_is_refused_before_anything_is_pushed(bench: Bench, store: ReleaseStore) -> None:
    tag = f"sha-{bench.sources.head[:12]}"
    other = bench.registry.put_manifest("web", tag, *an_image(bench.registry, "web"))
    with pytest.raises(Refused, match=f"web:{tag} is {other} already"):
        bench.build()
    assert bench.registry.digest_of("web", tag) == other
    assert bench.registry.tags("api") == []
    assert store.tags() == {}


@pytest.mark.parametrize("name", ["stranger", "alice", "verifier"])
def test_whose_word_does_not_count_for_builds_builds_nothing(
    bench: Bench, signers: dict[str, KeySigner], name: str
) -> None:
    with pytest.raises(Refused, match=f"the key that {name} signs with"):
        bench.build(signer=signers[name])
    assert bench.builder.built == []


def test_provenance_by_somebody_else_makes_no_image_known(bench: Bench, signers: dict[str, KeySigner]) -> None:
    """Whoever can push could else make CI take over an image of theirs: the tag by content is only a hint."""
    built = bench.build()
    digest = built.release.services["api"]
    (said,) = [piece for piece in bench.store.proof("api", digest) if piece.kind is Kind.PROVENANCE]
    forged = bench.registry.put_manifest("api", "forged", *an_image(bench.registry, "api"))
    bench.store.attach("api", forged, Kind.PROVENANCE, said.predicate, signers["stranger"])
    (content,) = [tag for tag in bench.registry.tags("api") if tag.startswith("content-")]
    bench.registry.copy_tag("api", forged, content)
    bench.sources.commit()
    assert bench.build().release.services["api"] == digest


def test_what_the_scan_finds_keeps_the_release_from_being_pushed(bench: Bench, store: ReleaseStore) -> None:
    with pytest.raises(Refused, match=r"api: CVE-2099-0001 \(high\) in h11 1, fixed in 2; web: CVE-2099"):
        bench.build(scanners=QuickScanners(BAD))
    assert store.tags() == {}
    assert bench.registry.tags("api") == bench.registry.tags("web") == []


def test_an_exception_lets_it_pass_until_its_day_and_is_in_the_proof(bench: Bench) -> None:
    today = datetime.now(UTC).date()
    accepted = ScanException(id=BAD.id, until=today, reason="not reached", author="alice")
    digest = bench.build(scanners=QuickScanners(BAD), rules=ScanRules(exceptions=(accepted,))).release.services["api"]
    (scan,) = [piece for piece in bench.store.proof("api", digest) if piece.kind is Kind.SCAN]
    assert scan.predicate["result"] == "pass"
    assert scan.predicate["exceptions"][0]["reason"] == "not reached"
    bench.sources.commit()
    ended = accepted.model_copy(update={"until": today - timedelta(days=1)})
    with pytest.raises(Refused, match="the exception for CVE-2099-0001 ended on"):
        bench.build(scanners=QuickScanners(BAD), rules=ScanRules(exceptions=(ended,)))


def test_what_is_found_later_in_an_image_that_was_pushed_is_its_newest_scan(bench: Bench) -> None:
    digest = bench.build().release.services["api"]
    bench.sources.commit()
    with pytest.raises(Refused, match="CVE-2099-0001"):
        bench.build(scanners=QuickScanners(BAD))
    scans = [piece for piece in bench.store.proof("api", digest) if piece.kind is Kind.SCAN and piece.counts]
    assert [piece.predicate["result"] for piece in scans] == ["pass", "fail"]


def test_a_scan_that_could_not_look_fails_closed_or_is_recorded_as_just_that(bench: Bench, store: ReleaseStore) -> None:
    blind = QuickScanners(why="there is no database")
    with pytest.raises(Unreachable, match="there is no database"):
        bench.build(scanners=blind)
    assert store.tags() == {}
    built = bench.build(scanners=blind, options=BuildOptions(allow_unscanned=True))
    for service, digest in built.release.services.items():
        (scan,) = [piece for piece in store.proof(service, digest) if piece.kind is Kind.SCAN]
        assert (scan.predicate["result"], scan.predicate["why"]) == ("unscanned", "there is no database")


def test_what_is_found_is_refused_also_where_unscanned_is_allowed(bench: Bench) -> None:
    with pytest.raises(Refused, match="CVE-2099-0001"):
        bench.build(scanners=QuickScanners(BAD), options=BuildOptions(allow_unscanned=True))


def test_equal_images_of_two_commits_are_two_releases(bench: Bench) -> None:
    first = bench.build()
    bench.sources.commit()
    second = bench.build()
    assert first.release.services == second.release.services
    assert first.release.digest != second.release.digest
    assert isinstance(bench.builder, QuickBuilder)
    assert bench.builder.built == ["api", "web"]


def counted(pieces: list[Piece]) -> set[Kind]:
    return {piece.kind for piece in pieces if piece.counts}


def an_image(registry: RegistryClient, repository: str) -> tuple[bytes, str]:
    """The manifest of an image that nobody built, and its type."""
    registry.put_blob(repository, b"{}")
    manifest = Release("dev", {"other": "sha256:" + "0" * 64}).manifest
    registry.put_blob(repository, Release("dev", {"other": "sha256:" + "0" * 64}).content)
    return manifest, "application/vnd.oci.image.manifest.v1+json"
