"""Respiratory rate from the pulse wave or from RR intervals, across devices: how breathing modulates the beats.

Breathing moves the level of the pulse wave (its peaks, its feet and their middle: respiratory-induced intensity
variation) and the intervals between beats (frequency variation, respiratory sinus arrhythmia); Karlen et al. 2013
(IEEE TBME 60(7):1946), Charlton et al. 2018 (IEEE Rev Biomed Eng 11:2). Amplitude variation, Karlen's third, adds
nothing to the peaks and feet that it is the difference of.

Once per second `advance` takes the beats of the last `WINDOW_S`, and
1. lays each modulation on an even grid, without trend, outliers limited, nothing where beats are missing;
2. takes its power spectrum, and multiplies it by the frequency: slow waves of the vessels (Mayer, vasomotion) rise
   towards low frequencies about like 1/f, and would otherwise win;
3. adds to each rate what it has in common with twice the rate (the geometric mean of both powers), since a breath is no
   sine, and leaves out rates above half the pulse rate, which a beat-wise series cannot show;
4. joins the modulations by their geometric mean: breathing shows in all, other waves in some;
5. updates the probability of every rate, `RATES_PER_MIN`, which drifts and seldom jumps (a hidden Markov model, forward
   pass only, so that nothing waits for the future).

The rate is that of the window: a sudden change shows after 25 to 30 s. It is for showing and for trends, and not
validated for early-warning scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from vitals.model import Quality

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.signals.beats import BeatState
    from ingest.signals.smoothing import Codes, Floats
    from ingest.streams import Indices, Mask

WINDOW_S: Final = 32.0  # customary since Karlen 2013: two breaths at 4 /min
GRID_HZ: Final = 2.0  # the fastest breathing is 0.75 Hz
STEP_PER_MIN: Final = 0.5
RATES_PER_MIN: Final = np.arange(4.0, 45.0 + STEP_PER_MIN, STEP_PER_MIN)
LEAST_COVERED: Final = 0.75  # of the window, by beats without a gap

MAX_INTERVAL_S: Final = 3.0  # between beats: longer is a gap (Orphanidou et al. 2015)
LIMIT_SIGMAS: Final = 2.5  # of a modulation; a beat further out is limited to that
DRIFT_PER_MIN: Final = 0.3  # mean change of the rate in a second
JUMP: Final = 5e-3  # probability that it is any rate at all a second later
EVIDENCE: Final = 0.25  # weight of a second's spectrum: windows a second apart share nearly all their beats
USABLE: Final = 0.85  # certainty
DOUBTFUL: Final = 0.5
_SPECTRUM_FLOOR: Final = 2e-3  # of a spectrum that sums to 1: no single modulation can rule a rate out
_EVIDENCE_FLOOR: Final = 1e-3
_NEAR_PER_MIN: Final = 2.0

_POINTS: Final = round(WINDOW_S * GRID_HZ)
_TIMES_S: Final = (np.arange(_POINTS) + 0.5) / GRID_HZ
_TAPER: Final = np.hanning(_POINTS)
_PHASES: Final = 2 * np.pi * np.outer(_TIMES_S, RATES_PER_MIN / 60)
_WAVES: Final = np.hstack([np.cos(_PHASES), np.sin(_PHASES)]) * _TAPER[:, None]
_COUNT: Final = len(RATES_PER_MIN)
_TWICE: Final = np.rint((2 * RATES_PER_MIN - RATES_PER_MIN[0]) / STEP_PER_MIN).astype(np.intp)
_HAS_TWICE: Final = _TWICE < _COUNT


def _drift() -> Floats:
    """Probability of each rate, second axis, a second after each rate, first axis."""
    distance = np.abs(RATES_PER_MIN[:, None] - RATES_PER_MIN)
    near = np.exp(-distance / DRIFT_PER_MIN)
    moved: Floats = (1 - JUMP) * near / near.sum(axis=1, keepdims=True) + JUMP / _COUNT
    return moved


_DRIFT: Final = _drift()


class BreathState:
    """Probability of each of `RATES_PER_MIN` per row, (rows, rates). 700 bytes a row."""

    def __init__(self, rows: int) -> None:
        self.probability = np.full((rows, _COUNT), 1 / _COUNT)

    def clear(self, rows: Indices) -> None:
        """Forget these rows."""
        self.probability[rows] = 1 / _COUNT


@dataclass(frozen=True, slots=True)
class BreathRates:
    """Respiratory rate per row, /min, NaN where too few beats cover the window, and how far it can be trusted.

    `certainty`: probability of the rates within 2 /min of it, 0 to 1. `verdict`: `Quality` as it follows from that;
    the caller adds what is known of the signal itself.
    """

    rate_per_min: Floats
    certainty: Floats
    verdict: Codes


@dataclass(frozen=True, slots=True)
class Intervals:
    """The last beats of every row, (rows, k), newest last, of a strap or an ECG; NaN where there is none.

    `at_s`: when each came, `now_s` the present on the same clock; `interval_s`: since the beat before, NaN after a gap
    and for a beat that is an artefact. k is at least 1 and should cover `WINDOW_S`.
    """

    at_s: Floats
    interval_s: Floats
    now_s: float


def advance(state: BreathState, beats: BeatState, trusted: Mask | None = None) -> BreathRates:
    """Take the beats as they are now; to be called once per second. Only rows that are `trusted` count as evidence."""
    modulations = (beats.peak, beats.foot, beats.peak + beats.foot, beats.interval_s)
    return _advance(state, Intervals(beats.at_s, beats.interval_s, beats.now_s), modulations, trusted)


def advance_rr(state: BreathState, intervals: Intervals, trusted: Mask | None = None) -> BreathRates:
    """The same from RR intervals alone, where respiratory sinus arrhythmia is all there is: weak in many patients."""
    return _advance(state, intervals, (intervals.interval_s,), trusted)


def _advance(state: BreathState, beats: Intervals, modulations: Sequence[Floats], trusted: Mask | None) -> BreathRates:
    series, covered, pulse_per_min = _series(beats, modulations)
    enough = covered >= LEAST_COVERED if trusted is None else (covered >= LEAST_COVERED) & trusted
    joint = _joint_spectrum(series, pulse_per_min)
    moved = state.probability @ _DRIFT
    weight = np.where(enough[:, None], joint + _EVIDENCE_FLOOR, 1.0) ** EVIDENCE
    state.probability = moved * weight
    state.probability /= state.probability.sum(axis=1, keepdims=True)
    best = RATES_PER_MIN[state.probability.argmax(axis=1)]
    near = np.abs(RATES_PER_MIN - best[:, None]) <= _NEAR_PER_MIN
    certainty = (state.probability * near).sum(axis=1)
    rate = (state.probability * near * RATES_PER_MIN).sum(axis=1) / certainty
    return BreathRates(np.where(enough, rate, np.nan), certainty * enough, _verdict(certainty * enough))


def _verdict(certainty: Floats) -> Codes:
    doubtful = np.where(certainty >= DOUBTFUL, Quality.DOUBTFUL, Quality.UNUSABLE)
    return np.asarray(np.where(certainty >= USABLE, Quality.USABLE, doubtful), np.uint8)


def _series(beats: Intervals, modulations: Sequence[Floats]) -> tuple[Floats, Floats, Floats]:
    """The modulations on the grid, (rows, modulations, points), the share that beats cover, and the mean pulse rate."""
    since_s = beats.at_s - (beats.now_s - WINDOW_S)  # NaN where there is no beat
    joined = beats.interval_s <= MAX_INTERVAL_S  # with the beat before
    after = _first_after(since_s)
    share, inside = _between(since_s, joined, after)
    laid = np.stack([_interpolated(values, after, share) for values in modulations], axis=1)
    inside &= np.isfinite(laid).all(axis=1)
    recent = joined & (since_s > 0)
    beat_s = np.where(recent, beats.interval_s, 0.0).sum(axis=1) / np.maximum(recent.sum(axis=1), 1)
    pulse_per_min = 60 / np.maximum(beat_s, 0.1)
    return _levelled(laid, inside), inside.mean(axis=1), pulse_per_min


def _first_after(since_s: Floats) -> Indices:
    """Place of the first beat after each point of the grid, (rows, points); the number of beats where there is none."""
    rows, kept = since_s.shape
    points = np.ceil(np.nan_to_num(since_s, nan=-1.0) * GRID_HZ - 0.5).clip(0, _POINTS).astype(np.intp)
    cells = points + np.arange(rows)[:, None] * (_POINTS + 1)
    counts = np.bincount(cells.ravel(), minlength=rows * (_POINTS + 1)).reshape(rows, -1)
    return np.minimum(np.cumsum(counts, axis=1)[:, :-1], kept)


def _between(since_s: Floats, joined: Mask, after: Indices) -> tuple[Floats, Mask]:
    """How far each point lies from the beat before it to the beat `after` it, 0 to 1, and whether both are joined."""
    kept = since_s.shape[1]
    right, left = np.minimum(after, kept - 1), np.maximum(after - 1, 0)
    right_s, left_s = np.take_along_axis(since_s, right, 1), np.take_along_axis(since_s, left, 1)
    inside = (after < kept) & (after > 0) & np.take_along_axis(joined, right, 1)
    apart_s = np.where(inside, right_s - left_s, 1.0)
    return (_TIMES_S - left_s) / apart_s, inside


def _interpolated(values: Floats, after: Indices, share: Floats) -> Floats:
    right, left = np.minimum(after, values.shape[1] - 1), np.maximum(after - 1, 0)
    right_values, left_values = np.take_along_axis(values, right, 1), np.take_along_axis(values, left, 1)
    return np.asarray(left_values + share * (right_values - left_values))


def _levelled(laid: Floats, inside: Mask) -> Floats:
    """Each series less its straight line, outliers limited, 0 where it is not `inside`."""
    weight = inside[:, None, :].astype(np.float64)
    count = np.maximum(weight.sum(axis=2, keepdims=True), 1.0)
    values = np.where(inside[:, None, :], laid, 0.0)
    centred = (values - values.sum(axis=2, keepdims=True) / count) * weight
    time = (_TIMES_S - (_TIMES_S * weight).sum(axis=2, keepdims=True) / count) * weight
    slope = (centred * time).sum(axis=2, keepdims=True) / np.maximum((time * time).sum(axis=2, keepdims=True), 1e-9)
    level = centred - slope * time
    limit = LIMIT_SIGMAS * np.sqrt((level * level).sum(axis=2, keepdims=True) / count)
    return np.asarray(np.clip(level, -limit, limit), np.float64)


def _joint_spectrum(series: Floats, pulse_per_min: Floats) -> Floats:
    """What all modulations have in common, (rows, rates), summing to 1 in each row."""
    waves = series.reshape(-1, _POINTS) @ _WAVES
    power = np.square(waves[:, :_COUNT]) + np.square(waves[:, _COUNT:])
    power = power.reshape(*series.shape[:2], _COUNT) * RATES_PER_MIN
    power *= (pulse_per_min[:, None] / 2 > RATES_PER_MIN)[:, None, :]
    power = _of_one(power)
    power += np.sqrt(power * np.where(_HAS_TWICE, power[..., np.minimum(_TWICE, _COUNT - 1)], 0.0))
    joint = np.exp(np.log(_of_one(power) + _SPECTRUM_FLOOR).mean(axis=1))
    return _of_one(joint)


def _of_one(power: Floats) -> Floats:
    """Shares of the last axis' sum; 0 where that is 0."""
    total = power.sum(axis=-1, keepdims=True)
    return power / np.where(total > 0, total, 1.0)
