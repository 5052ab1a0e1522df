"""Stored samples as rows: the one array form that hot pieces, sealed blobs and rollups share. Pure.

The key of a sample is (series, sampled_at_ns, sequence), a series being one vital of one device. Of several rows with
one key the first that was written wins, so that delivering a message twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

ROW_DTYPE: Final = np.dtype(
    [
        ("sampled_at_ns", "<i8"),
        ("received_at_ns", "<i8"),  # whole milliseconds: finer digits are jitter that would triple a sealed blob
        ("raw", "<f8"),
        ("value", "<f8"),
        ("series", "<u4"),
        ("patient", "<u4"),  # who wore the device; not part of the key
        ("uncertainty_ms", "<f4"),
        ("sequence", "<u2"),  # of a best value: the number of its source (registry.py)
        ("reason", "u1"),
        ("quality", "u1"),
        ("clock", "u1"),
    ]
)
Rows: TypeAlias = npt.NDArray[Any]  # structured, ROW_DTYPE
BUCKET_NS: Final = 300 * 10**9  # a sealed blob holds five minutes: long enough to compress, short enough to merge into
_RECEIVED_STEP_NS: Final = 10**6
_HIGH: Final = 32  # bits of the lower half of a two-part key


def bucket_of(at_ns: int) -> int:
    """The number of the five-minute bucket that holds `at_ns`."""
    return at_ns // BUCKET_NS


def pair(high: int, low: int) -> int:
    """Two numbers as one integer key that sorts by `high`, then `low`."""
    return high << _HIGH | low


def shard_keys(shard: int) -> tuple[int, int]:
    """The first and the last key that a shard's hot pieces can have."""
    return pair(shard, 0), pair(shard + 1, 0) - 1


def stored_rows(
    samples: npt.NDArray[Any], series: npt.NDArray[Any], patient: npt.NDArray[Any], sequence: npt.NDArray[Any]
) -> Rows:
    """Rows for `samples`, `vitals.columns.SAMPLE_DTYPE`, of these series, patients and sequences; all of shape (n,)."""
    rows = np.empty(samples.size, ROW_DTYPE)
    rows["sequence"] = sequence
    for name in ("sampled_at_ns", "raw", "value", "uncertainty_ms", "reason", "quality", "clock"):
        rows[name] = samples[name]
    rows["received_at_ns"] = samples["received_at_ns"] // _RECEIVED_STEP_NS * _RECEIVED_STEP_NS
    rows["series"] = series
    rows["patient"] = patient
    return rows


def unique_sorted(rows: Rows) -> Rows:
    """`rows` (in the order they were written) by series, time and sequence, the first of each key only."""
    keys = [np.ascontiguousarray(rows[name]) for name in ("series", "sampled_at_ns", "sequence")]
    if _ascending(keys):
        return rows
    order = np.lexsort(keys[::-1])  # stable: first written stays first
    ordered = rows[order]
    fresh = run_starts(*(key[order] for key in keys))
    return ordered if fresh.size == rows.size else ordered[fresh]


def _ascending(keys: list[npt.NDArray[Any]]) -> bool:
    """Whether every row's keys, the first counting most, are greater than those of the row before."""
    greater, equal = np.zeros(max(0, keys[0].size - 1), bool), np.ones(max(0, keys[0].size - 1), bool)
    for key in keys:
        greater |= equal & (key[1:] > key[:-1])
        equal &= key[1:] == key[:-1]
    return bool(greater.all())


def joined(parts: Sequence[Rows]) -> Rows:
    """One array of all rows; `np.concatenate` would compare the field lists of structured arrays for longer."""
    if len(parts) == 1:
        return parts[0]
    return np.frombuffer(b"".join(part.tobytes() for part in parts), ROW_DTYPE)


def groups(*keys: npt.NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Start and end of each run of equal `keys`, columns of one length."""
    starts = run_starts(*keys).tolist()
    yield from zip(starts, [*starts[1:], keys[0].size], strict=False)  # no rows: one end, no start


def run_starts(*keys: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Where each run of equal `keys` begins; empty for empty columns."""
    changed = np.ones(keys[0].size, bool)
    if keys[0].size:
        changed[1:] = False
    for key in keys:
        changed[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(changed)
