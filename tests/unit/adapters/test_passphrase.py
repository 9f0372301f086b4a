"""Pulumi's passphrase secrets, in the format that Pulumi itself writes."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from adapters import keyring
from adapters import passphrase as passphrases
from adapters.errors import BadInput
from adapters.passphrase import Passphrase, find_passphrase

# What Pulumi made of the passphrase `password`, as its own tests of this format have it.
SALT = "v1:fozI5u6B030=:v1:F+6ZduKKd8G0/V7L:PGMFeIzwobWRKmEAzUdaQHqC5mMRIQ=="


@pytest.fixture(scope="module")
def crypter() -> Passphrase:
    return Passphrase.open("password", SALT)


def test_a_stack_made_by_pulumi_opens_with_its_passphrase(crypter: Passphrase) -> None:
    assert crypter.decrypt(SALT.split(":", 2)[2]) == "pulumi"


def test_a_wrong_passphrase_is_said_to_be_wrong_and_not_shown() -> None:
    with pytest.raises(BadInput, match="wrong passphrase") as caught:
        Passphrase.open("correct horse", SALT)
    assert "correct horse" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "a secret", "ünïcödé ☃\n", "x" * 100_000])
def test_what_is_encrypted_comes_back(crypter: Passphrase, text: str) -> None:
    assert crypter.decrypt(crypter.encrypt(text)) == text


def test_a_secret_looks_different_each_time_and_like_pulumis(crypter: Passphrase) -> None:
    one, other = crypter.encrypt("same"), crypter.encrypt("same")
    assert one != other
    version, nonce, sealed = one.split(":")
    assert version == "v1"
    assert len(base64.b64decode(nonce)) == 12
    assert len(base64.b64decode(sealed)) == len("same") + 16


def test_a_new_stack_opens_with_the_salt_it_was_given() -> None:
    created, salt = Passphrase.create("")
    assert Passphrase.open("", salt).key == created.key
    assert Passphrase.create("")[1] != salt


@pytest.mark.parametrize(
    "salt",
    ["", "v1", "v2:fozI5u6B030=:v1:a:b", "v1:fozI5u6B030=", "v1:?:v1:F+6Z:PGMF", "fozI5u6B030=:v1:a:b", SALT[:-9]],
)
def test_a_malformed_salt_is_malformed_and_not_a_wrong_passphrase(salt: str) -> None:
    with pytest.raises(BadInput, match="malformed"):
        Passphrase.open("password", salt)


@pytest.mark.parametrize(
    "secret", ["", "plain", "v1:a", "v1:?:?", "v2:F+6ZduKKd8G0/V7L:PGMF", "v1:AA==:PGMF", "v1:a:b:c"]
)
def test_a_malformed_secret_is_explained_without_a_traceback(crypter: Passphrase, secret: str) -> None:
    with pytest.raises(BadInput, match="malformed"):
        crypter.decrypt(secret)


def test_a_changed_secret_does_not_open(crypter: Passphrase) -> None:
    version, nonce, sealed = crypter.encrypt("secret").split(":")
    changed = bytearray(base64.b64decode(sealed))
    changed[0] ^= 1
    with pytest.raises(BadInput, match="wrong passphrase"):
        crypter.decrypt(f"{version}:{nonce}:{base64.b64encode(changed).decode()}")


def test_the_key_is_not_printed(crypter: Passphrase) -> None:
    assert repr(crypter.key) not in repr(crypter)
    assert crypter.key.hex() not in repr(crypter)


def test_the_passphrase_is_looked_for_where_pulumi_looks(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from a file\n")
    file = {"PULUMI_CONFIG_PASSPHRASE_FILE": str(tmp_path / "file")}
    assert find_passphrase(file) == "from a file"
    assert find_passphrase({**file, "PULUMI_CONFIG_PASSPHRASE": ""}) == ""
    with pytest.raises(BadInput, match="not set"):
        find_passphrase({})
    with pytest.raises(BadInput, match="cannot be read"):
        find_passphrase({"PULUMI_CONFIG_PASSPHRASE_FILE": str(tmp_path / "nothing")})


def test_a_key_that_is_derived_ahead_is_the_one_that_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    crypter, salt = Passphrase.create("of tomorrow")
    monkeypatch.setattr(passphrases, "_keys", {})
    passphrases.derive_ahead("of tomorrow", salt)
    assert Passphrase.open("of tomorrow", salt).decrypt(crypter.encrypt("a secret")) == "a secret"
    assert len(passphrases.derived_keys()) == 1
    with pytest.raises(BadInput, match="malformed"):
        passphrases.derive_ahead("of tomorrow", "no salt")


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What is in the keyring, which here is none of the kernel's."""
    kept: dict[str, bytes] = {}
    monkeypatch.setattr(keyring, "keep", lambda name, secret, _: kept.update({name: secret}))
    monkeypatch.setattr(keyring, "find", kept.get)
    monkeypatch.setattr(keyring, "forget", lambda name: kept.pop(name, None))
    return kept


def test_a_key_that_is_kept_is_not_derived_again_until_it_is_forgotten(
    kept: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    crypter, salt = Passphrase.create("of today")
    monkeypatch.setattr(passphrases, "_keys", {})
    passphrases.derive_ahead("of today", salt, kept_s=60)
    passphrases.derived_keys()  # awaits it
    assert list(kept.values()) == [crypter.key]
    monkeypatch.setattr(passphrases, "_keys", {})
    with monkeypatch.context() as underived:
        underived.setattr(passphrases, "_pbkdf2", lambda *_: pytest.fail("it was derived"))
        passphrases.derive_ahead("of today", salt, kept_s=60)
        assert Passphrase.open("of today", salt).key == crypter.key
    passphrases.forget("of today", salt)
    assert kept == {}


def test_what_is_kept_is_of_one_passphrase_and_salt(kept: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    salts = {passphrase: Passphrase.create(passphrase)[1] for passphrase in ("one", "other")}
    monkeypatch.setattr(passphrases, "_keys", {})
    for passphrase, salt in [*salts.items(), ("one", salts["other"])]:
        passphrases.derive_ahead(passphrase, salt, kept_s=60)
    passphrases.derived_keys()
    assert len(set(kept.values())) == len(kept) == 3


def test_a_key_is_kept_only_where_that_is_asked_for(kept: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    _, salt = Passphrase.create("of nobody")
    monkeypatch.setattr(passphrases, "_keys", {})
    passphrases.derive_ahead("of nobody", salt)
    Passphrase.open("of nobody", salt)
    assert kept == {}
