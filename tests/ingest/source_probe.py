"""What a source handed over: an intake that is a list, for the tests of the endpoint and of the broker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ingest.endpoint import Endpoint, EndpointConfig
from ingest.source import Incoming, Rejection

WAIT_S = 20.0  # bound of every wait for a condition: far beyond what a busy machine needs


async def eventually(condition: Callable[[], object], *, what: str = "") -> None:
    """Wait until `condition` holds; fails after `WAIT_S`."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"did not happen: {what or condition}"
        await asyncio.sleep(0.005)


@dataclass
class FakeClock:
    """A monotonic clock that moves when it is told to."""

    now_s: float = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class SourceProbe:
    """What a source handed over, and its clock. With `acknowledging`, everything is "durable" at once."""

    clock: FakeClock = field(default_factory=FakeClock)
    incoming: list[Incoming] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    acknowledging: bool = True

    def intake(self, message: Incoming) -> None:
        self.incoming.append(message)
        if self.acknowledging:
            message.acknowledge()

    def rejected(self, rejection: Rejection) -> None:
        self.rejections.append(rejection)
        if self.acknowledging:
            rejection.incoming.acknowledge()

    @property
    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.incoming]

    def endpoint(self, **settings: Any) -> Endpoint:
        """An endpoint that is not started yet; `tls` and `authenticate` may be among the settings."""
        extra = {name: settings.pop(name) for name in ("tls", "authenticate") if name in settings}
        config = EndpointConfig(port=0, sweep_s=0.01, **settings)
        return Endpoint(config, self.intake, self.rejected, now_ns=lambda: 42, monotonic=self.clock, **extra)
