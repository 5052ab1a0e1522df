"""A wearable's own clock, and when a measurement was made that it tells later. Pure.

The clock has no time zone and may be wrong by years. All that is taken from it are differences: it is read once after
connecting, and from then on its offset to the gateway's monotonic clock is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from gateway.gatt.current_time import CurrentTime
from gateway.gatt.date_time import DateTime

_SECOND_NS: Final = 1_000_000_000
#: A measurement told later than this after it was made comes from memory. Devices take some seconds to connect.
LIVE_WITHIN_NS: Final = 15 * _SECOND_NS
#: How far a measurement may lie after its telling: the clock was read with a delay, and times are whole seconds.
FUTURE_NS: Final = 2 * _SECOND_NS


class Placed(NamedTuple):
    """When a measurement was made, and whether it comes from the device's memory."""

    at_monotonic_ns: int
    stored: bool


@dataclass(frozen=True, slots=True)
class DeviceClock:
    """`offset_ns`: the monotonic clock less the device's; `None` until the device's was read, or when it is not set."""

    offset_ns: int | None = None

    @classmethod
    def read_at(cls, time: CurrentTime, at_monotonic_ns: int) -> Self:
        """The clock that showed `time` when the gateway's showed `at_monotonic_ns`."""
        return cls(None if time.clock_ns is None else at_monotonic_ns - time.clock_ns)

    def place(self, measured_at: DateTime | None, told_at_ns: int, *, from_memory: bool) -> Placed | None:
        """When the measurement was made that was told at `told_at_ns`.

        `measured_at`: `None` when the device does not know. Without a time that can be believed, a measurement counts
        as made when it is told; one from memory could be from any day, and is `None`.
        """
        seconds = None if measured_at is None else measured_at.seconds
        if seconds is None or self.offset_ns is None or seconds * _SECOND_NS + self.offset_ns > told_at_ns + FUTURE_NS:
            return None if from_memory else Placed(told_at_ns, stored=False)
        at_ns = min(seconds * _SECOND_NS + self.offset_ns, told_at_ns)
        return Placed(at_ns, stored=from_memory or told_at_ns - at_ns > LIVE_WITHIN_NS)

    def doubt(self, measured_at: DateTime | None) -> dict[str, str]:
        """The note that a measurement's own time could not be used, if that is so."""
        if self.offset_ns is not None or measured_at is None:
            return {}
        return {"clock": "cannot be read, or is not set: measurements count as made when they arrive"}


NOT_READ: Final = DeviceClock()
