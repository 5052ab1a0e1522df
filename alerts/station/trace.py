"""From readings to what a chart may draw: runs without gaps, the times without a value, and each column's extremes.

Pure, on arrays. A run is a stretch of one device that may be drawn as one line: no reading in it is missing and none
came late.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from vitals.derived import is_best
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

    `device`: index into `devices`; several may have measured it at a time.
    """

    @property
    def devices(self) -> Sequence[str]: ...
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
class Course:
    """Readings that were chosen from others."""

    devices: tuple[str, ...]
    device: npt.NDArray[np.uint32]
    sampled_at_ns: Times
    value: Numbers
    reason: npt.NDArray[np.uint8]
    quality: npt.NDArray[np.uint8]


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


def best_course(*several: Readings) -> Course | None:
    """The patient's best values among readings that tell the same, and the devices' own for the times without any.

    `None` when there never was a best value.
    """
    joined = _joined(several)
    best = np.array([is_best(device) for device in joined.devices], np.bool_)[joined.device]
    if not best.any():
        return None
    known = joined.sampled_at_ns[best]
    after = np.searchsorted(known, joined.sampled_at_ns)
    since = joined.sampled_at_ns - known[np.maximum(after - 1, 0)]
    until = known[np.minimum(after, known.size - 1)] - joined.sampled_at_ns
    alone = (np.abs(since) > LATE_MOST_NS) & (np.abs(until) > LATE_MOST_NS)
    return _chosen(joined, np.flatnonzero(best | alone))


def _joined(several: Sequence[Readings]) -> Course:
    """All readings, oldest first, each with the number that its device has among all."""
    first = np.cumsum([0, *(len(readings.devices) for readings in several)])
    course = Course(
        tuple(device for readings in several for device in readings.devices),
        np.concatenate([r.device + np.uint32(n) for r, n in zip(several, first[:-1], strict=True)]),
        np.concatenate([readings.sampled_at_ns for readings in several]),
        np.concatenate([readings.value for readings in several]),
        np.concatenate([readings.reason for readings in several]),
        np.concatenate([readings.quality for readings in several]),
    )
    return _chosen(course, np.argsort(course.sampled_at_ns, kind="stable"))


def _chosen(course: Course, rows: Indices) -> Course:
    return Course(
        course.devices,
        course.device[rows],
        course.sampled_at_ns[rows],
        course.value[rows],
        course.reason[rows],
        course.quality[rows],
    )


def present(readings: Readings) -> npt.NDArray[np.bool_]:
    """Where there is a value."""
    measured: npt.NDArray[np.bool_] = np.isfinite(readings.value) & (readings.reason == int(Reason.PRESENT))
    return measured


def doubtful(readings: Readings) -> npt.NDArray[np.bool_]:
    """Where a value is not to be relied on: poor signal, or a test mode."""
    unsure: npt.NDArray[np.bool_] = readings.quality >= int(Quality.DOUBTFUL)
    return unsure


def doubtful_stretches(readings: Readings) -> list[tuple[int, int]]:
    """From when to when values were doubtful without a break, device by device."""
    unsure, times = doubtful(readings), readings.sampled_at_ns
    found = []
    for run in runs(readings):
        edges = np.flatnonzero(np.diff(np.concatenate(([0], unsure[run].astype(np.int8), [0]))))
        found += [(int(times[run[a]]), int(times[run[b - 1]])) for a, b in edges.reshape(-1, 2).tolist()]
    return found


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
