"""Heart rate variability: worked values, spectra of known waves, gaps."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ingest.signals.hrv import Span, variability
from ingest.signals.rhythm import correct


def tachogram(seconds: float, hz: float, amplitude_ms: float, mean_ms: float = 800.0) -> np.ndarray:
    """Intervals whose length swings at `hz`."""
    at_s, intervals = 0.0, []
    while at_s < seconds:
        interval = mean_ms + amplitude_ms * math.sin(2 * math.pi * hz * at_s)
        intervals.append(interval)
        at_s += interval / 1000
    return np.array(intervals)


def test_the_worked_check() -> None:
    found = variability([correct(np.array([800.0, 810, 790, 805]))])
    assert found.mean_nn_ms == pytest.approx(801.25)
    assert found.sdnn_ms == pytest.approx(8.54, abs=0.005)
    assert found.rmssd_ms == pytest.approx(15.55, abs=0.005)
    assert found.pnn50_pct == 0
    assert found.span is Span.ULTRA_SHORT
    assert math.isnan(found.lf_ms2)
    assert math.isnan(found.lf_share)


@pytest.mark.parametrize(("hz", "lf"), [(0.1, True), (0.25, False)])
def test_a_wave_shows_in_its_band_with_its_power(hz: float, lf: bool) -> None:
    found = variability([correct(tachogram(400, hz, 20.0))])
    inside, outside = (found.lf_ms2, found.hf_ms2) if lf else (found.hf_ms2, found.lf_ms2)
    assert inside == pytest.approx(20.0**2 / 2, rel=0.1)
    assert outside < 0.05 * inside
    assert found.lf_share == pytest.approx(1.0 if lf else 0.0, abs=0.05)
    assert found.span is Span.SHORT
    assert (found.lf_to_hf > 10) is lf


def test_a_difference_never_spans_a_gap() -> None:
    pieces = [correct(np.full(20, 700.0)), correct(np.full(20, 900.0))]
    found = variability(pieces)
    assert found.rmssd_ms == 0
    assert found.pnn50_pct == 0
    assert found.mean_nn_ms == 800
    assert found.intervals == 40


def test_the_powers_of_pieces_are_weighted_and_short_ones_left_out() -> None:
    long, short = correct(tachogram(400, 0.1, 20.0)), correct(tachogram(60, 0.1, 60.0))
    assert variability([long, short]).lf_ms2 == pytest.approx(variability([long]).lf_ms2)


def test_too_many_corrections_make_it_unusable() -> None:
    rr = tachogram(300, 0.1, 20.0)
    rr[20:260:15] = 450
    found = variability([correct(rr)])
    assert found.corrected_share > 0.04
    assert not found.usable
    assert variability([correct(tachogram(300, 0.1, 20.0))]).usable


@pytest.mark.parametrize("pieces", [[], [np.empty(0)], [np.array([800.0])], [np.full(20, np.nan)]])
def test_too_little_says_nothing(pieces: list[np.ndarray]) -> None:
    found = variability([correct(piece) for piece in pieces])
    assert not found.usable
    assert math.isnan(found.sdnn_ms)
    assert math.isnan(found.mean_nn_ms)
