"""Who signs on one machine: a key for each role, made here, so that the gates of a local platform are real ones.

All three are on one machine, which is what a team must not do: there an approver's key is that person's alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from local.private import key_pem, save_private

ROLES = {"ci": "builder", "verifier": "verifier", "approver": "approver"}
"""What the signature of each counts for."""


class Signers:
    """Private keys, `NAME.key`, in a directory of its owner's."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def files(self) -> Mapping[str, Path]:
        """The keys that were made, by their signer's name."""
        paths = {name: self._directory / f"{name}.key" for name in ROLES}
        return {name: path for name, path in paths.items() if path.exists()}

    def entries(self) -> dict[str, dict[str, object]]:
        """What `slipway:signers` says of them; makes the keys that are missing."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return {name: {"roles": [role], "key": self._public(name)} for name, role in ROLES.items()}

    def remove(self) -> None:
        """Remove every key."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _public(self, name: str) -> str:
        path = self._directory / f"{name}.key"
        if not path.exists():
            save_private(path, key_pem(ec.generate_private_key(ec.SECP256R1())).encode())
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        return (
            key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )
