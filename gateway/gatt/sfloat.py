"""SFLOAT and FLOAT, the decimal numbers of medical devices (IEEE 11073-20601). Pure.

value = mantissa × 10^exponent, both two's complement, the exponent in the top bits of a little-endian word: 4 + 12 bits
(SFLOAT) or 8 + 24 (FLOAT). Five words with exponent 0 are no numbers; they are told from the whole word, before it is
split, and are a `Special` from there on. The digits a device gave are kept: 2.00 is not 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Final, TypeAlias

from gateway.gatt.frame import FrameError
from gateway.gatt.reader import Reader
from vitals.model import Reason


class Special(Enum):
    """What a device says instead of a number; the text is for people."""

    NAN = "not a number"
    NOT_AT_THIS_RESOLUTION = "not at this resolution"
    PLUS_INFINITY = "plus infinity"
    MINUS_INFINITY = "minus infinity"
    RESERVED = "a reserved mark"

    @property
    def reason(self) -> Reason:
        """Why there is no value, as far as the mark alone tells."""
        infinite = self in {Special.PLUS_INFINITY, Special.MINUS_INFINITY}
        return Reason.OUT_OF_RANGE if infinite else Reason.NOT_A_NUMBER


Number: TypeAlias = Decimal | Special


@dataclass(frozen=True, slots=True)
class Layout:
    """One of the two sizes of word."""

    name: str
    size: int
    mantissa_bits: int

    @property
    def specials(self) -> dict[int, Special]:
        """Whole word → what it means; the marks surround the most negative mantissa."""
        lowest = 1 << (self.mantissa_bits - 1)
        return {
            lowest - 1: Special.NAN,
            lowest: Special.NOT_AT_THIS_RESOLUTION,
            lowest - 2: Special.PLUS_INFINITY,
            lowest + 2: Special.MINUS_INFINITY,
            lowest + 1: Special.RESERVED,
        }


SFLOAT: Final = Layout("SFLOAT", 2, 12)
FLOAT: Final = Layout("FLOAT", 4, 24)
_SPECIALS: Final = {layout: layout.specials for layout in (SFLOAT, FLOAT)}
_WORDS: Final = {layout: {special: word for word, special in table.items()} for layout, table in _SPECIALS.items()}


def decode(data: bytes, layout: Layout) -> Number:
    """The number in `data`, which is `layout.size` bytes; raises `FrameError`."""
    if len(data) != layout.size:
        raise FrameError("length", "", f"{layout.name} has {layout.size} bytes, not {len(data)}")
    word = int.from_bytes(data, "little")
    special = _SPECIALS[layout].get(word)
    if special is not None:
        return special
    mantissa = _signed(word & ((1 << layout.mantissa_bits) - 1), layout.mantissa_bits)
    exponent = _signed(word >> layout.mantissa_bits, 8 * layout.size - layout.mantissa_bits)
    return Decimal(mantissa).scaleb(exponent)


def encode(number: Number, layout: Layout) -> bytes:
    """The word for `number`, with its digits if they fit; raises `ValueError` for what the layout cannot hold."""
    if isinstance(number, Special):
        return _WORDS[layout][number].to_bytes(layout.size, "little")
    mantissa, exponent = _fitted(number, layout)
    mask = (1 << layout.mantissa_bits) - 1
    word = ((exponent << layout.mantissa_bits) | (mantissa & mask)) & ((1 << 8 * layout.size) - 1)
    if word in _SPECIALS[layout]:
        raise ValueError(f"{number} would be read as {_SPECIALS[layout][word].value}")
    return word.to_bytes(layout.size, "little")


def read(reader: Reader, name: str, layout: Layout, unit: str = "") -> Number:
    """Take a number from a frame."""
    raw = reader.take(layout.size, name)
    number = decode(raw, layout)
    reader.keep(name, raw, number, unit)
    return number


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def _fitted(number: Decimal, layout: Layout) -> tuple[int, int]:
    """Mantissa and exponent of `number` moved into their ranges without changing the value."""
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"{number} is written as a Special")  # noqa: TRY004  it is a Decimal, only not a finite one
    mantissa = int("".join(map(str, digits))) * (-1 if sign else 1)
    furthest = 1 << (8 * layout.size - layout.mantissa_bits - 1)  # exponents: -furthest … furthest - 1
    largest = 1 << (layout.mantissa_bits - 1)
    while exponent > furthest - 1 and abs(mantissa) < largest:
        mantissa, exponent = mantissa * 10, exponent - 1
    while (exponent < -furthest or not -largest <= mantissa < largest) and mantissa % 10 == 0 and exponent < furthest:
        mantissa, exponent = mantissa // 10, exponent + 1
    if not (-largest <= mantissa < largest and -furthest <= exponent < furthest):
        raise ValueError(f"{number} has more digits than a {layout.name} holds: round it first")
    return mantissa, exponent
