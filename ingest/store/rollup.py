"""One-minute rollups: what a chart of a day needs. Pure.

Taken of `value`, what the filters let stand; a minute in which a device changed hands has a rollup for each patient.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from ingest.store.rows import Rows, run_starts

MINUTE_NS: Final = 60 * 10**9
MINUTE_DTYPE: Final = np.dtype(
    [
        ("minute_ns", "<i8"),  # its beginning, UTC
        ("minimum", "<f8"),  # NaN, like the maximum and the mean, in a minute without any value
        ("maximum", "<f8"),
        ("mean", "<f8"),
        ("series", "<u4"),
        ("patient", "<u4"),
        ("count", "<u4"),  # of values
        ("missing", "<u4"),  # samples without a value
        ("reason", "u1"),  # why most of them have none; PRESENT when none is missing
        ("covered_s", "u1"),  # distinct seconds with a value, 0 to 60
    ]
)
Minutes: TypeAlias = npt.NDArray[Any]  # structured, MINUTE_DTYPE
_SECOND_NS: Final = 10**9


def minutes_of(rows: Rows) -> Minutes:
    """The rollups of `rows` (as `unique_sorted` leaves them), ordered by series, minute and patient."""
    minute = rows["sampled_at_ns"] // MINUTE_NS
    if run_starts(rows["series"], rows["patient"]).size > run_starts(rows["series"]).size:  # a device changed hands
        order = np.lexsort((rows["patient"], minute, rows["series"]))
        rows, minute = rows[order], minute[order]
    starts = run_starts(rows["series"], minute, rows["patient"])
    minutes = np.empty(starts.size, MINUTE_DTYPE)
    if not starts.size:
        return minutes
    group = np.repeat(np.arange(starts.size), np.diff(starts, append=rows.size))
    value, present = rows["value"], ~np.isnan(rows["value"])
    count = np.add.reduceat(present.astype(np.int64), starts)
    minutes["minute_ns"] = minute[starts] * MINUTE_NS
    minutes["series"], minutes["patient"] = rows["series"][starts], rows["patient"][starts]
    minutes["count"] = count
    minutes["missing"] = np.diff(starts, append=rows.size) - count
    none = count == 0
    minutes["minimum"] = np.where(none, np.nan, np.minimum.reduceat(np.where(present, value, np.inf), starts))
    minutes["maximum"] = np.where(none, np.nan, np.maximum.reduceat(np.where(present, value, -np.inf), starts))
    total = np.add.reduceat(np.where(present, value, 0.0), starts)
    minutes["mean"] = np.divide(total, count, out=np.full(starts.size, np.nan), where=~none)
    minutes["covered_s"] = _covered(group[present], rows["sampled_at_ns"][present], starts.size)
    minutes["reason"] = _dominating(group[~present], rows["reason"][~present], starts.size)
    return minutes


def _covered(group: npt.NDArray[Any], sampled_at_ns: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """Distinct seconds in each group; times ascend within a group."""
    firsts = run_starts(group, sampled_at_ns // _SECOND_NS)
    return np.bincount(group[firsts], minlength=size)


def _dominating(group: npt.NDArray[Any], reason: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """The most frequent reason of each group, of equally frequent ones the highest; 0 for a group without any."""
    found = np.zeros(size, np.uint8)
    pairs, counts = np.unique(group * 256 + reason, return_counts=True)
    ascending = pairs[np.argsort(counts, kind="stable")]
    found[ascending // 256] = ascending % 256  # the last assignment stands: the most frequent
    return found
