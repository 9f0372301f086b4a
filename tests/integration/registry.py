"""The platform's real registry as a process of this machine, for tests that need one and no cluster."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import bcrypt

from local.certificates import Authority
from local.images import platform_binary


@contextlib.contextmanager
def serving(
    folder: Path, *, login: tuple[str, str] | None = None, storage: Mapping[str, object] | None = None
) -> Iterator[str]:
    """A registry that keeps everything in `folder`; gives its address, `127.0.0.1:PORT`.

    With `login` (user, password) it speaks TLS, and `folder/ca.crt` is the authority of its certificate; without, it
    speaks HTTP and lets everybody do everything. `storage` is more of distribution's configuration.
    """
    address = f"127.0.0.1:{free_port()}"
    http: dict[str, object] = {"addr": address}
    config = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, **(storage or {})},
        "http": http,
    }
    if login:
        http["tls"] = _certificate(folder)
        config["auth"] = {"htpasswd": {"realm": "slipway", "path": _passwords(folder, *login)}}
    (folder / "config.yml").write_text(json.dumps(config))
    argv = [platform_binary("registry"), "serve", folder / "config.yml"]
    environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(argv, env=environment, stdout=log, stderr=subprocess.PIPE, text=True) as process,
    ):
        assert process.stderr is not None
        try:
            assert any("listening on" in line for line in process.stderr), "it ended before it listened"
            # Without a reader of its log it would stand still once the pipe is full.
            reader = threading.Thread(target=shutil.copyfileobj, args=(process.stderr, log))
            reader.start()
            try:
                yield address
            finally:
                process.terminate()
                reader.join()
        finally:
            process.terminate()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _certificate(folder: Path) -> dict[str, str]:
    authority = Authority.open(folder, "ca")
    issued = authority.issue("registry", hosts=["127.0.0.1"])
    (folder / "tls.crt").write_text(issued.certificate)
    (folder / "tls.key").write_text(issued.key)
    return {"certificate": str(folder / "tls.crt"), "key": str(folder / "tls.key")}


def _passwords(folder: Path, user: str, password: str) -> str:
    path = folder / "htpasswd"
    path.write_text(f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n")
    return str(path)
