"""An endpoint on a free port whose intake is a list."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from source_probe import SourceProbe

from ingest.endpoint import Endpoint


@pytest.fixture
def probe() -> SourceProbe:
    return SourceProbe()


@pytest.fixture
async def endpoint(probe: SourceProbe) -> AsyncIterator[Endpoint]:
    """A running endpoint with the default bounds, which acknowledges everything at once."""
    async with probe.endpoint() as running:
        yield running
