"""The simulated body: as physiological as it has to be, and the same on every run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators import body
from simulators.body import BodySecond, BodyState, Targets

RESTING = Targets(heart_rate_per_min=66.0, spo2_pct=97.0, resp_rate_per_min=15.0)


def live(state: BodyState, targets: Targets, seconds: int) -> tuple[BodyState, list[BodySecond]]:
    lived = []
    for _ in range(seconds):
        state, second = body.step(state, targets)
        lived.append(second)
    return state, lived


@pytest.mark.parametrize("rate", [40.0, 66.0, 120.0, 180.0])
def test_mean_heart_rate_follows_the_target(rate: float) -> None:
    targets = replace(RESTING, heart_rate_per_min=rate)
    _, lived = live(body.start(1, targets), targets, 300)
    assert sum(s.beat_times_s.size for s in lived) / 5 == pytest.approx(rate, rel=0.02)
    assert np.mean([s.heart_rate_per_min for s in lived]) == pytest.approx(rate, rel=0.02)


def test_intervals_sum_to_the_time_between_first_and_last_beat() -> None:
    _, lived = live(body.start(3, RESTING), RESTING, 120)
    beats = np.concatenate([s.beat_times_s for s in lived])
    intervals = np.concatenate([s.rr_intervals_s for s in lived])
    assert intervals.size == beats.size - 1
    assert intervals.sum() == pytest.approx(beats[-1] - beats[0])
    assert (intervals > 0).all()


def test_every_beat_lies_in_its_own_second() -> None:
    _, lived = live(body.start(4, RESTING), RESTING, 60)
    for second in lived:
        assert ((second.beat_times_s > second.started_s) & (second.beat_times_s <= second.started_s + 1)).all()


def test_beat_intervals_vary_with_breathing() -> None:
    """Respiratory sinus arrhythmia: the strongest line of the HF band (0.15–0.4 Hz) is the respiratory rate."""
    targets = replace(RESTING, heart_rate_per_min=60.0, resp_rate_per_min=15.0)
    _, lived = live(body.start(5, targets), targets, 300)
    beats = np.concatenate([s.beat_times_s for s in lived])[1:]
    intervals = np.concatenate([s.rr_intervals_s for s in lived])
    even_s = np.arange(beats[0], beats[-1], 0.25)
    series = np.interp(even_s, beats, intervals)
    power = np.abs(np.fft.rfft((series - series.mean()) * np.hanning(series.size))) ** 2
    frequency_hz = np.fft.rfftfreq(series.size, 0.25)
    high = (frequency_hz >= 0.15) & (frequency_hz <= 0.4)
    assert frequency_hz[high][np.argmax(power[high])] == pytest.approx(15 / 60, abs=0.02)
    rmssd_ms = 1000 * np.sqrt(np.mean(np.diff(intervals) ** 2))
    assert 10 < rmssd_ms < 120  # between a stiff and a very lively heart


def test_a_racing_heart_varies_less() -> None:
    def spread(rate: float) -> float:
        targets = replace(RESTING, heart_rate_per_min=rate)
        _, lived = live(body.start(6, targets), targets, 200)
        intervals = np.concatenate([s.rr_intervals_s for s in lived])
        return float(intervals.std() / intervals.mean())

    assert spread(160.0) < spread(60.0) / 2


def test_saturation_falls_with_inertia_and_recovers() -> None:
    state, _ = live(body.start(7, RESTING), RESTING, 30)
    low = replace(RESTING, spo2_pct=80.0)
    state, falling = live(state, low, 40)
    values = [s.spo2_pct for s in falling]
    assert values[0] > 90  # not at once
    assert values[-1] == pytest.approx(80.0, abs=2.0)
    _, rising = live(state, RESTING, 40)
    assert rising[-1].spo2_pct == pytest.approx(97.0, abs=2.0)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**40),
    rate=st.floats(20, 250),
    spo2=st.floats(50, 100),
    resp=st.floats(2, 60),
    motion=st.floats(0, 1),
)
def test_any_target_keeps_the_body_within_what_is_possible(
    seed: int, rate: float, spo2: float, resp: float, motion: float
) -> None:
    targets = Targets(rate, spo2, resp, motion)
    _, lived = live(body.start(seed, RESTING), targets, 20)
    for second in lived:
        assert 0 <= second.spo2_pct <= 100
        assert 15 < second.heart_rate_per_min < 280
        assert second.cardiac_phase.shape == second.breath_phase.shape == (50,)
        assert (np.diff(second.cardiac_phase) > 0).all()


def test_the_same_seed_gives_the_same_life_and_another_seed_another() -> None:
    _, once = live(body.start(11, RESTING), RESTING, 20)
    _, again = live(body.start(11, RESTING), RESTING, 20)
    _, other = live(body.start(12, RESTING), RESTING, 20)
    assert [s.spo2_pct for s in once] == [s.spo2_pct for s in again]
    assert all(np.array_equal(a.beat_times_s, b.beat_times_s) for a, b in zip(once, again, strict=True))
    assert [s.spo2_pct for s in once] != [s.spo2_pct for s in other]


def test_a_state_can_be_taken_up_again() -> None:
    """Nothing is hidden outside the state: stepping from a kept one gives the same again."""
    state, _ = live(body.start(13, RESTING), RESTING, 10)
    assert body.step(state, RESTING)[0] == body.step(state, RESTING)[0]
