"""What is new goes ahead of a backlog, and nothing rests on it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from influx_world import START_NS, Pauses, client_of, numbered, sender_of, site_at, target
from scripted_database import Reply, ScriptedDatabase

from ingest.influx.ahead import BEHIND_S, RESTS, Ahead
from ingest.influx.client import Client
from ingest.influx.config import Kind
from ingest.influx.encoding import Encoded
from ingest.influx.forwarder import GATHER_S
from ingest.influx.line_protocol import Lines
from vitals.journal import Journal, Record

LINES = numbered(9)
MOST_RESTS = 5


def encode(records: Sequence[Record], _lines_per_body: int) -> Encoded:
    return Encoded(Lines([record.payload for record in records], len(records)))


class World:
    """A journal with four records that wait; `lags_s` is how far behind the forwarder is, at each look.

    After each look another record comes, and when the last was taken the work ends.
    """

    def __init__(self, journal: Journal, lags_s: list[float]) -> None:
        self.journal = journal
        self.lags_s = iter(lags_s)
        self.rests: list[float] = []
        self.clock_s = 0.0
        self.append(4)

    def append(self, count: int) -> None:
        for _ in range(count):
            self.journal.append([(1, LINES[self.journal.newest])], now_ns=START_NS)

    def lag_s(self) -> float:
        found = next(self.lags_s, None)
        if found is None:
            raise asyncio.CancelledError
        self.append(1)
        return found

    async def pause(self, seconds: float) -> None:
        self.rests.append(seconds)
        if len(self.rests) > MOST_RESTS:
            raise asyncio.CancelledError

    def ahead(self, client: Client) -> Ahead:
        sender = sender_of(client, None, Pauses())
        return Ahead(self.journal, self.encode, sender, self.lag_s, monotonic=lambda: self.clock_s, pause=self.pause)

    def encode(self, records: Sequence[Record], lines_per_body: int) -> Encoded:
        self.clock_s += 2.0
        return encode(records, lines_per_body)


@contextmanager
def connected(double: ScriptedDatabase, folder: Path) -> Iterator[Client]:
    with client_of(target(double.url), folder) as client:
        yield client


async def test_while_behind_only_what_is_new_is_sent(
    double: ScriptedDatabase, journal: Journal, tmp_path: Path
) -> None:
    world = World(journal, [BEHIND_S + 1, BEHIND_S + 1, BEHIND_S])
    with connected(double, tmp_path) as client, pytest.raises(asyncio.CancelledError):
        await world.ahead(client).run()
    assert sorted(double.lines) == sorted(LINES[4:6]), "not the four that waited, nor what came when it was not behind"
    assert world.rests == [GATHER_S, 2.0 * RESTS, 2.0 * RESTS, GATHER_S], "and a slow target has most of its time"


async def test_a_target_that_makes_it_wait_is_left_to_the_forwarder(
    double: ScriptedDatabase, journal: Journal, tmp_path: Path
) -> None:
    double.script.append(Reply(503))
    world = World(journal, [BEHIND_S + 1] * 3)
    with connected(double, tmp_path) as client, pytest.raises(asyncio.CancelledError):
        await world.ahead(client).run()
    assert double.posts == 1
    assert set(world.rests) == {GATHER_S}, "it looks again, and asks no more before the forwarder was answered"
    assert not double.lines


def test_where_lines_would_be_kept_twice_nothing_goes_ahead(tmp_path: Path) -> None:
    with site_at(tmp_path) as site:
        kinds = (Kind.INFLUX1, Kind.VICTORIAMETRICS)
        service = site.service(*(target("http://localhost:1", kind) for kind in kinds))
        assert [found.ahead is not None for found in service.targets] == [True, False]
        service.close()
