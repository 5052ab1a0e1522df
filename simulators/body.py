"""A body: heart rate with its natural variability, oxygen saturation, breathing and motion, second by second.

Pure and repeatable: a `BodyState` is a plain value, and the randomness of a step comes from the state's own seed and
tick, so that the same seed gives the same life on every run.

    state = start(seed=7, targets=Targets())
    state, second = step(state, targets)            # one second further

Beats come from integral pulse frequency modulation (de Boer 1985; Mateo & Laguna, IEEE TBME 47(8), 2000): a beat
falls where the integral of the instantaneous heart rate passes a whole number. Two rhythms modulate that rate, as in
a resting adult: breathing (respiratory sinus arrhythmia, 0.15–0.4 Hz) and the 0.1 Hz Mayer wave (Task Force 1996,
bands in STANDARDS §5.1). It is a model for trying out software, not for physiology.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, pi
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]

GRID_HZ: Final = 50.0  # inner time grid, and the sampling rate of the simulated sensors
_MAYER_HZ: Final = 0.1
_HEART_LAG_S: Final = 3.0  # the vagal answer takes seconds; the slower sympathetic one is left out
_OXYGEN_LAG_S: Final = 4.0  # wash-out of the lung's store and the way to the finger
_BREATH_LAG_S: Final = 6.0
_MOTION_LAG_S: Final = 0.5
_RSA_SHARE: Final = 0.04  # of the heart rate, at rest; fades as the heart races and vagal tone goes
_MAYER_SHARE: Final = 0.025
_OXYGEN_NOISE_PCT: Final = 0.35  # standard deviation of the slow wander of SpO2
_OXYGEN_NOISE_LAG_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Targets:
    """Where a scenario wants the body to go. `motion` runs from 0 (still) to 1 (violent)."""

    heart_rate_per_min: float = 72.0
    spo2_pct: float = 97.0
    resp_rate_per_min: float = 14.0
    motion: float = 0.0


@dataclass(frozen=True, slots=True)
class BodyState:
    """Everything that a body carries from one step to the next; a serialisable value.

    `beats`, `breaths`, `mayer`: completed cycles since birth, with the fraction of the running one.
    `last_beat_s`: time of the last beat since the start, `None` before the first.
    """

    seed: int
    tick: int
    elapsed_s: float
    heart_rate_per_min: float
    spo2_pct: float
    spo2_wander_pct: float
    resp_rate_per_min: float
    motion: float
    beats: float
    breaths: float
    mayer: float
    last_beat_s: float | None


@dataclass(frozen=True, slots=True)
class BodySecond:
    """What happened in a step of `dt_s` seconds that began `started_s` after the body's start.

    `beat_times_s`, `rr_intervals_s`: the beats of this step and the interval that each of them ended (the first beat of
    a life ends none). `cardiac_phase`, `breath_phase`: shape (dt_s · GRID_HZ,), in cycles, at the grid points.
    """

    started_s: float
    heart_rate_per_min: float
    spo2_pct: float
    resp_rate_per_min: float
    motion: float
    beat_times_s: FloatArray
    rr_intervals_s: FloatArray
    cardiac_phase: FloatArray
    breath_phase: FloatArray


def start(seed: int, targets: Targets) -> BodyState:
    """A body that has long been at `targets`; `seed` ≥ 0 also sets where in beat and breath it starts."""
    beats, breaths, mayer = np.random.default_rng(seed).random(3)
    return BodyState(
        seed=seed,
        tick=0,
        elapsed_s=0.0,
        heart_rate_per_min=targets.heart_rate_per_min,
        spo2_pct=targets.spo2_pct,
        spo2_wander_pct=0.0,
        resp_rate_per_min=targets.resp_rate_per_min,
        motion=targets.motion,
        beats=float(beats),
        breaths=float(breaths),
        mayer=float(mayer),
        last_beat_s=None,
    )


def step(state: BodyState, targets: Targets, dt_s: float = 1.0) -> tuple[BodyState, BodySecond]:
    """Live on for `dt_s` seconds, a whole number of grid steps; the targets are approached with inertia."""
    noise = np.random.default_rng((state.seed, state.tick)).standard_normal(3)
    now = _drift(state, targets, dt_s, float(noise[0]))
    grid_s = np.arange(1, round(dt_s * GRID_HZ) + 1) / GRID_HZ
    breaths = state.breaths + grid_s * (now.resp_rate_per_min / 60.0) * (1 + 0.05 * float(noise[1]))
    mayer = state.mayer + grid_s * _MAYER_HZ * (1 + 0.1 * float(noise[2]))
    beats = state.beats + np.cumsum(_beat_rate_hz(now.heart_rate_per_min, breaths, mayer)) / GRID_HZ
    beat_times_s = state.elapsed_s + _crossings_s(state.beats, beats, grid_s)
    known = beat_times_s if state.last_beat_s is None else np.concatenate(([state.last_beat_s], beat_times_s))
    second = BodySecond(
        started_s=state.elapsed_s,
        heart_rate_per_min=60.0 * (float(beats[-1]) - state.beats) / dt_s,
        spo2_pct=min(max(now.spo2_pct + now.spo2_wander_pct, 0.0), 100.0),
        resp_rate_per_min=now.resp_rate_per_min,
        motion=now.motion,
        beat_times_s=beat_times_s,
        rr_intervals_s=np.diff(known),
        cardiac_phase=beats,
        breath_phase=breaths,
    )
    after = replace(
        now,
        tick=state.tick + 1,
        elapsed_s=state.elapsed_s + dt_s,
        beats=float(beats[-1]),
        breaths=float(breaths[-1]),
        mayer=float(mayer[-1]),
        last_beat_s=float(known[-1]) if known.size else None,
    )
    return after, second


def _drift(state: BodyState, targets: Targets, dt_s: float, noise: float) -> BodyState:
    """The slow values `dt_s` later: each on its way to its target, SpO2 with a wander of its own."""
    keep = exp(-dt_s / _OXYGEN_NOISE_LAG_S)
    return replace(
        state,
        heart_rate_per_min=_approach(state.heart_rate_per_min, targets.heart_rate_per_min, dt_s, _HEART_LAG_S),
        spo2_pct=_approach(state.spo2_pct, targets.spo2_pct, dt_s, _OXYGEN_LAG_S),
        spo2_wander_pct=keep * state.spo2_wander_pct + _OXYGEN_NOISE_PCT * (1 - keep * keep) ** 0.5 * noise,
        resp_rate_per_min=_approach(state.resp_rate_per_min, targets.resp_rate_per_min, dt_s, _BREATH_LAG_S),
        motion=_approach(state.motion, targets.motion, dt_s, _MOTION_LAG_S),
    )


def _approach(value: float, target: float, dt_s: float, lag_s: float) -> float:
    return target + (value - target) * exp(-dt_s / lag_s)


def _beat_rate_hz(heart_rate_per_min: float, breaths: FloatArray, mayer: FloatArray) -> FloatArray:
    """Instantaneous heart rate on the grid: faster while breathing in, and with the Mayer wave."""
    tone = min(max((140.0 - heart_rate_per_min) / 70.0, 0.15), 1.0)
    modulation = _RSA_SHARE * np.sin(2 * pi * breaths) + _MAYER_SHARE * np.sin(2 * pi * mayer)
    rate: FloatArray = heart_rate_per_min / 60.0 * (1.0 + tone * modulation)
    return rate


def _crossings_s(before: float, beats: FloatArray, grid_s: FloatArray) -> FloatArray:
    """Times at which the count of beats passes whole numbers, interpolated between grid points."""
    whole = np.arange(np.floor(before) + 1, np.floor(beats[-1]) + 1)
    return np.interp(whole, np.concatenate(([before], beats)), np.concatenate(([0.0], grid_s)))
