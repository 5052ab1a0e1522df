"""What time it was: from readings of two clocks to UTC for everything that was heard. Pure, around `vitals.clock`.

What is heard carries monotonic time. As long as nobody knows the time, it is held; once it is known, one offset turns
monotonic time into UTC, for what was held as for what comes. A time that cannot be known is said to be unknown, with
bounds where there are any; it is never made up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from gateway.collect import HeardDevice
from vitals.clock import STEP_NS, UNKNOWN_UNCERTAINTY_MS, ClockKeeper, Moment, observe, resynchronise
from vitals.model import ClockSource, ClockTrust, DeviceBatch, Sample, WaveformBlock

ACCEPT_AFTER_NS: Final = 600_000_000_000  # a synchronised clock that insists for so long on another time is right
AGE_AFTER_NS: Final = 3_600_000_000_000  # trusted without a break for so long: good enough to drop what is old
EARLIEST_NS: Final = 1_577_836_800_000_000_000  # 2020-01-01: a wall clock before that was never set


_UNSET: Final = ClockKeeper()


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Both clocks, read together. `synchronised`: what the system says of its wall clock."""

    wall_ns: int
    monotonic_ns: int
    synchronised: bool


@dataclass(frozen=True, slots=True)
class Anchor:
    """At `monotonic_ns` of boot `boot` it was `utc_ns`: what survives a restart."""

    boot: str
    utc_ns: int
    monotonic_ns: int


@dataclass(frozen=True, slots=True)
class Timing:
    """How monotonic time becomes UTC, by adding `offset_ns`, and how far the result can be trusted."""

    offset_ns: int
    trust: ClockTrust


@dataclass(frozen=True, slots=True)
class Timekeeper:
    """What is known of the time. `steps`: of the wall clock, believed or not."""

    boot: str
    keeper: ClockKeeper = _UNSET
    insists_since_ns: int | None = None  # a synchronised clock has differed by about `insists_by_ns` since then
    insists_by_ns: int = 0
    trusted_since_ns: int | None = None
    steps: int = 0


def begin(boot: str, anchor: Anchor | None) -> Timekeeper:
    """At start. An `anchor` of this boot is as good as if the process had never ended; one of another says nothing."""
    if anchor is None or anchor.boot != boot:
        return Timekeeper(boot)
    return Timekeeper(boot, ClockKeeper(anchor.utc_ns, anchor.monotonic_ns))


def look(timekeeper: Timekeeper, reading: ClockReading) -> tuple[Timekeeper, Moment]:
    """Take a reading of the clocks, about once a second; the time now."""
    keeper, moment = observe(
        timekeeper.keeper,
        wall_ns=reading.wall_ns,
        monotonic_ns=reading.monotonic_ns,
        synchronised=reading.synchronised,
    )
    if not keeper.suspect:
        trusted = moment.trust.source is ClockSource.SYNCHRONISED
        since_ns = timekeeper.trusted_since_ns if timekeeper.trusted_since_ns is not None else reading.monotonic_ns
        after = replace(timekeeper, keeper=keeper, insists_since_ns=None)
        return replace(after, trusted_since_ns=since_ns if trusted else None), moment
    return _doubt(replace(timekeeper, keeper=keeper, trusted_since_ns=None), reading, moment)


def _doubt(timekeeper: Timekeeper, reading: ClockReading, moment: Moment) -> tuple[Timekeeper, Moment]:
    """A synchronised wall clock says another time than expected: it is followed when it insists."""
    by_ns = reading.wall_ns - moment.utc_ns
    since_ns = timekeeper.insists_since_ns
    if since_ns is None or abs(by_ns - timekeeper.insists_by_ns) > STEP_NS:
        steps = timekeeper.steps + 1
        return replace(timekeeper, insists_since_ns=reading.monotonic_ns, insists_by_ns=by_ns, steps=steps), moment
    if reading.monotonic_ns - since_ns < ACCEPT_AFTER_NS:
        return timekeeper, moment
    keeper, moment = resynchronise(wall_ns=reading.wall_ns, monotonic_ns=reading.monotonic_ns)
    return replace(timekeeper, keeper=keeper, insists_since_ns=None, trusted_since_ns=reading.monotonic_ns), moment


def timing(timekeeper: Timekeeper, moment: Moment) -> Timing | None:
    """How to time what is heard in this boot; `None` while nobody knows."""
    keeper = timekeeper.keeper
    if keeper.utc_ns is None or keeper.monotonic_ns is None:
        return None
    return Timing(keeper.utc_ns - keeper.monotonic_ns, moment.trust)


def may_age(timekeeper: Timekeeper, monotonic_ns: int) -> bool:
    """Whether the time is good enough to drop what is old: one wrong synchronisation must not empty a spool."""
    since_ns = timekeeper.trusted_since_ns
    return since_ns is not None and monotonic_ns - since_ns >= AGE_AFTER_NS


def anchor(timekeeper: Timekeeper) -> Anchor | None:
    """What is to be remembered across a restart."""
    keeper = timekeeper.keeper
    if keeper.utc_ns is None or keeper.monotonic_ns is None:
        return None
    return Anchor(timekeeper.boot, keeper.utc_ns, keeper.monotonic_ns)


def unsynchronised(reading: ClockReading) -> Timing:
    """For readings that can wait no longer: the unset wall clock, which is said to be unset."""
    offset_ns = max(reading.wall_ns, EARLIEST_NS) - reading.monotonic_ns
    return Timing(offset_ns, ClockTrust(ClockSource.UNSYNCHRONISED, UNKNOWN_UNCERTAINTY_MS))


def of_earlier_boot(last_monotonic_ns: int, *, boot_began_ns: int, earliest_ns: int | None) -> Timing:
    """For what was heard before the power was cut, until `last_monotonic_ns` of that boot.

    It was before this boot began (UTC) and, where an anchor tells, after `earliest_ns`: it is put in the middle, with
    half the span as uncertainty. Without an earliest time it is put at the end and nothing is claimed. Distances within
    that boot stay right either way.
    """
    source = ClockSource.UNSYNCHRONISED
    if earliest_ns is None or earliest_ns >= boot_began_ns:
        return Timing(boot_began_ns - last_monotonic_ns, ClockTrust(source, UNKNOWN_UNCERTAINTY_MS))
    half_ns = (boot_began_ns - earliest_ns) // 2
    return Timing(boot_began_ns - half_ns - last_monotonic_ns, ClockTrust(source, half_ns / 1e6))


def timed(devices: tuple[HeardDevice, ...], by: Timing) -> tuple[DeviceBatch, ...]:
    """What was heard, in UTC. What would lie before 1970 cannot be said on the wire and is left out."""
    return tuple(shifted(device, by.offset_ns) for device in devices)


def shifted(device: HeardDevice, offset_ns: int) -> DeviceBatch:
    """`device` with `offset_ns` added to every time."""
    return DeviceBatch(
        device.device,
        tuple(
            Sample(s.vital, s.at_monotonic_ns + offset_ns, s.value, s.reason, s.quality, s.sequence)
            for s in device.samples
            if s.at_monotonic_ns + offset_ns > 0
        ),
        tuple(
            WaveformBlock(
                w.waveform, w.at_monotonic_ns + offset_ns, w.sample_rate_hz, w.samples, w.width_bytes, w.quality
            )
            for w in device.waves
            if w.at_monotonic_ns + offset_ns > 0
        ),
        device.rssi_dbm,
    )
