"""Pulse rate under motion: what it finds, when it says nothing, and that its state is a plain value."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.signals.pulse import (
    CONFIDENT,
    LATENCY_S,
    MIN_RATE_HZ,
    PulseEstimates,
    PulseState,
    advance,
)
from ingest.signals.pulse_spectra import RATES_PER_MIN, WINDOW_S, averaged
from ingest.signals.smoothing import Floats

HZ = 50
FIRST_S = WINDOW_S + LATENCY_S  # after so many seconds comes the first estimate


def wave(per_min: Floats | float, seconds: int, rate_hz: int = HZ) -> Floats:
    """A pulse wave with a second harmonic, of a rate that may change from sample to sample."""
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(per_min, seconds * rate_hz)) / 60 / rate_hz
    return np.asarray(np.cos(phase) + 0.4 * np.cos(2 * phase + 1.0), np.float64)


def steps(per_min: float, seconds: int) -> Floats:
    """Three axes of acceleration in g at a cadence, each with its own phase, and gravity."""
    t = np.arange(seconds * HZ) / HZ
    phases = np.array([[0.0], [0.9], [2.1]])
    swing = np.cos(2 * np.pi * per_min / 60 * t + phases) + 0.5 * np.cos(4 * np.pi * per_min / 60 * t + 2 * phases)
    return np.asarray(swing + np.array([[0.0], [0.0], [1.0]]), np.float64)


def noise(*shape: int) -> Floats:
    return np.random.default_rng(7).normal(size=shape)


def follow(
    ppg: Floats, acc: Floats | None = None, rate_hz: int = HZ, state: PulseState | None = None
) -> tuple[Floats, Floats]:
    """Rates and confidences of every second, (seconds, rows), of `ppg` (rows, channels, n)."""
    state = state or PulseState(*ppg.shape[:2])
    estimates: list[PulseEstimates] = []
    for at in range(0, ppg.shape[-1], rate_hz):
        second = slice(at, at + rate_hz)
        estimates.append(advance(state, ppg[..., second], None if acc is None else acc[..., second]))
    return np.array([e.rate_per_min for e in estimates]), np.array([e.confidence for e in estimates])


@pytest.mark.parametrize("per_min", [32.0, 45.0, 75.5, 140.0, 200.0, 235.0])
@pytest.mark.parametrize("rate_hz", [25, 50, 55, 125])
def test_a_steady_pulse_is_found_in_the_first_window(per_min: float, rate_hz: int) -> None:
    rates, confidences = follow(wave(per_min, 20, rate_hz)[None, None], rate_hz=rate_hz)
    assert np.isnan(rates[: FIRST_S - 1]).all()
    assert not confidences[: FIRST_S - 1].any()
    np.testing.assert_allclose(rates[FIRST_S - 1 :], per_min, atol=1.0)
    assert (confidences[FIRST_S - 1 :] >= CONFIDENT).all()


@pytest.mark.parametrize("cadence", [96.0, 168.0])
def test_motion_stronger_than_the_pulse_is_seen_through(cadence: float) -> None:
    acc = steps(cadence, 60)
    ppg = wave(130.0, 60) + 3.0 * acc[0] + 2.0 * acc[1] + 0.1 * noise(60 * HZ)
    with_motion, _ = follow(ppg[None, None], acc[None])
    without, _ = follow(ppg[None, None])
    np.testing.assert_allclose(with_motion[FIRST_S + 3 :], 130.0, atol=2.0)
    assert np.abs(without[-1] - 130.0) > 5.0  # the motion is what makes it hard


def test_a_pulse_that_crosses_the_cadence_is_not_lost() -> None:
    per_min = np.linspace(120.0, 180.0, 90 * HZ)
    acc = steps(150.0, 90)
    ppg = wave(per_min, 90) + 2.0 * acc[0] + 0.1 * noise(90 * HZ)
    rates, _ = follow(ppg[None, None], acc[None])
    window = np.arange(FIRST_S - 1, 90)
    true = per_min[(window - LATENCY_S - WINDOW_S // 2) * HZ + HZ]
    assert np.abs(rates[window, 0] - true).max() < 8.0
    assert np.abs(rates[-10:, 0] - true[-10:]).max() < 3.0


def test_a_jump_is_followed_within_a_window() -> None:
    ppg = wave(np.repeat([70.0, 160.0], 40 * HZ), 80)
    rates, _ = follow(ppg[None, None])
    np.testing.assert_allclose(rates[FIRST_S:40, 0], 70.0, atol=1.0)
    np.testing.assert_allclose(rates[40 + FIRST_S :, 0], 160.0, atol=1.0)


def test_the_latency_is_what_it_says() -> None:
    """What comes after the newest sample, and after `LATENCY_S`, changes nothing."""
    ppg = wave(np.repeat([70.0, 120.0], 20 * HZ), 40)[None, None] + 0.3 * noise(1, 1, 40 * HZ)
    cut = 30
    whole, _ = follow(ppg)
    part, _ = follow(ppg[..., : cut * HZ])
    np.testing.assert_array_equal(whole[:cut], part)


def test_after_a_gap_nothing_is_said_until_a_whole_window_has_come() -> None:
    ppg = wave(80.0, 60)[None, None].copy()
    ppg[..., 25 * HZ : 26 * HZ + 10] = np.nan
    rates, confidences = follow(ppg)
    silent = np.arange(60)[np.isnan(rates[:, 0])]
    expected = [*range(FIRST_S - 1), *range(25 + LATENCY_S, 27 + FIRST_S - 1)]
    assert silent.tolist() == expected
    assert not confidences[silent].any()
    np.testing.assert_allclose(rates[27 + FIRST_S :], 80.0, atol=1.0)


def test_after_a_long_gap_another_rate_is_believed_at_once() -> None:
    ppg = wave(np.repeat([60.0, 150.0], 40 * HZ), 80)[None, None].copy()
    ppg[..., 30 * HZ : 45 * HZ] = np.nan
    rates, _ = follow(ppg)
    np.testing.assert_allclose(rates[45 + FIRST_S - 1 :, 0], 150.0, atol=1.0)


def test_one_good_channel_is_enough() -> None:
    ppg = np.stack([wave(90.0, 30), np.full(30 * HZ, np.nan), np.full(30 * HZ, 5.0)])
    rates, _ = follow(ppg[None])
    np.testing.assert_allclose(rates[FIRST_S - 1 :], 90.0, atol=1.0)


def test_a_missing_accelerometer_is_no_motion() -> None:
    ppg = wave(90.0, 30)[None, None]
    rates, confidences = follow(ppg, np.full((1, 3, 30 * HZ), np.nan))
    without, _ = follow(ppg)
    np.testing.assert_array_equal(rates, without)
    assert (confidences[FIRST_S:] >= CONFIDENT).all()


def overflowing() -> Floats:
    counts = np.round(40_000 * wave(75.0, 60)).astype(np.int64)
    return counts.astype(np.int16).astype(np.float64)


def clipped() -> Floats:
    return np.clip(wave(75.0, 60), -0.3, 0.3)


SICK = {
    "all missing": np.full(60 * HZ, np.nan),
    "infinite": np.full(60 * HZ, np.inf),
    "constant": np.full(60 * HZ, 32_767.0),
    "zero": np.zeros(60 * HZ),
    "two codes": np.tile([0.0, 1.0], 30 * HZ),
    "clipped": clipped(),
    "16-bit overflow": overflowing(),
    "beyond any sensor": 1e300 * wave(75.0, 60),
    "white noise": noise(60 * HZ),
    "wandering": np.cumsum(noise(60 * HZ)),
    "a ramp": np.arange(60.0 * HZ),
    "settling": np.round(30_000.0 * np.exp(-np.arange(60.0 * HZ) / 4.0 / HZ)),
    "a step": np.repeat([0.0, 1e6], 30 * HZ),
}


@pytest.mark.parametrize("name", SICK)
@pytest.mark.parametrize("moving", [False, True])
def test_a_sick_signal_is_never_a_confident_number(name: str, moving: bool) -> None:
    acc = steps(150.0, 60)[None] if moving else None
    rates, confidences = follow(SICK[name][None, None], acc)
    assert (confidences < CONFIDENT).all()
    assert not confidences[np.isnan(rates)].any()


@pytest.mark.parametrize("cadence", [96.0, 168.0])
def test_motion_without_a_pulse_is_not_a_confident_number(cadence: float) -> None:
    acc = steps(cadence, 60)
    ppg = acc[0] + 0.5 * acc[1] + 0.05 * noise(60 * HZ)
    _, confidences = follow(ppg[None, None], acc[None])
    assert (confidences < CONFIDENT).all()


@pytest.mark.parametrize("acc", [np.inf, 1e300, -1e300])
def test_a_sick_accelerometer_does_no_harm(acc: float) -> None:
    rates, _ = follow(wave(90.0, 30)[None, None], np.full((1, 3, 30 * HZ), acc))
    np.testing.assert_allclose(rates[FIRST_S - 1 :], 90.0, atol=1.0)


@pytest.mark.parametrize("scale", [-1.0, 1e-9, 1e6])
def test_unit_offset_and_polarity_do_not_matter(scale: float) -> None:
    ppg = wave(np.linspace(80.0, 110.0, 40 * HZ), 40)[None, None] + 0.2 * noise(1, 1, 40 * HZ)
    rates, _ = follow(ppg)
    others, _ = follow(scale * (ppg + 300.0))
    np.testing.assert_allclose(others, rates, atol=0.05)


def test_rows_do_not_touch_each_other() -> None:
    ppg = np.stack([wave(rate, 15) for rate in np.linspace(40.0, 220.0, 150)])[:, None]
    ppg[3] = np.nan
    together, _ = follow(ppg)
    alone, _ = follow(ppg[140:141])
    np.testing.assert_allclose(together[:, 140:141], alone, rtol=1e-4)
    assert np.isnan(together[:, 3]).all()


def test_a_cleared_row_begins_anew() -> None:
    state = PulseState(2, 1)
    follow(np.stack([wave(80.0, 20)] * 2)[:, None], state=state)
    state.clear(np.array([1]))
    fresh = PulseState(2, 1)
    for name, array in vars(state).items():
        np.testing.assert_array_equal(array[1], getattr(fresh, name)[1])
    assert state.ppg_whole_s[0, 0] == WINDOW_S


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ValueError, match=str(MIN_RATE_HZ)):
        advance(PulseState(1, 1), np.zeros((1, 1, MIN_RATE_HZ - 1)), None)


@given(cut=st.integers(1, 29), seed=st.integers(0, 2**32 - 1), gap=st.integers(0, 29))
@settings(max_examples=15, deadline=None)
def test_state_saved_and_restored_goes_on_bit_for_bit(cut: int, seed: int, gap: int) -> None:
    rng = np.random.default_rng(seed)
    ppg = wave(100.0, 30) + rng.normal(size=(3, 2, 30 * HZ))
    ppg[1, 0, gap * HZ + 3] = np.nan
    acc = steps(160.0, 30) + rng.normal(scale=0.1, size=(3, 3, 30 * HZ))
    whole = follow(ppg, acc)

    state = PulseState(3, 2)
    follow(ppg[..., : cut * HZ], acc[..., : cut * HZ], state=state)
    file = io.BytesIO()
    np.savez(file, **vars(state))
    file.seek(0)
    restored = PulseState(3, 2)
    for name, array in np.load(file).items():
        setattr(restored, name, array)
    rest = follow(ppg[..., cut * HZ :], acc[..., cut * HZ :], state=restored)
    for a, b in zip(whole, rest, strict=True):
        np.testing.assert_array_equal(a[cut:], b)


ODD = (0.0, 1.0, -32_768.0, 32_767.0, 199.0, np.nan, np.inf, 1e308, 1e-308)


@given(st.lists(st.sampled_from(ODD), min_size=1, max_size=40))
@settings(max_examples=30, deadline=None)
def test_nothing_crashes_it(values: list[float]) -> None:
    ppg = np.resize(np.array(values), (1, 1, 20 * 25))
    rates, confidences = follow(ppg, np.resize(np.array(values[::-1]), (1, 3, 20 * 25)), rate_hz=25)
    assert ((confidences >= 0.0) & (confidences <= 1.0)).all()
    given_rates = rates[~np.isnan(rates)]
    assert ((given_rates >= RATES_PER_MIN[0]) & (given_rates <= RATES_PER_MIN[-1])).all()


@pytest.mark.parametrize("samples", [17, 25, 50, 55, 100, 125])
def test_averages_over_equal_intervals_keep_mean_and_line(samples: int) -> None:
    line = (np.arange(samples) + 0.5) / samples
    means = averaged(line)
    assert means.mean() == pytest.approx(line.mean())
    np.testing.assert_allclose(means, (np.arange(25) + 0.5) / 25, atol=0.5 / samples)
    np.testing.assert_allclose(averaged(np.ones(samples)), 1.0)


def test_a_state_stays_small() -> None:
    assert sum(array.nbytes for array in vars(PulseState(100, 2)).values()) / 100 < 15_000
