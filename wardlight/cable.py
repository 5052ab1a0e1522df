"""A network cable that can be pulled: a relay between a gateway and its server, for the demo and for tests."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

_CHUNK: Final = 1 << 16


class Cable:
    """Relays TCP connections from a free loopback port to `host:port` while plugged in.

    Pulling it resets both ends at once, as a dying switch does: no side gets to say goodbye.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._plugged = True
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.plug(connected=False)
        if self._server is not None:
            self._server.close()

    @property
    def port(self) -> int:
        """Where to connect to."""
        assert self._server is not None, "enter the context first"
        return int(self._server.sockets[0].getsockname()[1])

    def plug(self, *, connected: bool) -> None:
        """Plug in or pull."""
        self._plugged = connected
        if not connected:
            for writer in tuple(self._writers):
                writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._plugged:
            writer.transport.abort()
            return
        self._writers.add(writer)
        with suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            self._writers.add(far_writer)
            with suppress(OSError):
                await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
            far_writer.transport.abort()
            self._writers.discard(far_writer)
        writer.transport.abort()
        self._writers.discard(writer)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    writer.transport.abort()
