"""The real service hello on an address of this machine, as a pod of an environment would run it, or several of them."""

from __future__ import annotations

import asyncio
import itertools
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


@contextmanager
def in_turn(urls: list[str]) -> Iterator[str]:
    """An address whose connections go to each of `urls` in turn while the body runs; its URL."""
    targets = itertools.cycle(
        (host, int(port)) for host, _, port in (url.rpartition("//")[2].partition(":") for url in urls)
    )

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection(*next(targets))
        except ConnectionError:
            writer.close()
            return
        await asyncio.gather(pipe(reader, there[1]), pipe(there[0], writer))

    async def start() -> asyncio.Server:
        return await asyncio.start_server(relay, "127.0.0.1", 0)

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.close()
