"""The Pulse Oximeter Service: continuous measurement 2A5F and spot-check measurement 2A5E. Pure.

The two look alike and are not: their flags stand for different fields in different places, hence two decoders.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Final, NamedTuple, Self

from gateway.gatt import sfloat
from gateway.gatt.date_time import DateTime
from gateway.gatt.frame import uuid16
from gateway.gatt.plx_status import MeasurementStatus, SensorStatus
from gateway.gatt.reader import Reader
from gateway.gatt.sfloat import SFLOAT, Number

SERVICE: Final = uuid16(0x1822)
SPOT_CHECK: Final = uuid16(0x2A5E)
CONTINUOUS: Final = uuid16(0x2A5F)


class Oximetry(NamedTuple):
    """Oxygen saturation in per cent and pulse rate per minute, as the device wrote them."""

    spo2_pct: Number
    pulse_rate: Number

    @classmethod
    def read(cls, reader: Reader, averaging: str = "") -> Self:
        spo2 = sfloat.read(reader, f"SpO2{averaging}", SFLOAT, "%")
        return cls(spo2, sfloat.read(reader, f"pulse rate{averaging}", SFLOAT, "/min"))

    def encode(self) -> bytes:
        return sfloat.encode(self.spo2_pct, SFLOAT) + sfloat.encode(self.pulse_rate, SFLOAT)


class ContinuousFlags(IntFlag):
    """First byte of 2A5F; the other bits are reserved."""

    FAST_PRESENT = 1 << 0
    SLOW_PRESENT = 1 << 1
    MEASUREMENT_STATUS_PRESENT = 1 << 2
    SENSOR_STATUS_PRESENT = 1 << 3
    AMPLITUDE_PRESENT = 1 << 4


class SpotCheckFlags(IntFlag):
    """First byte of 2A5E; the other bits are reserved."""

    TIME_PRESENT = 1 << 0
    MEASUREMENT_STATUS_PRESENT = 1 << 1
    SENSOR_STATUS_PRESENT = 1 << 2
    AMPLITUDE_PRESENT = 1 << 3
    CLOCK_NOT_SET = 1 << 4


@dataclass(frozen=True, slots=True)
class ContinuousMeasurement:
    """`fast`, `slow`: the same with shorter and longer averaging. `pulse_amplitude_pct`: the perfusion index.

    `surplus`: bytes after the last field, as received.
    """

    normal: Oximetry
    fast: Oximetry | None = None
    slow: Oximetry | None = None
    measurement_status: MeasurementStatus | None = None
    sensor_status: SensorStatus | None = None
    pulse_amplitude_pct: Number | None = None
    surplus: bytes = b""

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `FrameError` for a frame that is shorter than its flags promise."""
        return cls.read(Reader(data))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        flags = reader.flags("flags", ContinuousFlags)
        return cls(
            Oximetry.read(reader),
            Oximetry.read(reader, ", fast") if flags & ContinuousFlags.FAST_PRESENT else None,
            Oximetry.read(reader, ", slow") if flags & ContinuousFlags.SLOW_PRESENT else None,
            _measurement_status(reader) if flags & ContinuousFlags.MEASUREMENT_STATUS_PRESENT else None,
            _sensor_status(reader) if flags & ContinuousFlags.SENSOR_STATUS_PRESENT else None,
            _amplitude(reader) if flags & ContinuousFlags.AMPLITUDE_PRESENT else None,
            reader.rest("surplus"),
        )

    def encode(self) -> bytes:
        """Raises `ValueError` for a number with more digits than fit."""
        fields = (
            (ContinuousFlags.FAST_PRESENT, None if self.fast is None else self.fast.encode()),
            (ContinuousFlags.SLOW_PRESENT, None if self.slow is None else self.slow.encode()),
            (ContinuousFlags.MEASUREMENT_STATUS_PRESENT, _status_bytes(self.measurement_status, 2)),
            (ContinuousFlags.SENSOR_STATUS_PRESENT, _status_bytes(self.sensor_status, 3)),
            (ContinuousFlags.AMPLITUDE_PRESENT, _amplitude_bytes(self.pulse_amplitude_pct)),
        )
        return _framed(self.normal.encode(), fields) + self.surplus


@dataclass(frozen=True, slots=True)
class SpotCheckMeasurement:
    """One measurement that somebody took, perhaps long ago.

    `measured_at`: on the device's clock; evidence at best, and nothing when `clock_not_set`.
    """

    reading: Oximetry
    measured_at: DateTime | None = None
    measurement_status: MeasurementStatus | None = None
    sensor_status: SensorStatus | None = None
    pulse_amplitude_pct: Number | None = None
    clock_not_set: bool = False
    surplus: bytes = b""

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `FrameError` for a frame that is shorter than its flags promise, or has a time that is none."""
        return cls.read(Reader(data))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        flags = reader.flags("flags", SpotCheckFlags)
        return cls(
            Oximetry.read(reader),
            DateTime.read(reader, "time") if flags & SpotCheckFlags.TIME_PRESENT else None,
            _measurement_status(reader) if flags & SpotCheckFlags.MEASUREMENT_STATUS_PRESENT else None,
            _sensor_status(reader) if flags & SpotCheckFlags.SENSOR_STATUS_PRESENT else None,
            _amplitude(reader) if flags & SpotCheckFlags.AMPLITUDE_PRESENT else None,
            bool(flags & SpotCheckFlags.CLOCK_NOT_SET),
            reader.rest("surplus"),
        )

    def encode(self) -> bytes:
        """Raises `ValueError` for a number with more digits than fit."""
        fields = (
            (SpotCheckFlags.TIME_PRESENT, None if self.measured_at is None else self.measured_at.encode()),
            (SpotCheckFlags.MEASUREMENT_STATUS_PRESENT, _status_bytes(self.measurement_status, 2)),
            (SpotCheckFlags.SENSOR_STATUS_PRESENT, _status_bytes(self.sensor_status, 3)),
            (SpotCheckFlags.AMPLITUDE_PRESENT, _amplitude_bytes(self.pulse_amplitude_pct)),
            (SpotCheckFlags.CLOCK_NOT_SET, b"" if self.clock_not_set else None),
        )
        return _framed(self.reading.encode(), fields) + self.surplus


def _measurement_status(reader: Reader) -> MeasurementStatus:
    return reader.flags("measurement status", MeasurementStatus, 2)


def _sensor_status(reader: Reader) -> SensorStatus:
    return reader.flags("device and sensor status", SensorStatus, 3)


def _amplitude(reader: Reader) -> Number:
    return sfloat.read(reader, "pulse amplitude index", SFLOAT, "%")


def _status_bytes(status: IntFlag | None, size: int) -> bytes | None:
    return None if status is None else status.to_bytes(size, "little")


def _amplitude_bytes(amplitude: Number | None) -> bytes | None:
    return None if amplitude is None else sfloat.encode(amplitude, SFLOAT)


def _framed(always: bytes, optional: tuple[tuple[IntFlag, bytes | None], ...]) -> bytes:
    """A frame: the flags of the fields that are there, what is always there, the fields."""
    flags = sum(flag for flag, field in optional if field is not None)
    return bytes([flags]) + always + b"".join(field for _, field in optional if field is not None)
