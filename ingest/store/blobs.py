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
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from ingest.store.rows import ROW_DTYPE, Rows
from vitals.errors import PermanentError

_VERSION: Final = 1
_HEADER: Final = struct.Struct("<BI")
_HEAD_DTYPE: Final = np.dtype([("row", ROW_DTYPE), ("step", "<i8")])
_HEAD_BYTES: Final = _HEAD_DTYPE.itemsize
_STEP: Final = struct.Struct("<q")
_LEVEL: Final = 1  # level 6 takes three times as long for 4 % less
_COLUMNS: Final = ("raw", "value", "series", "patient", "uncertainty_ms", "sequence", "reason", "quality", "clock")
_MASKS: Final = 2 + len(_COLUMNS)
_MAX_ROWS: Final = 1 << 24  # a damaged count must not ask for the memory of the machine
_MS: Final = 10**6
_ONE: Final = np.uint64(1)
_NONE: Final = np.zeros(1, np.uint64)
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
    return decode_runs([blob])


def decode_runs(blobs: Sequence[bytes]) -> Rows:
    """The rows of all `blobs`, one run after the other; raises `PermanentError` for what is not a sealed blob."""
    if not blobs:
        return np.empty(0, ROW_DTYPE)
    try:
        counts = [_count(blob) for blob in blobs]
        first = np.cumsum([0, *counts[:-1]])
        changes: dict[int, npt.NDArray[np.uint8]] = {}
        heads = []
        for blob, start, count in zip(blobs, first.tolist(), counts, strict=True):
            body = zlib.decompress(memoryview(blob)[_HEADER.size :])
            heads.append(body[:_HEAD_BYTES])
            _spread(body, changes, start + 1, start + count, sum(counts))
        opening = np.frombuffer(b"".join(heads), _HEAD_DTYPE)
    except (struct.error, zlib.error, ValueError, IndexError) as error:
        raise PermanentError(f"a sealed blob is damaged ({error}): restore the store from a backup") from error
    columns = [changes[place].view("<u8")[:, 0] if place in changes else None for place in range(_MASKS)]
    return _restored(opening, columns, _Runs(first, np.array(counts)))


def _count(blob: bytes) -> int:
    version, count = _HEADER.unpack_from(blob)
    if version != _VERSION or not 0 < count <= _MAX_ROWS:
        raise PermanentError(f"a sealed blob of version {version} with {count:,} rows cannot be read here")
    return int(count)


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


def _spread(body: bytes, changes: dict[int, npt.NDArray[np.uint8]], start: int, end: int, size: int) -> None:
    """Put the byte planes of one blob into rows `start` to `end` of the columns of all, shape (size, 8) each.

    Raises `ValueError` or `IndexError` when `body` does not fit the row count.
    """
    at = _HEAD_BYTES
    for column in range(_MASKS):
        mask, at = body[at], at + 1
        if mask and column not in changes:
            changes[column] = np.zeros((size, 8), np.uint8)
        for place in range(8) if mask else ():
            if mask >> place & 1:
                changes[column][start:end, place] = np.frombuffer(body, np.uint8, end - start, at)
                at += end - start
    if at != len(body):
        raise ValueError("its length does not fit its row count")


@dataclass(frozen=True, slots=True)
class _Runs:
    """Where runs of rows begin, and how long they are."""

    first: npt.NDArray[Any]
    counts: npt.NDArray[Any]

    def each(self, of_run: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What is the same for all rows of a run, row by row."""
        return np.repeat(of_run, self.counts)

    def flipped(self, opening: _Bits, changes: _Bits | None) -> _Bits:
        """Each row's bits, from those of the first row and how each differs from the one before."""
        if changes is None:
            return self.each(opening)
        changes[self.first] = opening
        through = np.bitwise_xor.accumulate(changes)
        found: _Bits = through ^ self.each(np.concatenate((_NONE, through[self.first[1:] - 1])))
        return found

    def summed(self, opening: npt.NDArray[np.int64], changes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The same for sums."""
        changes[self.first] = opening
        through = np.cumsum(changes)
        before = np.concatenate((_NONE.view(np.int64), through[self.first[1:] - 1]))
        found: npt.NDArray[np.int64] = through - self.each(before)
        return found


def _restored(opening: npt.NDArray[Any], changes: list[_Bits | None], runs: _Runs) -> Rows:
    """The rows, from the head of each run and the changes of each column (`None`: there are none)."""
    row, step = opening["row"], opening["step"]
    rows = np.empty(int(runs.counts.sum()), ROW_DTYPE)
    sampled = runs.summed(row["sampled_at_ns"], runs.each(step) + _signed(changes[0], rows.size))
    lag_ms = row["received_at_ns"] // _MS - row["sampled_at_ns"] // _MS
    rows["sampled_at_ns"] = sampled
    rows["received_at_ns"] = (runs.summed(lag_ms, _signed(changes[1], rows.size)) + sampled // _MS) * _MS
    raw = runs.flipped(_bits(row["raw"]), changes[2])
    rows["raw"] = raw.view("<f8")
    rows["value"] = (runs.flipped(_bits(row["value"]) ^ _bits(row["raw"]), changes[3]) ^ raw).view("<f8")
    for name, changed in zip(_COLUMNS[2:], changes[4:], strict=True):
        rows[name] = _column(runs.flipped(_bits(row[name]), changed), name)
    return rows


def _signed(changes: _Bits | None, size: int) -> npt.NDArray[np.int64]:
    return np.zeros(size, np.int64) if changes is None else _unzigzag(changes)


def _bits(column: npt.NDArray[Any]) -> _Bits:
    """The bits of a column as unsigned 64-bit integers."""
    return np.ascontiguousarray(column).view(f"<u{column.dtype.itemsize}").astype("<u8", copy=False)


def _column(bits: _Bits, name: str) -> npt.NDArray[Any]:
    dtype: Any = ROW_DTYPE[name]
    return bits.astype(f"<u{dtype.itemsize}", copy=False).view(dtype)


def _changed(bits: _Bits) -> _Bits:
    return bits ^ np.concatenate((bits[:1], bits[:-1]))


def _zigzag(column: npt.NDArray[np.int64]) -> _Bits:
    """Small numbers of either sign as small unsigned ones."""
    return ((column << 1) ^ (column >> 63)).view(np.uint64)


def _unzigzag(column: _Bits) -> npt.NDArray[np.int64]:
    return (column >> _ONE).view(np.int64) ^ -(column & _ONE).view(np.int64)
