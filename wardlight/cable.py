"""A network cable that can be cut: a relay between a gateway and its server, for the demo and for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Final, Self

from simulators.timeline import Network

_CHUNK: Final = 1 << 16


class Cable:
    """Relays TCP connections from a free loopback port to `host:port` while the network is up.

    `RESET` resets both ends at once, and refuses new connections: no side gets to say goodbye. `SILENT` carries nothing
    and tells nobody; what was sent meanwhile arrives when the network is up again, as TCP would send it again.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._network = Network.UP
        self._carries = asyncio.Event()
        self._carries.set()
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
        self.follow(Network.RESET)
        await asyncio.gather(*self._relays)

    @property
    def port(self) -> int:
        """Where to connect to."""
        assert self._server is not None, "enter the context first"
        return int(self._server.sockets[0].getsockname()[1])

    def follow(self, network: Network) -> None:
        """Be as the network is from now on."""
        self._network = network
        if network is Network.SILENT:
            self._carries.clear()
        else:
            self._carries.set()
        if network is Network.RESET:
            for writer in tuple(self._writers):
                writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relay = asyncio.current_task()
        assert relay is not None
        self._relays.add(relay)
        relay.add_done_callback(self._relays.discard)
        with self._joined(writer):
            await self._carries.wait()
            if self._network is Network.RESET:
                return
            with suppress(OSError):
                far_reader, far_writer = await asyncio.open_connection(*self._target)
                with self._joined(far_writer):
                    ways = [
                        asyncio.ensure_future(self._copy(*way)) for way in ((reader, far_writer), (far_reader, writer))
                    ]
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

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until either end is gone."""
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._carries.wait()
                writer.write(data)
                await writer.drain()
