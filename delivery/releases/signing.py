"""Signatures: DSSE envelopes (https://github.com/secure-systems-lab/dsse) over in-toto statements, in Sigstore bundles.

A signature is ECDSA on P-256 with SHA-256, the default of cosign, which reads these bundles:
`cosign verify-blob-attestation --bundle … --key … --type … --insecure-ignore-tlog`. Who is trusted, and what for, is
configuration (`slipway:signers`): whoever has a key, which can be judged without anybody else, or an identity
(`identity`).
Source of the bundle: https://github.com/sigstore/protobuf-specs, `sigstore_bundle.proto`, version 0.3.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from adapters.errors import BadInput
from components.delivery_model import Identity
from delivery.releases.artifact import canonical
from delivery.releases.identity import NotBelieved, Sigstore, identity_in

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"

_ALGORITHM = ec.ECDSA(hashes.SHA256())


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """What is signed of a payload, by DSSE: its type is signed with it, each with its length."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


KnownBy = str | Identity
"""A public key, PEM, or an identity."""


class Signer(Protocol):
    """Somebody who signs here: the name and the role are what the signature is meant to count as."""

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def role(self) -> str: ...  # noqa: D102

    @property
    def known_by(self) -> KnownBy:
        """What `slipway:signers` knows them by."""

    def sign(self, statement: Mapping[str, Any]) -> bytes:
        """A bundle with the statement in it."""


@dataclass(frozen=True)
class KeySigner:
    """Somebody who signs with a key."""

    name: str
    role: str
    _key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def from_file(cls, path: Path, passphrase: bytes | None = None, *, name: str, role: str) -> Self:
        """Read a private key, PEM (PKCS#8 or SEC 1), opened by `passphrase` if it is encrypted; raises `BadInput`."""
        return cls(name, role, read_private_key(path, passphrase))

    def sign(self, statement: Mapping[str, Any]) -> bytes:
        """A bundle with the statement in it."""
        payload = canonical(statement)
        signature = self._key.sign(pre_authentication_encoding(PAYLOAD_TYPE, payload), _ALGORITHM)
        bundle = {
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": {"publicKey": {"hint": hint_of(self._key.public_key())}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": _base64(payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": _base64(signature)}],
            },
        }
        return canonical(bundle)

    @property
    def known_by(self) -> str:
        """The public half of the key, PEM."""
        return public_pem(self._key.public_key())


