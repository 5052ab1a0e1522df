"""Filters: against a plain reference one stream at a time, and what they do to outliers, steps and gaps."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt, sosfilt_zi, sosfreqz

from ingest.signals.filters import (
    LEAST_VALUES,
    MAD_TO_SIGMA,
    MAX_GAP_NS,
    MAX_RATE_HZ,
    MIN_RATE_HZ,
    SIGMAS,
    STEP_FLOOR,
    WINDOW,
    BandPassState,
    Block,
    HampelState,
    band_pass,
    band_passed,
    hampel,
)
from vitals.model import VITALS, Vital

SECOND = 1_000_000_000
T0 = 1_750_000_000 * SECOND
NAN = math.nan


def smooth(values: list[float], *, times_s: list[float] | None = None, floor: float = 5.0) -> list[float]:
    """One stream through the filter, one reading a commit."""
    state = HampelState(1)
    times = times_s or list(range(len(values)))
    smoothed = []
    for at_s, value in zip(times, values, strict=True):
        result = hampel(state, np.zeros(1, np.intp), _ns([at_s]), np.array([float(value)]), np.array([floor]))
        result.keep(state)
        smoothed.append(float(result.values[0]))
    return smoothed


def _ns(times_s: list[float]) -> np.ndarray:
    return np.array([T0 + round(at_s * SECOND) for at_s in times_s], np.int64)


def reference(values: list[float], times_ns: list[int], floor: float) -> list[float]:
    """The filter's definition, word for word."""
    window: list[float] = []
    last_ns = 0
    smoothed = []
    for value, at_ns in zip(values, times_ns, strict=True):
        if math.isnan(value) or at_ns - last_ns > MAX_GAP_NS:
            window = []
        last_ns = at_ns
        if math.isnan(value):
            smoothed.append(NAN)
            continue
        window = [*window, value][-WINDOW:]
        centre = statistics.median(window)
        spread = MAD_TO_SIGMA * statistics.median(abs(v - centre) for v in window)
        outlier = len(window) >= LEAST_VALUES and abs(value - centre) > max(SIGMAS * spread, floor)
        smoothed.append(centre if outlier else value)
    return smoothed


readings = st.lists(
    st.tuples(
        st.integers(0, 3),  # stream
        st.sampled_from([0.0, 1.0, 1.0, 2.0, 6.0]),  # seconds since the stream's last
        st.one_of(st.integers(40, 180).map(float), st.just(NAN)),
        st.booleans(),  # ends a commit
    ),
    max_size=60,
)


@given(readings)
def test_hampel_is_its_definition_however_readings_are_grouped(rows: list[tuple[int, float, float, bool]]) -> None:
    floors = [5.0, 2.0, 0.0, 3.0]
    clock = [T0] * 4
    state, commit = HampelState(4), []
    inputs: list[list[tuple[int, float]]] = [[], [], [], []]
    outputs: list[list[float]] = [[], [], [], []]
    for stream, step_s, value, ends in [*rows, (0, 1.0, 70.0, True)]:
        clock[stream] += round(step_s * SECOND)
        commit.append((stream, clock[stream], value))
        inputs[stream].append((clock[stream], value))
        if ends:
            streams, times, values = (np.array(column) for column in zip(*commit, strict=True))
            result = hampel(state, streams, times, values, np.array([floors[s] for s in streams]))
            result.keep(state)
            for (number, _, _), smoothed in zip(commit, result.values.tolist(), strict=True):
                outputs[number].append(smoothed)
            commit = []
    for stream, came in enumerate(inputs):
        expected = reference([value for _, value in came], [at_ns for at_ns, _ in came], floors[stream])
        np.testing.assert_array_equal(outputs[stream], expected)


def test_a_lone_outlier_and_two_in_a_row_are_replaced() -> None:
    assert smooth([60, 61, 60, 160, 61]) == [60, 61, 60, 60.5, 61]
    assert smooth([60, 60, 60, 60, 160, 165, 60]) == [60] * 7


def test_a_true_step_shows_after_two_more_readings() -> None:
    assert smooth([60] * 5 + [120] * 4) == [60] * 5 + [60, 60, 120, 120]


@pytest.mark.parametrize("vital", STEP_FLOOR)
def test_a_step_of_one_unit_on_a_constant_signal_is_real(vital: Vital) -> None:
    middle = (VITALS[vital].low + VITALS[vital].high) / 2
    values = [middle] * 6 + [middle + 1] * 3 + [middle - 1] * 3
    assert smooth(values, floor=STEP_FLOOR[vital]) == values


def test_a_steady_climb_passes_unchanged() -> None:
    climb = [60.0 + 4 * n for n in range(20)]
    assert smooth(climb) == climb


def test_a_missing_reading_starts_a_new_window() -> None:
    assert smooth([60, 60, 60, NAN, 160, 160, 160])[4:] == [160, 160, 160]


def test_a_gap_starts_a_new_window_and_a_pause_within_bounds_does_not() -> None:
    assert smooth([60, 60, 60, 160], times_s=[0, 1, 2, 8]) == [60, 60, 60, 160]
    assert smooth([60, 60, 60, 160], times_s=[0, 1, 2, 7]) == [60, 60, 60, 60]


