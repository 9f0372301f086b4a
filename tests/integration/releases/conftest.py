"""The platform's real registry, run on this machine without a cluster, and releases in it."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from adapters.registry import RegistryClient, digest_of
from components.delivery_model import SignerSettings
from delivery.releases.artifact import EMPTY, MANIFEST_TYPE, Release, descriptor, manifest
from delivery.releases.signing import KeySigner, Trust
from delivery.releases.store import ReleaseStore
from tests.integration.registry import serving
from tests.tools.build import find_cosign

ROLES = {"ci": "builder", "verifier": "verifier", "alice": "approver"}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="session")
def registry_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a registry is that lets everybody read, write and delete."""
    if shutil.which("go") is None:
        pytest.skip("the registry is built with Go, which is not installed")
    with serving(tmp_path_factory.mktemp("registry"), storage={"delete": {"enabled": True}}) as address:
        yield address


@pytest.fixture
def project(registry_address: str) -> str:
    """A part of the registry that only this test uses."""
    return f"{registry_address}/{uuid.uuid4().hex[:10]}"


@pytest.fixture
def registry(project: str) -> Iterator[RegistryClient]:
    with RegistryClient(project) as client:
        yield client


@pytest.fixture(scope="session")
def signers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, KeySigner]:
    """One signer for each role, by name, and a `stranger` whom nobody trusts."""
    folder = tmp_path_factory.mktemp("signers")
    made = {}
    for name, role in {**ROLES, "stranger": "approver"}.items():
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / name).write_bytes(pem)
        made[name] = KeySigner.from_file(Path(folder / name), name=name, role=role)
    return made


@pytest.fixture(scope="session")
def trust(signers: dict[str, KeySigner]) -> Trust:
    return Trust({name: SignerSettings(roles=(role,), key=signers[name].known_by) for name, role in ROLES.items()})


@pytest.fixture
def store(registry: RegistryClient, trust: Trust) -> ReleaseStore:
    return ReleaseStore(registry, trust)


@pytest.fixture
def push_image(registry: RegistryClient) -> Callable[[str, str], str]:
    """Pushes a small image of some content as a service, and returns its digest."""

    def push(service: str, content: str) -> str:
        image = manifest([descriptor("application/vnd.oci.image.layer.v1.tar", content.encode())])
        registry.put_blob(service, EMPTY)
        registry.put_blob(service, content.encode())
        return registry.put_manifest(service, digest_of(image), image, MANIFEST_TYPE)

    return push


@pytest.fixture
def release(store: ReleaseStore, push_image: Callable[[str, str], str]) -> Release:
    """A release of one service that was pushed."""
    made = Release(COMMIT, {"hello": push_image("hello", "hello, world")})
    store.push(made, [f"sha-{COMMIT[:12]}"])
    return made


@pytest.fixture(scope="session")
def cosign() -> Path:
    if shutil.which("go") is None:
        pytest.skip("cosign is built with Go, which is not installed")
    found = find_cosign()
    if found is None:
        pytest.skip("cosign was not built: `python -m tests.tools.build` takes minutes")
    return found
