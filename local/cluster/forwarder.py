"""Carries connections from 127.0.0.1 of the host to addresses inside a cluster's network namespace.

A socket belongs to the network namespace it was made in, wherever its owner goes afterwards. So this process joins the
host's for as long as it takes to make a listening socket, and connects from the cluster's. No device joins the two.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import random
import socket
import struct
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from local.cluster import sockets
from local.cluster.components import forwarder_socket
from local.cluster.spec import Layout

HOST_NETWORK_FD = "SLIPWAY_HOST_NETWORK_FD"
"""The environment variable that names the descriptor of the host's network namespace."""

_PORTS = range(20000, 32000)  # below what Linux hands out to connections, so a port remembered is free later
_BACKLOG = 1024
_CONNECT_S = 10.0
_HIGH_WATER = 256 * 1024


@dataclass
class Forward:
    """A port on 127.0.0.1 and where it leads; `listen` is 0 until it is chosen."""

    address: str
    port: int
    listen: int = 0


class Network:
    """The host's, which this process is in only to listen there."""

    def __init__(self, host_fd: int) -> None:
        self._host = host_fd

    def listen_on_host(self, port: int) -> socket.socket:
        """A socket that listens on 127.0.0.1 of the host, on a free port if `port` is 0 or taken."""
        with sockets.inside(self._host):
            return _listen(port)


def _listen(remembered: int) -> socket.socket:
    candidates = [remembered] if remembered else []
    for port in candidates + random.sample(_PORTS, len(_PORTS)):
        # With its protocol named asyncio turns off Nagle's algorithm, which held back one answer in ten for 40 ms.
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
            listening.listen(_BACKLOG)
        except OSError as error:
            listening.close()
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        return listening
    raise OSError(errno.EADDRINUSE, f"no port between {_PORTS.start} and {_PORTS.stop} is free")


class _End(asyncio.Protocol):
    """One of the two sockets of a connection. What it receives it writes to its peer.

    A peer that does not keep up pauses our reading. The end of a stream is passed on, and the other direction goes on
    until it ends too. A socket that breaks breaks its peer, or a truncated answer would look like a whole one.
    """

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.peer: _End | None = None
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=_HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        if self.peer and self.peer.transport:
            if self.peer.ended:
                self.peer.transport.close()
                return False
            with contextlib.suppress(OSError):  # it has broken meanwhile
                self.peer.transport.write_eof()
        return True

    def pause_writing(self) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.peer and self.peer.transport:
            if exc:
                _reset(self.peer.transport)
            else:
                self.peer.transport.close()


def _reset(transport: asyncio.Transport) -> None:
    """Close so that the other side sees an error; `abort` alone ends the stream as if it were complete."""
    with contextlib.suppress(OSError):  # it is closed by now
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class _Accepted(_End):
    """The end towards the host: it reads nothing until there is a connection to the target."""

    def __init__(self, forward: Forward, tasks: set[asyncio.Task[None]]) -> None:
        super().__init__()
        self._forward, self._tasks = forward, tasks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        cast(asyncio.Transport, transport).pause_reading()
        task = asyncio.get_running_loop().create_task(self._connect())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self) -> None:
        assert self.transport  # noqa: S101 - set before this task was made
        peer = _End()
        peer.peer = self
        try:
            async with asyncio.timeout(_CONNECT_S):
                await asyncio.get_running_loop().create_connection(
                    lambda: peer, self._forward.address, self._forward.port
                )
        except OSError:  # TimeoutError is one
            _reset(self.transport)
            return
        self.peer = peer
        if self.transport.is_closing():
            cast(asyncio.Transport, peer.transport).close()
        else:
            self.transport.resume_reading()


class Forwarder:
    """The forwards of one cluster, remembered in `file`; this process is the only one that writes it."""

    def __init__(self, network: Network, file: Path) -> None:
        self._network, self._file = network, file
        self._forwards: dict[str, Forward] = {}
        self._servers: dict[str, asyncio.Server] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def restore(self) -> None:
        """Listen again on what is remembered."""
        if self._file.exists():
            remembered = json.loads(self._file.read_text())
            await self.publish({name: Forward(**forward) for name, forward in remembered.items()})

    async def publish(self, wanted: Mapping[str, Forward]) -> dict[str, int]:
        """Listen for each of `wanted`; a name that is known keeps its port and gets the new target."""
        for name, forward in wanted.items():
            if known := self._forwards.get(name):
                known.address, known.port = forward.address, forward.port
            else:
                await self._open(name, forward)
        self._remember()
        return {name: self._forwards[name].listen for name in wanted}

    async def _open(self, name: str, forward: Forward) -> None:
        listening = self._network.listen_on_host(forward.listen)
        forward.listen = listening.getsockname()[1]
        loop = asyncio.get_running_loop()
        self._servers[name] = await loop.create_server(
            lambda: _Accepted(forward, self._tasks), sock=listening, backlog=_BACKLOG
        )
        self._forwards[name] = forward

    def _remember(self) -> None:
        scratch = self._file.with_suffix(".new")
        scratch.write_text(json.dumps({name: asdict(forward) for name, forward in self._forwards.items()}))
        scratch.replace(self._file)

    async def serve_orders(self, path: Path) -> None:
        """Take orders on a socket, a JSON object a line each way, until cancelled."""
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._take_orders, path)
        async with server:
            await server.serve_forever()

    async def _take_orders(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            while line := await reader.readline():
                writer.write(json.dumps(await self._obey(json.loads(line))).encode() + b"\n")
                await writer.drain()

    async def _obey(self, order: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return {"ports": await self.publish({name: Forward(*target) for name, target in order.items()})}
        except OSError as error:
            return {"error": str(error)}


async def _main(layout: Layout) -> None:
    forwarder = Forwarder(Network(int(os.environ[HOST_NETWORK_FD])), layout.forwards)
    await forwarder.restore()
    await forwarder.serve_orders(forwarder_socket())


if __name__ == "__main__":
    asyncio.run(_main(Layout(sys.argv[1])))
