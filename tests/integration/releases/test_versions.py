"""Versions are given to releases in the real registry: the same digests, never moved, never backwards unasked."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from adapters.errors import BadInput, Refused
from adapters.registry import RegistryClient
from delivery.releases.artifact import Release
from delivery.releases.store import ReleaseStore
from delivery.releases.versions import tag
from tests.integration.releases.conftest import COMMIT


@pytest.fixture
def other(store: ReleaseStore, push_image: Callable[[str, str], str]) -> Release:
    made = Release("f" * 40, {"hello": push_image("hello", "another")})
    store.push(made, ["sha-" + "f" * 12])
    return made


def test_a_version_is_the_same_digests_of_release_and_images(
    store: ReleaseStore, registry: RegistryClient, release: Release
) -> None:
    tagged = tag(store, registry, "v1.0.0", release, force=False)
    assert (tagged.is_new, tagged.is_latest) == (True, True)
    for name in ("v1.0.0", "latest"):
        assert store.tags()[name] == release.digest
        assert registry.digest_of("hello", name) == release.services["hello"]
    assert not tag(store, registry, "v1.0.0", release, force=False).is_new


def test_a_version_never_moves_also_by_force(
    store: ReleaseStore, registry: RegistryClient, release: Release, other: Release
) -> None:
    tag(store, registry, "v1.0.0", release, force=False)
    for force in (False, True):
        with pytest.raises(Refused, match=r"releases:v1\.0\.0 is sha256"):
            tag(store, registry, "v1.0.0", other, force=force)
    assert registry.digest_of("hello", "v1.0.0") == release.services["hello"]


def test_an_images_version_that_is_taken_is_refused_before_anything_is_tagged(
    store: ReleaseStore, registry: RegistryClient, release: Release, other: Release
) -> None:
    registry.copy_tag("hello", other.services["hello"], "v1.0.0")
    with pytest.raises(Refused, match=r"hello:v1\.0\.0 is sha256"):
        tag(store, registry, "v1.0.0", release, force=False)
    assert "v1.0.0" not in store.tags()


def test_versions_go_up_unless_forced_and_latest_stays_with_the_highest_final_one(
    store: ReleaseStore, registry: RegistryClient, release: Release, other: Release
) -> None:
    tag(store, registry, "v1.10.0", release, force=False)
    with pytest.raises(Refused, match=r"v1\.9\.1 is below v1\.10\.0"):
        tag(store, registry, "v1.9.1", other, force=False)
    assert "v1.9.1" not in store.tags()
    assert not tag(store, registry, "v1.9.1", other, force=True).is_latest
    assert not tag(store, registry, "v2.0.0-rc.1", other, force=False).is_latest
    assert store.tags()["latest"] == release.digest
    assert registry.digest_of("hello", "latest") == release.services["hello"]
    assert tag(store, registry, "v2.0.0", other, force=False).is_latest
    assert store.tags()["latest"] == other.digest


@pytest.mark.parametrize("text", ["1.0.0", "v1", "latest", "sha-0123456789ab", "v1.0.0+build"])
def test_what_is_no_version_is_refused(
    store: ReleaseStore, registry: RegistryClient, release: Release, text: str
) -> None:
    with pytest.raises(BadInput, match="is no version"):
        tag(store, registry, text, release, force=False)


def test_what_is_in_no_commit_gets_no_version(store: ReleaseStore, registry: RegistryClient, release: Release) -> None:
    dirty = Release(f"dirty-{COMMIT}", release.services)
    store.push(dirty, ["dirty-" + COMMIT[:12]])
    with pytest.raises(Refused, match="in no commit"):
        tag(store, registry, "v1.0.0", dirty, force=True)
