"""Following a journal: what was there, then what is appended, from this process and from another."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from vitals.follow import follow
from vitals.journal import Journal, Record

NEVER_S = 3_600.0  # a poll that would come too late for the test


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "j.db") as journal:
        yield journal


async def take(portions: AsyncIterator[list[Record]], count: int) -> list[int]:
    taken: list[int] = []
    while len(taken) < count:
        taken += [record.sequence for record in await anext(portions)]
    return taken


async def test_a_backlog_comes_in_bounded_portions(journal: Journal) -> None:
    journal.append([(1, b"x" * 10)] * 10, now_ns=1)
    async with aclosing(follow(journal, 2, limit=3, poll_s=NEVER_S)) as portions:
        assert [len(await anext(portions)) for _ in range(3)] == [3, 3, 2]
    async with aclosing(follow(journal, 0, max_bytes=20, poll_s=NEVER_S)) as portions:
        assert [len(await anext(portions)) for _ in range(5)] == [2] * 5


async def test_an_append_of_this_process_wakes_at_once(journal: Journal) -> None:
    async with aclosing(follow(journal, 0, poll_s=NEVER_S)) as portions:
        waiting = asyncio.create_task(anext(portions))
        await asyncio.sleep(0)  # it has found nothing and listens
        await asyncio.to_thread(journal.append, [(1, b"x")], now_ns=1)
        assert [record.sequence for record in await waiting] == [1]


async def test_nothing_is_missed_and_nothing_comes_twice_while_appends_go_on(journal: Journal) -> None:
    def write() -> None:
        for number in range(200):
            journal.append([(1, b"%d" % number)] * 3, now_ns=number)

    async with aclosing(follow(journal, 0, limit=7, poll_s=NEVER_S)) as portions:
        writing = asyncio.create_task(asyncio.to_thread(write))
        assert await take(portions, 600) == list(range(1, 601))
        await writing


async def test_a_follower_that_leaves_stops_listening(journal: Journal) -> None:
    async with aclosing(follow(journal, 0, poll_s=0.001)) as portions:
        waiting = asyncio.create_task(anext(portions))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert journal._listeners == []


@pytest.mark.slow
async def test_an_append_of_another_process_is_seen_by_polling(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    Journal(path).close()
    script = f"""
from pathlib import Path
from vitals.journal import Journal
with Journal(Path({str(path)!r})) as journal:
    for number in range(50):
        journal.append([(1, b"x")], now_ns=number)
"""
    with Journal(path, read_only=True) as reader:
        writer = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stderr=subprocess.PIPE)
        async with aclosing(follow(reader, 0, poll_s=0.005)) as portions:
            assert await take(portions, 50) == list(range(1, 51))
        _, said = await writer.communicate()
        assert (writer.returncode, said) == (0, b"")
