"""What a device driver is: pure, its state a plain value, time an argument. The Bluetooth shell does what it says.

    driver.matches(seen)                          is this one of ours?
    driver.begin()                 → state, actions     after each connection
    driver.feed(state, uuid, data, at) → state, heard   each notification, or the answer to a Read
    driver.tick(state, at)         → state, heard       once a second: polls, keep-alives, time-outs

All times are nanoseconds of the gateway's monotonic clock; `gateway.app` makes UTC of them once the time is known. A
device's own clock is evidence: a driver uses it only for differences between readings of one device, or through an
offset to the monotonic clock that it measured itself (a stored file's times may so lie before the connection, or be
negative).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from vitals.model import Quality, Reason, Vital, Waveform


@dataclass(frozen=True, slots=True)
class Seen:
    """An advertisement. `services`: lower-case 128-bit UUIDs; `manufacturer_data`: company number → bytes."""

    address: str
    name: str
    rssi_dbm: int | None = None
    services: frozenset[str] = frozenset()
    manufacturer_data: Mapping[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Have notifications or indications of a characteristic. `optional`: the device may not have it."""

    uuid: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """Read a characteristic; the value comes to `feed` like a notification. `optional` as above."""

    uuid: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """Write a characteristic."""

    uuid: str
    data: bytes
    response: bool = True
    optional: bool = False


Action: TypeAlias = Subscribe | Read | Write


@dataclass(frozen=True, slots=True)
class HeardSample:
    """A reading; see `vitals.model.Sample`. `at_monotonic_ns`: when the body produced it, as well as can be told.

    `stored`: it comes from the device's memory, not from now.
    """

    vital: Vital
    at_monotonic_ns: int
    value: float | None
    reason: Reason = Reason.PRESENT
    quality: Quality = Quality.UNKNOWN
    sequence: int = 0
    stored: bool = False


@dataclass(frozen=True, slots=True)
class HeardWave:
    """A piece of a signal; see `vitals.model.WaveformBlock`. `at_monotonic_ns`: of its first sample."""

    waveform: Waveform
    at_monotonic_ns: int
    sample_rate_hz: float
    samples: bytes
    width_bytes: Literal[2, 4] = 4
    quality: Quality = Quality.UNKNOWN


@dataclass(frozen=True, slots=True)
class Heard:
    """What a notification told, and what to do next. `notes`: facts of the device (model, firmware, serial …).

    `malformed`: a frame, or bytes of one, that could not be used, as `FrameError` says it; it is counted and logged,
    never guessed at.
    """

    samples: tuple[HeardSample, ...] = ()
    waves: tuple[HeardWave, ...] = ()
    actions: tuple[Action, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    malformed: tuple[str, ...] = ()


NOTHING = Heard()


@dataclass(frozen=True, slots=True)
class Stream:
    """A characteristic that must not fall silent for longer than `stall_s` while connected."""

    uuid: str
    stall_s: float


class Driver(Protocol):
    """One kind of wearable. The state is the driver's own frozen value; the shell only keeps it.

    `vitals`: what it measures; while its radio is lost, these are missing with that reason. `streams`: for the stall
    watchdog. `needs_pairing`: connect with bonding.
    """

    @property
    def name(self) -> str: ...  # as written in the configuration: "polar", "nonin"
    @property
    def label(self) -> str: ...  # for people: "Polar H10 / Verity Sense"
    @property
    def vitals(self) -> tuple[Vital, ...]: ...
    @property
    def streams(self) -> tuple[Stream, ...]: ...
    @property
    def needs_pairing(self) -> bool: ...

    def matches(self, seen: Seen) -> bool:
        """Whether an advertisement shows this kind of device; vendors' drivers are asked before the generic ones."""
        ...

    def begin(self) -> tuple[Any, tuple[Action, ...]]:
        """The state of a new connection and what to do first, in this order."""
        ...

    def feed(self, state: Any, uuid: str, data: bytes, at_monotonic_ns: int) -> tuple[Any, Heard]:
        """Take a value of characteristic `uuid`. Never raises for any `data`."""
        ...

    def tick(self, state: Any, at_monotonic_ns: int) -> tuple[Any, Heard]:
        """Let a second pass."""
        ...


@runtime_checkable
class Resumes(Protocol):
    """A driver that fetches what a device recorded while its link was lost, and so needs to know what it heard."""

    def resume(self, state: Any) -> tuple[Any, tuple[Action, ...]]:
        """As `Driver.begin`, with the last state of the connection before to the same device."""
        ...


def begin_again(driver: Driver, before: Any | None) -> tuple[Any, tuple[Action, ...]]:
    """The state of a new connection and what to do first. `before`: the last state of this device's last connection."""
    return driver.resume(before) if before is not None and isinstance(driver, Resumes) else driver.begin()
