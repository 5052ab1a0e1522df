"""The server: on this computer only, and stopped without hanging on open event streams."""

from __future__ import annotations

import asyncio
import socket

import httpx
import pytest
from gallery import PretendedWard, pretended_station, serving

from alerts.station.app import serve_station
from vitals.errors import ConfigurationError


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
async def test_a_host_that_others_can_reach_is_refused_with_the_way_out(ward: PretendedWard, host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"no accounts yet .* write 127\.0\.0\.1"):
        await serve_station(pretended_station(ward), host, 0)


async def test_a_port_that_is_taken_is_said(ward: PretendedWard) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} on 127.0.0.1 cannot be opened"):
            await serve_station(pretended_station(ward), "127.0.0.1", port)


async def test_a_stopping_server_ends_its_streams_and_returns(ward: PretendedWard) -> None:
    opened: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(serve_station(pretended_station(ward), port=0, ready=opened.set_result))
    async with (
        httpx.AsyncClient(base_url=await opened, timeout=20) as client,
        client.stream("GET", "/events") as answer,
    ):
        chunks = answer.aiter_text()
        text = ""
        while "event: ward" not in text:
            text += await anext(chunks)
        assert text.startswith('retry: 1000\n\nevent: ward\ndata: {"boot":')
        server.cancel()
        async for _ in chunks:  # ends: the stream is closed from the other side, in an orderly manner
            pass
    with pytest.raises(asyncio.CancelledError):
        await server


def test_the_real_server_adds_nothing_that_tells_what_it_is(ward: PretendedWard) -> None:
    with serving(ward) as address:
        answer = httpx.get(address)
    assert answer.status_code == 200
    assert "server" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
