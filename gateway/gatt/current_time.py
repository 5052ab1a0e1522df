"""Current Time 2A2B: what a device believes the time to be, without a time zone. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Final, Self

from gateway.gatt.date_time import DateTime
from gateway.gatt.frame import FrameError, uuid16
from gateway.gatt.reader import Reader

SERVICE: Final = uuid16(0x1805)
CURRENT_TIME: Final = uuid16(0x2A2B)


class AdjustReason(IntFlag):
    """Why a device's clock was changed last."""

    MANUAL = 1 << 0
    EXTERNAL_REFERENCE = 1 << 1
    TIME_ZONE = 1 << 2
    DAYLIGHT_SAVING = 1 << 3


NOT_ADJUSTED: Final = AdjustReason(0)


@dataclass(frozen=True, slots=True)
class CurrentTime:
    """`weekday`: 1 is Monday, `None` unknown. `fraction`: 1/256 s."""

    moment: DateTime
    weekday: int | None = None
    fraction: int = 0
    adjusted: AdjustReason = NOT_ADJUSTED

    @property
    def clock_ns(self) -> int | None:
        """Nanoseconds since 1970 began on this very clock; `None` when the date is not fully known."""
        seconds = self.moment.seconds
        return None if seconds is None else seconds * 1_000_000_000 + self.fraction * 1_000_000_000 // 256

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `FrameError` unless `data` is ten bytes that tell a time."""
        return cls.read(Reader(data))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        moment = DateTime.read(reader, "time")
        weekday = reader.unsigned("weekday")
        if weekday > 7:
            raise FrameError("value", "weekday", f"weekday is {weekday}; 1 (Monday) to 7 are known, 0 for unknown")
        fraction = reader.unsigned("fraction", unit="/256 s")
        adjusted = reader.flags("adjust reason", AdjustReason)
        reader.end()
        return cls(moment, weekday or None, fraction, adjusted)

    def encode(self) -> bytes:
        return self.moment.encode() + bytes([self.weekday or 0, self.fraction, self.adjusted])
