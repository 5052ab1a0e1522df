"""Times of samples: even like the device's clock, and never away from the gateway's."""

from __future__ import annotations

import struct
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.devices.beats import NO_BEATS, Interval
from gateway.devices.cadence import Cadence, every_second
from gateway.devices.driver import HeardWave
from gateway.devices.pace import Pace, counted, stamped
from gateway.devices.trace import CountedTrace, Trace
from vitals.model import Quality, Reason, Waveform

SECOND = 1_000_000_000
MS = 1_000_000
PLETH = (Waveform.PPG_INFRARED,)


# -- pace --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("drift_ppm", [-100, 0, 100])
def test_a_device_that_drifts_for_days_is_followed(drift_ppm: int) -> None:
    random, pace, worst_ns = Random(1), stamped(), 0
    for second in range(0, 2 * 86_400, 2):
        true_ns = second * SECOND
        device_ns = 5_000 * SECOND + true_ns + true_ns * drift_ppm // 1_000_000
        delay_ns = random.choice([5, 5, 30, 80, 400]) * MS
        pace = pace.hear(device_ns, true_ns + delay_ns)
        if second > 60:
            worst_ns = max(worst_ns, abs(pace.at(device_ns) - true_ns))
    assert worst_ns < 40 * MS


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2 * SECOND), st.integers(0, 3 * SECOND)), min_size=1, max_size=50))
def test_nothing_is_placed_after_it_was_heard(steps: list[tuple[int, int]]) -> None:
    pace, device_ns, heard_ns = stamped(), 0, 0
    for passed_ns, delay_ns in steps:
        device_ns += passed_ns
        heard_ns = max(heard_ns, device_ns + delay_ns)
        pace = pace.hear(device_ns, heard_ns)
        assert pace.at(device_ns) <= heard_ns


def test_a_device_whose_clock_is_set_is_found_again() -> None:
    pace = stamped().hear(1_000 * SECOND, 10 * SECOND)
    for device_s, heard_s in ((400, 12), (900_000, 14), (900_002, 16)):
        pace = pace.hear(device_s * SECOND, heard_s * SECOND)
        assert pace.at(device_s * SECOND) == heard_s * SECOND


def test_nonsense_in_one_frame_is_forgotten_with_the_next() -> None:
    pace = stamped().hear(1_000 * SECOND, 10 * SECOND)
    pace = pace.hear((1 << 64) - 1, 11 * SECOND).hear(1_002 * SECOND, 12 * SECOND)
    assert pace.at(1_002 * SECOND) == 12 * SECOND


# -- traces ------------------------------------------------------------------------------------------------------------


def numbers(waves: list[HeardWave]) -> list[int]:
    code = {2: "h", 4: "i"}
    return [number for wave in waves for (number,) in struct.iter_unpack(f"<{code[wave.width_bytes]}", wave.samples)]


@settings(max_examples=60)
@given(st.lists(st.integers(0, 60), max_size=40), st.sampled_from([25.0, 50.0, 62.5, 75.0, 100.0]))
def test_every_sample_is_told_once_and_in_order(sizes: list[int], rate_hz: float) -> None:
    trace, waves, told, at_ns = CountedTrace(Trace(PLETH, rate_hz)), list[HeardWave](), 0, 0
    for size in sizes:
        at_ns += round(size * SECOND / rate_hz)
        trace, blocks = trace.add([(told + n,) for n in range(size)], at_ns, Quality.UNKNOWN)
        told += size
        waves += blocks
        assert len(trace.trace.rows) < round(rate_hz)
    assert all(len(wave.samples) == 4 * round(rate_hz) for wave in waves)
    waiting = [row[0] for row in trace.trace.rows]
    assert numbers(waves) + waiting == list(range(told))


@pytest.mark.parametrize(("error_ppm", "apart_ms"), [(-8_000, 40), (-100, 20), (0, 20), (100, 20), (1_500, 20)])
def test_a_counted_signal_stays_on_time_for_hours(error_ppm: int, apart_ms: int) -> None:
    """The device samples faster or slower than it says, and the radio delivers in fits and starts.

    Blocks within 20 ms of each other are joined again by who filters them.
    """
    random, trace, waves = Random(2), CountedTrace(Trace(PLETH, 100.0, 2)), list[HeardWave]()
    real_period_ns = 10 * MS * (1_000_000 + error_ppm) // 1_000_000
    for packet in range(3600 * 2):
        ended_ns = (packet + 1) * 50 * real_period_ns
        heard_ns = ended_ns + random.choice([4, 4, 10, 60]) * MS
        trace, blocks = trace.add([(packet % 100,)] * 50, heard_ns, Quality.UNKNOWN)
        waves += blocks
    apart_ns = [after.at_monotonic_ns - before.at_monotonic_ns for before, after in pairwise(waves[10:])]
    assert max(abs(each - 100 * real_period_ns) for each in apart_ns) < apart_ms * MS
    assert abs(waves[-1].at_monotonic_ns + 100 * real_period_ns - ended_ns) < 100 * MS
    assert len(waves) == 3600


