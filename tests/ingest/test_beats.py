"""Beats where they were put, each once, and none across a gap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulse_waves import HEIGHT, beat_times, steady, wave

from ingest.signals.beats import KEPT_BEATS, BeatState, advance, find


@pytest.mark.parametrize("rate_hz", [25.0, 50.0, 125.0, 250.0])
@pytest.mark.parametrize("rate_per_min", [35.0, 60.0, 95.0, 150.0, 200.0])
def test_the_pulse_rate_of_a_clean_wave(rate_hz: float, rate_per_min: float) -> None:
    ppg = steady(rate_per_min, 20, rate_hz)
    state = BeatState(1, rate_hz)
    for second in np.split(ppg, 20):
        estimate = advance(state, second[None])
    assert estimate.rate_per_min[0] == pytest.approx(rate_per_min, abs=1.5)


@pytest.mark.parametrize("rate_hz", [25.0, 125.0])
def test_every_beat_comes_once_and_on_time(rate_hz: float) -> None:
    times = beat_times(72, 30, 15)
    state = BeatState(1, rate_hz)
    for second in np.split(wave(times, 30, rate_hz), 30):
        advance(state, second[None])
    found = state.at_s[0][np.isfinite(state.at_s[0])]
    expected = times[(times > 1) & (times < 28)]
    inside = found[(found > 1.05) & (found < 28.05)]
    assert len(inside) == len(expected)
    lag = inside - expected
    assert np.ptp(lag) < 0.02, "the same place of every beat, to a part of a sample"
    assert 0 < lag.mean() < 0.15, "on the rise"


def test_beats_measure_the_wave() -> None:
    found = find(wave(beat_times(70, 8), 8, 50)[None], 50.0).beats
    height = (found.peak - found.foot)[2:-1]
    assert height == pytest.approx(np.full(len(height), HEIGHT), rel=0.2)


def test_a_gap_is_not_an_interval() -> None:
    ppg = steady(75, 24, 50)
    ppg[int(10.3 * 50) : int(11.1 * 50)] = np.nan
    state = BeatState(1, 50.0)
    for second in np.split(ppg, 24):
        advance(state, second[None])
    known = np.isfinite(state.at_s[0])
    after = np.flatnonzero(known & (state.at_s[0] > 11.1))[0]
    assert np.isnan(state.interval_s[0, after])
    assert not np.any((state.at_s[0][known] > 10.3) & (state.at_s[0][known] < 11.1))
    intervals = state.interval_s[0][np.isfinite(state.interval_s[0])]
    assert intervals.max() < 1.0


def test_one_ectopic_beat_hardly_moves_the_rate() -> None:
    times = beat_times(60, 20)
    early = times.copy()
    early[14] -= 0.4
    rates = []
    for beats in (times, early):
        state = BeatState(1, 50.0)
        for second in np.split(wave(beats, 20, 50), 20):
            estimate = advance(state, second[None])
        rates.append(estimate.rate_per_min[0])
    assert abs(rates[0] - rates[1]) < 1.0


def test_rows_do_not_disturb_each_other() -> None:
    rows = np.stack([steady(rate, 16, 50) for rate in (55, 88, 130)])
    rows[1, 200:300] = np.nan
    together, apart = BeatState(3, 50.0), [BeatState(1, 50.0) for _ in range(3)]
    for second in np.split(rows, 16, axis=1):
        joint = advance(together, second).rate_per_min
        alone = [advance(state, second[row : row + 1]).rate_per_min[0] for row, state in enumerate(apart)]
        np.testing.assert_array_equal(joint, alone)


def test_a_cleared_row_begins_anew() -> None:
    state, fresh = BeatState(2, 50.0), BeatState(2, 50.0)
    ppg = np.stack([steady(70, 12, 50), steady(90, 12, 50)])
    for second in np.split(ppg, 12, axis=1):
        advance(state, second)
    state.clear(np.array([1]))
    for second in np.split(ppg, 12, axis=1):
        got, expected = advance(state, second), advance(fresh, second)
        assert got.intervals[1] == expected.intervals[1]
        np.testing.assert_allclose(got.rate_per_min[1], expected.rate_per_min[1])


@given(
    data=st.lists(
        st.one_of(st.floats(), st.sampled_from([0.0, 32767.0, -32768.0, np.nan, np.inf, -np.inf, 1e300])),
        min_size=1,
        max_size=60,
    )
)
def test_any_samples_give_beats_in_order(data: list[float]) -> None:
    state = BeatState(1, 25.0)
    for start in range(3):
        block = np.resize(np.roll(np.array(data), start), (1, 25))
        advance(state, block)
        at_s = state.at_s[0][np.isfinite(state.at_s[0])]
        assert np.all(np.diff(at_s) > 0)
        assert len(at_s) <= KEPT_BEATS
