"""The light that a pulse oximeter sees: infrared and red photoplethysmogram of a `BodySecond`.

The pulse is the sum of two Gaussians over the cardiac cycle, systolic and diastolic, with the parameters of the
"excellent" template of Tang, Chen, Ward & Elgendi, *Synthetic photoplethysmogram generation using two Gaussian
functions*, Sci Rep 10:13883 (2020), table 1. Breathing modulates it in the three known ways (Karlen 2013, STANDARDS
§5.5): the baseline and the amplitude here, the interval in `simulators.body`. Motion adds cadence and noise.

Counts rise with blood volume, as monitors draw the curve, and saturate at 18 bits like the usual sensor front ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sqrt
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from simulators.body import GRID_HZ, BodySecond, FloatArray

Counts: TypeAlias = npt.NDArray[np.int32]

SAMPLE_RATE_HZ: Final = GRID_HZ
FULL_SCALE: Final = (1 << 18) - 1
_INFRARED_LEVEL: Final = 120_000.0
_RED_LEVEL: Final = 90_000.0
_AMBIENT_LEVEL: Final = 2_500.0  # what an uncovered sensor still sees
_BREATH_BASELINE: Final = 0.25  # of the pulse amplitude
_BREATH_AMPLITUDE: Final = 0.12
_MOTION_GAIN: Final = 0.06  # of the light level at full motion: three times the pulse
_CADENCE_HZ: Final = 1.7  # steps of a brisk walk, the worst neighbour of a heart rate
_NOISE_SHARE: Final = 0.015  # of the pulse amplitude


@dataclass(frozen=True, slots=True)
class Light:
    """One step of both channels: shape (n,), counts at `SAMPLE_RATE_HZ`."""

    infrared: Counts
    red: Counts


def ratio_of_ratios(spo2_pct: float) -> float:
    """R for a saturation: the inverse of the Maxim AN6845 curve, SpO2 = 1.5958·R² − 34.660·R + 112.69.

    For simulators only (STANDARDS §5.4): an alarm takes the oximeter's own value, never this curve.
    """
    a, b, c = 1.5958422, -34.6596622, 112.6898759
    return (-b - sqrt(b * b - 4 * a * (c - spo2_pct))) / (2 * a)


def pulse_shape(phase: FloatArray) -> FloatArray:
    """The pulse wave at `phase` (cycles; whole numbers are beats), between 0 and about 1.1; periodic."""
    angle = 2 * pi * (phase % 1.0) - pi
    wave: FloatArray = _bump(angle, 1.0, -1.5161, 0.6303) + _bump(angle, 0.1999, 0.8186, 1.0225)
    return wave


def _bump(angle: FloatArray, height: float, centre: float, width: float) -> FloatArray:
    distance = (angle - centre + pi) % (2 * pi) - pi
    bump: FloatArray = height * np.exp(-0.5 * (distance / width) ** 2)
    return bump


def illuminate(second: BodySecond, perfusion_pct: float, noise: np.random.Generator) -> Light:
    """Both channels over a worn sensor. `perfusion_pct`: infrared AC over DC, 2 at a warm finger."""
    breath = np.sin(2 * pi * second.breath_phase)
    pulse = pulse_shape(second.cardiac_phase) * (1 + _BREATH_AMPLITUDE * breath) + _BREATH_BASELINE * breath
    infrared = perfusion_pct / 100.0 * pulse
    disturbance = _artefact(second, noise)
    ratio = ratio_of_ratios(second.spo2_pct)
    grain = _NOISE_SHARE * perfusion_pct / 100.0 * noise.standard_normal((2, pulse.size))
    return Light(
        infrared=_counts(_INFRARED_LEVEL * (1 + infrared + disturbance + grain[0])),
        red=_counts(_RED_LEVEL * (1 + ratio * infrared + 1.2 * disturbance + grain[1])),
    )


def uncovered(samples: int, noise: np.random.Generator) -> Light:
    """What a sensor sees that is not worn: ambient light and no pulse."""
    seen = _AMBIENT_LEVEL + 40.0 * noise.standard_normal((2, samples))
    return Light(infrared=_counts(seen[0]), red=_counts(seen[1]))


def _artefact(second: BodySecond, noise: np.random.Generator) -> FloatArray:
    size = second.cardiac_phase.size
    if second.motion < 0.01:
        return np.zeros(size)
    time_s = second.started_s + np.arange(size) / SAMPLE_RATE_HZ
    swing = np.sin(2 * pi * _CADENCE_HZ * time_s) + 0.5 * np.sin(4 * pi * _CADENCE_HZ * time_s + 0.7)
    shake = np.convolve(noise.standard_normal(size), np.full(5, 0.2), mode="same")
    moved: FloatArray = _MOTION_GAIN * second.motion * (swing + shake)
    return moved


def _counts(light: FloatArray) -> Counts:
    return np.clip(np.rint(light), 0, FULL_SCALE).astype(np.int32)