def test_a_gap_ends_a_block() -> None:
    trace = CountedTrace(Trace(PLETH, 50.0, 2))
    trace, waves = trace.add([(1,)] * 30, SECOND, Quality.USABLE)
    assert waves == ()
    trace, waves = trace.add([(2,)] * 30, 9 * SECOND, Quality.USABLE)
    assert numbers(list(waves)) == [1] * 30
    assert waves[0].at_monotonic_ns == SECOND - 600 * MS
    trace, waves = trace.add([(3,)] * 20, 9 * SECOND + 400 * MS, Quality.DOUBTFUL)
    assert numbers(list(waves)) == [2] * 30 + [3] * 20
    assert waves[0].at_monotonic_ns == 9 * SECOND - 600 * MS
    assert waves[0].quality is Quality.DOUBTFUL, "a block is as good as its worst sample"


def test_a_hole_ends_a_block_and_is_not_bridged() -> None:
    trace = CountedTrace(Trace(PLETH, 50.0, 2))
    trace, _ = trace.add([(1,)] * 20, SECOND, Quality.USABLE)
    trace, waves = trace.skip(5)
    assert numbers(list(waves)) == [1] * 20
    trace, _ = trace.add([(2,)] * 10, SECOND + 300 * MS, Quality.USABLE)
    trace, waves = trace.skip(0)
    assert waves[0].at_monotonic_ns == SECOND + 100 * MS, "the missing samples took their time"


def test_shreds_are_no_blocks() -> None:
    trace = Trace(PLETH, 50.0, 2)
    trace, _ = trace.add([(1,)] * 4, 0, Quality.USABLE)
    assert trace.end()[1] == ()


def test_what_was_begun_is_passed_on_when_nothing_more_comes() -> None:
    trace = CountedTrace(Trace(PLETH, 50.0, 2))
    trace, _ = trace.add([(1,)] * 20, SECOND, Quality.USABLE)
    assert trace.end_if_stalled(2 * SECOND)[1] == ()
    trace, waves = trace.end_if_stalled(3 * SECOND)
    assert numbers(list(waves)) == [1] * 20
    assert trace.end_if_stalled(9 * SECOND)[1] == ()


def test_several_waveforms_share_their_time() -> None:
    axes = (Waveform.ACCELERATION_X, Waveform.ACCELERATION_Y, Waveform.ACCELERATION_Z)
    trace, waves = Trace(axes, 25.0, 2).add([(n, -n, 1000) for n in range(25)], 7, Quality.UNKNOWN)
    assert [(wave.waveform, wave.at_monotonic_ns) for wave in waves] == [(axis, 7) for axis in axes]
    assert numbers([waves[1]]) == [-n for n in range(25)]
    assert trace.rows == ()


# -- cadence and beats -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("period_ms", [10, 40, 250, 990, 1000, 1010])
def test_once_a_second_is_once_a_second(period_ms: int) -> None:
    """Whether a device sends a hundred times a second or once, with some jitter: nothing more, nothing left out."""
    random, cadence, told = Random(3), every_second(), 0
    for number in range(0, 100_000, period_ms):
        cadence, due = cadence.tell(number * MS + random.randrange(20) * MS)
        told += due
    assert told == pytest.approx(100_000 / max(period_ms, 1000), abs=1.1)


def test_a_cadence_that_was_missed_is_not_caught_up() -> None:
    cadence, due = Cadence(SECOND, due_ns=0).tell(100 * SECOND)
    assert due
    assert cadence.tell(100 * SECOND + 500 * MS)[1] is False


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 3 * SECOND), st.lists(st.floats(0, 70_000), max_size=6)),
        max_size=20,
    )
)
def test_beats_keep_their_order(notifications: list[tuple[int, list[float]]]) -> None:
    beats, at_ns, keys = NO_BEATS, 0, list[tuple[int, int]]()
    for passed_ns, intervals in notifications:
        at_ns += passed_ns
        beats, samples = beats.add([Interval(each) for each in intervals], at_ns)
        keys += [(sample.at_monotonic_ns, sample.sequence) for sample in samples]
    assert keys == sorted(set(keys)), "no two samples share time and sequence"


def test_a_beat_that_is_none_takes_its_time() -> None:
    intervals = [Interval(800.0), Interval(1000.0, Reason.POOR_SIGNAL), Interval(600.0)]
    _, samples = NO_BEATS.add(intervals, 10 * SECOND)
    assert [sample.value for sample in samples] == [800.0, None, 600.0]
    assert [sample.at_monotonic_ns for sample in samples] == [8_400 * MS, 9_400 * MS, 10_000 * MS]


def test_pace_needs_something_heard() -> None:
    with pytest.raises(AssertionError):
        Pace(0, 0).at(1)
    assert counted().hear(5, 7).at(5) == 7
