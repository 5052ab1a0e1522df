"""Where a device's clock stands against the gateway's. Pure.

A device's clock is anything that advances evenly with its samples: the time stamps of Polar's frames, or the count of
the samples themselves. Each arrival bounds its offset from above, since nothing is heard before it was measured; what
the radio held up says nothing. So the offset falls at once to what an early arrival proves, and rises only as slowly as
clocks drift apart: it follows the drift for days, and no jitter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Pace:
    """`offset_ns`: the monotonic clock less the device's, `None` before anything was heard.

    `drift_ppm`: how fast the two may part. `step_ns`: heard later than this, the device's clock was set back, or
    samples that were counted on are missing: the offset is found anew.
    """

    drift_ppm: int
    step_ns: int
    offset_ns: int | None = None
    heard_ns: int = 0

    def hear(self, device_ns: int, at_ns: int) -> Pace:
        """What the device's clock showed as `device_ns` arrived at `at_ns` of the monotonic clock."""
        proven_ns = at_ns - device_ns
        if self.offset_ns is None or proven_ns - self.offset_ns > self.step_ns:
            return Pace(self.drift_ppm, self.step_ns, proven_ns, device_ns)
        passed_ns = max(device_ns - self.heard_ns, 0)
        drifted_ns = self.offset_ns + passed_ns * self.drift_ppm // _MILLION
        return Pace(self.drift_ppm, self.step_ns, min(proven_ns, drifted_ns), max(device_ns, self.heard_ns))

    def at(self, device_ns: int) -> int:
        """The monotonic time of a device's time; something must have been heard."""
        assert self.offset_ns is not None, "nothing was heard yet"
        return device_ns + self.offset_ns


def counted() -> Pace:
    """For samples that are merely counted.

    A device may sample 0.2 % slower than it says, and faster by any factor; more allowance would follow the radio's
    jitter instead. Half a second too late, samples were lost on the way: cheap devices throw away what their radio
    cannot take.
    """
    return Pace(drift_ppm=2_000, step_ns=500_000_000)


def stamped() -> Pace:
    """For time stamps: quartz drifts by less than 500 ppm, and no frame is half a minute late on a link that lives."""
    return Pace(drift_ppm=500, step_ns=30_000_000_000)
