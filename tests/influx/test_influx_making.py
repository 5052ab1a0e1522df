"""Bodies are made when they are asked for, one at a time, with rests between them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from influx_world import Pauses, second

from ingest.influx.line_protocol import Precision, vitals_lines
from ingest.influx.making import SHARE, Making


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


def test_lines_are_made_body_by_body() -> None:
    lines = vitals_lines([second(at_s, 100) for at_s in range(4)], "north", Precision.NANOSECONDS, lines_per_body=500)
    assert lines.count == 1_200
    bodies = iter(lines.bodies)
    assert next(bodies).count(b"\n") == 500
    assert [body.count(b"\n") for body in bodies] == [500, 200]
