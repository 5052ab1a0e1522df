"""Made pulse waves for tests of signals: beats at known times, of a known shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ingest.signals.smoothing import Floats

LIGHT = 100_000.0  # counts
HEIGHT = 1_500.0


def beat_times(rate_per_min: float, seconds: float, breaths_per_min: float = 0.0, sway: float = 0.03) -> Floats:
    """When the beats come, in s; breathing sways the intervals by the share `sway`."""
    times, now = [], 0.2
    while now < seconds:
        times.append(now)
        now += 60 / rate_per_min * (1 + sway * np.sin(2 * np.pi * breaths_per_min / 60 * now))
    return np.array(times)


def wave(times_s: Floats, seconds: float, rate_hz: float, breaths_per_min: float = 0.0) -> Floats:
    """Counts of a finger's pulse wave: a systolic and a dicrotic hump per beat; breathing moves the level."""
    at = np.arange(round(seconds * rate_hz)) / rate_hz
    after = at[:, None] - times_s
    humps = np.exp(-(((after - 0.15) / 0.075) ** 2)) + 0.4 * np.exp(-(((after - 0.4) / 0.11) ** 2))
    level = 0.25 * np.sin(2 * np.pi * breaths_per_min / 60 * at)
    return np.asarray(LIGHT + HEIGHT * (humps.sum(axis=1) + level), np.float64)


def steady(rate_per_min: float, seconds: float, rate_hz: float, breaths_per_min: float = 14.0) -> Floats:
    """A wave at one pulse rate, with a little of a sensor's noise."""
    made = wave(beat_times(rate_per_min, seconds, breaths_per_min), seconds, rate_hz, breaths_per_min)
    return made + np.random.default_rng(round(rate_per_min)).normal(0, 5, len(made))
