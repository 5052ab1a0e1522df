"""Suspicion of an irregularly irregular rhythm, as in atrial fibrillation: an advisory for a person to look at an ECG.

    advisories(rr_ms, normal)   ─▶ one verdict per segment of 128 intervals, each 64 after the last

`rhythm.correct` calls it, and its result holds the verdicts. Two published methods look at the intervals as received,
and both must agree:

- Dash et al. (Ann Biomed Eng 37(9):1701–1709, 2009) over 128 intervals: RMSSD above 10 % of the mean, turning points
  between 54 and 77 % of the intervals (those of random numbers), normalised Shannon entropy of a 16-bin histogram
  without the 8 longest and 8 shortest above 0.7;
- Lake & Moorman (Am J Physiol Heart Circ Physiol 300:H319–H325, 2011): the coefficient of sample entropy over 12
  intervals (m = 1, r from 30 ms up until 5 matches are found) above −1.4, by its median over the segment.

Either alone mistakes something common for fibrillation: the first, ectopic beats in no order; the second, strong
respiratory arrhythmia of a slow pulse. A third condition is ours: the steps between intervals that correction left as
`normal` are above 7 % in the median. Between ectopic beats lies a sinus rhythm, with steps of 2 to 6 %; in
fibrillation nothing is regular, whatever is taken away.

It is no diagnosis, never an alarm, and says nothing of flutter with regular conduction, which no RR interval shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Floats: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]

SEGMENT: Final = 128  # intervals, about two minutes
STEP: Final = 64

_LEAST_RMSSD: Final = 0.1
_TURNING: Final = (0.54, 0.77)
_LEAST_ENTROPY: Final = 0.7
_BINS: Final = 16
_OUTLIERS: Final = 8  # at either end
_LEAST_COSEN: Final = -1.4
_RUN: Final = 12
_TOLERANCE_MS: Final = 30.0
_MATCHES: Final = 5
_WIDER: Final = 1.2  # per step, until enough runs match
_LEAST_STEP: Final = 0.07  # of the interval, median
_LEAST_STEPS: Final = 10  # without so many nothing is known of what lies between
_WIDENINGS: Final = 40  # 30 ms × 1.2⁴⁰ is more than any interval


@dataclass(frozen=True, slots=True)
class Advisory:
    """The verdict on `SEGMENT` intervals from number `first` on, with the five figures it rests on."""

    first: int
    suspected: bool
    rmssd_share: float  # RMSSD / mean interval
    turning_share: float
    entropy: float  # 0 to 1
    cosen: float  # median coefficient of sample entropy
    step_share: float  # median step between successive normal intervals; NaN where there are too few


def advisories(rr_ms: Floats, normal: Mask) -> list[Advisory]:
    """Verdicts along one uninterrupted series, in ms; none below `SEGMENT` intervals or where any is NaN.

    `normal`: which intervals a correction for ectopic beats left as they are; both (n,).
    """
    segments = [slice(first, first + SEGMENT) for first in range(0, len(rr_ms) - SEGMENT + 1, STEP)]
    return [_advisory(part.start, rr_ms[part], normal[part]) for part in segments if _sound(rr_ms[part])]


def _sound(rr: Floats) -> bool:
    return bool(np.isfinite(rr).all() and (rr > 0).all())


def _advisory(first: int, rr: Floats, normal: Mask) -> Advisory:
    rmssd_share = float(np.sqrt(np.mean(np.diff(rr) ** 2)) / rr.mean())
    turns = np.diff(rr)[:-1] * np.diff(rr)[1:] < 0
    turning_share = float(np.count_nonzero(turns) / len(rr))
    entropy = _shannon(np.sort(rr)[_OUTLIERS:-_OUTLIERS])
    cosen = float(np.median(coefficients_of_sample_entropy(rr)))
    step_share = _step_share(rr, normal)
    suspected = (
        rmssd_share > _LEAST_RMSSD
        and _TURNING[0] < turning_share < _TURNING[1]
        and entropy > _LEAST_ENTROPY
        and cosen > _LEAST_COSEN
        and step_share > _LEAST_STEP  # False where it is NaN: unbroken bigeminy leaves nothing in between
    )
    return Advisory(first, suspected, rmssd_share, turning_share, entropy, cosen, step_share)


def _step_share(rr: Floats, normal: Mask) -> float:
    steps = (np.abs(np.diff(rr)) / rr[:-1])[normal[1:] & normal[:-1]]
    return float(np.median(steps)) if len(steps) >= _LEAST_STEPS else float("nan")


def _shannon(values: Floats) -> float:
    """Entropy of the histogram over the range of `values`, 1 for all bins alike."""
    if values[0] == values[-1]:
        return 0.0
    counts, _ = np.histogram(values, _BINS)
    shares = counts[counts > 0] / len(values)
    return float(-(shares * np.log(shares)).sum() / np.log(_BINS))


def coefficients_of_sample_entropy(rr: Floats) -> Floats:
    """COSEn of the 12 intervals from each sixth on, (k,): −ln(A/B) + ln(2r) − ln(mean), r in ms."""
    runs = sliding_window_view(rr, _RUN)[:: _RUN // 2]
    apart = np.abs(runs[:, :, None] - runs[:, None, :])
    row, column = np.triu_indices(_RUN - 1, 1)
    alone = apart[:, :-1, :-1][:, row, column]
    paired = np.maximum(alone, apart[:, 1:, 1:][:, row, column])
    tolerance = np.full(len(runs), _TOLERANCE_MS)
    for _ in range(_WIDENINGS):
        few = np.count_nonzero(paired <= tolerance[:, None], axis=1) < _MATCHES
        if not few.any():
            break
        tolerance[few] *= _WIDER
    two = np.count_nonzero(paired <= tolerance[:, None], axis=1)
    one = np.count_nonzero(alone <= tolerance[:, None], axis=1)
    return np.asarray(np.log(one / np.maximum(two, 1)) + np.log(2 * tolerance) - np.log(runs.mean(axis=1)), np.float64)
