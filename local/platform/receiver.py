"""`slipway serve` beside the local platform: kept running as long as its cluster does, and listening inside of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from adapters.errors import SlipwayError
from adapters.paths import REPOSITORY, cache_dir, state_dir
from local import locks
from local.cluster import NODE_ADDRESS, Cluster
from local.private import save_private

PORT = 9095
ADDRESS = f"{NODE_ADDRESS}:{PORT}"
URL = f"http://{ADDRESS}/alerts"
"""Where Prometheus and Alertmanager find it, in the cluster's network."""

_TOKEN_BYTES = 32
_STARTS_S, _ENDS_S = 20.0, 20.0
_TICK_S = 0.05
_CODE = ("adapters", "components", "delivery", "local")


class Receiver:
    """What runs below `receiver` of the state directory."""

    def __init__(self) -> None:
        self._directory = state_dir() / "receiver"
        self.lock, self._served = self._directory / "lock", self._directory / "serves"

    @property
    def token_file(self) -> Path:
        """What callers have to know."""
        return self._directory / "token"

    @property
    def log(self) -> Path:
        """What it says, JSON lines."""
        return self._directory / "log"

    @property
    def runs(self) -> bool:
        """Whether somebody keeps it running."""
        return locks.holder(self.lock) is not None

    def new_token(self) -> str:
        """Make the token, in place of any there was."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        save_private(self.token_file, token.encode())
        return token

    def start(self, cluster: Cluster) -> None:
        """Have it run for this very cluster, with the code of this checkout; it listens on return.

        Where alerts go to somebody else nothing runs here, and there is no token.
        """
        serving = _serving(cluster)
        if not self.token_file.exists() or self._serves(serving):
            return
        self._end_keeper()
        with self.log.open("ab") as log:
            subprocess.run(
                ["setsid", "--fork", sys.executable, "-m", "local.platform.keeper", cluster.name],
                check=True,
                cwd="/",
                env=_environment(cluster.name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _STARTS_S
        while not self._serves(serving):
            if time.monotonic() > deadline:
                raise SlipwayError("the receiver of alerts does not start", where=str(self.log))
            time.sleep(_TICK_S)

    def stop(self) -> None:
        """End it, and forget its token. What it was doing is in the journal of its stack."""
        self._end_keeper()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _end_keeper(self) -> None:
        if (keeper := locks.holder(self.lock)) is None:
            return
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(keeper)
            os.kill(keeper, signal.SIGTERM)
            select.select([handle], [], [], _ENDS_S)
            os.close(handle)

    def says_it_serves(self, cluster: Cluster) -> None:
        """Called by whoever keeps it running, who holds the lock, once it listens."""
        self._served.write_text(_serving(cluster))  # not into the lock: closing that would let it go

    def _serves(self, serving: str) -> bool:
        return self.runs and self._served.exists() and self._served.read_text() == serving


def _serving(cluster: Cluster) -> str:
    """What a receiver has to be started anew for when it changes: the cluster's process, and the code of both."""
    code = hashlib.sha256()
    for room in _CODE:
        for path in sorted((REPOSITORY / room).rglob("*.py")):
            code.update(f"{path}:{path.stat().st_mtime_ns}\n".encode())
    return f"{cluster.supervisor} {code.hexdigest()}"


def _environment(cluster: str) -> dict[str, str]:
    """What `slipway serve` needs of ours; a passphrase that somebody has set is none of its business."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(Path.home()),
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SLIPWAY_STATE_DIR": str(state_dir()),
        "SLIPWAY_CACHE_DIR": str(cache_dir()),
        "SLIPWAY_CLUSTER": cluster,
    }
