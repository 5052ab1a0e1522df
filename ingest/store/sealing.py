"""From hot to sealed: what is old enough leaves the hot tables for compressed blobs, and is rolled up by the minute.

Each function does its work inside the caller's transaction: a crash leaves all of it or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import apsw
import numpy as np

from ingest.store.blobs import decode_rows, encode_rows, encode_runs
from ingest.store.rollup import minutes_of
from ingest.store.rows import BUCKET_NS, ROW_DTYPE, Rows, bucket_of, groups, joined, pair, shard_keys, unique_sorted
from ingest.store.schema import select
from ingest.store.waveform_blobs import StoredBlock, decode_blocks, decode_hot, encode_blocks

GRACE_NS: Final = 30 * 10**9  # after its end a bucket stays hot so long: most late readings come within it
_SEAL: Final = "INSERT OR REPLACE INTO sealed VALUES(?,?,?,?,?)"


@dataclass(frozen=True, slots=True)
class Sealed:
    """What one call did: blobs written, and the oldest time that is still hot (`None`: nothing is)."""

    blobs: int
    oldest_ns: int | None


def horizon_of(now_ns: int) -> int:
    """What was sampled before this is due for sealing: the end of the newest bucket that is over, with its grace."""
    return bucket_of(now_ns - GRACE_NS) * BUCKET_NS


def seal_shard(db: apsw.Connection, shard: int, horizon_ns: int) -> Sealed:
    """Seal the samples of one shard that are older than `horizon_ns`, late ones into the blob they belong to."""
    due = unique_sorted(_take_due(db, shard, horizon_ns))
    buckets = list(groups(due["series"], due["sampled_at_ns"] // BUCKET_NS))
    fresh = np.ones(due.size, bool)
    for start, end in buckets:
        fresh[start:end] = not _merge_late(db, due[start:end])
    _seal_fresh(db, due if fresh.all() else due[fresh])
    oldest: Any = select(db, "SELECT min(oldest_ns) FROM hot WHERE key BETWEEN ? AND ?", shard_keys(shard)).fetchone()
    return Sealed(len(buckets), oldest[0])


def _take_due(db: apsw.Connection, shard: int, horizon_ns: int) -> Rows:
    """Remove the due rows from the shard's pieces, in the order written; what is not due stays in its piece."""
    pieces = select(
        db,
        "SELECT key, newest_ns, rows FROM hot WHERE key BETWEEN ? AND ? AND oldest_ns<? ORDER BY key",
        (*shard_keys(shard), horizon_ns),
    ).fetchall()
    due: list[bytes] = []
    for key, newest_ns, blob in pieces:
        if newest_ns < horizon_ns:
            due.append(blob)
            db.execute("DELETE FROM hot WHERE key=?", (key,))
            continue
        rows = np.frombuffer(blob, ROW_DTYPE)
        is_due = rows["sampled_at_ns"] < horizon_ns
        due.append(rows[is_due].tobytes())
        kept = rows[~is_due]
        db.execute(
            "UPDATE hot SET oldest_ns=?, rows=? WHERE key=?", (int(kept["sampled_at_ns"].min()), kept.tobytes(), key)
        )
    return np.frombuffer(b"".join(due), ROW_DTYPE)


def _merge_late(db: apsw.Connection, rows: Rows) -> bool:
    """Merge the rows of one series and bucket into its blob and renew its rollup; whether there is a blob."""
    series, bucket = int(rows["series"][0]), bucket_of(int(rows["sampled_at_ns"][0]))
    sealed = select(db, "SELECT rows FROM sealed WHERE key=?", (pair(bucket, series),)).fetchone()
    if sealed is None:
        return False
    merged = unique_sorted(joined((decode_rows(sealed[0]), rows)))
    db.execute(_SEAL, (pair(bucket, series), series, bucket, merged.size, encode_rows(merged)))
    db.execute("INSERT OR REPLACE INTO rollup VALUES(?,?,?)", (series, bucket, minutes_of(merged).tobytes()))
    return True


def _seal_fresh(db: apsw.Connection, rows: Rows) -> None:
    """Write blobs and rollups of buckets that have none; `rows` by series and time, each key once."""
    bounds = list(groups(rows["series"], rows["sampled_at_ns"] // BUCKET_NS))
    sealed = encode_runs(rows, [start for start, _ in bounds])
    blobs = [(*_place(rows, "sampled_at_ns", start), end - start) for start, end in bounds]
    db.executemany(
        _SEAL,
        [
            (pair(bucket, series), series, bucket, count, blob)
            for (series, bucket, count), blob in zip(blobs, sealed, strict=True)
        ],
    )
    minutes = minutes_of(rows)
    rollups = [
        (*_place(minutes, "minute_ns", start), minutes[start:end].tobytes())
        for start, end in groups(minutes["series"], minutes["minute_ns"] // BUCKET_NS)
    ]
    # There may be a rollup of samples that were trimmed since: a straggler must not replace it.
    db.executemany("INSERT OR IGNORE INTO rollup VALUES(?,?,?)", rollups)


def _place(rows: Any, time: str, index: int) -> tuple[int, int]:
    """Series and bucket of a row."""
    return int(rows["series"][index]), bucket_of(int(rows[time][index]))


def seal_waveforms(db: apsw.Connection, series: int, horizon_ns: int) -> Sealed:
    """Seal the waveform blocks of one series that began before `horizon_ns`."""
    hot = select(
        db,
        "SELECT block FROM waveform WHERE series=? AND started_at_ns<? ORDER BY started_at_ns",
        (series, horizon_ns),
    )
    buckets: dict[int, list[StoredBlock]] = {}
    for (blob,) in hot:
        block = decode_hot(blob)
        buckets.setdefault(bucket_of(block.started_at_ns), []).append(block)
    for bucket, blocks in buckets.items():
        _seal_waveform_bucket(db, series, bucket, blocks)
    db.execute("DELETE FROM waveform WHERE series=? AND started_at_ns<?", (series, horizon_ns))
    oldest: Any = select(db, "SELECT min(started_at_ns) FROM waveform WHERE series=?", (series,)).fetchone()
    return Sealed(len(buckets), oldest[0])


def _seal_waveform_bucket(db: apsw.Connection, series: int, bucket: int, blocks: list[StoredBlock]) -> None:
    key = pair(bucket, series)
    sealed = select(db, "SELECT blocks FROM sealed_waveform WHERE key=?", (key,)).fetchone()
    merged = {block.started_at_ns: block for block in blocks}
    if sealed is not None:
        merged |= {block.started_at_ns: block for block in decode_blocks(sealed[0])}  # the first write stands
    ordered = [merged[started] for started in sorted(merged)]
    db.execute(
        "INSERT OR REPLACE INTO sealed_waveform VALUES(?,?,?,?,?)",
        (key, series, bucket, len(ordered), encode_blocks(ordered)),
    )
