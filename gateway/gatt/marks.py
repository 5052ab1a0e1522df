"""Numbers that some of their values do not mean: 127 for "no oxygen saturation", 0 for "no pulse". Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from gateway.gatt.reader import Reader


def read_number(
    reader: Reader,
    name: str,
    marks: Collection[int],
    *,
    size: int = 1,
    unit: str = "",
    order: Literal["little", "big"] = "little",
) -> int | None:
    """The next unsigned number; `None` for one of `marks`, which never leave a decoder as numbers."""
    raw = reader.take(size, name)
    number = int.from_bytes(raw, order)
    if number in marks:
        reader.keep(name, raw, f"no value ({number})")
        return None
    reader.keep(name, raw, number, unit)
    return number
