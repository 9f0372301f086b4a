"""Pulumi's passphrase secrets: what `secure: v1:…` and `encryptionsalt` in a stack file mean.

The format is Pulumi's own (sdk/go/common/resource/config/crypt.go), so that the Pulumi CLI and the local engine read
each other's stack files: PBKDF2-HMAC-SHA256 with 1,000,000 iterations over an 8-byte salt gives a 32-byte AES-256-GCM
key; a secret is `v1:<base64 of the 12-byte nonce>:<base64 of ciphertext and tag>`; a stack's `encryptionsalt` is
`v1:<base64 salt>:` followed by the encrypted word `pulumi`, by which a wrong passphrase is noticed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from adapters import keyring
from adapters.errors import BadInput

_ITERATIONS = 1_000_000
_SALT_BYTES = 8
_KEY_BYTES = 32
_NONCE_BYTES = 12
_CHECK_WORD = "pulumi"
_VERSION = "v1"

_keys: dict[str, Future[bytes]] = {}  # by what they were derived from, hashed
_beginning = threading.Lock()


class Passphrase:
    """Encrypts and decrypts one stack's secrets. `key` is the derived AES key, 32 bytes; never print it."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self._cipher = AESGCM(key)

    def __repr__(self) -> str:
        return "Passphrase(key=…)"

    @classmethod
    def create(cls, passphrase: str) -> tuple[Passphrase, str]:
        """A crypter with a fresh salt, and the `encryptionsalt` to write into the stack file."""
        salt = os.urandom(_SALT_BYTES)
        crypter = cls(_derive(passphrase, salt))
        return crypter, f"{_VERSION}:{_encode(salt)}:{crypter.encrypt(_CHECK_WORD)}"

    @classmethod
    def open(cls, passphrase: str, encryptionsalt: str) -> Passphrase:
        """The crypter of a stack whose file says `encryptionsalt`; raises `BadInput` for a wrong passphrase."""
        salt, check = _parts(encryptionsalt)
        crypter = cls(_derive(passphrase, salt))
        if crypter.decrypt(check) != _CHECK_WORD:
            raise _wrong_passphrase()
        return crypter

    def encrypt(self, plaintext: str) -> str:
        """`plaintext` as `v1:<nonce>:<ciphertext>`, different each time."""
        nonce = os.urandom(_NONCE_BYTES)
        return f"{_VERSION}:{_encode(nonce)}:{_encode(self._cipher.encrypt(nonce, plaintext.encode(), None))}"

    def decrypt(self, ciphertext: str) -> str:
        """What `encrypt` was given; raises `BadInput` if it was encrypted by another passphrase or is malformed."""
        match ciphertext.split(":"):
            case [version, nonce, sealed] if version == _VERSION:
                pass
            case _:
                raise _malformed("an encrypted value", "v1:<base64 nonce>:<base64 ciphertext>")
        nonce_bytes, sealed_bytes = _decode(nonce, "an encrypted value"), _decode(sealed, "an encrypted value")
        try:
            return self._cipher.decrypt(nonce_bytes, sealed_bytes, None).decode()
        except InvalidTag:
            raise _wrong_passphrase() from None
        except ValueError:  # a nonce of a wrong length, or bytes that are no UTF-8
            raise _malformed("an encrypted value", "a 12-byte nonce and UTF-8 text") from None


def find_passphrase(environ: Mapping[str, str] = os.environ) -> str:
    """The passphrase where Pulumi looks for it: `PULUMI_CONFIG_PASSPHRASE` (may be empty), else the file named by
    `PULUMI_CONFIG_PASSPHRASE_FILE`; raises `BadInput` without either."""
    if (passphrase := environ.get("PULUMI_CONFIG_PASSPHRASE")) is not None:
        return passphrase
    if name := environ.get("PULUMI_CONFIG_PASSPHRASE_FILE"):
        try:
            return Path(name).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise BadInput(
                f"the passphrase file cannot be read: {error.strerror}",
                where=name,
                fix="Set PULUMI_CONFIG_PASSPHRASE_FILE to a readable file",
            ) from None
    raise BadInput(
        "the passphrase of the stack's secrets is not set",
        fix="Set PULUMI_CONFIG_PASSPHRASE, or PULUMI_CONFIG_PASSPHRASE_FILE to the name of a file that holds it",
    )


def derive_ahead(passphrase: str, encryptionsalt: str, *, kept_s: int = 0) -> None:
    """Begin to derive the key that `Passphrase.open` of the same will want; raises `BadInput` for a malformed salt.

    With `kept_s` it is kept for so long in the user's keyring, and taken from there. That is for a passphrase that
    the user's other processes may read anyway: they can read the key then, too.
    """
    salt = _parts(encryptionsalt)[0]
    if not kept_s:
        _begin(passphrase, salt)
        return
    kept = _kept_name(passphrase, salt)
    if (key := keyring.find(kept)) is not None:
        know({_name(passphrase, salt): _encode(key)})
        return
    _begin(passphrase, salt).add_done_callback(lambda derived: keyring.keep(kept, derived.result(), kept_s))


def forget(passphrase: str, encryptionsalt: str) -> None:
    """Take the key out of the user's keyring."""
    keyring.forget(_kept_name(passphrase, _parts(encryptionsalt)[0]))


def derived_keys() -> dict[str, str]:
    """The keys that this process has derived, for a process of its own that is to `know` them; never print them."""
    return {name: _encode(key.result()) for name, key in _keys.items()}


def know(keys: Mapping[str, str]) -> None:
    """Take keys that another process has derived."""
    for name, key in keys.items():
        _keys[name] = Future()
        _keys[name].set_result(_decode(key, "a key"))


def _derive(passphrase: str, salt: bytes) -> bytes:
    return _begin(passphrase, salt).result()


def _begin(passphrase: str, salt: bytes) -> Future[bytes]:
    """A third of a second each: kept, since the same stack is opened several times.

    The thread runs one function of OpenSSL and nothing of Python's: it shares a core with whoever loads meanwhile.
    """
    name = _name(passphrase, salt)
    with _beginning:
        if name not in _keys:
            key = _keys[name] = Future[bytes]()
            threading.Thread(target=lambda: key.set_result(_pbkdf2(passphrase, salt)), name="key", daemon=True).start()
        return _keys[name]


def _name(passphrase: str, salt: bytes) -> str:
    return hashlib.sha256(salt + passphrase.encode()).hexdigest()


def _kept_name(passphrase: str, salt: bytes) -> str:
    """The user's keyring is for all programs; its names can be seen."""
    return f"slipway:{_name(passphrase, salt)}"


def _pbkdf2(passphrase: str, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, _ITERATIONS, _KEY_BYTES)


def _parts(encryptionsalt: str) -> tuple[bytes, str]:
    """The salt, and the encrypted word by which a wrong passphrase is noticed; raises `BadInput`."""
    version, _, rest = encryptionsalt.partition(":")
    salt, _, check = rest.partition(":")
    if version != _VERSION or not check:
        raise _malformed("encryptionsalt", "v1:<base64 salt>:v1:<nonce>:<ciphertext>")
    return _decode(salt, "encryptionsalt"), check


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decode(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _malformed(what, "base64 between the colons") from None


def _malformed(what: str, allowed: str) -> BadInput:
    return BadInput(f"{what} of the stack is malformed", allowed=allowed, fix="Restore the stack file from git")


def _wrong_passphrase() -> BadInput:
    return BadInput(
        "wrong passphrase: it does not open the secrets of this stack",
        fix="Set PULUMI_CONFIG_PASSPHRASE to the passphrase the stack was created with",
    )
