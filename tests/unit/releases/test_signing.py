"""Signatures: by DSSE's own test vector, in the form public tools read, and believed only as far as they go."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

from adapters.errors import BadInput
from components.delivery_model import SignerSettings
from delivery.releases.signing import PAYLOAD_TYPE, STATEMENT_TYPE, KeySigner, Trust, pre_authentication_encoding

STATEMENT = {"_type": STATEMENT_TYPE, "subject": [], "predicateType": "https://example.com", "predicate": {"a": "ü"}}

NO_KEY = b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"  # gitleaks:allow


@pytest.fixture
def alice() -> KeySigner:
    return KeySigner("alice", "approver", ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture
def ci() -> KeySigner:
    return KeySigner("ci", "builder", ec.generate_private_key(ec.SECP256R1()))


def _trust(*signers: KeySigner) -> Trust:
    return Trust({signer.name: SignerSettings(roles=(signer.role,), key=signer.known_by) for signer in signers})  # type: ignore[arg-type]


def _changed(bundle: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    parsed = json.loads(bundle)
    change(parsed)
    return json.dumps(parsed).encode()


def test_what_is_signed_is_encoded_as_in_the_specification() -> None:
    encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    # Its signature in the specification is over these bytes, by its key; there r and s stand one behind the other.
    numbers = ec.EllipticCurvePublicNumbers(
        46950820868899156662930047687818585632848591499744589407958293238635476079160,
        5640078356564379163099075877009565129882514886557779369047442380624545832820,
        ec.SECP256R1(),
    )
    raw = base64.b64decode("A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA==")
    signature = utils.encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    numbers.public_key().verify(signature, encoded, ec.ECDSA(hashes.SHA256()))


def test_lengths_are_of_bytes() -> None:
    assert pre_authentication_encoding("ü", b"") == b"DSSEv1 2 \xc3\xbc 0 "


def test_a_bundle_has_the_form_that_public_tools_read(alice: KeySigner) -> None:
    bundle = json.loads(alice.sign(STATEMENT))
    der = serialization.load_pem_public_key(alice.known_by.encode()).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert bundle["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    material = bundle["verificationMaterial"]
    assert material["publicKey"] == {"hint": base64.b64encode(hashlib.sha256(der).digest()).decode()}
    assert bundle["dsseEnvelope"]["payloadType"] == "application/vnd.in-toto+json"
    assert json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"])) == STATEMENT
    assert [list(signature) for signature in bundle["dsseEnvelope"]["signatures"]] == [["sig"]]


def test_a_bundle_verifies_with_openssl(alice: KeySigner, tmp_path: Path) -> None:
    envelope = json.loads(alice.sign(STATEMENT))["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"])
    signed = b"DSSEv1 28 application/vnd.in-toto+json %d %b" % (len(payload), payload)
    for name, content in {
        "key": alice.known_by.encode(),
        "signature": base64.b64decode(envelope["signatures"][0]["sig"]),
        "signed": signed,
    }.items():
        (tmp_path / name).write_bytes(content)
    argv = ["openssl", "dgst", "-sha256", "-verify", "key", "-signature", "signature", "signed"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "Verified OK\n", done.stderr


def test_who_signed_is_known_by_the_key_and_counts_for_its_roles(alice: KeySigner, ci: KeySigner) -> None:
    opened = _trust(alice, ci).open(ci.sign(STATEMENT))
    assert (opened.signed_by, opened.roles, opened.fault) == ("ci", ("builder",), None)
    assert opened.statement == STATEMENT


def test_a_wrong_hint_neither_helps_nor_harms(alice: KeySigner, ci: KeySigner) -> None:
    def as_alice(bundle: dict[str, Any]) -> None:
        bundle["verificationMaterial"] = json.loads(alice.sign(STATEMENT))["verificationMaterial"]

    assert _trust(alice, ci).open(_changed(ci.sign(STATEMENT), as_alice)).signed_by == "ci"
    opened = _trust(alice).open(_changed(ci.sign(STATEMENT), as_alice))
    assert (opened.signed_by, opened.roles) == (None, ())
    assert opened.fault == "the signature is not one by the key of alice over this content"


def test_a_key_that_nobody_named_is_unknown(alice: KeySigner, ci: KeySigner) -> None:
    for trust in (_trust(alice), _trust()):
        opened = trust.open(ci.sign(STATEMENT))
        assert (opened.signed_by, opened.roles) == (None, ())
        assert opened.fault == "it is signed with a key that is unknown here"


def test_changed_content_is_nobodys(alice: KeySigner) -> None:
    def change(bundle: dict[str, Any]) -> None:
        payload = json.dumps(STATEMENT | {"predicate": {"a": "other"}}).encode()
        bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()

    opened = _trust(alice).open(_changed(alice.sign(STATEMENT), change))
    assert (opened.signed_by, opened.roles) == (None, ())
    assert "not one by the key of alice over this content" in str(opened.fault)


def test_what_was_signed_as_another_type_is_no_statement(alice: KeySigner) -> None:
    payload = base64.b64decode(json.loads(alice.sign(STATEMENT))["dsseEnvelope"]["payload"])
    signature = alice._key.sign(pre_authentication_encoding("text/plain", payload), ec.ECDSA(hashes.SHA256()))

    def change(bundle: dict[str, Any], payload_type: str) -> None:
        bundle["dsseEnvelope"]["payloadType"] = payload_type
        bundle["dsseEnvelope"]["signatures"] = [{"sig": base64.b64encode(signature).decode()}]

    trust, bundle = _trust(alice), alice.sign(STATEMENT)
    as_signed = trust.open(_changed(bundle, lambda bundle: change(bundle, "text/plain")))
    assert as_signed.fault == "what is signed is of another type: text/plain"
    pretended = trust.open(_changed(bundle, lambda bundle: change(bundle, PAYLOAD_TYPE)))
    assert "not one by the key of alice" in str(pretended.fault)


@pytest.mark.parametrize("signatures", [[], None])
def test_without_a_signature_it_is_not_signed(alice: KeySigner, signatures: object) -> None:
    stripped = _changed(alice.sign(STATEMENT), lambda bundle: bundle["dsseEnvelope"].update(signatures=signatures))
    opened = _trust(alice).open(stripped)
    assert (opened.signed_by, opened.fault) == (None, "it is not signed")


def test_another_statement_type_does_not_count(alice: KeySigner) -> None:
    opened = _trust(alice).open(alice.sign(STATEMENT | {"_type": "https://in-toto.io/Statement/v0.1"}))
    assert opened.fault == "what is signed is no in-toto statement"


@pytest.mark.parametrize(
    "change",
    [
        lambda bundle: bundle.clear(),
        lambda bundle: bundle.update(mediaType="application/json"),
        lambda bundle: bundle.update(dsseEnvelope=None),
        lambda bundle: bundle.update(verificationMaterial=[]),
        lambda bundle: bundle["dsseEnvelope"].update(payload="%%"),
        lambda bundle: bundle["dsseEnvelope"].update(payload=base64.b64encode(b"[]").decode()),
        lambda bundle: bundle["dsseEnvelope"].update(payload=base64.b64encode(b"[" * 100_000).decode()),
        lambda bundle: bundle["dsseEnvelope"].update(signatures=[{}]),
        lambda bundle: bundle["dsseEnvelope"].update(signatures=[{"sig": 1}]),
        lambda bundle: bundle["dsseEnvelope"].update(signatures="sig"),
    ],
)
def test_what_is_no_bundle_is_said_to_be_none(alice: KeySigner, change: Callable[[dict[str, Any]], None]) -> None:
    opened = _trust(alice).open(_changed(alice.sign(STATEMENT), change))
    assert (opened.signed_by, opened.fault) == (None, "it is no bundle with a statement in it")


@pytest.mark.parametrize("content", [b"", b"\xff", b"null", b"1", b"[" * 100_000])
def test_any_bytes_are_no_bundle(alice: KeySigner, content: bytes) -> None:
    assert _trust(alice).open(content).fault == "it is no bundle with a statement in it"


def test_base64_of_either_alphabet_is_read(alice: KeySigner) -> None:
    def change(bundle: dict[str, Any]) -> None:
        envelope = bundle["dsseEnvelope"]
        envelope["payload"] = envelope["payload"].replace("+", "-").replace("/", "_")
        envelope["signatures"][0]["sig"] = envelope["signatures"][0]["sig"].replace("+", "-").replace("/", "_")

    assert _trust(alice).open(_changed(alice.sign(STATEMENT | {"predicate": {"a": "ÿ?>ÿ?>"}}), change)).fault is None


def test_one_key_under_two_names_is_refused(alice: KeySigner) -> None:
    entry = SignerSettings(roles=("approver",), key=alice.known_by)
    with pytest.raises(BadInput, match="alice and bob have the same key"):
        Trust({"alice": entry, "bob": entry})


def _write(path: Path, key: Any, passphrase: bytes | None = None) -> Path:
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
    return path


@pytest.mark.parametrize("passphrase", [None, b"correct horse"])
def test_a_key_is_read_from_its_file(alice: KeySigner, tmp_path: Path, passphrase: bytes | None) -> None:
    path = _write(tmp_path / "key", alice._key, passphrase)
    signer = KeySigner.from_file(path, passphrase, name="alice", role="approver")
    assert signer.known_by == alice.known_by
    assert "PRIVATE" not in repr(signer)


@pytest.mark.parametrize(
    ("content", "passphrase", "complaint"),
    [
        (None, None, "cannot be read: No such file"),
        (b"secret stuff", None, "holds no signing key"),
        (NO_KEY, None, "holds no signing key"),
        (b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nsecret", None, "in cosign's own form"),
        (ec.generate_private_key(ec.SECP384R1()), None, "of another kind"),
        (ed25519.Ed25519PrivateKey.generate(), None, "of another kind"),
        (ec.generate_private_key(ec.SECP256R1()), b"secret", "is not encrypted"),
    ],
)
def test_what_is_no_key_is_explained_and_not_shown(
    tmp_path: Path, content: Any, passphrase: bytes | None, complaint: str
) -> None:
    path = tmp_path / "key"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        _write(path, content)
    with pytest.raises(BadInput, match=complaint) as caught:
        KeySigner.from_file(path, passphrase, name="alice", role="approver")
    assert "secret" not in str(caught.value)
    assert "c2VjcmV0" not in str(caught.value)


@pytest.mark.parametrize(
    ("passphrase", "complaint"), [(None, "no passphrase was given.*PASSPHRASE_FILE"), (b"wr0ng", "passphrase is wrong")]
)
def test_an_encrypted_key_wants_its_passphrase(
    alice: KeySigner, tmp_path: Path, passphrase: bytes | None, complaint: str
) -> None:
    path = _write(tmp_path / "key", alice._key, b"right")
    with pytest.raises(BadInput, match=complaint) as caught:
        KeySigner.from_file(path, passphrase, name="alice", role="approver")
    assert "wr0ng" not in str(caught.value)
