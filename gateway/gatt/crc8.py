"""The two CRC-8 that oximeters use. Pure."""

from __future__ import annotations

from typing import Final


def _table(polynomial: int, *, reflected: bool) -> bytes:
    """The remainder of each byte, for a register of eight bits that begins with 0."""
    return bytes(_remainder(byte, polynomial, reflected=reflected) for byte in range(256))


def _remainder(register: int, polynomial: int, *, reflected: bool) -> int:
    for _ in range(8):
        if reflected:
            register = (register >> 1) ^ (polynomial if register & 1 else 0)
        else:
            register = ((register << 1) & 0xFF) ^ (polynomial if register & 0x80 else 0)
    return register


_CCITT: Final = _table(0x07, reflected=False)
_MAXIM: Final = _table(0x8C, reflected=True)  # 0x31, mirrored


def ccitt(data: bytes) -> int:
    """x⁸ + x² + x + 1, from 0 on, the highest bit first: Viatom's."""
    return _run(_CCITT, data)


def maxim(data: bytes) -> int:
    """x⁸ + x⁵ + x⁴ + 1, from 0 on, the lowest bit first: Creative's."""
    return _run(_MAXIM, data)


def _run(table: bytes, data: bytes) -> int:
    register = 0
    for byte in data:
        register = table[register ^ byte]
    return register
