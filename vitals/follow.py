"""Following a journal: wake when something was appended, read after a position, hand it on in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from vitals.journal import Journal, Record

POLL_S = 0.1  # how soon a record of another process is seen; appends of this process wake at once


async def follow(
    journal: Journal, after: int, *, limit: int = 1_000, max_bytes: int = 16 << 20, poll_s: float = POLL_S
) -> AsyncIterator[list[Record]]:
    """Yield the records after sequence `after`, in order and never empty, for ever.

    `limit` and `max_bytes` bound one portion, so that a long backlog does not fill the memory.
    """
    loop = asyncio.get_running_loop()
    appended = asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(appended.set)

    with journal.listen(wake):
        while True:
            appended.clear()
            records = journal.read(after, limit=limit, max_bytes=max_bytes)
            if records:
                after = records[-1].sequence
                yield records
                continue
            try:
                async with asyncio.timeout(poll_s):
                    await appended.wait()
            except TimeoutError:
                pass
