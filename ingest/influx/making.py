"""Bodies made one at a time, in a thread, while others are on their way, and never for most of the time.

Making lines is the only part of forwarding that computes for long, and one process computes one thing at a time: a
backlog that a fast database takes would otherwise be felt by whoever waits for an acknowledgement or an alarm.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

SHARE: Final = 1 / 3  # of one core: 150,000 lines a second and more, three times what has to be kept up


async def _sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)


class Making:
    """The bodies that `bodies` makes when it is asked for them; several tasks may ask."""

    def __init__(self, bodies: Iterable[bytes], *, rest: Callable[[float], Awaitable[None]] = _sleep) -> None:
        self._bodies = iter(bodies)
        self._rest = rest
        self._turn = asyncio.Lock()
        self._owed_s = 0.0  # of rest, since the last body

    async def next(self) -> bytes | None:
        """The next one; `None` after the last."""
        async with self._turn:
            await self._rest(self._owed_s)
            body, took_s = await asyncio.to_thread(self._make)
            self._owed_s = took_s * (1 / SHARE - 1)
        return body

    def _make(self) -> tuple[bytes | None, float]:
        began_s = time.thread_time()
        return next(self._bodies, None), time.thread_time() - began_s
