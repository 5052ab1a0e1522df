"""The Heart Rate Service: measurement 2A37, body sensor location 2A38, control point 2A39. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final, Self

from gateway.gatt.frame import uuid16
from gateway.gatt.reader import Reader
from vitals.model import Reason

SERVICE: Final = uuid16(0x180D)
MEASUREMENT: Final = uuid16(0x2A37)
LOCATION: Final = uuid16(0x2A38)
CONTROL_POINT: Final = uuid16(0x2A39)

RR_UNITS_PER_S: Final = 1024


class HeartRateFlags(IntFlag):
    """First byte of 2A37. Contact means nothing unless it is also said to be supported; bits 5–7 are reserved."""

    HEART_RATE_16_BIT = 1 << 0
    CONTACT = 1 << 1
    CONTACT_SUPPORTED = 1 << 2
    ENERGY_PRESENT = 1 << 3
    RR_PRESENT = 1 << 4


@dataclass(frozen=True, slots=True)
class HeartRateMeasurement:
    """What a strap says about once a second.

    `heart_rate`: per minute, `None` for the 0 that devices send when they have none (a choice of this project).
    `contact`: `None` where the sensor cannot tell. `energy_kj`: since the last reset, stays at 65535 when full.
    `rr_intervals`: oldest first, in 1/1024 s. `surplus`: bytes after the last whole field, as received.
    """

    heart_rate: int | None
    contact: bool | None = None
    energy_kj: int | None = None
    rr_intervals: tuple[int, ...] = ()
    surplus: bytes = b""

    @property
    def reason(self) -> Reason:
        """Why there is no heart rate. Without contact there is none, whatever number was sent."""
        if self.contact is False:
            return Reason.PROBE_OFF
        return Reason.NO_READING if self.heart_rate is None else Reason.PRESENT

    @property
    def rr_intervals_ms(self) -> tuple[float, ...]:
        return tuple(raw * 1000 / RR_UNITS_PER_S for raw in self.rr_intervals)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `FrameError` for a frame that is shorter than its flags promise."""
        return cls.read(Reader(data))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        flags = reader.flags("flags", HeartRateFlags)
        rate = reader.unsigned("heart rate", 2 if flags & HeartRateFlags.HEART_RATE_16_BIT else 1, "/min")
        contact = bool(flags & HeartRateFlags.CONTACT) if flags & HeartRateFlags.CONTACT_SUPPORTED else None
        energy = reader.unsigned("energy expended", 2, "kJ") if flags & HeartRateFlags.ENERGY_PRESENT else None
        intervals = _read_intervals(reader) if flags & HeartRateFlags.RR_PRESENT else ()
        return cls(rate or None, contact, energy, intervals, reader.rest("surplus"))

    def encode(self) -> bytes:
        """The shortest frame that says this; raises `OverflowError` for a number that has no room."""
        rate = self.heart_rate or 0
        flags = HeartRateFlags.HEART_RATE_16_BIT if rate > 0xFF else HeartRateFlags(0)
        fields = rate.to_bytes(2 if rate > 0xFF else 1, "little")
        if self.contact is not None:
            flags |= HeartRateFlags.CONTACT_SUPPORTED | (HeartRateFlags.CONTACT if self.contact else 0)
        if self.energy_kj is not None:
            flags |= HeartRateFlags.ENERGY_PRESENT
            fields += self.energy_kj.to_bytes(2, "little")
        if self.rr_intervals:
            flags |= HeartRateFlags.RR_PRESENT
            fields += b"".join(raw.to_bytes(2, "little") for raw in self.rr_intervals)
        return bytes([flags]) + fields + self.surplus


def _read_intervals(reader: Reader) -> tuple[int, ...]:
    """At least one interval, and all that follow: they run to the end of the frame."""
    intervals = [reader.unsigned("RR interval", 2, "/1024 s")]
    while reader.left >= 2:
        intervals.append(reader.unsigned("RR interval", 2, "/1024 s"))
    return tuple(intervals)


class BodySensorLocation(IntEnum):
    """Where a sensor is worn; the other numbers are reserved."""

    OTHER = 0
    CHEST = 1
    WRIST = 2
    FINGER = 3
    HAND = 4
    EAR_LOBE = 5
    FOOT = 6


def decode_location(data: bytes) -> BodySensorLocation:
    """The value of 2A38; raises `FrameError`, also for a reserved number."""
    return read_location(Reader(data))


def read_location(reader: Reader) -> BodySensorLocation:
    """`decode_location`, field by field."""
    location = reader.code("body sensor location", BodySensorLocation)
    reader.end()
    return location


def encode_location(location: BodySensorLocation) -> bytes:
    return bytes([location])


class ControlPoint(IntEnum):
    """What may be written to 2A39; a sensor refuses any other number with ATT error 0x80."""

    RESET_ENERGY = 1


def decode_control_point(data: bytes) -> ControlPoint:
    """What is asked of the sensor; raises `FrameError`."""
    return read_control_point(Reader(data))


def read_control_point(reader: Reader) -> ControlPoint:
    """`decode_control_point`, field by field."""
    order = reader.code("control point", ControlPoint)
    reader.end()
    return order


def encode_control_point(order: ControlPoint) -> bytes:
    return bytes([order])
