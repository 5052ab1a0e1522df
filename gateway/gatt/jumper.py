"""Jumper JPD-500F, which calls itself "My Oximeter". Pure. Layout: two open decoders; no document of the vendor's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from gateway.gatt.frame import FrameError
from gateway.gatt.marks import read_number
from gateway.gatt.reader import Reader

SERVICE: Final = "cdeacb80-5235-4c07-8846-93a37ee6b86d"
NOTIFY: Final = "cdeacb81-5235-4c07-8846-93a37ee6b86d"

READING: Final = 0x81  # first byte of a reading; others, such as 0x80 for the pulse wave, are no readings
_NO_PULSE_RATE: Final = 255
_NO_SPO2: Final = 127


@dataclass(frozen=True, slots=True)
class JumperReading:
    """What the display shows.

    `spo2_pct`, `pulse_rate`: `None` for the marks 127 and 255, and for 0, which no body shows.
    `perfusion`: in 0.1 % [unverified]; `None` for 0.
    """

    spo2_pct: int | None
    pulse_rate: int | None
    perfusion: int | None

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `FrameError` unless `data` is the four bytes of a reading."""
        return cls.read(Reader(data))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        head = reader.unsigned("header")
        if head != READING:
            raise FrameError("sync", "header", f"the header is {head:#04x}; a reading begins with {READING:#04x}")
        rate = read_number(reader, "pulse rate", (0, _NO_PULSE_RATE), unit="/min")
        spo2 = read_number(reader, "SpO2", (0, _NO_SPO2), unit="%")
        perfusion = read_number(reader, "perfusion index", (0,), unit="× 0.1 %, unverified")
        reader.end()
        return cls(spo2, rate, perfusion)

    def encode(self) -> bytes:
        rate = _NO_PULSE_RATE if self.pulse_rate is None else self.pulse_rate
        return bytes([READING, rate, _NO_SPO2 if self.spo2_pct is None else self.spo2_pct, self.perfusion or 0])


def is_reading(data: bytes) -> bool:
    """Whether a notification is meant to be a reading; any other kind is not ours to judge."""
    return not data or data[0] == READING
