"""Temperature Measurement 2A1C of the Health Thermometer Service. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final, Self

from gateway.gatt import sfloat
from gateway.gatt.date_time import DateTime
from gateway.gatt.frame import uuid16
from gateway.gatt.reader import Reader
from gateway.gatt.sfloat import FLOAT, Number, Special

SERVICE: Final = uuid16(0x1809)
MEASUREMENT: Final = uuid16(0x2A1C)


class TemperatureFlags(IntFlag):
    """First byte of 2A1C; the other bits are reserved."""

    FAHRENHEIT = 1 << 0
    TIME_PRESENT = 1 << 1
    SITE_PRESENT = 1 << 2


class Site(IntEnum):
    """Where the temperature was taken; the other numbers are reserved."""

    ARMPIT = 1
    BODY = 2
    EAR = 3
    FINGER = 4
    GASTROINTESTINAL_TRACT = 5
    MOUTH = 6
    RECTUM = 7
    TOE = 8
    TYMPANUM = 9


@dataclass(frozen=True, slots=True)
class TemperatureMeasurement:
    """`temperature`: with the digits the device gave, in °F if `fahrenheit`.

    `site`: `None` also for a reserved number. `surplus`: bytes after the last field, as received.
    """

    temperature: Number
    fahrenheit: bool = False
    measured_at: DateTime | None = None
    site: Site | None = None
    surplus: bytes = b""

    @property
    def celsius(self) -> float | None:
        """In °C, to a thousandth; `None` when the device gave no number."""
        if isinstance(self.temperature, Special):
            return None
        degrees = float(self.temperature)
        return round((degrees - 32) * 5 / 9, 3) if self.fahrenheit else degrees

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `FrameError` for a frame that is shorter than its flags promise."""
        return cls.read(Reader(data))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        flags = reader.flags("flags", TemperatureFlags)
        fahrenheit = bool(flags & TemperatureFlags.FAHRENHEIT)
        temperature = sfloat.read(reader, "temperature", FLOAT, "°F" if fahrenheit else "°C")
        measured_at = DateTime.read(reader, "time") if flags & TemperatureFlags.TIME_PRESENT else None
        site = reader.known_code("site", Site) if flags & TemperatureFlags.SITE_PRESENT else None
        return cls(temperature, fahrenheit, measured_at, site, reader.rest("surplus"))

    def encode(self) -> bytes:
        """Raises `ValueError` for a temperature with more digits than fit."""
        flags = TemperatureFlags.FAHRENHEIT if self.fahrenheit else TemperatureFlags(0)
        fields = sfloat.encode(self.temperature, FLOAT)
        if self.measured_at is not None:
            flags |= TemperatureFlags.TIME_PRESENT
            fields += self.measured_at.encode()
        if self.site is not None:
            flags |= TemperatureFlags.SITE_PRESENT
            fields += bytes([self.site])
        return bytes([flags]) + fields + self.surplus
