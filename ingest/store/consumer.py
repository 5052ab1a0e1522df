"""From the ingest journal to the embedded store: follow, write, move the cursor, seal and trim on the way.

    journal ─follow─▶ write (durable, with the position) ─▶ move the cursor `store`

A store that cannot be written only lags behind its cursor: the journal keeps what is not stored, nobody else waits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from ingest.store.retention import DEFAULT, ClockWatch, Retention
from ingest.store.writer import SEAL_UNITS, StoreWriter
from vitals.columns import RecordKind, SampleBlock, decode_block
from vitals.errors import MalformedMessageError, PermanentError, RetryableError
from vitals.follow import follow
from vitals.journal import Journal, Record

CURSOR: Final = "store"
GATHER_S: Final = 0.1  # between commits: a commit costs the same for one message as for a thousand
LONGEST_GATHER_S: Final = 2.0  # what came last is seen in the alerts' tiles at once; a chart may lag so far behind
_GATHERINGS: Final = 8  # of the time that a commit took: on a busy site every hot piece is rewritten less often
FIRST_RETRY_S: Final = 0.5
LONGEST_RETRY_S: Final = 30.0  # a disk that was freed is noticed within that time
SEAL_PAUSE_S: Final = 0.2  # between two short transactions of a round of sealing
IDLE_PAUSE_S: Final = 5.0  # until one looks again whether anything is due
TRIM_EVERY_NS: Final = 3_600 * 10**9

_log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """How the store keeps up.

    `lag_records`, `lag_s`: journal records not stored yet, and the age of the oldest of them. `error`: what stands in
    the way now, `""` for nothing. `unreadable`: journal records that had to be skipped; they stay in the journal.
    """

    position: int = 0
    lag_records: int = 0
    lag_s: float = 0.0
    samples: int = 0  # taken since the start of the process
    unreadable: int = 0
    error: str = ""


def gather_s(took_s: float) -> float:
    """How long to gather before the next commit, after one that took `took_s`."""
    return min(max(GATHER_S, _GATHERINGS * took_s), LONGEST_GATHER_S)


class StoreConsumer:
    """Keeps `writer` up with `journal`. `now_ns`: wall clock. `pause`: how to wait, in seconds."""

    def __init__(
        self,
        journal: Journal,
        writer: StoreWriter,
        *,
        keep: Retention = DEFAULT,
        now_ns: Callable[[], int] = time.time_ns,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._journal = journal
        self._writer = writer
        self._keep = keep
        self._now_ns = now_ns
        self._pause = pause
        self._trimmed_at_ns = 0
        self._clock = ClockWatch.begin(now_ns())
        self._moved = asyncio.Condition()
        journal.move(CURSOR, 0)  # from here on the journal keeps for the store what it has not read
        self._health = StoreHealth(position=self._start())

    async def run(self) -> None:
        """Work for ever. What cannot be tried again, such as a damaged file, ends it with a `PermanentError`."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write_on(), name="store: write")
            group.create_task(self._tidy_on(), name="store: seal and trim")

    async def reached(self, position: int) -> None:
        """Return once everything up to journal sequence `position` is stored."""
        async with self._moved:
            await self._moved.wait_for(lambda: self._health.position >= position)

    def health(self) -> StoreHealth:
        """How the store keeps up, now."""
        waiting = self._journal.read(self._health.position, limit=1)
        if not waiting:
            return self._health
        return replace(
            self._health,
            lag_records=self._journal.newest - self._health.position,
            lag_s=max(0.0, (self._now_ns() - waiting[0].appended_at_ns) / 1e9),
        )

    # -- writing -----------------------------------------------------------------------------------------------------

    def _start(self) -> int:
        """Where to go on. Of the two positions the earlier: a store or a journal may have been replaced, and what is
        written twice changes nothing."""
        return min(self._journal.cursor(CURSOR), self._writer.position)

    async def _write_on(self) -> None:
        loop = asyncio.get_running_loop()
        async for records in follow(self._journal, self._health.position):
            began_s = loop.time()
            await self._until_durable(records)
            async with self._moved:
                self._moved.notify_all()
            await self._pause(gather_s(loop.time() - began_s))

    async def _until_durable(self, records: Sequence[Record]) -> None:
        blocks = list(self._decoded(records))
        delay_s = FIRST_RETRY_S
        while True:
            try:
                taken = await asyncio.to_thread(self._write, blocks, records[-1].sequence)
            except RetryableError as error:
                self._health = replace(self._health, error=str(error))
                _log.warning("store not written, will be tried again", error=str(error), after_s=delay_s)
                await self._pause(max(delay_s, error.retry_after_s or 0.0))
                delay_s = min(2 * delay_s, LONGEST_RETRY_S)
            else:
                samples = self._health.samples + taken
                self._health = replace(self._health, position=records[-1].sequence, samples=samples, error="")
                return

    def _write(self, blocks: Sequence[SampleBlock], position: int) -> int:
        taken = self._writer.write(blocks, position=position)
        self._journal.move(CURSOR, position)
        return taken

    def _decoded(self, records: Sequence[Record]) -> Iterator[SampleBlock]:
        for record in records:
            if record.kind != RecordKind.SAMPLES:
                continue
            try:
                yield decode_block(record.payload)
            except MalformedMessageError as error:
                self._health = replace(self._health, unreadable=self._health.unreadable + 1)
                _log.error("journal record skipped by the store", sequence=record.sequence, error=str(error))

    # -- tidying -----------------------------------------------------------------------------------------------------

    async def _tidy_on(self) -> None:
        while True:
            try:
                blobs = await asyncio.to_thread(self._tidy)
            except (RetryableError, PermanentError) as error:  # what is written stays readable; sealing can wait
                self._health = replace(self._health, error=str(error))
                _log.warning("store not sealed, will be tried again", error=str(error))
                await self._pause(LONGEST_RETRY_S)
            else:
                await self._pause(SEAL_PAUSE_S if blobs else IDLE_PAUSE_S)

    def _tidy(self) -> int:
        now_ns = self._now_ns()
        blobs = self._writer.seal(now_ns, units=SEAL_UNITS)
        steady = self._clock.is_steady(now_ns)
        if not blobs and steady and abs(now_ns - self._trimmed_at_ns) >= TRIM_EVERY_NS:
            removed = self._writer.trim(now_ns, self._keep)
            self._trimmed_at_ns = now_ns
            if any(removed.values()):
                _log.info("store trimmed", **{what.value: count for what, count in removed.items()})
        return blobs
