"""The cable between a gateway and its server: it carries, it can be cut, and nobody gets to say goodbye."""

from __future__ import annotations

import asyncio

import pytest

from simulators.timeline import Network
from wardlight.cable import Cable


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(100):
            writer.write(data)
    except ConnectionResetError:
        pass
    finally:
        writer.transport.abort()


async def test_a_plugged_cable_carries_both_ways_and_a_pulled_one_resets() -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, Cable("127.0.0.1", server.sockets[0].getsockname()[1]) as cable:
        reader, writer = await asyncio.open_connection("127.0.0.1", cable.port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"

        cable.follow(Network.RESET)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.transport.abort()

        reader, writer = await asyncio.open_connection("127.0.0.1", cable.port)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.transport.abort()

        cable.follow(Network.UP)
        reader, writer = await asyncio.open_connection("127.0.0.1", cable.port)
        writer.write(b"again")
        assert await reader.readexactly(5) == b"again"
        writer.transport.abort()


async def test_a_silent_cable_carries_nothing_tells_nobody_and_delivers_later() -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, Cable("127.0.0.1", server.sockets[0].getsockname()[1]) as cable:
        reader, writer = await asyncio.open_connection("127.0.0.1", cable.port)
        writer.write(b"before")
        assert await reader.readexactly(6) == b"before"
        cable.follow(Network.SILENT)
        writer.write(b"held")
        late, late_writer = await asyncio.open_connection("127.0.0.1", cable.port)
        late_writer.write(b"late")
        silent = [asyncio.ensure_future(r.readexactly(4)) for r in (reader, late)]
        for _ in range(50):
            await asyncio.sleep(0)
        assert not any(f.done() for f in silent)
        cable.follow(Network.UP)
        assert await asyncio.gather(*silent) == [b"held", b"late"]
        writer.transport.abort()
        late_writer.transport.abort()
