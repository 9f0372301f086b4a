"""The registry client against the real registry of the platform, with TLS of a private authority and passwords."""

from __future__ import annotations

import hashlib
import json
import shutil
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import pytest

from adapters.errors import BadInput, Refused, Unreachable
from adapters.registry import RegistryClient
from tests.integration.registry import serving

pytestmark = pytest.mark.skipif(shutil.which("go") is None, reason="the registry is built with Go")

USER, PASSWORD = "ci", "correct horse battery staple"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TAGS = [f"v1.{number}" for number in range(12)]


@dataclass(frozen=True)
class Registry:
    host: str
    ca: str
    digest: str

    def client(self, *, password: str | None = PASSWORD, path: str = "") -> RegistryClient:
        return RegistryClient(f"{self.host}{path}", USER if password else None, password, ca=self.ca)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that has `org/hello` under `TAGS`, and lists ten tags a page."""
    folder = tmp_path_factory.mktemp("registry")
    with serving(folder, login=(USER, PASSWORD), storage={"tag": {"concurrencylimit": 1}}) as host:
        ca = (folder / "ca.crt").read_text()
        yield Registry(host, ca, _push(host, ca, "org/hello", TAGS))


def _push(host: str, ca: str, repository: str, tags: list[str]) -> str:
    """Push an image without layers under every tag; returns its digest."""
    trust = ssl.create_default_context(cadata=ca)
    url = f"https://{host}/v2/{repository}"
    with httpx2.Client(verify=trust, auth=(USER, PASSWORD), trust_env=False) as client:
        config = b"{}"
        digest = _digest(config)
        upload = client.post(f"{url}/blobs/uploads/").headers["Location"]
        client.put(upload, params={**httpx2.URL(upload).params, "digest": digest}, content=config).raise_for_status()
        manifest = _manifest(digest)
        for tag in tags:
            answer = client.put(f"{url}/manifests/{tag}", content=manifest, headers={"Content-Type": MANIFEST})
            answer.raise_for_status()
    return _digest(manifest)


def _manifest(config: str, *layers: dict[str, object]) -> bytes:
    described = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2}
    whole = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": layers}
    return json.dumps(whole).encode()


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def test_a_tag_gives_the_digest_it_was_pushed_with(registry: Registry) -> None:
    with registry.client() as client:
        assert client.digest_of("org/hello", TAGS[0]) == registry.digest
        assert client.digest_of("org/hello", registry.digest) == registry.digest
    with registry.client(path="/org") as client:
        assert client.digest_of("hello", TAGS[0]) == registry.digest


def test_what_was_never_pushed_is_not_there(registry: Registry) -> None:
    with registry.client() as client:
        assert client.digest_of("org/hello", "v2") is None
        assert client.digest_of("org/hello", _digest(b"nothing")) is None
        assert client.digest_of("org/nobody", "v1") is None
        assert client.tags("org/nobody") == []


def test_all_tags_are_listed(registry: Registry) -> None:
    with registry.client() as client:
        assert sorted(client.tags("org/hello")) == sorted(TAGS)


@pytest.mark.parametrize("password", ["wrong-password", None])
def test_without_the_password_nothing_is_read(registry: Registry, password: str | None) -> None:
    with (
        registry.client(password=password) as client,
        pytest.raises(BadInput, match=r"does not let us read .* \(401\)") as caught,
    ):
        client.digest_of("org/hello", TAGS[0])
    assert "wrong-password" not in str(caught.value)


def test_without_its_authority_it_is_not_trusted(registry: Registry) -> None:
    with (
        RegistryClient(f"https://{registry.host}", USER, PASSWORD) as client,
        pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.digest_of("org/hello", TAGS[0])


def test_what_was_written_is_read_back_and_another_tag_is_the_same(registry: Registry) -> None:
    with registry.client(path="/org") as client:
        config = client.put_blob("written", b"{}")
        layer = client.put_blob("written", b"content" * 100_000)
        manifest = _manifest(config, {"digest": layer, "size": 700_000, "mediaType": "text/plain"})
        digest = client.put_manifest("written", "v1", manifest, MANIFEST)
        client.copy_tag("written", digest, "latest")
        assert digest == _digest(manifest)
        assert client.manifest("written", "latest") == client.manifest("written", digest) == manifest
        assert client.blob("written", layer) == b"content" * 100_000
        assert sorted(client.tags("written")) == ["latest", "v1"]


def test_what_is_not_there_is_not_read_and_what_names_it_is_not_taken(registry: Registry) -> None:
    with registry.client() as client:
        assert client.manifest("org/nobody", "v1") is None
        with pytest.raises(BadInput, match="no blob sha256:"):
            client.blob("org/hello", _digest(b"nothing"))
        with pytest.raises(Unreachable, match=r"answers with 40\d to .*/manifests/v9: .*unknown"):
            client.put_manifest("org/hello", "v9", _manifest(_digest(b"nothing")), MANIFEST)
        assert "v9" not in client.tags("org/hello")


def test_a_registry_that_does_not_delete_says_so(registry: Registry) -> None:
    with registry.client() as client:
        with pytest.raises(Refused, match=r"storage\.delete\.enabled"):
            client.delete_manifest("org/hello", registry.digest)
        assert client.digest_of("org/hello", TAGS[0]) == registry.digest


def test_without_the_password_nothing_is_written(registry: Registry) -> None:
    with registry.client(password=None) as client:
        for write in (
            lambda: client.put_blob("org/hello", b"x"),
            lambda: client.delete_manifest("org/hello", _digest(b"x")),
        ):
            with pytest.raises(BadInput, match=r"does not let us (read|delete) .* \(401\)"):
                write()
