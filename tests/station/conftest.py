"""The pretended ward at a stopped clock, and a client that talks to its station without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from gallery import NOW_NS, PretendedWard, pretended_station
from starlette.applications import Starlette


@pytest.fixture
def ward() -> PretendedWard:
    return PretendedWard(now_ns=lambda: NOW_NS)


@pytest.fixture
def station(ward: PretendedWard) -> Starlette:
    return pretended_station(ward)


@pytest.fixture
async def client(station: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(station, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client
