"""From readings to what a chart may draw: runs without gaps, the times without a value, and each column's extremes.

Pure, on arrays. A run is a stretch that may be drawn as one line: no reading in it is missing and none came late.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from vitals.model import Quality, Reason

Indices: TypeAlias = npt.NDArray[np.intp]
Times: TypeAlias = npt.NDArray[np.int64]
Numbers: TypeAlias = npt.NDArray[np.float64]

_S: Final = 1_000_000_000
LATE_LEAST_NS: Final = 3 * _S  # one lost notification of a 1 Hz stream is not yet a gap worth seeing
LATE_MOST_NS: Final = 30 * _S  # from here on a value is out of date on every display; no line spans it
LATE_INTERVALS: Final = 3  # a stream's own pace counts: three intervals without a reading are a gap


class Readings(Protocol):
    """Readings of one vital, oldest first: arrays of one length, `value` NaN where `reason` is not `PRESENT`."""

    @property
    def sampled_at_ns(self) -> npt.NDArray[np.int64]: ...
    @property
    def value(self) -> npt.NDArray[np.float64]: ...
    @property
    def reason(self) -> npt.NDArray[np.uint8]: ...
    @property
    def quality(self) -> npt.NDArray[np.uint8]: ...


@dataclass(frozen=True, slots=True)
class Gap:
    """A time without a value, and the commonest reason the device or the services gave; `None`: nothing was heard."""

    start_ns: int
    end_ns: int
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class Summary:
    """Lowest, highest and last value of the period, and when the last was measured."""

    low: float
    high: float
    last: float
    last_at_ns: int


def present(readings: Readings) -> npt.NDArray[np.bool_]:
    """Where there is a value."""
    measured: npt.NDArray[np.bool_] = np.isfinite(readings.value) & (readings.reason == int(Reason.PRESENT))
    return measured


def doubtful(readings: Readings) -> npt.NDArray[np.bool_]:
    """Where a value is not to be relied on: poor signal, or a test mode."""
    unsure: npt.NDArray[np.bool_] = readings.quality >= int(Quality.DOUBTFUL)
    return unsure


def late_after_ns(times: Times) -> int:
    """The longest interval between two readings that is still one line."""
    if len(times) < 2:
        return LATE_MOST_NS
    usual_ns = int(np.median(np.diff(times)))
    return int(np.clip(LATE_INTERVALS * usual_ns, LATE_LEAST_NS, LATE_MOST_NS))


def runs(readings: Readings) -> list[Indices]:
    """Index arrays of the stretches that may each be drawn as one line."""
    kept = np.flatnonzero(present(readings))
    if not kept.size:
        return []
    times = readings.sampled_at_ns
    broken = (np.diff(kept) > 1) | (np.diff(times[kept]) > late_after_ns(times))
    return np.split(kept, np.flatnonzero(broken) + 1)


def gaps(readings: Readings, start_ns: int, end_ns: int) -> list[Gap]:
    """The times between `start_ns` and `end_ns` without a value, each longer than one late reading."""
    times = readings.sampled_at_ns
    edges = [start_ns]
    for run in runs(readings):
        edges += [int(times[run[0]]), int(times[run[-1]])]
    edges.append(end_ns)
    late_ns = late_after_ns(times)
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [Gap(a, b, _reason(readings, a, b)) for a, b in pairs if b - a > late_ns]


def _reason(readings: Readings, start_ns: int, end_ns: int) -> Reason | None:
    inside = (readings.sampled_at_ns >= start_ns) & (readings.sampled_at_ns <= end_ns) & ~present(readings)
    if not inside.any():
        return None
    return Reason(int(np.bincount(readings.reason[inside]).argmax()))


def extremes(columns: Indices, values: Numbers) -> Indices:
    """Indices, in time order, of each column's first, lowest, highest and last reading.

    `columns`: the column of every reading, not decreasing. Joining these shows every peak and dip that joining all
    readings would show.
    """
    if not columns.size:
        return np.empty(0, np.intp)
    edges = np.flatnonzero(np.diff(columns)) + 1
    first = np.concatenate(([0], edges))
    last = np.concatenate((edges, [columns.size])) - 1
    by_value = np.lexsort((values, columns))
    return np.unique(np.concatenate((first, by_value[first], by_value[last], last)))


def summary(readings: Readings) -> Summary | None:
    """What stands beside the chart; `None` when there is no value in it."""
    kept = np.flatnonzero(present(readings))
    if not kept.size:
        return None
    values, last = readings.value[kept], int(kept[-1])
    return Summary(
        float(values.min()), float(values.max()), float(readings.value[last]), int(readings.sampled_at_ns[last])
    )