def test_a_result_that_is_not_kept_leaves_no_trace() -> None:
    state = HampelState(1)
    hampel(state, np.zeros(3, np.intp), _ns([0, 1, 2]), np.full(3, 60.0), np.full(3, 5.0))
    assert not state.times_ns.any()
    assert not state.values.any()


# -- band-pass ---------------------------------------------------------------------------------------------------------


def wave(seconds: float, rate_hz: float = 100.0, hz: float = 1.2, level: float = 50_000.0) -> np.ndarray:
    return np.round(level + 1_000 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz))


def block(counts: np.ndarray, start_ns: int = T0, *, rate_hz: float = 100.0, stream: int = 0, width: int = 4) -> Block:
    return Block(stream, start_ns, rate_hz, counts.astype(f"<i{width}").tobytes(), width)


def filtered_of(state: BandPassState, blocks: list[Block]) -> list[np.ndarray]:
    return [np.frombuffer(filtered, "<f4") for filtered in band_pass(state, blocks).blocks]


def blocks_of(counts: np.ndarray, *, size: int, rate_hz: float = 100.0, stream: int = 0) -> list[Block]:
    starts = range(0, len(counts), size)
    return [
        block(counts[s : s + size], T0 + round(s / rate_hz * SECOND), rate_hz=rate_hz, stream=stream) for s in starts
    ]


def whole(counts: np.ndarray, rate_hz: float = 100.0) -> np.ndarray:
    """The whole signal in one go, as scipy does it."""
    sos = butter(3, (0.5, 8.0), "bandpass", fs=rate_hz, output="sos")
    return sosfilt(sos, counts, zi=sosfilt_zi(sos) * counts[0])[0].astype(np.float32)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=8), st.sampled_from([20, 50, 100]))
def test_blocks_are_filtered_as_one_signal_however_they_are_grouped(groups: list[int], size: int) -> None:
    signals = [wave(sum(groups) * size / 100, hz=1.0 + 0.3 * n) for n in range(3)]
    blocks = [blocks_of(signal, size=size, stream=n) for n, signal in enumerate(signals)]
    state = BandPassState(3)
    filtered = [b"", b"", b""]
    at = 0
    for count in groups:
        commit = [one for stream in blocks for one in stream[at : at + count]]
        passed = band_pass(state, commit)
        passed.keep(state)
        for one, result in zip(commit, passed.blocks, strict=True):
            filtered[one.stream] += result
        at += count
    for signal, result in zip(signals, filtered, strict=True):
        np.testing.assert_array_equal(np.frombuffer(result, "<f4"), whole(signal))


def test_a_constant_level_causes_no_transient() -> None:
    (filtered,) = filtered_of(BandPassState(1), blocks_of(np.full(200, 3_000_000.0), size=200))
    assert np.abs(filtered).max() < 0.1


@pytest.mark.parametrize(("after_s", "continues"), [(0.0, True), (0.015, True), (-0.015, True), (0.05, False)])
def test_a_gap_starts_anew_and_jitter_does_not(after_s: float, continues: bool) -> None:
    signal = wave(2)
    blocks = [block(signal[:100]), block(signal[100:], T0 + round((1 + after_s) * SECOND))]
    _, filtered = filtered_of(BandPassState(1), blocks)
    np.testing.assert_array_equal(filtered, whole(signal)[100:] if continues else whole(signal[100:]))


def test_another_rate_starts_anew() -> None:
    state = BandPassState(1)
    band_pass(state, [block(wave(1))]).keep(state)
    counts = wave(1, rate_hz=50.0)
    (filtered,) = filtered_of(state, [block(counts, T0 + SECOND, rate_hz=50.0)])
    np.testing.assert_array_equal(filtered, whole(counts, 50.0))


def test_another_width_or_length_goes_on() -> None:
    signal = wave(3, level=20_000.0)
    blocks = [block(signal[:50], width=2), block(signal[50:], T0 + SECOND // 2)]
    np.testing.assert_array_equal(np.concatenate(filtered_of(BandPassState(1), blocks)), whole(signal))


def test_a_late_block_is_filtered_and_leaves_no_state() -> None:
    signal = wave(3)
    first, second, third = blocks_of(signal, size=100)
    _, late, filtered = filtered_of(BandPassState(1), [second, first, third])
    np.testing.assert_array_equal(late, whole(signal[:100]))
    np.testing.assert_array_equal(filtered, whole(signal[100:])[100:])


@pytest.mark.parametrize("rate_hz", [MIN_RATE_HZ, 25.6, 125.0, MAX_RATE_HZ])
def test_every_rate_that_is_filtered_has_a_stable_filter_with_the_stated_band(rate_hz: float) -> None:
    assert band_passed(rate_hz)
    (filtered,) = filtered_of(BandPassState(1), [block(wave(20, rate_hz), rate_hz=rate_hz)])
    assert np.isfinite(filtered).all()
    sos = butter(3, (0.5, 8.0), "bandpass", fs=rate_hz, output="sos")
    _, response = sosfreqz(sos, worN=[0.5, 2.0, 8.0], fs=rate_hz)
    np.testing.assert_allclose(np.abs(response), [np.sqrt(0.5), 1.0, np.sqrt(0.5)], atol=0.01)


def test_rates_without_a_pass_band_are_named() -> None:
    assert not band_passed(16.0)
    assert not band_passed(MAX_RATE_HZ + 1)
