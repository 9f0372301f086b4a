"""A release as an artifact: equal content is the same release, and anything else is another or none."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from adapters.errors import BadInput
from delivery.releases.artifact import Release, descriptor, first_layer, manifest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
A, B = "sha256:" + "a1" * 32, "sha256:" + "b2" * 32


def test_equal_content_has_the_same_digest_whatever_its_order() -> None:
    one, other = Release(COMMIT, {"hello": A, "api": B}), Release(COMMIT, {"api": B, "hello": A})
    assert one.digest == other.digest
    assert one.digest == "sha256:" + hashlib.sha256(one.manifest).hexdigest()
    assert len({one, other}) == 1


def test_its_digest_is_the_same_in_every_version_of_this_program() -> None:
    release = Release(COMMIT, {"hello": A, "api": B})
    assert release.digest == "sha256:10542f185de11b3fd566cbeb2c4bbb14b30e35fa4bdfb228280b9031b4d71ed0"


@pytest.mark.parametrize(
    "other",
    [
        Release("f" * 40, {"hello": A}),
        Release(f"dirty-{COMMIT}", {"hello": A}),
        Release(COMMIT, {"hello": B}),
        Release(COMMIT, {"hello": A, "api": B}),
    ],
)
def test_other_content_is_another_release(other: Release) -> None:
    assert other.digest != Release(COMMIT, {"hello": A}).digest


def test_its_manifest_is_an_artifact_with_an_empty_configuration() -> None:
    release = Release(COMMIT, {"hello": A})
    written = json.loads(release.manifest)
    kind = "application/vnd.slipway.release.v1+json"
    assert written["artifactType"] == kind
    assert written["config"] == {
        "mediaType": "application/vnd.oci.empty.v1+json",
        "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "size": 2,
    }
    digest = "sha256:" + hashlib.sha256(release.content).hexdigest()
    embedded = base64.b64encode(release.content).decode()
    assert written["layers"] == [{"mediaType": kind, "digest": digest, "size": len(release.content), "data": embedded}]
    assert json.loads(release.content) == {"commit": COMMIT, "services": {"hello": A}}


def test_what_it_holds_is_read_back() -> None:
    release = Release(COMMIT, {"hello": A, "api": B})
    assert Release.from_content(release.content) == release


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        json.dumps({"commit": COMMIT, "services": {"hello": A}}).encode(),  # with white space
        b'{"commit":"dev","more":1,"services":{"hello":"' + A.encode() + b'"}}',
        b'{"commit":"dev","services":["hello"]}',
        b'{"commit":"dev","services":{}}',
        b'{"commit":"dev","services":{"hello":"v1"}}',
    ],
)
def test_what_was_not_written_here_is_no_release(content: bytes) -> None:
    with pytest.raises(BadInput):
        Release.from_content(content)


@pytest.mark.parametrize(
    ("commit", "services", "complaint"),
    [
        ("0123", {"hello": A}, "no commit"),
        ("DEV", {"hello": A}, "no commit"),
        (COMMIT + "\n", {"hello": A}, "no commit"),
        (COMMIT, {}, "at least one service"),
        (COMMIT, {"hello": "v1"}, "no digest of an image of hello"),
        (COMMIT, {"Hello": A}, "can be no service"),
        (COMMIT, {"releases": A}, "where releases are"),
    ],
)
def test_what_can_be_no_release_says_why(commit: str, services: dict[str, str], complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        Release(commit, services)


def test_images_are_called_as_stack_files_call_them() -> None:
    assert Release(COMMIT, {"hello": A}).images("v1.2.0") == {"hello": f"hello:v1.2.0@{A}"}


@pytest.mark.parametrize(("commit", "clean"), [(COMMIT, True), (f"dirty-{COMMIT}", False), ("dev", False)])
def test_what_is_in_no_commit_is_not_clean(commit: str, clean: bool) -> None:
    assert Release(commit, {"hello": A}).is_clean is clean


def test_what_is_embedded_is_read_only_if_the_digest_names_it() -> None:
    embedded = descriptor("text/plain", b"content", embed=True)
    digest = embedded["digest"]
    assert first_layer(manifest([embedded]), "text/plain") == (digest, b"content")
    assert first_layer(manifest([descriptor("text/plain", b"content")]), "text/plain") == (digest, None)
    for data in (base64.b64encode(b"other").decode(), 5):
        assert first_layer(manifest([embedded | {"data": data}]), "text/plain") == (digest, None)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"artifactType":"text/plain","layers":[]}',
        b'{"artifactType":"text/plain","layers":[{"mediaType":"text/plain"}]}',
        manifest([descriptor("text/plain", b"", embed=True) | {"data": "%"}]),
        manifest([descriptor("text/html", b"")]),
    ],
)
def test_another_manifest_has_no_such_layer(content: bytes) -> None:
    assert first_layer(content, "text/plain") is None
