"""Intervals between beats, and when each beat was. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.devices.driver import HeardSample
from gateway.devices.reading import reading
from vitals.model import Quality, Reason, Vital


class Interval(NamedTuple):
    """The time between two beats. With a `reason`, the device says that they were none."""

    milliseconds: float
    reason: Reason = Reason.PRESENT
    quality: Quality = Quality.UNKNOWN


@dataclass(frozen=True, slots=True)
class Beats:
    """`last_ns`: of the last beat that was passed on; `sequence`: of its sample."""

    last_ns: int | None = None
    sequence: int = 0

    def add(self, intervals: Sequence[Interval], ended_ns: int) -> tuple[Beats, tuple[HeardSample, ...]]:
        """A sample for each interval, oldest first, at the beat that ended it: the last one at `ended_ns`.

        What the radio held up would put beats before the last one known. They are set to its time, and `sequence`
        keeps their order.
        """
        beats, samples = self, []
        behind_ms = sum(interval.milliseconds for interval in intervals)
        for milliseconds, reason, quality in intervals:
            behind_ms -= milliseconds
            beats = _next(beats, ended_ns - round(behind_ms * 1e6))
            value = milliseconds if reason is Reason.PRESENT else None
            assert beats.last_ns is not None
            samples.append(reading(Vital.RR_INTERVAL, beats.last_ns, value, reason, quality, sequence=beats.sequence))
        return beats, tuple(samples)


NO_BEATS: Final = Beats()


def _next(beats: Beats, at_ns: int) -> Beats:
    if beats.last_ns is None or at_ns > beats.last_ns:
        return Beats(at_ns)
    return Beats(beats.last_ns, beats.sequence + 1)
