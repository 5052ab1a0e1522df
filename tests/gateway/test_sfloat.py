"""SFLOAT and FLOAT: the examples of the standard, all 65,536 short words, and what does not fit."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.gatt.frame import FrameError
from gateway.gatt.sfloat import FLOAT, SFLOAT, Layout, Special, decode, encode
from vitals.model import Reason


def word(value: int, layout: Layout) -> bytes:
    return value.to_bytes(layout.size, "little")


@pytest.mark.parametrize(
    ("layout", "raw", "text"),
    [
        (SFLOAT, 0x0002, "2"),
        (SFLOAT, 0xF014, "2.0"),
        (SFLOAT, 0xE0C8, "2.00"),
        (SFLOAT, 0x1002, "2E+1"),
        (SFLOAT, 0x00C8, "200"),
        (SFLOAT, 0x0B2E, "-1234"),
        (SFLOAT, 0xF7FF, "204.7"),  # the mantissa of NaN with an exponent is a number
        (SFLOAT, 0x8062, "9.8E-7"),  # two's complement: a biased exponent would read 98
        (SFLOAT, 0x7001, "1E+7"),
        (FLOAT, 0xFF000014, "2.0"),
        (FLOAT, 0xFE000EB0, "37.60"),
        (FLOAT, 0xFEFFF150, "-37.60"),
    ],
)
def test_numbers_keep_the_digits_of_the_device(layout: Layout, raw: int, text: str) -> None:
    number = decode(word(raw, layout), layout)
    assert str(number) == text
    assert encode(number, layout) == word(raw, layout)


@pytest.mark.parametrize(
    ("short", "long", "special", "reason"),
    [
        (0x07FF, 0x007FFFFF, Special.NAN, Reason.NOT_A_NUMBER),
        (0x0800, 0x00800000, Special.NOT_AT_THIS_RESOLUTION, Reason.NOT_A_NUMBER),
        (0x07FE, 0x007FFFFE, Special.PLUS_INFINITY, Reason.OUT_OF_RANGE),
        (0x0802, 0x00800002, Special.MINUS_INFINITY, Reason.OUT_OF_RANGE),
        (0x0801, 0x00800001, Special.RESERVED, Reason.NOT_A_NUMBER),
    ],
)
def test_marks_are_no_numbers(short: int, long: int, special: Special, reason: Reason) -> None:
    for layout, raw in ((SFLOAT, short), (FLOAT, long)):
        assert decode(word(raw, layout), layout) is special
        assert encode(special, layout) == word(raw, layout)
    assert special.reason is reason


def test_every_short_word_comes_back() -> None:
    """All but the zeros with an exponent too, so each of the 65,536 words is canonical."""
    changed = [raw for raw in range(1 << 16) if encode(decode(word(raw, SFLOAT), SFLOAT), SFLOAT) != word(raw, SFLOAT)]
    assert changed == []


@given(st.binary(min_size=4, max_size=4))
def test_any_long_word_comes_back(raw: bytes) -> None:
    assert encode(decode(raw, FLOAT), FLOAT) == raw


@given(st.integers(-2045, 2045), st.integers(-8, 7))
def test_a_short_number_comes_back_with_its_digits(mantissa: int, exponent: int) -> None:
    number = Decimal(mantissa).scaleb(exponent)
    assert str(decode(encode(number, SFLOAT), SFLOAT)) == str(number)


@pytest.mark.parametrize(
    ("text", "value"),
    [("9000", "9000"), ("1E+9", "1E+9"), ("0.00000000", "0"), ("97.50000", "97.5"), ("2.0E+8", "2E+8")],
)
def test_a_number_is_moved_to_where_it_fits(text: str, value: str) -> None:
    assert decode(encode(Decimal(text), SFLOAT), SFLOAT) == Decimal(value)


@pytest.mark.parametrize("text", ["97.531", "2046", "2047", "-2047", "1E+12", "1E-9", "NaN", "Infinity", "40001"])
def test_a_number_that_does_not_fit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        encode(Decimal(text), SFLOAT)


@pytest.mark.parametrize("length", [0, 1, 3, 4])
def test_another_length_is_no_number(length: int) -> None:
    with pytest.raises(FrameError) as caught:
        decode(bytes(length), SFLOAT)
    assert caught.value.reason == "length"
