"""The ingest service: what is acknowledged is on disk, and nothing a sender does stops it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import apsw
import pytest

import ingest.app
import ingest.intake
import ingest.pipeline
from ingest.app import IngestService
from ingest.intake import size_of
from ingest.poison import BOUNDS, PoisonStore, newest_first
from ingest.source import Incoming, Rejection
from vitals.columns import RecordKind, concatenate, decode_block
from vitals.control import decode_receipt, decode_status, encode_status
from vitals.derived import is_virtual
from vitals.follow import follow
from vitals.journal import Bounds, Journal, Record
from vitals.model import (
    ClockSource,
    ClockTrust,
    DeviceBatch,
    GatewayBatch,
    GatewayStatus,
    Presence,
    Receipt,
    Sample,
    Vital,
)
from vitals.wire import encode

T0 = 1_750_000_000_000_000_000
SECOND = 1_000_000_000


@dataclass
class Bench:
    """A service on journals in `folder`, a gateway that publishes into it, and what came back."""

    folder: Path
    bounds: Bounds | None = None
    acknowledged: list[int] = field(default_factory=list)
    receipts: list[tuple[str, Receipt]] = field(default_factory=list)
    now_ns: int = T0 + 3600 * SECOND

    def __post_init__(self) -> None:
        self.journal = Journal(self.folder / "journal.db", bounds=self.bounds)
        self.poison = Journal(self.folder / "poison.db", bounds=BOUNDS)
        self.service = IngestService(
            journal=self.journal,
            poison=PoisonStore(self.poison),
            patient_of={"strap-1": "P-0001"},
            now_ns=lambda: self.now_ns,
            publish_receipt=lambda topic, payload: self.receipts.append((topic, decode_receipt(payload))),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.service.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def close(self) -> None:
        self.journal.close()
        self.poison.close()

    def incoming(self, number: int, payload: bytes, topic: str = "wardlight/v1/north/gw-1/batch") -> Incoming:
        return Incoming(topic, payload, self.now_ns, lambda: self.acknowledged.append(number))

    def offer(self, number: int, payload: bytes | None = None, **topic: str) -> None:
        self.service.offer(self.incoming(number, batch(number) if payload is None else payload, **topic))

    def rows(self, after: int = 0) -> list[tuple[int, float]]:
        """(second, heart rate) of the readings in the journal."""
        return readings(self.journal.read(after))

    def reasons(self) -> list[str]:
        return [poison.reason for poison in newest_first(self.poison)][::-1]


@pytest.fixture
def make_bench(tmp_path: Path) -> AsyncIterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**settings: object) -> Bench:
        made.append(Bench(tmp_path, **settings))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


def readings(records: list[Record]) -> list[tuple[int, float]]:
    """(second, heart rate) of the readings in `records`."""
    block = concatenate([decode_block(record.payload) for record in records if record.kind == RecordKind.SAMPLES])
    own = [row for row in block.rows if not is_virtual(block.devices[row["device"]])]
    return [(int(row["sampled_at_ns"] - T0) // SECOND, float(row["raw"])) for row in own]


def batch(sequence: int, *, value: float | None = None, epoch: int = 9) -> bytes:
    """Message `sequence` of gateway gw-1: one heart rate at second `sequence`."""
    at_ns = T0 + sequence * SECOND
    sample = Sample(Vital.HEART_RATE, at_ns, 60.0 + sequence % 5 if value is None else value)
    clock = ClockTrust(ClockSource.SYNCHRONISED, 10.0)
    return encode(GatewayBatch("gw-1", epoch, sequence, 1, at_ns, clock, (DeviceBatch("strap-1", (sample,)),)))


async def test_acknowledges_and_receipts_what_is_in_the_journal(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    async with bench.running():
        for number in range(1, 11):
            bench.offer(number)
        await bench.service.intake.drained()
    assert bench.acknowledged == list(range(1, 11))
    assert bench.rows() == [(n, 60.0 + n % 5) for n in range(1, 11)]
    assert bench.receipts[-1] == ("wardlight/v1/north/gw-1/receipt", Receipt("gw-1", 9, 10))
    assert bench.service.stats.counts["readings"] == 10


async def test_nothing_is_acknowledged_before_its_commit(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    in_journal_when_acknowledged: list[int] = []
    async with bench.running():
        for number in range(1, 4):
            payload = batch(number)
            message = Incoming(
                "wardlight/v1/north/gw-1/batch",
                payload,
                bench.now_ns,
                lambda: in_journal_when_acknowledged.append(len(bench.rows())),
            )
            bench.service.offer(message)
            await bench.service.intake.drained()
    assert in_journal_when_acknowledged == [1, 2, 3]


async def test_poison_is_kept_and_acknowledged_and_its_neighbours_are_stored(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    async with bench.running():
        bench.offer(1)
        bench.offer(2, b"\x93garbage")
        bench.offer(3, batch(2), topic="wardlight/v1/north/gw-2/batch")
        bench.offer(4, batch(2), topic="somewhere/else")
        bench.service.offer(Rejection(bench.incoming(5, b"x"), "not_authorised", "topic", "not yours"))
        bench.offer(6, batch(2))
        await bench.service.intake.drained()
    assert bench.acknowledged == [1, 2, 3, 4, 5, 6]
    assert bench.reasons() == ["truncated", "topic", "topic", "not_authorised"]
    assert bench.rows() == [(1, 61.0), (2, 62.0)]
    assert sum(bench.service.stats.rejected.values()) == 4


async def test_a_status_becomes_a_record(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    status = GatewayStatus("gw-1", Presence.LOST, T0)
    async with bench.running():
        bench.offer(1, encode_status(status), topic="wardlight/v1/north/gw-1/status")
        await bench.service.intake.drained()
    (record,) = bench.journal.read(0)
    assert record.kind == RecordKind.STATUS
    assert decode_status(record.payload) == status


async def test_a_message_sent_again_is_stored_once_also_across_a_restart(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    async with bench.running():
        bench.offer(1)
        bench.offer(1)
        await bench.service.intake.drained()
    bench.close()
    again = make_bench()
    async with again.running():
        again.offer(1)
        again.offer(2)
        await again.service.intake.drained()
    assert again.rows() == [(1, 61.0), (2, 62.0)]
    assert again.acknowledged == [1, 2]
    assert again.service.stats.counts["duplicates"] == 1
    assert again.receipts[-1][1] == Receipt("gw-1", 9, 2)


async def test_the_filters_remember_across_a_restart(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    async with bench.running():
        for number in range(1, 6):
            bench.offer(number, batch(number, value=60.0))
        await bench.service.intake.drained()
    bench.close()
    again = make_bench()
    async with again.running():
        again.offer(6, batch(6, value=160.0))
        await again.service.intake.drained()
    row = decode_block(again.journal.read(0)[-1].payload).rows[0]
    assert (row["raw"], row["value"]) == (160.0, 60.0)


async def test_one_message_that_breaks_the_pipeline_costs_only_itself(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench()
    monkeypatch.setattr(ingest.pipeline.SignalStage, "smooth", _failing_on(62.0))
    for number in range(1, 4):
        bench.offer(number)
    async with bench.running():
        await bench.service.intake.drained()
    assert bench.acknowledged == [1, 2, 3]
    assert bench.reasons() == ["internal"]
    assert bench.rows() == [(1, 61.0), (3, 63.0)]
    assert bench.receipts[-1][1] == Receipt("gw-1", 9, 3)


def _failing_on(value: float) -> Callable[..., object]:
    smooth = ingest.pipeline.SignalStage.smooth

    def failing(self: object, slots: object, rows: object) -> object:
        judged = smooth(self, slots, rows)
        if (rows["raw"] == value).any():
            raise RuntimeError("a bug")
        return judged

    return failing


async def test_a_full_journal_holds_everything_back_and_loses_nothing(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest.app, "FIRST_RETRY_S", 0.001)
    monkeypatch.setattr(ingest.app, "MAX_RETRY_S", 0.001)
    bench = make_bench(bounds=Bounds(max_bytes=30_000, keep_read_s=0))  # three commits of 128 messages do not fit
    bench.journal.move("store", 0)
    refused = _when_called(monkeypatch, bench.service.intake, "hold")
    for number in range(1, 501):
        bench.offer(number)
    stored: list[tuple[int, float]] = []
    async with bench.running():
        await refused.wait()
        assert bench.service.intake.congested
        assert len(bench.acknowledged) == len(bench.rows()) < 500
        async for records in follow(bench.journal, 0):
            stored += readings(records)
            bench.journal.move("store", records[-1].sequence)
            if len(stored) >= 500:
                break
        await bench.service.intake.drained()
    assert not bench.service.intake.congested
    assert bench.acknowledged == list(range(1, 501))
    assert [number for number, _ in stored] == list(range(1, 501))


def _when_called(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> asyncio.Event:
    called = asyncio.Event()
    original = getattr(owner, name)

    def call() -> None:
        original()
        called.set()

    monkeypatch.setattr(owner, name, call)
    return called


async def test_congested_above_the_bound_until_half_is_done(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest.intake, "MAX_PENDING_MESSAGES", 300)
    bench = make_bench()
    for number in range(1, 302):
        bench.offer(number)
    assert bench.service.intake.congested
    async with bench.running():
        await bench.service.intake.relieved()
        assert len(bench.acknowledged) >= 151
        await bench.service.intake.drained()


async def test_a_commit_is_bounded_in_bytes_but_takes_at_least_one_message(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    for size in (700_000, 300_000, 100_000, 2_000_000, 5):
        bench.offer(0, bytes(size))
    intake = bench.service.intake
    assert [[size_of(message) for message in await intake.next_messages()] for _ in range(4)] == [
        [700_000, 300_000],
        [100_000],
        [2_000_000],
        [5],
    ]


async def test_a_source_that_fails_to_acknowledge_does_not_stop_the_worker(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()

    def gone() -> None:
        raise ConnectionResetError

    async with bench.running():
        bench.service.offer(Incoming("wardlight/v1/north/gw-1/batch", batch(1), bench.now_ns, gone))
        bench.offer(2)
        await bench.service.intake.drained()
    assert bench.acknowledged == [2]
    assert len(bench.rows()) == 2


async def test_a_damaged_journal_ends_the_service(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench()

    def broken(*_: object, **__: object) -> int:
        raise apsw.CorruptError("database disk image is malformed")

    monkeypatch.setattr(bench.journal, "append", broken)
    bench.offer(1)
    with pytest.raises(apsw.CorruptError):
        await bench.service.run()
    assert bench.acknowledged == []


async def test_best_values_that_fail_cost_no_reading_and_come_back(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    bench = make_bench()
    async with bench.running():
        with monkeypatch.context() as broken:
            broken.setattr("ingest.best.BestValues._told", fail)
            bench.offer(1)
            await bench.service.intake.drained()
        bench.offer(2)
        await bench.service.intake.drained()
    assert bench.acknowledged == [1, 2]
    assert bench.rows() == [(1, 61.0), (2, 62.0)]
    blocks = [decode_block(record.payload) for record in bench.journal.read(0) if record.kind == RecordKind.SAMPLES]
    assert [any(map(is_virtual, block.devices)) for block in blocks] == [False, True]


async def test_after_a_restart_the_best_value_goes_on_once_a_second(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    async with bench.running():
        bench.offer(1)
        await bench.service.intake.drained()
    bench.close()
    again = make_bench()
    async with again.running():
        again.offer(2)
        await again.service.intake.drained()
    newest = decode_block(again.journal.read(again.journal.newest - 1)[-1].payload)
    assert [newest.devices[row["device"]] for row in newest.rows] == ["strap-1", "P-0001:best"]
