"""Lines of an htpasswd file that are the same in each run, or every update would find other hashes to apply."""

from __future__ import annotations

import base64
import hashlib

import bcrypt
import pulumi

from components.model import Credentials

_COST = 5
"""What `htpasswd -B` takes by default. Distribution hashes at every request, and at 10 each takes 80 ms of a core."""
_ALPHABET = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
)


def line(user: Credentials, cluster: str) -> pulumi.Output[str]:
    """The user's line, secret as their password is; `cluster` keeps hashes of different clusters apart."""
    known = salt(f"{cluster}/{user.username}")
    return user.password.output().apply(
        lambda password: f"{user.username}:{bcrypt.hashpw(password.encode(), known).decode()}"
    )


def salt(of: str) -> bytes:
    """A salt that is the same in each run, or every update would find another hash; made of what is public."""
    raw = hashlib.sha256(of.encode()).digest()[:16]
    encoded = base64.b64encode(raw).rstrip(b"=").translate(_ALPHABET)
    return f"$2b${_COST:02}$".encode() + encoded
