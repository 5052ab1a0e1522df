"""Bodies are made when they are asked for, one at a time, with rests between them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from influx_world import Pauses, second

from ingest.influx.line_protocol import Precision, vitals_lines
from ingest.influx.making import SHARE, Making, Pace


async def test_several_ask_and_each_body_is_given_once_in_order() -> None:
    making, found = Making(b"%d" % number for number in range(50)), list[bytes]()

    async def ask() -> None:
        while (body := await making.next()) is not None:
            found.append(body)

    await asyncio.gather(ask(), ask(), ask())
    assert found == [b"%d" % number for number in range(50)]
    assert await making.next() is None


async def test_after_work_comes_rest_in_proportion(pauses: Pauses) -> None:
    def laborious() -> Iterator[bytes]:
        for _ in range(2):
            sum(range(200_000))
            yield b"x"

    making = Making(laborious(), rest=pauses)
    assert [await making.next(), await making.next(), await making.next()] == [b"x", b"x", None]
    assert pauses.seconds[0] == 0.0, "what is live need not wait for its first body"
    assert min(pauses.seconds[1:]) > 0.0
    assert SHARE < 0.5


async def test_no_body_is_made_before_it_is_asked_for() -> None:
    made: list[int] = []

    def noted() -> Iterator[bytes]:
        for number in range(3):
            made.append(number)
            yield b"x"

    making = Making(noted())
    await making.next()
    assert made == [0]


async def test_pieces_are_joined_to_bodies_with_a_rest_after_each(pauses: Pauses) -> None:
    making = Making([b"a\n", b"", b"b\n", b"c\n", b"d\n", b"e\n"], least_bytes=4, rest=pauses)
    assert [await making.next() for _ in range(4)] == [b"a\nb\n", b"c\nd\n", b"e\n", None]
    assert len(pauses.seconds) == 8, "each of six pieces, and twice to see that there is none"


@given(bodies=st.lists(st.integers(1, 5_000), min_size=1, max_size=60), stall_s=st.floats(0.0, 20.0))
def test_a_pace_is_kept_over_any_longer_time(bodies: list[int], stall_s: float) -> None:
    clock = [100.0]
    pace = Pace(10_000, monotonic=lambda: clock[0])
    clock[0] += stall_s
    began_s, made = clock[0], 0
    for lines in bodies:
        clock[0] += pace.wait_s()
        pace.made(lines)
        made += lines
        until_s = clock[0] + pace.wait_s()
        assert made <= 10_000 * (until_s - began_s + 0.25) + 1, "however long nothing was sent before"
    assert made >= 10_000 * (until_s - began_s) - 1, "and nobody waits longer than that takes"


async def test_bodies_wait_for_their_pace(pauses: Pauses) -> None:
    pace = Pace(1_000, monotonic=lambda: 5.0)
    making = Making([b"x\n" * 2_000, b"x\n" * 500, b"x\n"], pace=pace, rest=pauses)
    while await making.next() is not None:
        pass
    assert pauses.seconds == pytest.approx([0.0, 2.0, 2.5, 2.501], abs=0.01)


def test_lines_are_made_body_by_body() -> None:
    lines = vitals_lines([second(at_s, 100) for at_s in range(4)], "north", Precision.NANOSECONDS, lines_per_body=500)
    assert lines.count == 1_200
    bodies = iter(lines.bodies)
    assert next(bodies).count(b"\n") == 500
    assert [body.count(b"\n") for body in bodies] == [500, 200]
