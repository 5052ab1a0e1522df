"""Numbers derived from what is journalled, into the same journal: exactly once, and holding nobody up.

    journal ─follow─┬─▶ analyst: pulse waves ─────┐
                    ├─▶ intervals: RR intervals ──┼─▶ best values ─▶ one SAMPLES record and the cursor `signals`,
                    └─▶ saturations: best SpO2 ───┘                  in one transaction

Store and alerts read what is derived like everything else. Rates from pulse waves, and how good these are, pass
through the stage of the best values that ingest uses, on the event loop as there; the three themselves work in a
thread. What is written here has no waves, no intervals and no best SpO2, so it leads to nothing when it is read. After
a restart they hear again what was before the cursor, pulse waves for `WARM_UP_S`, all else for `LONG_WARM_UP_S`, and
say nothing then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import structlog

from ingest.best import BestValues
from ingest.signals.analyst import Analyst
from ingest.signals.intervals import Intervals
from ingest.signals.saturations import Saturations
from vitals.columns import RecordKind, SampleBlock, concatenate, decode_block, encode_block
from vitals.errors import MalformedMessageError, RetryableError
from vitals.follow import follow
from vitals.journal import Journal, Record

CURSOR: Final = "signals"
LATEST_NS: Final = 300 * 10**9  # older, a derived number helps nobody any more, and the journal must not wait
GATHER_S: Final = 0.25  # between portions: a flush costs the same for one wearable as for a thousand
PORTION: Final = 200  # records at once, so that a backlog fills neither the memory nor one record
WARM_UP_S: Final = 40.0  # respiratory rate looks back 32 s, quality 10 s
LONG_WARM_UP_S: Final = 305.0  # heart rate variability and the longest desaturation look back 300 s
LAZY_NS: Final = 10 * 10**9  # the cursor moves so often when nothing was derived …
LAZY_RECORDS: Final = 200  # … or after so many records
FIRST_RETRY_S: Final = 0.5
LONGEST_RETRY_S: Final = 30.0
_FIRST_STEP_BACK: Final = 64  # records; doubled until the warm-up's first one is reached

_log: Final = structlog.get_logger(__name__)


class SignalConsumer:
    """Derives numbers from what `journal` brings. `now_ns`: wall clock. `pause`: how to wait, in seconds.

    `best`: that of the ingest pipeline, which must run on the same event loop; without it nothing becomes a best value.
    A journal that it never read is read from its present end on: what is of before was judged without it.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        best: BestValues | None = None,
        now_ns: Callable[[], int] = time.time_ns,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._journal = journal
        self._best = best
        self._now_ns = now_ns
        self._pause = pause
        if CURSOR not in journal.cursors():
            journal.move(CURSOR, journal.newest)
        self.position = self._kept = journal.cursor(CURSOR)
        self._kept_at_ns = now_ns()
        self._begin()
        self._moved = asyncio.Condition()
        self.derived = 0  # readings since the start of the process
        self.failures = 0  # portions that the analysis failed on
        self.skipped = 0  # records that were too old when their turn came: more pulse waves than one core can analyse

    def _begin(self) -> None:
        """Know nothing of what was."""
        self._analyst, self._intervals, self._saturations = Analyst(), Intervals(), Saturations()

    async def run(self) -> None:
        """Work for ever."""
        await asyncio.to_thread(self._warm_up)
        async for records in follow(self._journal, self.position, limit=PORTION):
            found = await asyncio.to_thread(self._analyse, records)
            await self._keep(self._with_best(found), records[-1].sequence)
            async with self._moved:
                self._moved.notify_all()
            await self._pause(GATHER_S if len(records) < PORTION else 0.0)

    async def reached(self, position: int) -> None:
        """Return once everything up to journal sequence `position` was analysed and its numbers are durable."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.position >= position)

    def _warm_up(self) -> None:
        newest = self._journal.read(max(self.position - 1, 0), limit=1)
        waves_since_ns = newest[0].appended_at_ns - round(WARM_UP_S * 1e9) if newest else 0
        for records in _just_before(self._journal, self.position):
            self._analyse(records, waves_since_ns=waves_since_ns)

    def _with_best(self, found: SampleBlock | None) -> SampleBlock | None:
        """What was found, with the best values that it makes, or as it is should that fail."""
        if found is None or self._best is None:
            return found
        try:
            return self._best.choose(found)
        except Exception as error:  # noqa: BLE001 - numbers more are no reason to lose those that are found
            _log.exception("no best values of derived numbers: please report this", error=str(error))
            self._best.forget()
            return found

    def _analyse(self, records: Sequence[Record], *, waves_since_ns: int = 0) -> SampleBlock | None:
        """What these records tell. An analysis that fails must not end the monitoring: it begins afresh after them."""
        if self._now_ns() - records[-1].appended_at_ns > LATEST_NS:
            self.skipped += len(records)
            self._begin()
            return None
        try:
            blocks = list(_decoded(records, waves_since_ns))
            parts = [part.feed(blocks) for part in (self._analyst, self._intervals, self._saturations)]
            return concatenate([part for part in parts if len(part.rows)])
        except Exception as error:  # noqa: BLE001 - numbers more are no reason to end what alarms rest on
            self.failures += 1
            _log.exception(
                "signals not analysed", first=records[0].sequence, last=records[-1].sequence, error=str(error)
            )
            self._begin()
            return None

    async def _keep(self, found: SampleBlock | None, position: int) -> None:
        """Make the numbers and the position durable together; the position alone now and then."""
        count = 0 if found is None else len(found.rows)
        due = position - self._kept >= LAZY_RECORDS or abs(self._now_ns() - self._kept_at_ns) >= LAZY_NS
        delay_s = FIRST_RETRY_S
        while count or due:
            try:
                await asyncio.to_thread(self._commit, found if count else None, position)
            except RetryableError as error:
                _log.warning("derived numbers not written, will be tried again", error=str(error), after_s=delay_s)
                await self._pause(max(delay_s, error.retry_after_s or 0.0))
                delay_s = min(2 * delay_s, LONGEST_RETRY_S)
            else:
                self._kept, self._kept_at_ns = position, self._now_ns()
                break
        self.position, self.derived = position, self.derived + count

    def _commit(self, found: SampleBlock | None, position: int) -> None:
        if found is None:
            self._journal.move(CURSOR, position)
        else:
            record = (RecordKind.SAMPLES, encode_block(found))
            self._journal.append([record], now_ns=self._now_ns(), cursors={CURSOR: position})


def _just_before(journal: Journal, position: int) -> Iterator[list[Record]]:
    """The records through `position` that were appended in the last `LONG_WARM_UP_S` before it, in portions."""
    newest = journal.read(position - 1, limit=1)
    if not newest or position < 1:
        return
    since_ns = newest[0].appended_at_ns - round(LONG_WARM_UP_S * 1e9)
    step, after = _FIRST_STEP_BACK, position
    while after > 0 and (first := journal.read(after, limit=1) or newest)[0].appended_at_ns > since_ns:
        if first[0].sequence > after + 1:
            break  # older ones are gone
        after, step = max(0, after - step), 2 * step
    while after < position and (records := journal.read(after, limit=min(PORTION, position - after))):
        after = records[-1].sequence
        wanted = [r for r in records if r.appended_at_ns > since_ns and r.sequence <= position]
        if wanted:
            yield wanted


def _decoded(records: Sequence[Record], waves_since_ns: int) -> Iterator[SampleBlock]:
    for record in records:
        if record.kind == RecordKind.SAMPLES:
            try:
                block = decode_block(record.payload)
                yield block if record.appended_at_ns > waves_since_ns else replace(block, waveforms=())
            except MalformedMessageError as error:
                _log.error("journal record skipped by the signals", sequence=record.sequence, error=str(error))
