"""Sealed samples: five minutes of one series as one compressed column blob. Pure; encode and decode are a pair.

    u1 version | u4 count | zlib( first row | i8 step | per column: u1 mask of byte planes | the planes )

Columns become 64-bit integers whose neighbours differ little: times as what a steady rate did not foresee, the
arrival as its lag, numbers as the bits that changed. Cut into byte planes (all lowest bytes, then all second ones …)
most are zero, and those are not stored at all: a column that never changes costs one byte.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from ingest.store.rows import ROW_DTYPE, Rows
from vitals.errors import PermanentError

_VERSION: Final = 1
_HEADER: Final = struct.Struct("<BI")
_STEP: Final = struct.Struct("<q")
_LEVEL: Final = 1  # level 6 takes three times as long for 4 % less
_COLUMNS: Final = ("raw", "value", "series", "patient", "uncertainty_ms", "sequence", "reason", "quality", "clock")
_MASKS: Final = 2 + len(_COLUMNS)
_MAX_ROWS: Final = 1 << 24  # a damaged count must not ask for the memory of the machine
_MS: Final = 10**6
_ONE: Final = np.uint64(1)
_Bits: TypeAlias = npt.NDArray[np.uint64]


def encode_rows(rows: Rows) -> bytes:
    """The sealed form of `rows`, at least one, sorted by time; `received_at_ns` in whole milliseconds."""
    return encode_runs(rows, [0])[0]


def encode_runs(rows: Rows, starts: Sequence[int]) -> list[bytes]:
    """The sealed form of each of the runs that begin at `starts` (the first at 0) and together are `rows`.

    Column by column over all runs: many short blobs cost little more than one long one.
    """
    if not rows.size:
        return []
    first = np.asarray(starts, np.intp)
    steps, changes = _changes(rows, first)
    used = np.stack([np.bitwise_or.reduceat(change, first) for change in changes], axis=1).tolist()
    tables = [change.view(np.uint8).reshape(-1, 8) for change in changes]
    blobs = []
    for start, end, step, bits in zip(starts, [*starts[1:], rows.size], steps, used, strict=True):
        planes = [_planes(table, start + 1, end, mask) for table, mask in zip(tables, bits, strict=True)]
        body = b"".join((rows[start : start + 1].tobytes(), _STEP.pack(step), *planes))
        blobs.append(_HEADER.pack(_VERSION, end - start) + zlib.compress(body, _LEVEL))
    return blobs


def decode_rows(blob: bytes) -> Rows:
    """Read a sealed blob; raises `PermanentError` for anything that `encode_rows` did not write."""
    try:
        version, count = _HEADER.unpack_from(blob)
        if version != _VERSION or not 0 < count <= _MAX_ROWS:
            raise PermanentError(f"a sealed blob of version {version} with {count:,} rows cannot be read here")
        body = zlib.decompress(memoryview(blob)[_HEADER.size :])
        first = np.frombuffer(body, ROW_DTYPE, 1)
        (step,) = _STEP.unpack_from(body, ROW_DTYPE.itemsize)
        changes = _cut(body, ROW_DTYPE.itemsize + _STEP.size, count - 1)
    except (struct.error, zlib.error, ValueError, IndexError) as error:
        raise PermanentError(f"a sealed blob is damaged ({error}): restore the store from a backup") from error
    return _restored(first, step, changes, count)


def _changes(rows: Rows, first: npt.NDArray[np.intp]) -> tuple[list[int], list[_Bits]]:
    """The time step of each run, and for each column how every row differs from the one before: 0 for a first row."""
    sampled = rows["sampled_at_ns"]
    apart_ns = np.diff(sampled, prepend=sampled[:1])
    second = np.minimum(first + 1, np.append(first[1:], rows.size) - 1)
    steps = np.where(second > first, apart_ns[second], 0)
    lag_ms = rows["received_at_ns"] // _MS - sampled // _MS
    raw = _bits(rows["raw"])
    changes = [
        _zigzag(apart_ns - np.repeat(steps, np.diff(first, append=rows.size))),
        _zigzag(np.diff(lag_ms, prepend=lag_ms[:1])),
        _changed(raw),
        _changed(_bits(rows["value"]) ^ raw),  # the filter leaves most values as they came
        *(_changed(_bits(rows[name])) for name in _COLUMNS[2:]),
    ]
    for change in changes:
        change[first] = 0
    return steps.tolist(), changes


def _planes(table: npt.NDArray[np.uint8], start: int, end: int, used: int) -> bytes:
    """Rows `start` to `end` of a column: the mask of its byte planes with any bit `used`, and those planes."""
    if not used:
        return b"\0"
    places = [place for place in range(8) if used >> 8 * place & 0xFF]
    mask = sum(1 << place for place in places)
    return b"".join((bytes((mask,)), *(table[start:end, place].tobytes() for place in places)))


def _cut(body: bytes, at: int, size: int) -> list[_Bits | None]:
    """The columns from offset `at`, `None` for one without any change; raises `ValueError` when `body` does not fit."""
    columns: list[_Bits | None] = []
    for _ in range(_MASKS):
        mask, at = body[at], at + 1
        if not mask:
            columns.append(None)
            continue
        table = np.zeros((size, 8), np.uint8)
        for place in range(8):
            if mask >> place & 1:
                table[:, place] = np.frombuffer(body, np.uint8, size, at)
                at += size
        columns.append(table.view("<u8")[:, 0])
    if at != len(body):
        raise ValueError("its length does not fit its row count")
    return columns


def _restored(first: Rows, step: int, changes: list[_Bits | None], count: int) -> Rows:
    rows = np.empty(count, ROW_DTYPE)
    rows[:] = first
    sampled = rows["sampled_at_ns"]
    start_ns, received_ns = int(first["sampled_at_ns"][0]), int(first["received_at_ns"][0])
    sampled[:] = _summed(start_ns, step, changes[0], count)
    rows["received_at_ns"] = (
        _summed(received_ns // _MS - start_ns // _MS, 0, changes[1], count) + sampled // _MS
    ) * _MS
    for name, changed in zip(_COLUMNS, changes[2:], strict=True):
        if name == "value":
            bits = _accumulated(_bits(first["value"]) ^ _bits(first["raw"]), changed)
            rows["value"] = _column(bits ^ _bits(rows["raw"]), name)
        elif changed is not None:
            rows[name] = _column(_accumulated(_bits(first[name]), changed), name)
    return rows


def _bits(column: npt.NDArray[Any]) -> _Bits:
    """The bits of a column as unsigned 64-bit integers."""
    return np.ascontiguousarray(column).view(f"<u{column.dtype.itemsize}").astype("<u8", copy=False)


def _column(bits: _Bits, name: str) -> npt.NDArray[Any]:
    dtype: Any = ROW_DTYPE[name]
    return bits.astype(f"<u{dtype.itemsize}", copy=False).view(dtype)


def _changed(bits: _Bits) -> _Bits:
    return bits ^ np.concatenate((bits[:1], bits[:-1]))


def _accumulated(first: _Bits, changed: _Bits | None) -> _Bits:
    return first if changed is None else np.bitwise_xor.accumulate(np.concatenate((first, changed)))


def _summed(first: int, step: int, residual: _Bits | None, count: int) -> npt.NDArray[np.int64]:
    if residual is None:
        return first + step * np.arange(count, dtype=np.int64)
    return np.cumsum(np.concatenate((np.array([first], np.int64), _unzigzag(residual) + step)))


def _zigzag(column: npt.NDArray[np.int64]) -> _Bits:
    """Small numbers of either sign as small unsigned ones."""
    return ((column << 1) ^ (column >> 63)).view(np.uint64)


def _unzigzag(column: _Bits) -> npt.NDArray[np.int64]:
    return (column >> _ONE).view(np.int64) ^ -(column & _ONE).view(np.int64)
