"""POSIX locks on files: the kernel tells who holds one (F_GETLK), so that no file with a process id can go stale."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

_FLOCK = struct.Struct("hhqqi4x")  # struct flock of 64-bit Linux: type, whence, start, length, process id


def hold(path: Path, *, patiently: bool = False) -> int:
    """Lock a file for as long as this process lives, or its descriptor, which is returned, is open.

    Raises `BlockingIOError` where another process holds it, unless `patiently` waits for that to end.
    """
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.lockf(handle, fcntl.LOCK_EX | (0 if patiently else fcntl.LOCK_NB))
    return handle


def holder(path: Path) -> int | None:
    """The id, as we see it, of the process that holds the lock; None if none does."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, *_, pid = _FLOCK.unpack(fcntl.fcntl(handle, fcntl.F_GETLK, asked))
    finally:
        os.close(handle)
    return None if kind == fcntl.F_UNLCK else pid
