"""The platform's real registry, run on this machine without a cluster, and releases in it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from adapters.registry import RegistryClient, digest_of
from components.delivery_model import SignerSettings
from delivery.releases.artifact import EMPTY, MANIFEST_TYPE, REPOSITORY, Release, canonical, manifest
from delivery.releases.signing import Signer, Trust
from delivery.releases.store import ReleaseStore
from local.images import platform_binary

ROLES = {"ci": "builder", "verifier": "verifier", "alice": "approver"}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="session")
def registry_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a registry is that lets everybody read, write and delete."""
    if shutil.which("go") is None:
        pytest.skip("the registry is built with Go, which is not installed")
    folder = tmp_path_factory.mktemp("registry")
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    storage = {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}}
    (folder / "config.yml").write_text(json.dumps({"version": 0.1, "storage": storage, "http": {"addr": address}}))
    argv = [platform_binary("registry"), "serve", folder / "config.yml"]
    environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(argv, env=environment, stdout=log, stderr=subprocess.PIPE, text=True) as process,
    ):
        assert process.stderr is not None
        try:
            assert any("listening on" in line for line in process.stderr), "it ended before it listened"
            # Without a reader of its log it would stand still once the pipe is full.
            reader = threading.Thread(target=shutil.copyfileobj, args=(process.stderr, log), daemon=True)
            reader.start()
            yield address
            process.terminate()
            reader.join()
        finally:
            process.kill()


@pytest.fixture
def project(registry_address: str) -> str:
    """A part of the registry that only this test uses."""
    return f"{registry_address}/{uuid.uuid4().hex[:10]}"


@pytest.fixture
def registry(project: str) -> Iterator[RegistryClient]:
    with RegistryClient(project) as client:
        yield client


@pytest.fixture(scope="session")
def signers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Signer]:
    """One signer for each role, by name, and a `stranger` whom nobody trusts."""
    folder = tmp_path_factory.mktemp("signers")
    made = {}
    for name, role in {**ROLES, "stranger": "approver"}.items():
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / name).write_bytes(pem)
        made[name] = Signer.from_file(Path(folder / name), name=name, role=role)
    return made


@pytest.fixture(scope="session")
def trust(signers: dict[str, Signer]) -> Trust:
    return Trust({name: SignerSettings(roles=(role,), key=signers[name].public_pem) for name, role in ROLES.items()})


@pytest.fixture
def store(registry: RegistryClient, trust: Trust) -> ReleaseStore:
    return ReleaseStore(registry, trust)


@pytest.fixture
def push_image(registry: RegistryClient) -> Callable[[str, str], str]:
    """Pushes a small image of some content as a service, and returns its digest."""

    def push(service: str, content: str) -> str:
        layer = ("application/vnd.oci.image.layer.v1.tar", content.encode(), {})
        image = manifest("application/vnd.slipway.test", [layer])
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
