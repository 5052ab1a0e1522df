"""What is new goes ahead while a backlog drains: boards show the present minutes before the gap behind it is filled.

    journal ─┬─ cursor ─▶ what waits ──▶ Forwarder ─▶ Sender
             └─ newest ─▶ what comes ──▶ Ahead ─────▶ the same Sender

Nothing rests on it. It has no cursor, gives up whenever the target makes it wait, and the forwarder sends the same
lines again when it comes to them: to InfluxDB that changes nothing, since their keys are the same. A line that the
target refuses is kept twice. Of a slow target's time it takes a quarter at most, so that the gap closes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from ingest.influx.forwarder import GATHER_S, PORTION, PORTION_BYTES, Encode
from ingest.influx.sender import Abandoned, Sender
from vitals.journal import Journal

BEHIND_S: Final = 10.0  # of the oldest record that waits: a board that is refreshed every few seconds shows it
RESTS: Final = 3  # for each second that sending took


class Ahead:
    """Sends what comes in while `lag_s` says that the forwarder of `journal` is behind."""

    def __init__(
        self,
        journal: Journal,
        encode: Encode,
        sender: Sender,
        lag_s: Callable[[], float],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._journal = journal
        self._encode = encode
        self._sender = sender
        self._lag_s = lag_s
        self._monotonic = monotonic
        self._pause = pause

    async def run(self) -> None:
        """Work for ever."""
        while True:
            await self._pause(GATHER_S)
            try:
                await self._lead()
            except Abandoned:
                continue  # begin again at the newest, as soon as it takes lines

    async def _lead(self) -> None:
        at = self._journal.newest
        while not self._sender.traffic.error and self._lag_s() > BEHIND_S:
            began_s = self._monotonic()
            records = self._journal.read(at, limit=PORTION, max_bytes=PORTION_BYTES)
            if records:
                encoded = await asyncio.to_thread(self._encode, records, self._sender.lines_per_body)
                await self._sender.send_all(encoded.lines.bodies, abandon=lambda: True)
                at = records[-1].sequence
            await self._pause(max(GATHER_S, RESTS * (self._monotonic() - began_s)))
