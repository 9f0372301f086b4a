"""Lets pods that are not root write to their volumes.

The controller manager's host-path provisioner makes each volume's directory for root alone, and the kubelet does not
apply `fsGroup` to host paths. Directories of a volume are opened as soon as the kernel tells of a new one, long before
its claim is bound and a pod started; only root gets as far as their parents.
"""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path

VOLUMES = Path("/tmp/hostpath_pv")  # noqa: S108 - the provisioner's own place, in the node's private /tmp
_MODE = 0o777


def open_all() -> None:
    """Let everybody who gets here write to every volume."""
    for volume in VOLUMES.iterdir():
        if volume.stat().st_mode & _MODE != _MODE:
            volume.chmod(_MODE)


def watch() -> int:
    """Have the kernel send SIGIO for each new volume, as long as the descriptor returned is open."""
    signal.signal(signal.SIGIO, lambda *_: open_all())
    VOLUMES.mkdir(exist_ok=True)
    directory = os.open(VOLUMES, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.fcntl(directory, fcntl.F_NOTIFY, fcntl.DN_CREATE | fcntl.DN_MULTISHOT)
    open_all()
    return directory
