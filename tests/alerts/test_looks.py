"""What is kept of a stream's past, against a loop that keeps everything."""

from __future__ import annotations

from itertools import pairwise
from zlib import crc32

import numpy as np
import pytest
from alert_world import T0, S, block, preset, single_device_ward
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.engine import Engine
from alerts.looks import LOOK_NS, MINUTE_NS, Looks
from vitals.model import Quality, Reason, Vital

PHASE_NS = crc32(b"P-0") % 60 * S
NAMES = {Vital.SPO2: "spo2", Vital.RESP_RATE: "resp_rate"}
_NONE = (Reason.PROBE_OFF, Reason.POOR_SIGNAL)
_stories = st.lists(
    st.tuples(
        st.sampled_from([1.0, 1.0, 1.0, 1.0, 0.5, 3.0, 6.0, 12.0, 90.0, 1200.0, 9000.0, -4.0]),
        st.sampled_from([97.0, 96.5, 94.0, 88.0, 80.0, 60.0, *_NONE]),
        st.sampled_from([Quality.UNKNOWN, Quality.USABLE, Quality.DOUBTFUL, Quality.UNUSABLE, Quality.TEST]),
        st.integers(1, 40),
    ),
    max_size=25,
)


def samples(story: list[tuple[float, float | Reason, Quality, int]]) -> list[tuple[float, float | Reason, Quality]]:
    at_s, found = 1000.0, []
    for step, value, quality, times in story:
        for _ in range(times if step <= 1 else 1):
            at_s += step
            found.append((at_s, value, quality))
    return found


class Naive:
    """Every look in a list; nothing is ever thrown away."""

    def __init__(self) -> None:
        self.newest_ns = 0
        self.looks: list[tuple[int, int, float | None]] = []  # cell, time, trusted value

    def take(self, at_ns: int, value: float | Reason, quality: Quality) -> None:
        if at_ns <= self.newest_ns:
            return
        self.newest_ns = at_ns
        if isinstance(value, Reason) or quality in (Quality.UNUSABLE, Quality.TEST):
            return
        cell = (at_ns + PHASE_NS) // LOOK_NS
        if not self.looks or self.looks[-1][0] != cell:
            self.looks.append((cell, at_ns, None if quality is Quality.DOUBTFUL else value))

    def highest(self, within_s: int) -> float:
        last = self.looks[-1][0]
        held: list[float] = []
        for (before, _, first), (cell, _, second) in pairwise(self.looks):
            if cell - before > 2:
                held = []  # a gap: nothing from before it
            elif first is not None and second is not None and last - cell < within_s // 5:
                held.append(min(first, second))
        return max(held, default=0.0)

    def minutes(self) -> dict[int, float]:
        of_minute: dict[int, list[float]] = {}
        for cell, _, value in self.looks:
            if value is not None:
                of_minute.setdefault(cell // 12, []).append(value)
        current = self.looks[-1][0] // 12
        return {m: sum(v) / len(v) for m, v in of_minute.items() if m < current and len(v) >= 3}

    def trend(self) -> tuple[float, float] | None:
        minutes, current = self.minutes(), self.looks[-1][0] // 12
        recent = [mean for m, mean in minutes.items() if m >= current - 15]
        newest_hour = (current - 15) // 60
        day = [mean for m, mean in minutes.items() if m < current - 15 and m // 60 > newest_hour - 24]
        if len(recent) < 10 or len(day) < 120:
            return None
        return sum(recent) / len(recent), sum(day) / len(day)


def compare(looks: Looks, stream: int, naive: Naive) -> None:
    mine = np.array([stream])
    for within_s in (120, 60, 30):
        assert looks.highest(mine, within_s)[0] == pytest.approx(naive.highest(within_s))
    current = naive.looks[-1][0] // 12
    minutes = naive.minutes()
    for minute in range(current - 15, current):
        assert looks.minute(stream, minute) == pytest.approx(minutes.get(minute), abs=0.006)
    recent, baseline = looks.trend(mine)
    expected = naive.trend()
    if expected is None:
        assert np.isnan(recent[0])
    else:
        assert (recent[0], baseline[0]) == pytest.approx(expected, abs=0.01)


@given(_stories, st.lists(st.integers(0, 400), max_size=5), st.booleans())
@settings(max_examples=60)
def test_arrays_keep_what_a_loop_keeps_however_the_samples_are_cut(
    story: list[tuple[float, float | Reason, Quality, int]], cuts: list[int], screening: bool
) -> None:
    found = samples(story)
    engine, naive = Engine(single_device_ward(1), preset(), T0, screening=screening), Naive()
    edges = [0, *sorted({min(c, len(found)) for c in cuts}), len(found)]
    for number, (first, last) in enumerate(pairwise(edges), start=1):
        rows = [("d-0", vital, at_s, value) for at_s, value, _ in found[first:last] for vital in NAMES]
        brought = block(rows, received_s=1_000_000)
        brought.rows["quality"] = [quality for *_, quality in found[first:last] for _ in NAMES]
        engine.step([(T0, brought)], number, T0 + 1_000_000 * S)
        for at_s, value, quality in found[first:last]:
            naive.take(T0 + round(at_s * S), value, quality)
    if naive.looks:
        looks = engine.course.watch.looks
        compare(looks, next(int(s) for s in np.flatnonzero(looks.is_spo2[: looks.size])), naive)


def test_the_baseline_is_the_day_before_the_last_quarter_of_an_hour() -> None:
    engine = Engine(single_device_ward(1), preset(), T0)
    looks = engine.course.watch.looks
    for minute in range(30 * 60):
        level = 60.0 if minute < 5 * 60 else 80.0 if minute < 29.75 * 60 else 95.0
        rows = [("d-0", Vital.HEART_RATE, minute * 60.0 + s, level) for s in range(0, 60, 5)]
        engine.step([(T0, block(rows))], minute + 1, T0 + (minute + 1) * MINUTE_NS)
    recent, baseline = looks.trend(np.array([0]))
    assert recent[0] == pytest.approx(95.0, abs=1.1)
    assert baseline[0] == pytest.approx(80.0, abs=0.1)  # the 60 of yesterday are forgotten


def test_the_clock_may_be_set_back() -> None:
    engine = Engine(single_device_ward(1), preset(), T0)
    engine.step([(T0, block([("d-0", Vital.SPO2, float(s), 97.0) for s in range(3600)]))], 1, T0 + 3600 * S)
    engine.resume(T0 + 3600 * S, T0 + 600 * S, "")
    engine.step([(T0, block([("d-0", Vital.SPO2, float(s), 93.0) for s in range(601, 900)]))], 2, T0 + 900 * S)
    looks = engine.course.watch.looks
    assert looks.highest(np.array([0]), 120)[0] == 93.0
    last = looks.minute_of(0, T0 + 899 * S)
    assert looks.minute(0, last - 1) == 93.0


def test_what_is_kept_of_a_stream_is_small() -> None:
    assert Looks(Engine(single_device_ward(1), preset(), T0).table).kept.dtype.itemsize <= 200
