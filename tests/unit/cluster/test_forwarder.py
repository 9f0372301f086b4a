"""Ports given out by the forwarder, with this machine's loopback standing in for the cluster's network."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from local.cluster import forwarder
from local.cluster.forwarder import Forward, Forwarder

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class OneNetwork(forwarder.Network):
    """Where host and cluster are the same namespace, which needs no rights."""

    def __init__(self) -> None:
        pass

    def listen_on_host(self, port: int) -> socket.socket:
        return forwarder._listen(port)


@contextlib.contextmanager
def forwarding(file: Path) -> Iterator[Forwarder]:
    forwards = Forwarder(OneNetwork(), file)
    try:
        yield forwards
    finally:
        for server in forwards._servers.values():
            server.close()


async def said_by(port: int, sent: bytes = b"") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    writer.write_eof()
    received = await reader.read()
    writer.close()
    return received


async def serve(handler: Handler) -> tuple[asyncio.Server, int]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


def saying(text: bytes) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text + await reader.read())
        writer.close()

    return handler


def test_a_name_keeps_its_port_and_follows_its_target(tmp_path: Path) -> None:
    async def scenario() -> None:
        one, one_port = await serve(saying(b"one "))
        two, two_port = await serve(saying(b"two "))
        async with one, two:
            with forwarding(tmp_path / "forwards.json") as forwards:
                first = await forwards.publish({"web": Forward("127.0.0.1", one_port)})
                assert await said_by(first["web"], b"request") == b"one request"
                assert await forwards.publish({"web": Forward("127.0.0.1", two_port)}) == first
                assert await said_by(first["web"], b"request") == b"two request"

    asyncio.run(scenario())


def test_ports_are_the_same_after_a_restart_unless_another_program_took_one(tmp_path: Path) -> None:
    file = tmp_path / "forwards.json"
    targets = {"kept": Forward("127.0.0.1", 9), "taken": Forward("127.0.0.1", 9)}

    async def ports() -> dict[str, int]:
        with forwarding(file) as forwards:
            await forwards.restore()
            return await forwards.publish(targets)

    first = asyncio.run(ports())
    with socket.create_server(("127.0.0.1", first["taken"])):
        second = asyncio.run(ports())
    assert second["kept"] == first["kept"]
    assert second["taken"] != first["taken"]
    assert json.loads(file.read_text())["taken"]["listen"] == second["taken"]


def test_it_listens_on_loopback_alone() -> None:
    with forwarder._listen(0) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"


def test_a_connection_that_breaks_is_not_mistaken_for_one_that_ended(tmp_path: Path) -> None:
    async def broken(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"half an ans")
        await writer.drain()
        forwarder._reset(writer.transport)

    async def scenario() -> None:
        server, port = await serve(broken)
        async with server:
            with forwarding(tmp_path / "forwards.json") as forwards:
                published = await forwards.publish({"web": Forward("127.0.0.1", port)})
                with pytest.raises(ConnectionResetError):
                    await said_by(published["web"])

    asyncio.run(scenario())
