"""Sockets of another network namespace: one belongs to where it was made, wherever its owner goes afterwards."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from collections.abc import Iterator
from pathlib import Path

_CLONE_NEWNET = 0x40000000


@contextlib.contextmanager
def inside(namespace: int) -> Iterator[None]:
    """Be in the network namespace that a descriptor is of, this thread alone, while the body runs."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _join(namespace)
        try:
            yield
        finally:
            _join(own)
    finally:
        os.close(own)


def listen(pid: int, address: str, port: int) -> socket.socket:
    """A socket that listens in the network of a process."""
    namespace = os.open(Path(f"/proc/{pid}/ns/net"), os.O_RDONLY | os.O_CLOEXEC)
    try:
        with inside(namespace):
            return socket.create_server((address, port))
    finally:
        os.close(namespace)


def _join(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)}")
