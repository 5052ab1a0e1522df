"""Signal quality of a photoplethysmogram, per window and across devices: usable, doubtful or unusable, and why.

Every index looks at one way to fail; `SCALES` says where it is bad and where it is good:
- *shape*: mean correlation of the beats with their template (Orphanidou et al. 2015, IEEE JBHI 19(3):832);
- *purity*: share of the power of 0.5–8 Hz that lies at the pulse rate and its double, and *skewness* of the band-passed
  wave, which rises faster than it falls (both after Elgendi 2016, Bioengineering 3(4):21);
- *rise* of a beat, its height over its steepest slope, which depends little on the pulse rate, and *evenness* of the
  heights: both tell slow random waves from pulses;
- *rhythm*: the longest time between beats (Orphanidou's 3 s; his limit on the ratio of intervals would reject atrial
  fibrillation and is left out);
- *clipping*: share of samples at the window's very top or bottom;
- *continuity*: the largest step between two samples as a share of the window's range, or 32 768 counts: an overflow of
  16 bits, a change of gain, a knock;
- *perfusion*: pulsatile over constant part, where samples are absolute counts;
- *stillness*: standard deviation of the accelerometer's magnitude.

The worst index decides, so that a signal is as good as its worst part. An irregular rhythm and an ectopic beat lower
shape and purity too: doubtful then asks for the ECG, it does not say that the sensor is at fault.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ingest.signals.beats import Found, find
from ingest.signals.smoothing import bridged, present
from vitals.model import Quality, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ingest.signals.beats import Beats
    from ingest.signals.smoothing import Codes, Floats
    from ingest.streams import Indices


class Index(IntEnum):
    """The indices; of several that are equally bad the first gives the reason."""

    COMPLETE = 0  # share of samples that are there
    MOVING = 1  # share of samples of the last `RECENT_S` that differ from the one before
    CLIPPING = 2  # share
    CONTINUITY = 3  # share of the range
    STILLNESS = 4  # g
    PERFUSION = 5  # %
    RHYTHM = 6  # s
    SHAPE = 7  # correlation
    PURITY = 8  # share
    SKEWNESS = 9
    RISE = 10  # s
    EVENNESS = 11  # coefficient of variation


class Scale(NamedTuple):
    """Where a measure is worth 0 and where 1, linear between, and the reason it gives when it is the worst."""

    bad: float
    good: float
    reason: Reason = Reason.POOR_SIGNAL


SCALES: Final[Mapping[Index, Scale]] = MappingProxyType(
    {
        Index.COMPLETE: Scale(0.70, 1.00, Reason.NO_READING),
        Index.MOVING: Scale(0.05, 0.25, Reason.PROBE_OFF),
        Index.CLIPPING: Scale(0.18, 0.02),
        Index.CONTINUITY: Scale(0.80, 0.50),
        Index.STILLNESS: Scale(0.40, 0.04),
        Index.PERFUSION: Scale(0.02, 0.40),
        Index.RHYTHM: Scale(4.0, 2.0),
        Index.SHAPE: Scale(0.82, 0.98),  # 0.90 half-way: noise of the pulse's own band reaches 0.88 by chance
        Index.PURITY: Scale(0.10, 0.80),
        Index.SKEWNESS: Scale(-0.6, 0.4),
        Index.RISE: Scale(0.42, 0.20),  # finger 0.11 to 0.16, a sine of 60 /min 0.32
        Index.EVENNESS: Scale(0.90, 0.30),  # every second beat half as high as its neighbours: 0.33
    }
)
USABLE: Final = 0.5  # of the worst index
DOUBTFUL: Final = 0.15

RECENT_S: Final = 3.0
LEAST_BEATS: Final = 3  # whole ones in the window; no template without
_TEMPLATE_POINTS: Final = 32
_BEFORE: Final = 0.35  # share of a beat's length that its template begins before the steepest rise
_PULSE_BAND_HZ: Final = (0.5, 8.0)
_LEAST: Final = 1e-100  # divides nothing by zero
_OVERFLOW_COUNTS: Final = 32_768.0


@dataclass(frozen=True, slots=True)
class Sqi:
    """Per row: the worst index, 0 to 1, the verdict and its reason, and all indices, (rows, `Index`), 0 to 1.

    `verdict` holds `Quality`, `reason` `Reason` (`PRESENT` where usable). `recent`: correlation with the template of
    the beats of the last `RECENT_S` alone, 0 without any. `rise_s` of the beats is what
    `Index.RISE` judges; `height` is their mean, in the wave's unit.
    """

    index: Floats
    verdict: Codes
    reason: Codes
    indices: Floats
    recent: Floats
    rise_s: Floats
    height: Floats


def assess(
    window: Floats,
    rate_hz: float,
    acceleration_g: Floats | None = None,
    *,
    absolute: bool = False,
    found: Found | None = None,
) -> Sqi:
    """Judge windows of 5 to 10 s, (rows, n), NaN where a sample is missing; a pulse goes upwards.

    `acceleration_g`: (rows, 3, m) of the same time. `absolute`: the samples are counts of light, so that perfusion can
    be told. `found`: `beats.find` of the same window, if known.
    """
    found = found or find(window, rate_hz)
    samples = bridged(window)
    measures = np.zeros((len(window), len(Index)))
    measures[:, Index.COMPLETE] = present(window).mean(axis=1)
    _measure_samples(measures, samples, rate_hz)
    recent = _measure_beats(measures, found, rate_hz)
    height = _mean_height(found.beats, len(window))
    measures[:, Index.STILLNESS] = 0.0 if acceleration_g is None else _motion(acceleration_g)
    measures[:, Index.PERFUSION] = _perfusion_pct(samples, height) if absolute else 100.0
    bad, good = np.array([(scale.bad, scale.good) for scale in SCALES.values()]).T
    indices = np.asarray(np.clip((measures - bad) / (good - bad), 0.0, 1.0), np.float64)
    worst = indices.argmin(axis=1)
    index = indices[np.arange(len(indices)), worst]
    reasons = np.array([scale.reason for scale in SCALES.values()])
    reason = np.where(index >= USABLE, Reason.PRESENT, reasons[worst])
    return Sqi(index, verdict_of(index), reason.astype(np.uint8), indices, recent, measures[:, Index.RISE], height)


def verdict_of(index: Floats) -> Codes:
    """`Quality` of indices from 0 to 1."""
    below = np.where(index >= DOUBTFUL, Quality.DOUBTFUL, Quality.UNUSABLE)
    return np.asarray(np.where(index >= USABLE, Quality.USABLE, below), np.uint8)


def _measure_samples(measures: Floats, samples: Floats, rate_hz: float) -> None:
    """What the samples show without knowing of beats."""
    top, bottom = samples.max(axis=1, keepdims=True), samples.min(axis=1, keepdims=True)
    steps = np.abs(np.diff(samples, axis=1))
    recent = steps[:, -round(RECENT_S * rate_hz) :]
    largest = steps.max(axis=1)
    span = np.maximum((top - bottom)[:, 0], _LEAST)
    measures[:, Index.MOVING] = (recent > 0).mean(axis=1)
    measures[:, Index.CLIPPING] = (samples == top).mean(axis=1) + (samples == bottom).mean(axis=1)
    measures[:, Index.CONTINUITY] = np.where(largest >= _OVERFLOW_COUNTS, 1.0, largest / span)


def _measure_beats(measures: Floats, found: Found, rate_hz: float) -> Floats:
    """What the beats and their wave show; returns `Sqi.recent`."""
    passed = found.passed - found.passed.mean(axis=1, keepdims=True)
    length_s, longest_s = _intervals(found.beats, passed.shape, rate_hz)
    measures[:, Index.RHYTHM] = longest_s
    measures[:, Index.SHAPE], recent = _shape(passed, found.beats, length_s, rate_hz)
    measures[:, Index.PURITY] = _purity(passed, 1 / length_s, rate_hz)
    measures[:, Index.RISE], measures[:, Index.EVENNESS] = _rise_and_spread(passed, found.beats, rate_hz)
    power = np.square(passed).mean(axis=1)
    third = (np.square(passed) * passed).mean(axis=1)
    measures[:, Index.SKEWNESS] = third / np.maximum(power**1.5, _LEAST)
    return recent


def shape_and_rise(found: Found, rate_hz: float) -> tuple[Floats, Floats]:
    """The measures of these names alone, 0 to 1 and in s, for a window that is too short for the others."""
    length_s, _ = _intervals(found.beats, found.passed.shape, rate_hz)
    shape, _ = _shape(found.passed, found.beats, length_s, rate_hz)
    rise_s, _ = _rise_and_spread(found.passed, found.beats, rate_hz)
    return shape, rise_s


def _intervals(beats: Beats, shape: tuple[int, int], rate_hz: float) -> tuple[Floats, Floats]:
    """Per row the median interval between beats, 1 s without any, and the longest time without a beat, in s."""
    rows, length = shape
    counts = np.bincount(beats.row, minlength=rows)
    place = np.arange(len(beats.row)) - (np.cumsum(counts) - counts)[beats.row]
    at = np.full((rows, int(counts.max(initial=0)) + 1), np.nan)
    at[beats.row, place] = beats.at
    intervals_s = np.sort(np.diff(at, axis=1, append=np.nan) / rate_hz, axis=1)
    between = np.maximum(counts - 1, 0)
    every = np.arange(rows)
    median_s = np.where(between > 0, intervals_s[every, np.maximum(between - 1, 0) // 2], 1.0)
    longest_s = np.where(between > 0, intervals_s[every, np.maximum(between - 1, 0)], length / rate_hz)
    to_end_s = (length - np.nan_to_num(at[every, np.maximum(counts - 1, 0)])) / rate_hz
    return median_s, np.maximum(longest_s, to_end_s)


def _shape(passed: Floats, beats: Beats, length_s: Floats, rate_hz: float) -> tuple[Floats, Floats]:
    """Mean correlation of each row's whole beats with their mean, and of the recent ones; 0 for too few."""
    rows, samples = passed.shape
    phases = (np.arange(_TEMPLATE_POINTS) + 0.5) / _TEMPLATE_POINTS - _BEFORE
    places = beats.at[:, None] + phases * (length_s[beats.row] * rate_hz)[:, None]
    whole = (places[:, 0] >= 0) & (places[:, -1] < samples - 1)
    row, places = beats.row[whole], places[whole]
    counts = np.bincount(row, minlength=rows)
    before = places.astype(np.intp)
    left, right = passed[row[:, None], before], passed[row[:, None], before + 1]
    beat = left + (places - before) * (right - left)
    beat -= beat.mean(axis=1, keepdims=True)
    beat /= np.maximum(np.sqrt(np.square(beat).sum(axis=1, keepdims=True)), _LEAST)  # a knock is one beat of many
    template = np.zeros((rows, _TEMPLATE_POINTS))
    begins = (np.cumsum(counts) - counts)[counts > 0]
    if len(begins):
        template[counts > 0] = np.add.reduceat(beat, begins, axis=0)
    norm = np.sqrt(np.square(template).sum(axis=1))[row]
    correlation = (beat * template[row]).sum(axis=1) / np.maximum(norm, _LEAST)
    recent = places[:, -1] >= samples - RECENT_S * rate_hz
    mean = _mean_by_row(correlation, row, rows)
    late = _mean_by_row(correlation[recent], row[recent], rows)
    return np.where(counts >= LEAST_BEATS, mean, 0.0), np.where(counts >= LEAST_BEATS, late, 0.0)


