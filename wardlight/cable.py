"""A network cable that can be pulled: a relay between a gateway and its server, for the demo and for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
        self._relays: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None, "entered before"
        self._server.close()
        self.plug(connected=False)
        await asyncio.gather(*self._relays)

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
        relay = asyncio.current_task()
        assert relay is not None
        self._relays.add(relay)
        relay.add_done_callback(self._relays.discard)
        with self._joined(writer):
            if not self._plugged:
                return
            with suppress(OSError):
                far_reader, far_writer = await asyncio.open_connection(*self._target)
                with self._joined(far_writer):
                    ways = [asyncio.ensure_future(_copy(*way)) for way in ((reader, far_writer), (far_reader, writer))]
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                    writer.transport.abort()
                    far_writer.transport.abort()
                    await asyncio.wait(ways)

    @contextmanager
    def _joined(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        """One end of a connection: known while it lasts, and reset at the end."""
        self._writers.add(writer)
        try:
            yield
        finally:
            self._writers.discard(writer)
            writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until either end is gone."""
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
