"""Clock trust: from a wall clock that may be wrong and a monotonic clock that may drift, an honest time.

A Raspberry Pi has no battery-backed clock. Until time is synchronised its wall clock means nothing, and a
synchronisation can step it by years. The monotonic clock never steps. `ClockKeeper` anchors the one to the other: it
follows the wall clock while that is synchronised and moves as the monotonic clock does, and carries on from the last
good anchor, with a growing uncertainty, when it does not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from vitals.model import ClockSource, ClockTrust

STEP_NS: Final = 500_000_000  # a wall clock that moves this much against the monotonic one was stepped, not slewed
DRIFT_PPM: Final = 100.0  # bound of an uncorrected crystal over temperature
SYNCHRONISED_UNCERTAINTY_MS: Final = 50.0  # NTP over Wi-Fi, ordinarily far better
UNKNOWN_UNCERTAINTY_MS: Final = 1e12  # 32 years: the largest error the wire format can state


@dataclass(frozen=True, slots=True)
class ClockKeeper:
    """The last trusted anchor: at `monotonic_ns` it was `utc_ns`. No anchor yet: both `None`."""

    utc_ns: int | None = None
    monotonic_ns: int | None = None
    suspect: bool = False  # the wall clock was stepped while it claimed to be synchronised


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time and how far it can be trusted."""

    utc_ns: int
    trust: ClockTrust


def observe(keeper: ClockKeeper, *, wall_ns: int, monotonic_ns: int, synchronised: bool) -> tuple[ClockKeeper, Moment]:
    """The time now, from one reading of both clocks taken together.

    `synchronised`: what the system says of its wall clock. A step of the wall clock is believed only from a clock that
    was not trusted before; a trusted clock that jumps is not followed (`HOLDOVER`) until it agrees again or
    `resynchronise` accepts it.
    """
    if keeper.utc_ns is None or keeper.monotonic_ns is None:
        if not synchronised:
            return keeper, Moment(wall_ns, ClockTrust(ClockSource.UNSYNCHRONISED, UNKNOWN_UNCERTAINTY_MS))
        return resynchronise(wall_ns=wall_ns, monotonic_ns=monotonic_ns)
    elapsed_ns = monotonic_ns - keeper.monotonic_ns
    expected_ns = keeper.utc_ns + elapsed_ns
    bound_ns = STEP_NS + int(elapsed_ns * DRIFT_PPM / 1e6)
    if synchronised and abs(wall_ns - expected_ns) <= bound_ns:
        return resynchronise(wall_ns=wall_ns, monotonic_ns=monotonic_ns)
    uncertainty_ms = SYNCHRONISED_UNCERTAINTY_MS + elapsed_ns * DRIFT_PPM / 1e12
    held = Moment(expected_ns, ClockTrust(ClockSource.HOLDOVER, uncertainty_ms))
    return replace(keeper, suspect=synchronised), held


def resynchronise(*, wall_ns: int, monotonic_ns: int) -> tuple[ClockKeeper, Moment]:
    """Take the wall clock as true from here on: the first synchronisation, or an operator's decision."""
    trust = ClockTrust(ClockSource.SYNCHRONISED, SYNCHRONISED_UNCERTAINTY_MS)
    return ClockKeeper(wall_ns, monotonic_ns), Moment(wall_ns, trust)


def retime(sampled_monotonic_ns: int, keeper: ClockKeeper) -> int | None:
    """UTC of a reading taken at a monotonic time, once an anchor exists; `None` before.

    This is what a gateway does with the readings it held while it did not know the time.
    """
    if keeper.utc_ns is None or keeper.monotonic_ns is None:
        return None
    return keeper.utc_ns + (sampled_monotonic_ns - keeper.monotonic_ns)
