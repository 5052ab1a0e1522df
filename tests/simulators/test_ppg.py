"""The simulated light: the pulse, the breath and the saturation can be found in it again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators import body, ppg
from simulators.body import Targets

RESTING = Targets(heart_rate_per_min=75.0, spo2_pct=97.0, resp_rate_per_min=15.0)


def record(targets: Targets, seconds: int = 60) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    state = body.start(1, targets)
    noise = np.random.default_rng(1)
    lights = []
    for _ in range(seconds):
        state, second = body.step(state, targets)
        lights.append(ppg.illuminate(second, 2.0, noise))
    return np.concatenate([x.infrared for x in lights]), np.concatenate([x.red for x in lights])


def spectrum(signal: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    power = np.abs(np.fft.rfft((signal - signal.mean()) * np.hanning(signal.size))) ** 2
    return np.fft.rfftfreq(signal.size, 1 / ppg.SAMPLE_RATE_HZ), power


@pytest.mark.parametrize("rate", [45.0, 75.0, 150.0])
def test_the_spectrum_peaks_at_the_heart_rate(rate: float) -> None:
    infrared, _ = record(replace(RESTING, heart_rate_per_min=rate))
    frequency_hz, power = spectrum(infrared)
    band = (frequency_hz > 0.6) & (frequency_hz < 4)
    assert 60 * frequency_hz[band][np.argmax(power[band])] == pytest.approx(rate, abs=3)


def test_breathing_shows_in_the_baseline() -> None:
    infrared, _ = record(RESTING, 120)
    frequency_hz, power = spectrum(infrared)
    slow = (frequency_hz > 0.15) & (frequency_hz < 0.5)
    assert 60 * frequency_hz[slow][np.argmax(power[slow])] == pytest.approx(15, abs=1.5)


@pytest.mark.parametrize("spo2", [75.0, 88.0, 97.0])
def test_the_ratio_of_the_colours_gives_the_saturation_back(spo2: float) -> None:
    infrared, red = record(replace(RESTING, spo2_pct=spo2))
    frequency_hz, _ = spectrum(infrared)
    band = (frequency_hz > 1.0) & (frequency_hz < 1.5)

    def share(signal: npt.NDArray[np.int32]) -> float:
        return float(np.sqrt(spectrum(signal)[1][band].sum()) / signal.mean())

    ratio = share(red) / share(infrared)
    estimate = 1.5958422 * ratio**2 - 34.6596622 * ratio + 112.6898759  # Maxim AN6845, STANDARDS §5.4
    assert estimate == pytest.approx(spo2, abs=1.5)


@given(st.floats(50, 100))
def test_the_ratio_is_the_inverse_of_the_curve(spo2: float) -> None:
    ratio = ppg.ratio_of_ratios(spo2)
    assert 0.3 < ratio < 2.5
    assert 1.5958422 * ratio**2 - 34.6596622 * ratio + 112.6898759 == pytest.approx(spo2)


def test_the_pulse_repeats_and_rises_faster_than_it_falls() -> None:
    phase = np.linspace(0, 1, 500, endpoint=False)
    wave = ppg.pulse_shape(phase)
    assert wave == pytest.approx(ppg.pulse_shape(phase + 7))
    assert 0.1 < phase[np.argmax(wave)] < 0.4  # systolic peak early in the beat
    assert abs(wave[0] - wave[-1]) < 0.02  # no step between beats
    assert wave[int(0.63 * 500)] > wave[int(0.95 * 500)] > 0  # the diastolic wave carries on


def test_motion_covers_the_pulse() -> None:
    still, _ = record(RESTING)
    moved, _ = record(replace(RESTING, motion=1.0))
    assert moved.std() > 2 * still.std()


def test_counts_stay_within_the_converter() -> None:
    infrared, red = record(replace(RESTING, motion=1.0, heart_rate_per_min=220.0))
    for channel in (infrared, red):
        assert channel.dtype == np.int32
        assert channel.min() >= 0
        assert channel.max() <= ppg.FULL_SCALE


def test_an_uncovered_sensor_sees_little_light_and_no_pulse() -> None:
    light = ppg.uncovered(50, np.random.default_rng(2))
    assert light.infrared.shape == (50,)
    assert light.infrared.max() < 10_000
