"""From readings to what a chart may draw: runs without gaps, the times without a value, and each column's extremes.

Pure, on arrays. A run is a stretch of one device that may be drawn as one line: no reading in it is missing and none
came late.
"""

from __future__ import annotations

from collections.abc import Iterator
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
    """Readings of one vital, oldest first: arrays of one length, `value` NaN where `reason` is not `PRESENT`.

    `device`: a number for each of the devices that measured it, which may be several at a time.
    """

    @property
    def device(self) -> npt.NDArray[np.uint32]: ...
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
    """A time without a value, and the commonest reason that was reported; `None`: nothing was heard."""

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
    """Index arrays of the stretches that may each be drawn as one line, device by device."""
    found: list[Indices] = []
    for device in np.unique(readings.device):
        found += _runs_of(readings, np.flatnonzero(readings.device == device))
    return found


def _runs_of(readings: Readings, own: Indices) -> list[Indices]:
    times = readings.sampled_at_ns[own]
    kept = np.flatnonzero(present(readings)[own])
    if not kept.size:
        return []
    broken = (np.diff(kept) > 1) | (np.diff(times[kept]) > late_after_ns(times))
    return np.split(own[kept], np.flatnonzero(broken) + 1)


def gaps(readings: Readings, start_ns: int, end_ns: int) -> list[Gap]:
    """The times between `start_ns` and `end_ns` without a value of any device, each longer than one late reading."""
    times = readings.sampled_at_ns
    late_ns = late_after_ns(times)
    found, covered_ns = [], start_ns
    for begin_ns, last_ns in sorted((int(times[run[0]]), int(times[run[-1]])) for run in runs(readings)):
        if begin_ns - covered_ns > late_ns:
            found.append((covered_ns, begin_ns))
        covered_ns = max(covered_ns, last_ns)
    if end_ns - covered_ns > late_ns:
        found.append((covered_ns, end_ns))
    return [gap for begin_ns, last_ns in found for gap in _explained(readings, begin_ns, last_ns, late_ns)]


def _explained(readings: Readings, start_ns: int, end_ns: int, late_ns: int) -> Iterator[Gap]:
    """A time without a value, divided into where missing values were reported and where nothing was heard."""
    times = readings.sampled_at_ns
    reported = np.flatnonzero((times >= start_ns) & (times <= end_ns) & ~present(readings))
    points = np.concatenate(([start_ns], times[reported], [end_ns]))
    silences = np.flatnonzero(np.diff(points) > late_ns)
    heard_from = 0
    for before in [*silences.tolist(), points.size - 1]:
        begin_ns, last_ns = int(points[heard_from]), int(points[before])
        if last_ns - begin_ns > late_ns:
            here = reported[max(heard_from - 1, 0) : before]
            yield Gap(begin_ns, last_ns, Reason(int(np.bincount(readings.reason[here]).argmax())))
        if before < points.size - 1:
            yield Gap(last_ns, int(points[before + 1]), None)
        heard_from = before + 1


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
