"""The kernel's keyring, the real one; names are of the test's own, and nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from adapters import keyring
from adapters.paths import REPOSITORY


@pytest.fixture
def name() -> Iterator[str]:
    """A name that nobody else uses; nothing is kept under it afterwards."""
    name = f"slipway-test:{uuid.uuid4().hex}"
    try:
        keyring._add_key(keyring._TYPE, name.encode(), b"-", 1, keyring._USER_KEYRING)
    except OSError as error:
        pytest.skip(f"there is no keyring here: {error.strerror}")
    keyring.forget(name)
    yield name
    keyring.forget(name)


def test_what_is_kept_is_found_until_it_is_forgotten(name: str) -> None:
    assert keyring.find(name) is None
    keyring.keep(name, b"first\0", 60)
    keyring.keep(name, b"second\0", 60)
    assert keyring.find(name) == b"second\0"
    keyring.forget(name)
    keyring.forget(name)
    assert keyring.find(name) is None


def test_it_is_found_by_another_process_of_the_same_user(name: str) -> None:
    keyring.keep(name, b"secret", 60)
    code = f"from adapters import keyring; print(keyring.find({name!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == "b'secret'\n"


def test_what_cannot_be_given_an_end_is_not_kept(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    call = keyring._call

    def without_ends(which: int, *arguments: object) -> int:
        if arguments[0] == keyring._SET_TIMEOUT:
            raise OSError
        return call(which, *arguments)

    monkeypatch.setattr(keyring, "_call", without_ends)
    keyring.keep(name, b"secret", 60)
    assert keyring.find(name) is None


@pytest.mark.parametrize("system", [("Darwin", "arm64"), ("Linux", "riscv64")])
def test_where_there_is_none_nothing_is_kept(system: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    sysname, machine = system
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(sysname=sysname, machine=machine))
    keyring.keep("slipway-test:nowhere", b"secret", 60)
    assert keyring.find("slipway-test:nowhere") is None
    keyring.forget("slipway-test:nowhere")
