"""Date Time, seven bytes that tell when: no time zone, and each part of the date may be unknown. Pure."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from typing import Self

from gateway.gatt.frame import FrameError
from gateway.gatt.reader import Reader

SIZE = 7


@dataclass(frozen=True, slots=True)
class DateTime:
    """A moment on a device's clock; year, month and day are `None` where the device does not know them."""

    year: int | None
    month: int | None
    day: int | None
    hour: int
    minute: int
    second: int

    def __str__(self) -> str:
        year, month, day = (
            "?" * width if part is None else f"{part:0{width}}"
            for part, width in ((self.year, 4), (self.month, 2), (self.day, 2))
        )
        return f"{year}-{month}-{day} {self.hour:02}:{self.minute:02}:{self.second:02}"

    @property
    def seconds(self) -> int | None:
        """Seconds since 1970 began on this very clock, for differences; `None` when the date is not fully known."""
        if self.year is None or self.month is None or self.day is None:
            return None
        return calendar.timegm((self.year, self.month, self.day, self.hour, self.minute, self.second))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `FrameError`, also for a moment that no calendar has."""
        reader = Reader(data)
        moment = cls.read(reader, "time")
        reader.end()
        return moment

    @classmethod
    def read(cls, reader: Reader, name: str) -> Self:
        """Take a moment from a frame, where it is called `name`."""
        raw = reader.take(SIZE, name)
        year = int.from_bytes(raw[:2], "little")
        month, day, hour, minute, second = raw[2:]
        if not _exists(year, month, day) or hour > 23 or minute > 59 or second > 59:
            text = f"{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"
            raise FrameError("value", name, f"{name} is {text}, which does not exist")
        moment = cls(year or None, month or None, day or None, hour, minute, second)
        reader.keep(name, raw, moment)
        return moment

    def encode(self) -> bytes:
        date = (self.year or 0).to_bytes(2, "little") + bytes([self.month or 0, self.day or 0])
        return date + bytes([self.hour, self.minute, self.second])


def _exists(year: int, month: int, day: int) -> bool:
    """Whether the calendar has such a day, each 0 standing for any. The SIG begins with 1582."""
    if year and not 1582 <= year <= 9999:
        return False
    longest = calendar.monthrange(year or 2000, month or 1)[1] if month <= 12 else 0
    return day <= longest
