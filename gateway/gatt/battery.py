"""Battery Level 2A19. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from gateway.gatt.frame import uuid16
from gateway.gatt.reader import Reader
from vitals.model import Reason

LEVEL: Final = uuid16(0x2A19)
_UNKNOWN: Final = 0xFF


@dataclass(frozen=True, slots=True)
class BatteryLevel:
    """`percent`: 0–100; `None` for the numbers above, which are reserved."""

    percent: int | None

    @property
    def reason(self) -> Reason:
        return Reason.OUT_OF_RANGE if self.percent is None else Reason.PRESENT

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `FrameError` unless `data` is one byte."""
        return cls.read(Reader(data))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        percent = reader.unsigned("battery level", unit="%")
        reader.end()
        return cls(percent if percent <= 100 else None)

    def encode(self) -> bytes:
        return bytes([_UNKNOWN if self.percent is None else self.percent])
