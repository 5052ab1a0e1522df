"""Beats in a photoplethysmogram, across devices: when each pulse came, how high it rose, and from where.

`find` looks at windows. `advance` does so once per second over a kept window, and gives every beat exactly once, after
at most `LATENCY_S` and that second. Both are for signals with little motion (a finger probe, a wearer at rest), as
`quality.assess` tells.

**Detector**: two event-related moving averages (Elgendi et al. 2013, PLoS ONE 8(10):e76585): the squared positive part
of the band-passed wave, averaged over a systolic peak's width, against the same averaged over a beat's. The band-pass
is the difference of moving averages centred on the sample, so it delays nothing. A beat's time is that of its steepest
rise, which is less disturbed than its peak, interpolated between samples.

A missing sample (NaN) ends a series: no beat touches it, and no interval spans it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

import numpy as np

from ingest.signals.smoothing import Floats, bridged, moving_average, places_of_max, present

if TYPE_CHECKING:
    from ingest.streams import Indices, Mask

WINDOW_S: Final = 8.0  # kept of every stream: what quality needs; detection needs less
LATENCY_S: Final = 0.75  # a beat needs this much of what follows it to be judged like any other
KEPT_BEATS: Final = 128  # 32 s at 240 /min
AVERAGED_S: Final = 14.0  # of intervals: oximeters average over 8 to 16 s
LEAST_INTERVALS: Final = 3

PEAK_S: Final = 0.111  # Elgendi's W1, a systolic peak's width
BEAT_S: Final = 0.667  # Elgendi's W2, a beat's
OFFSET: Final = 0.02  # Elgendi's β
REFRACTORY_S: Final = 0.27  # the shortest interval, 220 /min; Elgendi's 0.3 s would cut off children
_SMOOTH_S: Final = 0.06  # twice, with a null at 17 Hz
_BASE_S: Final = 1.0  # twice, so that waves slower than about 0.4 Hz go
_PARTS: Final = 4
_RISE_S: Final = 0.5  # a foot lies at most this long before its peak


@dataclass(frozen=True, slots=True)
class Beats:
    """Beats of many rows, (k,) each, ordered by row and time.

    `row`: of the window. `at`: sample index of the steepest rise, fractional. `peak`, `foot`: the smoothed wave there,
    in its own unit. `missing`: how many samples were missing before it, so that two beats with the same number follow
    each other without a gap.
    """

    row: Indices
    at: Floats
    peak: Floats
    foot: Floats
    missing: Indices

    def those(self, chosen: Mask) -> Beats:
        """The beats where `chosen`."""
        return Beats(*(getattr(self, field.name)[chosen] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Found:
    """The beats of a window, and the window band-passed without delay, (rows, n)."""

    beats: Beats
    passed: Floats


def find(window: Floats, rate_hz: float) -> Found:
    """The beats of `window`, (rows, n) of equally spaced samples, NaN where missing; n at least one second's.

    A pulse goes upwards: a sensor's count of reflected light, which falls with each pulse, must be negated first.
    """
    gone = ~present(window)
    wave = moving_average(moving_average(bridged(window), _SMOOTH_S * rate_hz), _SMOOTH_S * rate_hz)
    base = moving_average(moving_average(wave, _BASE_S * rate_hz), _BASE_S * rate_hz)
    passed = wave - base
    peaks = places_of_max(passed.ravel(), *_systoles(passed, rate_hz))
    return Found(_measured(wave, gone, peaks, rate_hz), passed)


def _systoles(passed: Floats, rate_hz: float) -> tuple[Indices, Indices]:
    """Where Elgendi's blocks of interest begin and end, as places in the flattened rows; none touches a row's edge."""
    squared = np.square(np.maximum(passed, 0.0))
    threshold = moving_average(squared, BEAT_S * rate_hz) + OFFSET * _usual(squared)
    inside = np.zeros((len(passed), passed.shape[1] + 1), np.int8)  # one place more, so that blocks end in their row
    inside[:, 1:-2] = (moving_average(squared, PEAK_S * rate_hz) > threshold)[:, 1:-1]
    steps = np.diff(inside, axis=1)
    begins, ends = np.flatnonzero(steps == 1) + 1, np.flatnonzero(steps == -1) + 1
    wide = ends - begins >= PEAK_S * rate_hz - 1
    return begins[wide], ends[wide]


def _usual(squared: Floats) -> Floats:
    """The second lowest of the means of each row's quarters, (rows, 1): a knock must not hide the beats around it."""
    part = max(1, squared.shape[1] // _PARTS)
    means = squared[:, -part * _PARTS :].reshape(len(squared), -1, part).mean(axis=2)
    return np.asarray(np.sort(means, axis=1)[:, 1:2], np.float64)


def _measured(wave: Floats, gone: Mask, peaks: Indices, rate_hz: float) -> Beats:
    """The beats with these peaks, given as places in the flattened rows, where nothing that belongs to them is gone."""
    flat, length = wave.ravel(), wave.shape[1]
    row = peaks // length
    earliest = np.maximum(peaks - round(_RISE_S * rate_hz), row * length)
    earliest[1:] = np.maximum(earliest[1:], np.where(row[1:] == row[:-1], peaks[:-1] + 1, 0))
    feet = places_of_max(-flat, earliest, peaks + 1)
    slope = np.diff(flat, append=flat[-1:])
    steepest = places_of_max(slope, feet, np.maximum(peaks, feet + 1))
    missing = np.cumsum(gone, axis=1, dtype=np.intp).ravel()
    margin = round(_SMOOTH_S * rate_hz)
    before = np.maximum(feet - margin, row * length)
    after = np.minimum(peaks + margin, (row + 1) * length - 1)
    whole = (missing[before] == missing[after]) & ~gone.ravel()[before] & (peaks > feet)
    at = steepest - row * length + 0.5 + _vertex(slope, steepest)
    beats = Beats(row, at, flat[peaks], flat[feet], missing[peaks])
    close = (np.diff(at, prepend=-np.inf) < REFRACTORY_S * rate_hz) & (np.diff(row, prepend=-1) == 0)
    return beats.those(whole & ~close)


def _vertex(flat: Floats, places: Indices) -> Floats:
    """How far the top of the parabola through each of `places` and its neighbours lies from it, in samples."""
    left, right = flat[np.maximum(places - 1, 0)], flat[np.minimum(places + 1, len(flat) - 1)]
    bend = 2 * flat[places] - left - right
    return np.clip((right - left) / np.where(bend > 0, 2 * bend, np.inf), -0.5, 0.5)


class BeatState:
    """What is kept of every row: the last `WINDOW_S` of samples, and the last beats, newest last.

    `window`: (rows, n), NaN where nothing came. `at_s`, `interval_s`, `peak`, `foot`: (rows, `KEPT_BEATS`), NaN where
    there is none; times in seconds since the state began, `now_s` being the end of the window. `interval_s` is NaN
    where a gap lies before the beat. `last_s`, `last_missing`: of each row's newest beat; `missing`: samples missing
    that have left the window. About 8 kB a row at 50 Hz.
    """

    def __init__(self, rows: int, rate_hz: float) -> None:
        self.rate_hz = rate_hz
        self.samples = 0  # since the state began
        self.window = np.full((rows, round(WINDOW_S * rate_hz)), np.nan)
        self.at_s, self.interval_s, self.peak, self.foot = (np.full((rows, KEPT_BEATS), np.nan) for _ in range(4))
        self.last_s = np.full(rows, -np.inf)
        self.last_missing = np.full(rows, -1, np.intp)
        self.missing = np.zeros(rows, np.intp)

    @property
    def now_s(self) -> float:
        """The end of the window."""
        return self.samples / self.rate_hz

    def clear(self, rows: Indices) -> None:
        """Forget these rows: another wearer, or another device."""
        for kept in (self.window, self.at_s, self.interval_s, self.peak, self.foot):
            kept[rows] = np.nan
        self.last_s[rows], self.last_missing[rows], self.missing[rows] = -np.inf, -1, 0


@dataclass(frozen=True, slots=True)
class PulseAtRest:
    """Pulse rate per row, /min, NaN where fewer than `LEAST_INTERVALS` are known; `intervals`: how many were averaged.

    `found`: what the kept window shows, for `quality.assess`.
    """

    rate_per_min: Floats
    intervals: Indices
    found: Found


def advance(state: BeatState, ppg: Floats) -> PulseAtRest:
    """Take the next second of every row, (rows, n), n at most a window's length; NaN where a sample is missing.

    The rate is the interquartile mean of the intervals of the last `AVERAGED_S`: ectopic, missed and false beats among
    them hardly move it, while it is finer than a median.
    """
    new = ppg.shape[1]
    state.missing += np.count_nonzero(~present(state.window[:, :new]), axis=1)
    state.window = np.concatenate([state.window[:, new:], ppg], axis=1)
    state.samples += new
    found = find(state.window, state.rate_hz)
    _remember(state, found.beats)
    recent = state.at_s > state.now_s - AVERAGED_S
    rate, count = _interquartile_rate(np.where(recent, state.interval_s, np.nan))
    return PulseAtRest(rate, count, found)


def _remember(state: BeatState, found: Beats) -> None:
    """Append to each row's beats those found that are new and old enough to be judged."""
    at_s = state.now_s - WINDOW_S + found.at / state.rate_hz
    new = (at_s > state.last_s[found.row] + REFRACTORY_S) & (at_s <= state.now_s - LATENCY_S)
    beats, at_s = found.those(new), at_s[new]
    if not len(at_s):
        return
    row, missing = beats.row, beats.missing + state.missing[beats.row]
    first = np.diff(row, prepend=-1) != 0
    previous_s = np.where(first, state.last_s[row], np.roll(at_s, 1))
    previous_missing = np.where(first, state.last_missing[row], np.roll(missing, 1))
    interval_s = np.where(missing == previous_missing, at_s - previous_s, np.nan)
    counts = np.bincount(row, minlength=len(state.last_s))
    place = np.arange(len(row)) - np.flatnonzero(first)[np.cumsum(first) - 1]
    for name, values in (("at_s", at_s), ("interval_s", interval_s), ("peak", beats.peak), ("foot", beats.foot)):
        setattr(state, name, _appended(getattr(state, name), row, place, counts, values))
    last = np.roll(first, -1)
    state.last_s[row[last]], state.last_missing[row[last]] = at_s[last], missing[last]


def _appended(kept: Floats, row: Indices, place: Indices, counts: Indices, values: Floats) -> Floats:
    """`kept` moved on by `counts` of new `values`, each the `place`th of its `row`."""
    fresh = np.full((len(kept), int(counts.max())), np.nan)
    fresh[row, place] = values
    order = np.arange(kept.shape[1]) + counts[:, None]
    return np.asarray(np.take_along_axis(np.concatenate([kept, fresh], axis=1), order, axis=1), np.float64)


def _interquartile_rate(intervals_s: Floats) -> tuple[Floats, Indices]:
    """60 over the mean of the middle half of each row's intervals, (rows, k), NaN where none; and their number."""
    ordered = np.sort(intervals_s, axis=1)  # NaN sorts last
    count = np.count_nonzero(~np.isnan(ordered), axis=1)
    share = np.arange(ordered.shape[1] + 1) / np.maximum(count, 1)[:, None]
    weight = np.diff(np.clip(share, 0.25, 0.75), axis=1) * 2
    mean_s = np.einsum("ij,ij->i", weight, np.nan_to_num(ordered))
    enough = count >= LEAST_INTERVALS
    return np.where(enough, 60.0 / np.where(enough, mean_s, 1.0), np.nan), np.asarray(count, np.intp)
