"""Polar's compression: one whole sample, then blocks of differences in as few bits as they need. Pure.

A block: the width of a difference in bits, how many samples, then the differences of each sample to the one before,
channel by channel, two's complement, the lowest bit first, filled up to whole bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.gatt.frame import FrameError

Rows = tuple[tuple[int, ...], ...]

MOST_ROWS: Final = 2048  # in one frame; a notification of 512 bytes that means more is nonsense
_WIDEST_BITS: Final = 32
_MOST_IN_BLOCK: Final = 255
_LOWEST: Final = -(1 << 31)


def row(data: bytes, at: int, channels: int, width_bytes: int) -> tuple[int, ...]:
    """The sample that begins at `at`."""
    ends = range(at + width_bytes, at + channels * width_bytes + 1, width_bytes)
    return tuple(int.from_bytes(data[end - width_bytes : end], "little", signed=True) for end in ends)


def decode(data: bytes, channels: int, width_bytes: int) -> Rows:
    """All samples of a frame; raises `FrameError`."""
    at = channels * width_bytes
    if len(data) < at:
        raise FrameError("truncated", "reference", f"{len(data)} bytes; the first sample has {at}")
    rows = [row(data, 0, channels, width_bytes)]
    while at < len(data):
        if len(data) - at < 2:
            raise FrameError("truncated", "block", "the frame ends in the head of a block")
        bits, count = data[at], data[at + 1]
        size = (bits * count * channels + 7) // 8
        _check(bits, len(rows) + count, len(data) - at - 2 - size)
        _add_block(rows, int.from_bytes(data[at + 2 : at + 2 + size], "little"), bits, count)
        at += 2 + size
    if any(not _LOWEST <= number <= ~_LOWEST for sample in rows for number in sample):
        raise FrameError("value", "differences", "the differences lead out of 32 bits")
    return tuple(rows)


def _check(bits: int, rows: int, left: int) -> None:
    if bits > _WIDEST_BITS:
        raise FrameError("value", "width", f"differences of {bits} bits; {_WIDEST_BITS} are the most")
    if rows > MOST_ROWS:
        raise FrameError("value", "count", f"more than {MOST_ROWS} samples in one frame")
    if left < 0:
        raise FrameError("truncated", "differences", f"a block has {-left} bytes more than the frame")


def _add_block(rows: list[tuple[int, ...]], packed: int, bits: int, count: int) -> None:
    mask, sign = (1 << bits) - 1, 1 << bits >> 1
    for _ in range(count):
        new = []
        for number in rows[-1]:
            difference = packed & mask
            packed >>= bits
            new.append(number + (difference - (mask + 1) if difference & sign else difference))
        rows.append(tuple(new))


def encode(rows: Sequence[tuple[int, ...]], width_bytes: int) -> bytes:
    """At least one sample, in blocks of equal width; raises `OverflowError` for a first sample that has no room."""
    first, *others = rows
    frame = b"".join(number.to_bytes(width_bytes, "little", signed=True) for number in first)
    before = [first, *others]
    steps = [tuple(b - a for a, b in zip(*pair, strict=True)) for pair in zip(before, others, strict=False)]
    for at in range(0, len(steps), _MOST_IN_BLOCK):
        frame += _block(steps[at : at + _MOST_IN_BLOCK])
    return frame


def _block(steps: Sequence[tuple[int, ...]]) -> bytes:
    numbers = [number for step in steps for number in step]
    bits = max((number if number >= 0 else ~number).bit_length() + 1 for number in numbers)
    packed = sum((number & ((1 << bits) - 1)) << bits * place for place, number in enumerate(numbers))
    return bytes([bits, len(steps)]) + packed.to_bytes((bits * len(numbers) + 7) // 8, "little")
