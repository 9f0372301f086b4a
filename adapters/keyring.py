"""The kernel's keyring of a user (keyrings(7)): keeps a secret for a while, in memory and for that user alone.

Nothing of it is on a disk, and what is kept goes by itself. Where there is no such keyring, on another system or in a
container that may not use it, nothing is kept and nothing found.
"""

from __future__ import annotations

import contextlib
import ctypes
import os

# asm/unistd.h: add_key, keyctl
_CALLS = {"x86_64": (248, 250), "aarch64": (217, 219)}
# linux/keyctl.h
_USER_KEYRING = -4
_UNLINK, _SEARCH, _READ, _SET_TIMEOUT = 9, 10, 11, 15
_TYPE = b"user"
_LONGEST = 4096

_libc = ctypes.CDLL(None, use_errno=True)


def keep(name: str, secret: bytes, seconds: int) -> None:
    """Keep `secret` under `name`, in place of what was kept under it."""
    with contextlib.suppress(OSError):
        key = _add_key(_TYPE, name.encode(), secret, len(secret), _USER_KEYRING)
        try:
            _keyctl(_SET_TIMEOUT, key, seconds)
        except OSError:  # then it would stay as long as the user does
            _keyctl(_UNLINK, key, _USER_KEYRING)


def find(name: str) -> bytes | None:
    """What is kept under `name`; None if nothing is, or no longer."""
    buffer = ctypes.create_string_buffer(_LONGEST)
    try:
        length = _keyctl(_READ, _search(name), buffer, _LONGEST)
    except OSError:
        return None
    return buffer.raw[:length]


def forget(name: str) -> None:
    """Keep nothing under `name` any more."""
    with contextlib.suppress(OSError):
        _keyctl(_UNLINK, _search(name), _USER_KEYRING)


def _search(name: str) -> int:
    return _keyctl(_SEARCH, _USER_KEYRING, _TYPE, name.encode(), 0)


def _add_key(*arguments: object) -> int:
    return _call(0, *arguments)


def _keyctl(*arguments: object) -> int:
    return _call(1, *arguments)


def _call(which: int, *arguments: object) -> int:
    system = os.uname()
    if system.sysname != "Linux" or system.machine not in _CALLS:
        raise OSError
    number = _CALLS[system.machine][which]
    passed = [ctypes.c_long(a) if isinstance(a, int) else a for a in (number, *arguments)]
    result: int = _libc.syscall(*passed)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
