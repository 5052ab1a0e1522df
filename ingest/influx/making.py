"""Bodies made one at a time, in a thread, while others are on their way, and never for most of the time.

Making lines is the only part of forwarding that computes for long, and one process computes one thing at a time: a
backlog that a fast database takes would otherwise be felt by whoever waits for an acknowledgement or an alarm. The
database's own work is felt too where it shares a machine or a disk with the server, so a backlog has a pace.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

SHARE: Final = 1 / 3  # of one core: 150,000 lines a second and more, three times what has to be kept up
_CREDIT_S: Final = 0.25  # of the pace that a portion's first bodies may make up for: waits for a disk, for an answer


class Pace:
    """At most `lines_per_s` over any longer time; asked by one forwarder for all its bodies."""

    def __init__(self, lines_per_s: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._lines_per_s = lines_per_s
        self._monotonic = monotonic
        self._due_s = monotonic()  # when the next body may be made

    def wait_s(self) -> float:
        """How long until the next body may be made; 0 for at once."""
        return max(0.0, self._due_s - self._monotonic())

    def made(self, lines: int) -> None:
        """A body of so many lines was made."""
        self._due_s = max(self._due_s, self._monotonic() - _CREDIT_S) + lines / self._lines_per_s


async def _sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)


class Making:
    """The bodies that `pieces` makes when it is asked for them; several tasks may ask.

    Pieces are joined as long as a body is smaller than `least_bytes`, with a rest after each piece: the smaller they
    are, the shorter is what anybody waits for. `pace`: of the lines, `None` for none.
    """

    def __init__(
        self,
        pieces: Iterable[bytes],
        *,
        least_bytes: int = 1,
        pace: Pace | None = None,
        rest: Callable[[float], Awaitable[None]] = _sleep,
    ) -> None:
        self._pieces = iter(pieces)
        self._least_bytes = least_bytes
        self._pace = pace
        self._rest = rest
        self._turn = asyncio.Lock()
        self._owed_s = 0.0  # of rest, since the last piece

    async def next(self) -> bytes | None:
        """The next one; `None` after the last."""
        async with self._turn:
            pieces, size = list[bytes](), 0
            while size < self._least_bytes and (piece := await self._piece()) is not None:
                pieces.append(piece)
                size += len(piece)
            body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            if self._pace is not None:
                self._pace.made(body.count(b"\n"))
        return body or None

    async def _piece(self) -> bytes | None:
        await self._rest(max(self._owed_s, self._pace.wait_s() if self._pace else 0.0))
        piece, took_s = await asyncio.to_thread(self._make)
        self._owed_s = took_s * (1 / SHARE - 1)
        return piece

    def _make(self) -> tuple[bytes | None, float]:
        began_s = time.thread_time()
        return next(self._pieces, None), time.thread_time() - began_s
