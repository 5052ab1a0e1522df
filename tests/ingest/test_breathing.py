"""Breathing that was put into the beats is found, followed, and not found where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from pulse_waves import beat_times, steady, wave

from ingest.signals.beats import BeatState
from ingest.signals.beats import advance as take_beats
from ingest.signals.breathing import RATES_PER_MIN, BreathRates, BreathState, Intervals, advance, advance_rr
from ingest.signals.smoothing import Floats
from vitals.model import Quality

RATE_HZ = 50.0


def _breathe(ppg: Floats) -> list[BreathRates]:
    """The estimate after every second of `ppg`, (rows, n)."""
    beats, breath, told = BeatState(len(ppg), RATE_HZ), BreathState(len(ppg)), []
    for second in np.split(ppg, int(ppg.shape[1] / RATE_HZ), axis=1):
        take_beats(beats, second)
        told.append(advance(breath, beats))
    return told


@pytest.mark.parametrize("pulse_per_min", [60.0, 85.0, 130.0])
def test_rates_from_slow_to_fast(pulse_per_min: float) -> None:
    breaths = [6.0, 10.0, 14.0, 20.0, 27.0] + ([40.0] if pulse_per_min > 100 else [])
    told = _breathe(np.stack([steady(pulse_per_min, 60, RATE_HZ, rate) for rate in breaths]))[-1]
    assert told.rate_per_min == pytest.approx(breaths, abs=1.0)
    assert told.verdict.tolist() == [Quality.USABLE] * len(breaths)


def test_a_change_is_followed_within_the_window() -> None:
    ppg = np.concatenate([steady(80, 60, RATE_HZ, 12), steady(80, 60, RATE_HZ, 24)])[None]
    told = _breathe(ppg)
    assert told[58].rate_per_min[0] == pytest.approx(12, abs=1)
    assert told[60 + 32].rate_per_min[0] == pytest.approx(24, abs=1)


def test_no_breathing_is_no_confident_number() -> None:
    rng = np.random.default_rng(8)
    rows = []
    for _ in range(12):
        times = np.cumsum(0.8 + rng.normal(0, 0.02, 140))
        rows.append(wave(times, 100, RATE_HZ) + rng.normal(0, 20, int(100 * RATE_HZ)))
    told = _breathe(np.stack(rows))
    usable = np.mean([(one.verdict == Quality.USABLE).mean() for one in told[40:]])
    assert usable < 0.15


def test_nothing_before_three_quarters_of_the_window_are_known() -> None:
    told = _breathe(steady(75, 40, RATE_HZ)[None])
    assert all(np.isnan(one.rate_per_min[0]) for one in told[:22])
    assert all(one.verdict[0] == Quality.UNUSABLE for one in told[:22])
    assert np.isfinite(told[31].rate_per_min[0])


def test_a_gap_is_not_bridged() -> None:
    ppg = steady(75, 70, RATE_HZ)[None].copy()
    ppg[:, int(40 * RATE_HZ) : int(50 * RATE_HZ)] = np.nan
    told = _breathe(ppg)
    assert np.isfinite(told[39].rate_per_min[0])
    assert np.isnan(told[51].rate_per_min[0]), "ten of 32 seconds are missing"


def test_no_rate_above_half_the_pulse_rate() -> None:
    told = _breathe(wave(beat_times(48, 60, 40), 60, RATE_HZ, 40)[None])[-1]
    assert not told.rate_per_min[0] > 24 + 1


def test_probabilities_stay_probabilities() -> None:
    ppg = np.random.default_rng(2).normal(0, 100, (3, int(40 * RATE_HZ)))
    beats, breath = BeatState(3, RATE_HZ), BreathState(3)
    for second in np.split(ppg, 40, axis=1):
        take_beats(beats, second)
        advance(breath, beats)
        assert breath.probability.sum(axis=1) == pytest.approx(np.ones(3))
        assert (breath.probability > 0).all(), "no rate is ever ruled out"
    breath.clear(np.array([0]))
    assert breath.probability[0] == pytest.approx(np.full(len(RATES_PER_MIN), 1 / len(RATES_PER_MIN)))


def test_rows_that_are_not_trusted_learn_nothing() -> None:
    beats, breath = BeatState(1, RATE_HZ), BreathState(1)
    for second in np.split(steady(75, 40, RATE_HZ)[None], 40, axis=1):
        take_beats(beats, second)
        told = advance(breath, beats, np.array([False]))
    assert np.isnan(told.rate_per_min[0])
    assert np.ptp(breath.probability[0]) < 0.02


@pytest.mark.parametrize("breaths_per_min", [7.0, 13.0, 22.0])
def test_breathing_from_rr_intervals_alone(breaths_per_min: float) -> None:
    times = beat_times(68, 70, breaths_per_min)
    breath = BreathState(1)
    for now in range(5, 71):
        known = times[times <= now]
        told = advance_rr(breath, Intervals(known[None, 1:], np.diff(known)[None], float(now)))
    assert told.rate_per_min[0] == pytest.approx(breaths_per_min, abs=1)
    assert told.verdict[0] == Quality.USABLE


def test_an_artefact_among_rr_intervals_is_left_out() -> None:
    times = beat_times(68, 60, 13)
    intervals = np.diff(times)
    intervals[40:43] = np.nan
    breath = BreathState(1)
    for now in range(5, 60):
        known = times[1:] <= now
        told = advance_rr(breath, Intervals(times[1:][known][None], intervals[known][None], float(now)))
    assert told.rate_per_min[0] == pytest.approx(13, abs=1)
