"""Rollups for one target: minutes and quarters of an hour, made by the embedded store, sent when they are due.

    journal ─follow─▶ which buckets changed ─▶ ripe ─▶ (the store has them) ─▶ minutes, quarters ─▶ Sender

The service does the downsampling because no mechanism is common to InfluxDB 1, 2 and 3. Late readings make their bucket
due again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import numpy as np
import structlog

from ingest.influx.owed import Owed
from ingest.influx.refill import Refill
from ingest.influx.sender import Abandoned, Sender
from ingest.influx.settling import Settling
from ingest.influx.touched import Bucket, Touch, Touched
from ingest.store.rows import BUCKET_NS
from vitals.columns import RecordKind, decode_block
from vitals.errors import MalformedMessageError, RetryableError
from vitals.follow import follow
from vitals.journal import Journal, Record

LOOK_S: Final = 5.0  # how soon a bucket that is ripe is noticed
SEEN_S: Final = 15.0  # within which a restart is noticed: added to the target's tail
_PORTION_BYTES: Final = 1 << 20  # 20,000 readings: read at once, where alarms wait for it
_BODY_BYTES: Final = 128 << 10  # some 1,000 lines of several patients in one POST, a patient made at once in 4 ms

_log: Final = structlog.get_logger(__name__)


class _Back(Exception):  # noqa: N818 - no error: begin again from the cursor
    """What was noted is to be forgotten, and the journal read again from the cursor on."""


class Rollups:
    """Sends rollups under a cursor of its own.

    `stored`: waits until the store has a journal position. `restarts`: how often a target that forgets was seen to
    restart; what was sent shortly before is sent again.
    """

    def __init__(
        self,
        journal: Journal,
        cursor: str,
        refill: Refill,
        sender: Sender,
        owed: Owed,
        *,
        stored: Callable[[int], Awaitable[None]],
        restarts: Callable[[], int] = lambda: 0,
        monotonic: Callable[[], float] = time.monotonic,
        now_ns: Callable[[], int] = time.time_ns,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._journal = journal
        self._cursor = cursor
        self._refill = refill
        self._sender = sender
        self._owed = owed
        self._stored = stored
        self._now_ns = now_ns
        self._pause = pause
        journal.move(cursor, 0)
        start = journal.cursor(cursor)
        self._touched = Touched(position=start)
        settle_s = sender.target.settle_s
        self._settling = Settling(start, settle_s + SEEN_S if settle_s else 0.0)
        self._restarts = restarts
        self._monotonic = monotonic
        self.sent = 0  # lines since the start

    async def run(self) -> None:
        """Work for ever."""
        while True:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._note_on(), name=f"{self._cursor}: note")
                    group.create_task(self._send_on(), name=f"{self._cursor}: send")
            except* _Back:
                self._touched = Touched(position=self._settling.settled)

    async def flush(self, now_ns: int) -> None:
        """Send what is ripe at `now_ns`, and move the cursor."""
        ripe = self._touched.ripe(now_ns)
        if not ripe:
            await self._keep(self._touched.holds_from())
            return
        await self._stored(self._touched.position)
        for number in ripe:
            if self._owed.crowded(self._cursor):
                raise Abandoned
            bucket = self._touched.take(number)
            await self._send(number, bucket)
            await self._keep(self._touched.holds_from())

    async def note(self, records: Sequence[Record]) -> None:
        """Take note of what `records` changed; reading them would hold up alarms, so that is done in a thread."""
        found = await asyncio.to_thread(touched_by, records)
        self._touched.note(records[-1].sequence, found, self._now_ns())

    # -- inside ------------------------------------------------------------------------------------------------------

    async def _note_on(self) -> None:
        async for records in follow(self._journal, self._touched.position, max_bytes=_PORTION_BYTES):
            await self.note(records)
            await self._pause(LOOK_S if len(records) < 100 else 0.0)

    async def _send_on(self) -> None:
        seen = self._restarts()
        while True:
            try:
                await self.flush(self._now_ns())
            except Abandoned:
                position = await asyncio.to_thread(self._owed.let_go, self._cursor, self._settling.settled)
                self._settling.skip(position)
                raise _Back from None
            if self._restarts() != seen:
                self._settling.skip(self._settling.settled)
                raise _Back
            await self._pause(LOOK_S)

    async def _send(self, number: int, bucket: Bucket) -> None:
        start_ns, end_ns = number * BUCKET_NS, (number + 1) * BUCKET_NS
        oldest_ns = self._refill.target.oldest_ns(self._now_ns(), rollups=True)
        patients = await asyncio.to_thread(self._refill.reader.patients) if bucket.patients is None else bucket.patients
        found = (
            body
            for patient in sorted(patients)
            for body in self._refill.rollups(patient, start_ns, end_ns, oldest_ns=oldest_ns)
        )
        place, crowded = self._refill.target.rollup_place, lambda: self._owed.crowded(self._cursor)
        self.sent += await self._sender.send_all(found, place, abandon=crowded, least_bytes=_BODY_BYTES)

    async def _keep(self, position: int) -> None:
        now_s = self._monotonic()
        self._settling.answered(position, now_s)
        self._settling.alive("", now_s)
        try:
            await asyncio.to_thread(self._journal.move, self._cursor, self._settling.settled)
        except RetryableError as error:  # the next round moves it
            _log.warning("cursor not moved", cursor=self._cursor, error=str(error))


def touched_by(records: Sequence[Record]) -> dict[int, Touch]:
    """The five-minute buckets, by number, that readings among `records` of the ingest journal belong to."""
    found: dict[int, Touch] = {}
    for record in records:
        if record.kind != RecordKind.SAMPLES:
            continue
        try:
            block = decode_block(record.payload)
        except MalformedMessageError:
            continue  # the forwarder counts it
        buckets = block.rows["sampled_at_ns"] // BUCKET_NS
        for number in np.unique(buckets).tolist():
            devices = np.unique(block.rows["device"][buckets == number]).tolist()
            patients = found.setdefault(number, Touch(record.sequence, set())).patients
            patients.update(map(block.patients.__getitem__, devices))
    return found
