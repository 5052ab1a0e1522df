"""The consumer: goes on where it was, waits for a full disk, and says how far behind it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import apsw
import pytest
from store_material import SECOND_NS, START_NS, block, reading

from ingest.store.consumer import (
    CURSOR,
    FIRST_RETRY_S,
    GATHER_S,
    LONGEST_GATHER_S,
    LONGEST_RETRY_S,
    StoreConsumer,
    gather_s,
)
from ingest.store.queries import END_NS
from ingest.store.reader import StoreReader
from ingest.store.rows import BUCKET_NS
from ingest.store.writer import StoreWriter
from vitals.columns import RecordKind, encode_block
from vitals.errors import RetryableError
from vitals.journal import Journal


class Rig:
    """A journal, a store, and a clock that a test moves; pauses last one turn of the loop and are remembered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now_ns = START_NS
        self.pauses: list[float] = []
        self.journal = Journal(folder / "journal.db")
        self.writer = StoreWriter(folder / "store.db")
        self.reader = StoreReader(folder / "store.db")

    def append(self, *seconds: int) -> int:
        payloads = [(RecordKind.SAMPLES, encode_block(block([reading(second)]))) for second in seconds]
        return self.journal.append(payloads, now_ns=self.now_ns)

    def times(self) -> list[int]:
        found = self.reader.samples("P-0001", None, 0, END_NS).sampled_at_ns
        return ((found - START_NS) // SECOND_NS).tolist()

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    def consumer(self, pause: Callable[[float], Awaitable[None]] | None = None) -> StoreConsumer:
        return StoreConsumer(self.journal, self.writer, now_ns=lambda: self.now_ns, pause=pause or self.pause)

    def close(self) -> None:
        self.reader.close()
        self.writer.close()
        self.journal.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


@asynccontextmanager
async def running(consumer: StoreConsumer):
    task = asyncio.create_task(consumer.run())
    try:
        yield consumer
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_what_is_appended_is_stored_and_the_cursor_moves(rig: Rig) -> None:
    rig.append(0, 1)
    async with running(rig.consumer()) as consumer:
        await consumer.reached(2)
        newest = rig.append(2)
        await consumer.reached(newest)
        assert rig.times() == [0, 1, 2]
        assert rig.journal.cursor(CURSOR) == rig.writer.position == 3
        assert (consumer.health().samples, consumer.health().lag_records) == (3, 0)
    assert any(GATHER_S <= seconds <= LONGEST_GATHER_S for seconds in rig.pauses)


def test_the_longer_a_commit_takes_the_longer_the_next_one_gathers() -> None:
    assert gather_s(0.0) == GATHER_S
    assert GATHER_S < gather_s(0.1) < gather_s(0.2) < LONGEST_GATHER_S
    assert gather_s(60.0) == LONGEST_GATHER_S


def test_the_journal_keeps_what_a_new_store_has_not_read(rig: Rig) -> None:
    newest = rig.append(0, 1, 2)
    rig.consumer()
    rig.journal.move("alerts", newest)
    assert rig.journal.trim(now_ns=START_NS + 10**15).read == 0
    assert len(rig.journal.read(0)) == 3


async def test_a_lost_cursor_a_lost_store_and_a_crash_between_the_two_lose_and_double_nothing(rig: Rig) -> None:
    rig.append(0, 1, 2)
    rig.writer.write([block([reading(0)]), block([reading(1)])], position=2)  # and killed before the cursor moved
    async with running(rig.consumer()) as consumer:
        await consumer.reached(3)
    assert rig.times() == [0, 1, 2]
    rig.writer.close()
    rig.reader.close()
    for left in rig.folder.glob("store.db*"):
        left.unlink()
    rig.writer, rig.reader = StoreWriter(rig.folder / "store.db"), StoreReader(rig.folder / "store.db")
    async with running(rig.consumer()) as consumer:
        await consumer.reached(3)
    assert rig.times() == [0, 1, 2]
    assert rig.reader.count().samples == 3


async def test_a_disk_that_is_full_is_waited_for(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.append(0)
    rig.now_ns += 7 * SECOND_NS
    failures = 9
    write = rig.writer.write
    seen = []

    def failing(blocks: object, *, position: int) -> int:
        if len(seen) < failures:
            seen.append(consumer.health())
            raise RetryableError("the disk is full: free disk space", retry_after_s=2.0)
        return write(blocks, position=position)

    monkeypatch.setattr(rig.writer, "write", failing)
    consumer = rig.consumer()
    async with running(consumer):
        await consumer.reached(1)
    assert rig.times() == [0]
    assert seen[1].error == "the disk is full: free disk space"
    assert (seen[1].lag_records, seen[1].lag_s, seen[1].position) == (1, 7.0, 0)
    assert consumer.health().error == ""
    waits = [seconds for seconds in rig.pauses if seconds >= FIRST_RETRY_S and seconds not in (GATHER_S, 5.0)]
    assert waits[:7] == [2.0, 2.0, 2.0, 4.0, 8.0, 16.0, LONGEST_RETRY_S]


async def test_an_unreadable_record_is_counted_and_holds_nobody_up(rig: Rig) -> None:
    rig.append(0)
    rig.journal.append([(RecordKind.SAMPLES, b"rubbish"), (RecordKind.STATUS, b"not for the store")], now_ns=START_NS)
    newest = rig.append(1)
    async with running(rig.consumer()) as consumer:
        await consumer.reached(newest)
        assert consumer.health().unreadable == 1
    assert rig.times() == [0, 1]


async def test_sealing_goes_on_beside_writing_and_old_data_is_trimmed(rig: Rig) -> None:
    rig.append(0)
    turn = asyncio.Event()

    async def pause(_: float) -> None:
        turn.set()
        await asyncio.sleep(0)

    async def until(condition: Callable[[], bool]) -> None:
        while not condition():
            turn.clear()
            await turn.wait()

    sealed = apsw.Connection(str(rig.folder / "store.db"), flags=apsw.SQLITE_OPEN_READONLY)
    consumer = rig.consumer(pause)
    async with running(consumer):
        await consumer.reached(1)
        rig.now_ns += 2 * BUCKET_NS
        await until(lambda: sealed.execute("SELECT count(*) FROM sealed").fetchone() == (1,))
        assert rig.times() == [0]
        rig.now_ns += 31 * 86_400 * SECOND_NS  # a leap: not believed at once, or a wrong clock would empty the store
        for _ in range(71):
            turn.clear()
            await turn.wait()
            assert rig.times() == [0]
            rig.now_ns += 300 * SECOND_NS

        def an_hour_on() -> bool:
            rig.now_ns += 300 * SECOND_NS
            return not rig.times()

        await until(an_hour_on)
    assert rig.reader.count().samples == 0
    sealed.close()
