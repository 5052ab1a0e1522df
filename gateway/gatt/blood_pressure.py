"""Blood Pressure Measurement 2A35. Pure. It is explained to people; no driver makes readings of it yet."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Final, NamedTuple, Self

from gateway.gatt import sfloat
from gateway.gatt.date_time import DateTime
from gateway.gatt.frame import uuid16
from gateway.gatt.reader import Reader
from gateway.gatt.sfloat import SFLOAT, Number

MEASUREMENT: Final = uuid16(0x2A35)


class PressureFlags(IntFlag):
    """First byte of 2A35; the other bits are reserved."""

    KILOPASCAL = 1 << 0
    TIME_PRESENT = 1 << 1
    PULSE_RATE_PRESENT = 1 << 2
    USER_PRESENT = 1 << 3
    STATUS_PRESENT = 1 << 4


class PressureStatus(IntFlag):
    """16 bits; 6–15 are reserved."""

    BODY_MOVEMENT = 1 << 0
    CUFF_TOO_LOOSE = 1 << 1
    IRREGULAR_PULSE = 1 << 2
    PULSE_RATE_TOO_HIGH = 1 << 3
    PULSE_RATE_TOO_LOW = 1 << 4
    WRONG_POSITION = 1 << 5


class Pressures(NamedTuple):
    """In mmHg, or in kPa if the measurement says so."""

    systolic: Number
    diastolic: Number
    mean_arterial: Number


@dataclass(frozen=True, slots=True)
class BloodPressureMeasurement:
    """`user`: the number of a person on a device that several use. `surplus`: bytes after the last field."""

    pressures: Pressures
    kilopascal: bool = False
    measured_at: DateTime | None = None
    pulse_rate: Number | None = None
    user: int | None = None
    status: PressureStatus | None = None
    surplus: bytes = b""

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `FrameError` for a frame that is shorter than its flags promise."""
        return cls.read(Reader(data))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        flags = reader.flags("flags", PressureFlags)
        unit = "kPa" if flags & PressureFlags.KILOPASCAL else "mmHg"
        names = ("systolic", "diastolic", "mean arterial")
        return cls(
            Pressures(*(sfloat.read(reader, f"{name} pressure", SFLOAT, unit) for name in names)),
            bool(flags & PressureFlags.KILOPASCAL),
            DateTime.read(reader, "time") if flags & PressureFlags.TIME_PRESENT else None,
            sfloat.read(reader, "pulse rate", SFLOAT, "/min") if flags & PressureFlags.PULSE_RATE_PRESENT else None,
            reader.unsigned("user") if flags & PressureFlags.USER_PRESENT else None,
            reader.flags("status", PressureStatus, 2) if flags & PressureFlags.STATUS_PRESENT else None,
            reader.rest("surplus"),
        )

    def encode(self) -> bytes:
        """Raises `ValueError` for a number with more digits than fit."""
        flags = PressureFlags.KILOPASCAL if self.kilopascal else PressureFlags(0)
        fields = b"".join(sfloat.encode(pressure, SFLOAT) for pressure in self.pressures)
        if self.measured_at is not None:
            flags |= PressureFlags.TIME_PRESENT
            fields += self.measured_at.encode()
        if self.pulse_rate is not None:
            flags |= PressureFlags.PULSE_RATE_PRESENT
            fields += sfloat.encode(self.pulse_rate, SFLOAT)
        if self.user is not None:
            flags |= PressureFlags.USER_PRESENT
            fields += bytes([self.user])
        if self.status is not None:
            flags |= PressureFlags.STATUS_PRESENT
            fields += self.status.to_bytes(2, "little")
        return bytes([flags]) + fields + self.surplus