def _rise_and_spread(passed: Floats, beats: Beats, rate_hz: float) -> tuple[Floats, Floats]:
    """Per row the mean height of its beats over their mean steepest slope, in s, and the heights' variation."""
    rows = len(passed)
    before = np.minimum(beats.at.astype(np.intp), passed.shape[1] - 2)
    slope = (passed[beats.row, before + 1] - passed[beats.row, before]) * rate_hz
    height = beats.peak - beats.foot
    mean = _mean_height(beats, rows)
    spread = np.sqrt(np.maximum(_mean_by_row(np.square(height - mean[beats.row]), beats.row, rows), 0.0))
    return mean / np.maximum(_mean_by_row(slope, beats.row, rows), _LEAST), spread / np.maximum(mean, _LEAST)


def _mean_by_row(values: Floats, row: Indices, rows: int) -> Floats:
    sums = np.bincount(row, values, minlength=rows)
    return np.asarray(sums / np.maximum(np.bincount(row, minlength=rows), 1), np.float64)


def _purity(passed: Floats, pulse_hz: Floats, rate_hz: float) -> Floats:
    """Share of the pulse band's power within about one line's width of the pulse rate and of its double."""
    samples = passed.shape[1]
    power = np.square(np.abs(np.fft.rfft(passed * np.hanning(samples), axis=1)))
    frequency = np.fft.rfftfreq(samples, 1 / rate_hz)
    inside = (frequency >= _PULSE_BAND_HZ[0]) & (frequency <= _PULSE_BAND_HZ[1])
    power, frequency = power[:, inside], frequency[inside]
    width_hz = 2 * rate_hz / samples  # half a Hann window's main lobe
    near = np.abs(frequency - pulse_hz[:, None]) <= width_hz
    near |= np.abs(frequency - 2 * pulse_hz[:, None]) <= width_hz
    return np.asarray((power * near).sum(axis=1) / np.maximum(power.sum(axis=1), _LEAST), np.float64)


def _mean_height(beats: Beats, rows: int) -> Floats:
    return _mean_by_row(beats.peak - beats.foot, beats.row, rows)


def _perfusion_pct(samples: Floats, height: Floats) -> Floats:
    """Mean height of the beats over the mean level."""
    return np.asarray(100 * height / np.maximum(np.abs(samples.mean(axis=1)), 1.0), np.float64)


def _motion(acceleration_g: Floats) -> Floats:
    """Standard deviation of the magnitude, in g; large where readings are missing."""
    magnitude = np.sqrt(np.square(acceleration_g).sum(axis=1))
    return np.asarray(np.nan_to_num(magnitude.std(axis=1), nan=1.0, posinf=1.0), np.float64)
