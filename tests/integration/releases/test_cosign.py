"""Proof is read by a tool of others: cosign believes our bundles, and none that was tampered with."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.registry import RegistryClient
from delivery.releases.artifact import REPOSITORY, Release
from delivery.releases.proof import PREDICATE_TYPE, Kind
from delivery.releases.signing import KeySigner
from delivery.releases.store import ReleaseStore


@dataclass(frozen=True)
class Files:
    """What somebody downloads to check a piece: the release's manifest, the bundle, and the signer's public key."""

    folder: Path
    cosign: Path
    kind: Kind

    def verify(self) -> subprocess.CompletedProcess[str]:
        """Ask cosign, which has no network here and asks no log: keys are what is trusted."""
        argv = [self.cosign, "verify-blob-attestation", "--insecure-ignore-tlog", "--bundle=bundle.json"]
        argv += ["--key=key.pem", f"--type={PREDICATE_TYPE[self.kind]}", "manifest.json"]
        environment = {"HOME": str(self.folder), "PATH": os.environ["PATH"], "HTTPS_PROXY": "http://127.0.0.1:1"}
        return subprocess.run(argv, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def downloaded(  # noqa: PLR0917 - fixtures, by name
    cosign: Path,
    store: ReleaseStore,
    release: Release,
    signers: dict[str, KeySigner],
    registry: RegistryClient,
    tmp_path: Path,
) -> Callable[[Kind, str], Files]:
    """Attaches a piece to the release and downloads it as anybody would, by the digests in its manifest."""

    def download(kind: Kind, by: str) -> Files:
        piece = store.attach(REPOSITORY, release.digest, kind, {"stack": "prod", "note": "für alle"}, signers[by])
        manifest = json.loads(registry.manifest(REPOSITORY, piece.tag) or b"")
        subject = registry.manifest(REPOSITORY, manifest["subject"]["digest"]) or b""
        (tmp_path / "manifest.json").write_bytes(subject)
        (tmp_path / "bundle.json").write_bytes(registry.blob(REPOSITORY, manifest["layers"][0]["digest"]))
        (tmp_path / "key.pem").write_text(signers[by].known_by)
        return Files(tmp_path, cosign, kind)

    return download


@pytest.mark.parametrize(
    ("kind", "by"), [(Kind.PROVENANCE, "ci"), (Kind.VERIFICATION, "verifier"), (Kind.SIGN_OFF, "alice")]
)
def test_cosign_believes_each_roles_proof(downloaded: Callable[[Kind, str], Files], kind: Kind, by: str) -> None:
    done = downloaded(kind, by).verify()
    assert done.returncode == 0, done.stderr
    assert "Verified OK" in done.stderr


def test_cosign_believes_no_changed_statement(downloaded: Callable[[Kind, str], Files]) -> None:
    files = downloaded(Kind.SIGN_OFF, "alice")
    bundle = json.loads((files.folder / "bundle.json").read_bytes())
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"]).replace(b'"prod"', b'"test"')
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    (files.folder / "bundle.json").write_text(json.dumps(bundle))
    done = files.verify()
    assert done.returncode != 0
    assert "signature" in done.stderr


def test_cosign_believes_no_proof_of_another_release(downloaded: Callable[[Kind, str], Files]) -> None:
    files = downloaded(Kind.SIGN_OFF, "alice")
    (files.folder / "manifest.json").write_bytes(Release("f" * 40, {"hello": "sha256:" + "0" * 64}).manifest)
    done = files.verify()
    assert done.returncode != 0
    assert "digest" in done.stderr


def test_cosign_believes_no_other_key(downloaded: Callable[[Kind, str], Files], signers: dict[str, KeySigner]) -> None:
    files = downloaded(Kind.SIGN_OFF, "alice")
    (files.folder / "key.pem").write_text(signers["stranger"].known_by)
    done = files.verify()
    assert done.returncode != 0
    assert "signature" in done.stderr
