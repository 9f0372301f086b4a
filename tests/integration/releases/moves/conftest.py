"""A team with three releases, of which all its environments run the first."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from adapters.git import Repository
from adapters.registry import RegistryClient
from delivery.releases.artifact import Release
from delivery.releases.signing import KeySigner, Trust
from delivery.releases.store import ReleaseStore
from tests.integration.releases.moves.team import Engine, Jobs, Team, git_init

ROLES = {"ci": "builder", "verifier": "verifier", "alice": "approver", "stranger": "verifier"}
LETTERS = "ABC"


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name in ROLES:
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / name).write_bytes(pem)
    return folder


@pytest.fixture
def team(  # noqa: PLR0917 - fixtures
    tmp_path: Path,
    keys: Path,
    project: str,
    registry: RegistryClient,
    push_image: Callable[[str, str], str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Team:
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    signers = {name: KeySigner.from_file(keys / name, name=name, role=role) for name, role in ROLES.items()}
    trusted = {
        name: {"roles": [role], "key": signers[name].known_by} for name, role in ROLES.items() if name != "stranger"
    }
    releases = {
        letter: Release(letter.lower() * 40, {"hello": push_image("hello", f"{letter} {tmp_path.name}")})
        for letter in LETTERS
    }
    directory = tmp_path / "config"
    directory.mkdir()
    git_init(directory)
    (directory / "Pulumi.yaml").write_text("name: slipway\nruntime: python\n")
    common = {
        "slipway:cluster": {"context": "ours", "identifier": "ours"},
        "slipway:registry": {"push": project, "pull": "registry.example.com"},
    }
    environment = common | {
        "slipway:kind": "environment",
        "slipway:shared": "shared",
        "slipway:signers": trusted,
        "slipway:services": {"hello": {"port": 8080}},
        "slipway:images": releases["A"].images("sha-" + "a" * 12),
    }
    verified = {"verified": {"stack": "test", "suite": "regression"}}
    configs = {
        "shared": common | {"slipway:kind": "shared"},
        "test": environment | {"slipway:environment": {"mayNameTags": True}},
        "stage": environment | {"slipway:gates": [verified]},
        "prod": environment | {"slipway:environment": {"protect": True}},
    }
    for stack, config in configs.items():
        text = f"# {stack}, by hand\n" + yaml.safe_dump({"config": config}, sort_keys=False)
        (directory / f"Pulumi.{stack}.yaml").write_text(text)
    (directory / ".gitignore").write_text(".slipway/\n")
    Repository(directory).commit(sorted(path for path in directory.iterdir() if path.is_file()), "Begin")
    running = tmp_path / "running.json"
    running.write_text(json.dumps(dict.fromkeys(("test", "stage", "prod"), environment["slipway:images"])))
    known = yaml.safe_load((directory / "Pulumi.prod.yaml").read_text())["config"]["slipway:signers"]
    store = ReleaseStore(registry, Trust({name: _Entry(**entry) for name, entry in known.items()}))
    for letter, release in releases.items():
        store.push(release, ["sha-" + letter.lower() * 12])
    environ = {
        "SLIPWAY_CONFIG_DIR": str(directory),
        "SLIPWAY_SIGNING_KEY": str(keys / "verifier"),
        "SLIPWAY_IDENTITY": "maria",
    }
    return Team(directory, Engine(running), Jobs(), environ, store, registry, signers, capsys, releases)


class _Entry:
    """A signer, as a stack file has it."""

    def __init__(self, roles: list[str], key: str) -> None:
        self.roles, self.key, self.identity = tuple(roles), key, None
