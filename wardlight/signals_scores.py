"""How a score is told: estimates beside their reference, measures with what they must hold, and the error statistics.

One rule for all rates: a window counts whenever the **reference** has a value. A window without an estimate is as
wrong as if 0 had been shown, so that silence cannot improve a figure; *coverage* says how much the gated ones leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Track:
    """One record's estimates: all (n,), at the ends `at_s` of their windows. `trusted`: what quality gating leaves."""

    name: str
    at_s: Floats
    reference: Floats
    estimate: Floats
    trusted: Mask

    @property
    def errors(self) -> Floats:
        """Absolute errors of the windows that have a reference."""
        known = np.isfinite(self.reference)
        return np.abs(np.nan_to_num(self.estimate[known]) - self.reference[known])

    @property
    def gated(self) -> Mask:
        """Which of these windows are trusted."""
        known = np.isfinite(self.reference)
        return np.asarray(self.trusted[known] & np.isfinite(self.estimate[known]))


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure with its name. `bound` is what it must hold, and `at_most` on which side; None: only stated."""

    name: str
    value: float
    bound: float | None = None
    at_most: bool = True
    decimals: int = 2

    @property
    def holds(self) -> bool | None:
        """Whether the bound is kept; None without one."""
        if self.bound is None:
            return None
        return bool(self.value <= self.bound if self.at_most else self.value >= self.bound)


@dataclass(frozen=True, slots=True)
class Score:
    """What one task scored on the recordings of one folder.

    `per_record`: record → figure → value. `tracks`: for pictures. `us_per_device_s`: CPU time of the method for a
    second of one device, in µs.
    """

    family: str
    task: str
    records: int
    measures: tuple[Measure, ...]
    per_record: dict[str, dict[str, float | str]]
    us_per_device_s: float
    tracks: tuple[Track, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a rate must hold: `mae`, share of all windows within `limit`, and the gated figures; None: only stated."""

    limit: float
    mae: float | None = None
    within: float | None = None
    gated_mae: float | None = None
    gated_within: float | None = None
    coverage: float | None = None


def rate_measures(tracks: Sequence[Track], bounds: Bounds) -> tuple[Measure, ...]:
    """The common figures of a rate over all windows of all records."""
    errors = np.concatenate([track.errors for track in tracks])
    gated = np.concatenate([track.gated for track in tracks])
    trusted = errors[gated]
    within = f"share within {bounds.limit:g}"
    return (
        Measure("mean absolute error, all windows", _mean(errors), bounds.mae),
        Measure(f"{within}, all windows", _mean(errors <= bounds.limit), bounds.within, False, 3),
        Measure("coverage when gated by quality", _mean(gated), bounds.coverage, False, 3),
        Measure("mean absolute error, gated", _mean(trusted), bounds.gated_mae),
        Measure(f"{within}, gated", _mean(trusted <= bounds.limit), bounds.gated_within, False, 3),
        Measure("mean absolute error, worst record", max(_mean(track.errors) for track in tracks)),
    )


def rate_records(tracks: Sequence[Track], limit: float) -> dict[str, dict[str, float | str]]:
    """The figures of every record."""
    return {
        track.name: {
            "windows": len(track.errors),
            "mae": _mean(track.errors),
            "within": _mean(track.errors <= limit),
            "coverage": _mean(track.gated),
            "gated_mae": _mean(track.errors[track.gated]),
            "gated_within": _mean(track.errors[track.gated] <= limit),
        }
        for track in tracks
    }


def longest_s(track: Track, limit: float) -> float:
    """The longest time on end in which the error stays above `limit`, in s."""
    off = np.append(track.errors > limit, False)
    step_s = float(np.median(np.diff(track.at_s))) if len(track.at_s) > 1 else 0.0
    longest = run = 0
    for wrong in off.tolist():
        run = run + 1 if wrong else 0
        longest = max(longest, run)
    return longest * step_s


def _mean(values: Floats | Mask) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
