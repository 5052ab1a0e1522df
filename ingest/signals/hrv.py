"""Heart rate variability of corrected intervals, by the Task Force's definitions (Eur Heart J 17:354–381, 1996).

    variability([correct(rr_ms[piece]) for piece in split(times_ns, rr_ms)])

Successive differences and spectra stay within a piece: a gap is never bridged. **LF and HF** (0.04–0.15, 0.15–0.40 Hz):
the tachogram is resampled at 4 Hz by a cubic spline, its linear trend removed, and its power density taken by Welch's
method (Hann windows of 256 s, half overlapping); pieces are weighted by length, and those under four minutes tell
no LF. Values of windows of different length must not be compared: `span` says what kind of window it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.signals.rhythm import Corrected

Floats: TypeAlias = npt.NDArray[np.float64]

LEAST_INTERVALS: Final = 4  # three differences: the least that a deviation says anything about
MOST_CORRECTED: Final = 0.04  # of the intervals; more make the rest unfit for HRV (the default of hrv-analysis)
LF_HZ: Final = (0.04, 0.15)
HF_HZ: Final = (0.15, 0.40)

_RESAMPLED_HZ: Final = 4.0
_WELCH_S: Final = 256.0
_LEAST_SPECTRAL_S: Final = 240.0  # ten waves of the lower edge of LF, as the Task Force asks for


class Span(StrEnum):
    """The kind of window, by its covered length."""

    ULTRA_SHORT = "ultra_short"  # under 4.5 minutes: not comparable with the short-term norms
    SHORT = "short"  # the 5-minute recording of the Task Force
    LONG = "long"  # over 30 minutes


@dataclass(frozen=True, slots=True)
class Variability:
    """HRV of one window; NaN where there is too little to say.

    `usable` is False when too much was corrected, or where an irregular rhythm is suspected: it has no NN intervals.

    `covered_s`: the sum of the intervals, gaps not counted. `corrected_share`: of the intervals as received, 0 to 1.
    `lf_share`: LF / (LF + HF), the normalised unit, 0 to 1.
    """

    intervals: int
    covered_s: float
    span: Span
    corrected_share: float
    usable: bool
    mean_nn_ms: float
    sdnn_ms: float
    rmssd_ms: float
    pnn50_pct: float
    lf_ms2: float
    hf_ms2: float

    @property
    def lf_share(self) -> float:
        total = self.lf_ms2 + self.hf_ms2
        return self.lf_ms2 / total if total > 0 else float("nan")

    @property
    def lf_to_hf(self) -> float:
        return self.lf_ms2 / self.hf_ms2 if self.hf_ms2 > 0 else float("nan")


def variability(pieces: Sequence[Corrected]) -> Variability:
    """HRV over the uninterrupted pieces of one window. Deviations are of the sample (n − 1)."""
    nn = [piece.nn_ms for piece in pieces if len(piece.nn_ms) and np.isfinite(piece.nn_ms).all()]
    joined = np.concatenate(nn) if nn else np.empty(0)
    steps = np.concatenate([np.diff(piece) for piece in nn]) if nn else np.empty(0)
    received = sum(len(piece.kinds) for piece in pieces)
    corrected = sum(int(np.count_nonzero(piece.kinds)) for piece in pieces)
    covered_s = float(joined.sum() / 1000)
    share = corrected / received if received else 0.0
    enough = len(joined) >= LEAST_INTERVALS and len(steps) > 0
    lf_ms2, hf_ms2 = _band_powers(nn)
    return Variability(
        intervals=len(joined),
        covered_s=covered_s,
        span=Span.ULTRA_SHORT if covered_s < 270 else Span.SHORT if covered_s <= 1800 else Span.LONG,
        corrected_share=share,
        usable=enough and share <= MOST_CORRECTED and not any(piece.irregular.any() for piece in pieces),
        mean_nn_ms=float(joined.mean()) if enough else float("nan"),
        sdnn_ms=float(joined.std(ddof=1)) if enough else float("nan"),
        rmssd_ms=float(np.sqrt(np.mean(steps**2))) if enough else float("nan"),
        pnn50_pct=float(100 * np.mean(np.abs(steps) > 50)) if enough else float("nan"),
        lf_ms2=lf_ms2,
        hf_ms2=hf_ms2,
    )


def _band_powers(pieces: Sequence[Floats]) -> tuple[float, float]:
    """LF and HF in ms², the mean over the long enough pieces weighted by length; NaN without one."""
    long_enough = [piece for piece in pieces if len(piece) > 3 and piece[1:].sum() / 1000 >= _LEAST_SPECTRAL_S]
    if not long_enough:
        return float("nan"), float("nan")
    powers = np.array([_powers(piece) for piece in long_enough])
    lf, hf = np.average(powers, axis=0, weights=[piece.sum() for piece in long_enough])
    return float(lf), float(hf)


def _powers(nn_ms: Floats) -> tuple[float, float]:
    beats_s = np.cumsum(nn_ms) / 1000
    grid_s = np.arange(beats_s[0], beats_s[-1], 1 / _RESAMPLED_HZ)
    tachogram = import_module("scipy.interpolate").CubicSpline(beats_s, nn_ms)(grid_s)
    signal = import_module("scipy.signal")  # late: importing it takes seconds
    length = min(len(grid_s), round(_WELCH_S * _RESAMPLED_HZ))
    hz, density = signal.welch(signal.detrend(tachogram), _RESAMPLED_HZ, "hann", length, detrend="linear")
    in_lf, in_hf = ((hz >= low) & (hz < high) for low, high in (LF_HZ, HF_HZ))
    width_hz = hz[1] - hz[0]
    return float(density[in_lf].sum() * width_hz), float(density[in_hf].sum() * width_hz)
