"""The cable between a gateway and its server: it carries, it can be pulled, and nobody gets to say goodbye."""

from __future__ import annotations

import asyncio

import pytest

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

        cable.plug(connected=False)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.transport.abort()

        reader, writer = await asyncio.open_connection("127.0.0.1", cable.port)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.transport.abort()

        cable.plug(connected=True)
        reader, writer = await asyncio.open_connection("127.0.0.1", cable.port)
        writer.write(b"again")
        assert await reader.readexactly(5) == b"again"
        writer.transport.abort()
