"""Intervals between beats: what is found, what is corrected, and what stays untouched."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.signals.rhythm import Corrected, Floats, Kind, LiveState, correct, live_flags, split

INTERVALS = st.lists(st.one_of(st.floats(100, 7000), st.just(float("nan"))), max_size=120).map(np.array)


def sinus(count: int, mean_ms: float = 800.0) -> Floats:
    """A resting rhythm with respiratory arrhythmia and a little noise."""
    beats = np.arange(count)
    return mean_ms + 30 * np.sin(2 * np.pi * beats / 5) + np.random.default_rng(5).normal(0, 8, count)


def test_a_sinus_rhythm_stays_as_it_is() -> None:
    rr = sinus(300)
    found = correct(rr)
    assert not found.kinds.any()
    assert np.array_equal(found.nn_ms, rr)
    assert found.corrected_share == 0


def test_a_premature_beat_spoils_its_interval_and_the_pause() -> None:
    rr = sinus(200)
    rr[100:102] = 480, 1120
    found = correct(rr)
    assert np.flatnonzero(found.kinds).tolist() == [100, 101]
    assert set(found.kinds[100:102]) == {Kind.ECTOPIC}
    assert np.abs(found.nn_ms[100:102] - 800).max() < 60
    assert found.corrected_share == pytest.approx(0.01)


def test_a_missed_beat_is_put_back() -> None:
    clean = sinus(200)
    rr = np.delete(clean, 100)
    rr[99] = clean[99] + clean[100]
    found = correct(rr)
    assert np.flatnonzero(found.kinds).tolist() == [99]
    assert found.kinds[99] == Kind.MISSED
    assert len(found.nn_ms) == 200
    assert found.nn_ms.sum() == pytest.approx(rr.sum(), rel=0.001)
    assert np.flatnonzero(found.replaced).tolist() == [99, 100]


def test_an_extra_detection_is_merged_away() -> None:
    clean = sinus(200)
    rr = np.insert(clean, 100, 300.0)
    rr[101] = clean[100] - 300
    found = correct(rr)
    assert np.flatnonzero(found.kinds).tolist() == [100, 101]
    assert len(found.nn_ms) == 200
    assert np.flatnonzero(found.replaced).tolist() == [100]


@pytest.mark.parametrize("pattern", [(480, 1120), (800, 480, 1120), (480, 500, 1400)])
def test_ectopic_beats_in_a_row_do_not_hide_each_other(pattern: tuple[float, ...]) -> None:
    rr = sinus(300)
    spoiled = np.resize(pattern, 120)
    rr[100:220] = spoiled + np.random.default_rng(1).normal(0, 10, 120)
    found = correct(rr).kinds[100:220] != Kind.NORMAL
    assert found[spoiled != 800].mean() > 0.93
    assert found[spoiled == 800].sum() <= 2


def test_a_faster_rate_is_no_artefact() -> None:
    rr = sinus(400) - 300 / (1 + np.exp(-(np.arange(400) - 200) / 8))  # 75 to 120 /min in half a minute
    assert np.count_nonzero(correct(rr).kinds) <= 2


def test_what_is_out_of_range_is_marked_even_in_a_short_series() -> None:
    found = correct(np.array([800.0, 250.0, 820.0, 2500.0]))
    assert found.kinds.tolist() == [Kind.NORMAL, Kind.SHORT, Kind.NORMAL, Kind.LONG]


def test_nothing_comes_of_nothing() -> None:
    assert len(correct(np.empty(0)).nn_ms) == 0
    assert correct(np.empty(0)).corrected_share == 0
    assert correct(np.full(30, np.nan)).corrected_share == 1


@given(INTERVALS)
@settings(max_examples=60, deadline=None)
def test_any_series_is_answered_and_every_change_is_told(rr: Floats) -> None:
    found: Corrected = correct(rr)
    assert len(found.kinds) == len(rr)
    assert len(found.nn_ms) == len(found.replaced)
    kept = found.nn_ms[~found.replaced]
    assert np.array_equal(kept, rr[found.kinds == Kind.NORMAL])
    if (found.kinds == Kind.NORMAL).any():
        assert np.isfinite(found.nn_ms).all()


def test_a_gap_and_a_missing_interval_split_a_series() -> None:
    rr = np.array([800.0, 810, 790, np.nan, 805, 800])
    at_ns = (np.cumsum(np.nan_to_num(rr)) * 1e6).astype(np.int64)
    at_ns[2:] += 20_000_000_000
    assert [(piece.start, piece.stop) for piece in split(at_ns, rr)] == [(0, 2), (2, 3), (4, 6)]
    assert split(np.empty(0, np.int64), np.empty(0)) == []


# -- live --------------------------------------------------------------------------------------------------------------


def at(rr: Floats) -> np.ndarray:
    return (np.cumsum(np.nan_to_num(rr, nan=800.0)) * 1e6).astype(np.int64) + 1_000_000_000


def flags_of(rr: Floats) -> list[int]:
    found = live_flags(LiveState(1), np.zeros(len(rr), np.intp), at(rr), rr)
    return np.flatnonzero(found.flags).tolist()


def test_live_flags_are_at_once_and_leave_what_follows_alone() -> None:
    rr = sinus(40)
    rr[20:22] = 480, 1120
    rr[30] = 2400
    assert flags_of(rr) == [20, 21, 30]


def test_live_missing_intervals_are_flagged() -> None:
    rr = sinus(12)
    rr[5] = np.nan
    assert flags_of(rr) == [5]


def test_after_a_gap_the_past_says_nothing() -> None:
    rr = np.concatenate([sinus(20), sinus(20, 500.0)])
    state, times = LiveState(1), at(rr)
    times[20:] += 30_000_000_000
    assert not live_flags(state, np.zeros(40, np.intp), times, rr).flags.any()


@given(st.lists(st.integers(1, 7), min_size=1, max_size=8), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_live_flags_do_not_depend_on_commits_and_survive_a_copy(cuts: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    count = sum(cuts)
    rr, streams = random.choice([780.0, 820, 400, 1300, np.nan], count), random.integers(0, 3, count)
    times = np.arange(count) * 500_000_000 + 1
    whole = live_flags(LiveState(3), streams, times, rr).flags
    state, begun, pieces = LiveState(3), 0, []
    for cut in cuts:
        part = slice(begun, begun + cut)
        state = copy.deepcopy(state)
        found = live_flags(state, streams[part], times[part], rr[part])
        found.keep(state)
        pieces.append(found.flags)
        begun += cut
    assert np.array_equal(np.concatenate(pieces), whole)


def test_a_cleared_stream_is_forgotten() -> None:
    state = LiveState(2)
    rr = sinus(20)
    live_flags(state, np.ones(20, np.intp), at(rr), rr).keep(state)
    state.clear(np.array([1]))
    assert np.isnan(state.rr_ms).all()
    assert not state.times_ns.any()
