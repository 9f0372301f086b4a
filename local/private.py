"""Files of secrets, and keys in them."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec


def save_private(file: Path, content: bytes) -> None:
    """Write `file` whole or not at all, readable by its owner alone at every moment."""
    scratch = file.with_suffix(file.suffix + ".new")
    scratch.touch(mode=0o600)
    scratch.write_bytes(content)
    scratch.replace(file)


def key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """A private key as PEM, PKCS #8, not encrypted."""
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode("ascii")
