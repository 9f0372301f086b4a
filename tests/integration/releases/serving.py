"""The real service hello on an address of this machine, as a pod of an environment would run it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from adapters.paths import REPOSITORY


@contextmanager
def hello(*, release: str, environment: str) -> Iterator[str]:
    """Serves while the body runs; its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = {**os.environ, "PORT": str(port), "SLIPWAY_RELEASE": release, "SLIPWAY_ENVIRONMENT": environment}
    folder, pipe = REPOSITORY / "services" / "hello", subprocess.PIPE
    argv = [sys.executable, "-m", "hello"]
    with subprocess.Popen(argv, cwd=folder, env=environ, stdout=pipe, stderr=subprocess.STDOUT, text=True) as server:
        assert server.stdout is not None
        assert any("running on" in line for line in server.stdout)
        # Its log has to be read, or it would wait for that once the pipe is full.
        reader = threading.Thread(target=deque, args=(server.stdout, 0))
        reader.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()
            reader.join()