class SignerEntry(Protocol):
    """What `slipway:signers` says of one signer (`components.delivery_model.SignerSettings`)."""

    @property
    def roles(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def key(self) -> str | None: ...  # noqa: D102

    @property
    def identity(self) -> Identity | None: ...  # noqa: D102


@dataclass(frozen=True)
class Opened:
    """A bundle that was looked into: the statement it holds, who signed it, and why nobody did, if so."""

    statement: Mapping[str, Any]
    signed_by: str | None
    roles: tuple[str, ...]
    fault: str | None


@dataclass(frozen=True)
class _Known:
    """One of those whose signatures count."""

    name: str
    roles: tuple[str, ...]


class Trust:
    """Whose signatures count, as one environment's configuration says. `trust_config` is the Sigstore of identities."""

    def __init__(self, signers: Mapping[str, SignerEntry], trust_config: Path | None = None) -> None:
        self._keys: dict[str, tuple[_Known, ec.EllipticCurvePublicKey]] = {}
        self._identities: dict[Identity, _Known] = {}
        self.sigstore = Sigstore(trust_config)
        for name, signer in signers.items():
            known = other = _Known(name, tuple(signer.roles))
            if signer.key is not None:
                key = read_public_key(signer.key, name)
                other, _ = self._keys.setdefault(hint_of(key), (known, key))
            elif signer.identity is not None:
                other = self._identities.setdefault(signer.identity, known)
            if other is not known:
                what = "key" if signer.identity is None else "identity"
                raise BadInput(
                    f"{other.name} and {name} have the same {what}, so nobody can tell who signed",
                    where="slipway:signers",
                    fix="Give each signer a key or an identity of their own, or one signer both roles",
                )

    def name_of(self, known_by: KnownBy) -> str | None:
        """Who has this key, or this identity; None if it is unknown."""
        if isinstance(known_by, Identity):
            known = self._identities.get(known_by)
        else:
            known, _ = self._keys.get(hint_of(read_public_key(known_by, "")), (None, None))
        return known.name if known else None

    def roles_of(self, name: str) -> tuple[str, ...]:
        """The roles of a signer; empty for one who is unknown."""
        everybody = (*(known for known, _ in self._keys.values()), *self._identities.values())
        return next((known.roles for known in everybody if known.name == name), ())

    def open(self, bundle: bytes) -> Opened:
        """Look into a bundle. `fault` is None only if somebody known signed exactly the statement that is in it.

        Raises `Unreachable` or `BadInput` only where an identity signed, and it is not to be had what its Sigstore's
        keys are.
        """
        try:
            contained = _Contained.of(bundle)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return Opened({}, None, (), "it is no bundle with a statement in it")
        known, fault = self._judge_certified(bundle, contained) if contained.is_certified else self._judge(contained)
        if fault is None and contained.payload_type != PAYLOAD_TYPE:
            fault = f"what is signed is of another type: {contained.payload_type}"
        if fault is None and contained.statement.get("_type") != STATEMENT_TYPE:
            fault = "what is signed is no in-toto statement"
        return Opened(contained.statement, known.name if known else None, known.roles if known else (), fault)

    def _judge(self, bundle: _Contained) -> tuple[_Known | None, str | None]:
        """Who, and the fault. The hint only says which key to try first; the signature says whose it is."""
        if not bundle.signatures:
            return None, "it is not signed"
        likely = self._keys.get(bundle.hint)
        for known, key in [*([likely] if likely else []), *self._keys.values()]:
            if any(_holds(key, signature, bundle.signed) for signature in bundle.signatures):
                return known, None
        if likely:
            return None, f"the signature is not one by the key of {likely[0].name} over this content"
        return None, "it is signed with a key that is unknown here"

    def _judge_certified(self, bundle: bytes, contained: _Contained) -> tuple[_Known | None, str | None]:
        """Who, and the fault. The certificate says who, and Sigstore's rules whether to believe that."""
        if not contained.signatures:
            return None, "it is not signed"
        if not self._identities:
            return None, "it is signed by an identity, and none is known here"
        try:
            identity = identity_in(bundle)
            if (known := self._identities.get(identity)) is None:
                return None, f"it is signed by an identity that is unknown here: {identity}"
            if self.sigstore.signed_by(identity, bundle) != (contained.payload_type, contained.payload):
                return None, "it can be read in two ways"
        except NotBelieved as error:
            return None, str(error)
        return known, None


@dataclass(frozen=True)
class _Contained:
    """What is in a bundle, before anybody believes it."""

    is_certified: bool
    hint: str
    payload_type: str
    payload: bytes
    statement: Mapping[str, Any]
    signed: bytes
    signatures: tuple[bytes, ...]

    @classmethod
    def of(cls, bundle: bytes) -> Self:
        """Raises one of Python's own errors for whatever is no bundle."""
        parsed = json.loads(bundle)
        if parsed["mediaType"] != BUNDLE_TYPE:
            raise ValueError(parsed["mediaType"])
        envelope = parsed["dsseEnvelope"]
        payload, payload_type = _unbase64(envelope["payload"]), str(envelope["payloadType"])
        statement = json.loads(payload)
        if not isinstance(statement, dict):
            raise TypeError(statement)
        material = parsed["verificationMaterial"]
        is_certified = "certificate" in material
        return cls(
            is_certified=is_certified,
            hint="" if is_certified else str(material["publicKey"].get("hint", "")),
            payload_type=payload_type,
            payload=payload,
            statement=statement,
            signed=pre_authentication_encoding(payload_type, payload),
            signatures=tuple(_unbase64(signature["sig"]) for signature in envelope.get("signatures") or []),
        )


def read_private_key(path: Path, passphrase: bytes | None = None) -> ec.EllipticCurvePrivateKey:
    """A private key, PEM, ECDSA on P-256; raises `BadInput`, which shows nothing of the file."""
    allowed = "an ECDSA key on P-256 in PEM, such as `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput(f"the signing key cannot be read: {error.strerror}", where=str(path)) from None
    if b"SIGSTORE PRIVATE KEY" in content or b"COSIGN PRIVATE KEY" in content:
        raise BadInput(
            "the signing key is in cosign's own form, which only cosign opens",
            where=str(path),
            allowed=allowed,
            fix="Make such a key; cosign takes it too, by `cosign import-key-pair --key`",
        )
    try:
        key = serialization.load_pem_private_key(content, passphrase)
    except TypeError:  # how the library says that one of the two was not expected
        what = "is encrypted, and no passphrase was given" if passphrase is None else "is not encrypted"
        fix = "Name the passphrase's file in SLIPWAY_SIGNING_PASSPHRASE_FILE" if passphrase is None else ""
        raise BadInput(f"the signing key {what}", where=str(path), fix=fix) from None
    except (ValueError, UnsupportedAlgorithm):
        wrong = " or the passphrase is wrong" if passphrase is not None else ""
        raise BadInput(f"the file holds no signing key{wrong}", where=str(path), allowed=allowed) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadInput("the signing key is of another kind", where=str(path), allowed=allowed)
    return key


def read_public_key(pem: str, name: str) -> ec.EllipticCurvePublicKey:
    """A public key, PEM, ECDSA on P-256; raises `BadInput` naming whose it is."""
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadInput(
            "the key is no public key that signatures are made with here",
            where=f"slipway:signers.{name}" if name else "",
            allowed="ECDSA on P-256, PEM (-----BEGIN PUBLIC KEY-----)",
        )
    return key


def public_pem(key: ec.EllipticCurvePublicKey) -> str:
    """A public key as text."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def hint_of(key: ec.EllipticCurvePublicKey) -> str:
    """How a bundle calls a key: the SHA-256 of its DER form, as cosign does."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return _base64(hashlib.sha256(der).digest())


def _holds(key: ec.EllipticCurvePublicKey, signature: bytes, encoded: bytes) -> bool:
    try:
        key.verify(signature, encoded, _ALGORITHM)
    except InvalidSignature:
        return False
    return True


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _unbase64(text: str) -> bytes:
    """Of either alphabet, as DSSE wants; raises `ValueError`."""
    try:
        return base64.b64decode(text.translate(_URL_SAFE), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


_URL_SAFE = str.maketrans("-_", "+/")
