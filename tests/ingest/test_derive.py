"""The consumer that derives numbers, on real journals: exactly once across restarts, and harmless when it fails."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_analyst import START_NS, second_of

from ingest.derive import CURSOR, LATEST_NS, SignalConsumer
from vitals.columns import RecordKind, decode_block, encode_block
from vitals.derived import is_virtual
from vitals.journal import Journal

NS = 1_000_000_000


async def no_pause(_: float) -> None:
    await asyncio.sleep(0)


def bring(journal: Journal, seconds: range) -> None:
    for second in seconds:
        payload = encode_block(second_of("ox-1", second))
        journal.append([(RecordKind.SAMPLES, payload)], now_ns=START_NS + (second + 1) * NS)


async def consume(journal: Journal) -> SignalConsumer:
    """One life of the consumer, ended once it has kept up."""
    newest_ns = journal.read(journal.newest - 1)[-1].appended_at_ns
    consumer = SignalConsumer(journal, now_ns=lambda: newest_ns, pause=no_pause)
    task = asyncio.create_task(consumer.run())
    await consumer.reached(journal.newest)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return consumer


def derived_keys(journal: Journal) -> list[tuple[int, int]]:
    keys = []
    for record in journal.read(0, limit=10_000):
        block = decode_block(record.payload)
        if all(is_virtual(device) for device in block.devices):
            keys += block.rows[["vital", "sampled_at_ns"]].tolist()
    return keys


async def test_every_number_is_derived_exactly_once_across_restarts(tmp_path: Path) -> None:
    with Journal(tmp_path / "once.db") as journal, Journal(tmp_path / "cut.db") as cut:
        SignalConsumer(journal), SignalConsumer(cut)
        bring(journal, range(120))
        await consume(journal)
        for part in (range(50), range(50, 75), range(75, 120)):
            bring(cut, part)
            await consume(cut)
        assert len(derived_keys(cut)) == len(set(derived_keys(cut)))
        assert derived_keys(cut) == derived_keys(journal)
        assert len(derived_keys(cut)) > 150


async def test_what_was_written_comes_with_the_cursor(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        SignalConsumer(journal)
        bring(journal, range(40))
        consumer = await consume(journal)
        assert consumer.derived == len(derived_keys(journal)) > 0
        assert journal.cursor(CURSOR) == 40, "the last record that it did not write itself"
        found = decode_block(journal.read(40, limit=1)[0].payload)
        assert found.devices == ("ox-1:ppg",)
        assert np.isfinite(found.rows["value"]).all()


async def test_a_new_consumer_begins_at_the_end_of_the_journal(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        bring(journal, range(60))
        assert (await consume(journal)).derived == 0
        bring(journal, range(60, 65))
        assert (await consume(journal)).derived >= 5, "and knows what went before"


async def test_an_analysis_that_fails_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    with Journal(tmp_path / "j.db") as journal:
        SignalConsumer(journal)
        bring(journal, range(20))
        monkeypatch.setattr("ingest.signals.analyst.Analyst.feed", fail)
        consumer = await consume(journal)
        assert consumer.failures
        assert consumer.position == 20


async def test_what_is_too_old_is_passed_over_and_the_journal_does_not_wait(tmp_path: Path) -> None:
    with Journal(tmp_path / "late.db") as journal:
        SignalConsumer(journal)
        bring(journal, range(60))
        newest_ns = journal.read(journal.newest - 1)[-1].appended_at_ns
        consumer = SignalConsumer(journal, now_ns=lambda: newest_ns + LATEST_NS + NS, pause=no_pause)
        task = asyncio.create_task(consumer.run())
        await consumer.reached(journal.newest)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert (consumer.skipped, derived_keys(journal)) == (60, [])
        assert consumer.position == journal.newest
