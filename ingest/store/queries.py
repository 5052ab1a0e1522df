"""The queries behind `StoreReader`: rows and blocks as stored, hot and sealed brought together.

Each runs inside the caller's read transaction. Of equal keys the sealed one counts, since it was written first; keys
are made unique before a patient is picked, because who wore the device is not part of a key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

import apsw
import numpy as np

from ingest.store.answers import SeriesName
from ingest.store.blobs import decode_rows, decode_runs
from ingest.store.rollup import MINUTE_DTYPE, Minutes, minutes_of
from ingest.store.rows import BUCKET_NS, ROW_DTYPE, Rows, bucket_of, groups, joined, pair, shard_keys, unique_sorted
from ingest.store.schema import SHARD_SERIES, select
from ingest.store.waveform_blobs import StoredBlock, decode_blocks, decode_hot
from vitals.derived import is_best

Names: TypeAlias = dict[int, SeriesName]  # of series, by their number
END_NS: Final = (1 << 63) - 1  # the year 2262: the largest time a column holds


def number_of(db: apsw.Connection, sql: str, values: tuple[Any, ...] = ()) -> int:
    """The one number that `sql` selects; 0 for none."""
    row = select(db, sql, values).fetchone()
    return int(row[0] or 0) if row else 0


def patient_number(db: apsw.Connection, patient: str) -> int:
    """0, which nobody has, for an unknown patient."""
    return number_of(db, "SELECT id FROM patient WHERE name=?", (patient,))


def names_of(db: apsw.Connection, patient: str, streams: Iterable[int] | None = None) -> Names:
    """The series that hold anything of `patient`, by device and stream; of these streams only, when given."""
    wanted = None if streams is None else frozenset(streams)
    found = select(
        db,
        "SELECT series.id, device, stream FROM worn JOIN series ON series.id=worn.series WHERE worn.patient=?",
        (patient_number(db, patient),),
    )
    rows = sorted((device, stream, number) for number, device, stream in found if not wanted or stream in wanted)
    return {number: SeriesName(device, stream) for device, stream, number in rows}


def sources_of(db: apsw.Connection, rows: Rows, names: Names) -> dict[int, str]:
    """The devices that the best values among `rows` came from, by number."""
    best = [number for number, name in names.items() if is_best(name.device)]
    numbers = np.unique(rows["sequence"][np.isin(rows["series"], best)]).tolist()
    wanted = "SELECT name FROM source WHERE id=?"
    found = {number: select(db, wanted, (number,)).fetchone() for number in numbers if number}
    return {number: row[0] for number, row in found.items() if row is not None}


def hot_rows(db: apsw.Connection, series: Iterable[int], start_ns: int = 0, end_ns: int = END_NS) -> Rows:
    """The hot rows of `series` in the interval, in the order written."""
    shards: dict[int, list[int]] = {}
    for number in series:
        shards.setdefault(number // SHARD_SERIES, []).append(number % SHARD_SERIES)
    found: list[Rows] = []
    for shard, places in shards.items():
        pieces = select(
            db,
            "SELECT rows FROM hot WHERE key BETWEEN ? AND ? AND newest_ns>=? AND oldest_ns<? ORDER BY key",
            (*shard_keys(shard), start_ns, end_ns),
        )
        rows = np.frombuffer(b"".join(blob for (blob,) in pieces), ROW_DTYPE)
        wanted = np.zeros(SHARD_SERIES, bool)
        wanted[places] = True
        found.append(rows[wanted[rows["series"] % SHARD_SERIES]])
    return _between(joined(found), start_ns, end_ns)


def all_rows(db: apsw.Connection, series: Iterable[int], start_ns: int, end_ns: int) -> Rows:
    """The rows of `series` in the interval, each key once: series by series as given, by time and sequence."""
    numbers = tuple(series)
    hot = hot_rows(db, numbers, start_ns, end_ns)
    found: list[Rows] = []
    for number in numbers:
        sql = "SELECT rows FROM sealed WHERE series=? AND bucket BETWEEN ? AND ? ORDER BY bucket"
        blobs = select(db, sql, (number, bucket_of(start_ns), bucket_of(end_ns)))
        sealed = _between(decode_runs([blob for (blob,) in blobs]), start_ns, end_ns)
        found.append(unique_sorted(joined((sealed, hot[hot["series"] == number]))))
    return joined(found)


def newest_row(db: apsw.Connection, series: int, patient: int) -> Rows:
    """The newest row of one series that is of `patient`: shape (1,), or (0,)."""
    newest = _newest_of(unique_sorted(hot_rows(db, (series,))), patient)
    sealed = select(db, "SELECT rows FROM sealed WHERE series=? ORDER BY bucket DESC", (series,))
    for (blob,) in sealed:
        rows = decode_rows(blob)
        if newest.size and newest["sampled_at_ns"][0] > rows["sampled_at_ns"][-1]:
            break
        if (old := _newest_of(rows, patient)).size:
            newest = old if not newest.size else _newest_of(unique_sorted(joined((old, newest))), patient)
            break
    return newest


def minutes_between(db: apsw.Connection, series: Iterable[int], start_ns: int, end_ns: int) -> Minutes:
    """The rollups of the buckets that the interval touches; those with hot rows are made anew."""
    first, last = bucket_of(start_ns), bucket_of(end_ns)
    numbers = tuple(series)
    found: dict[tuple[int, int], Minutes] = {}
    for number in numbers:
        rollups = select(
            db,
            "SELECT bucket, minutes FROM rollup WHERE series=? AND bucket BETWEEN ? AND ?",
            (number, first, last),
        )
        found |= {(number, bucket): np.frombuffer(blob, MINUTE_DTYPE) for bucket, blob in rollups}
    hot = hot_rows(db, numbers, first * BUCKET_NS, min(END_NS, (last + 1) * BUCKET_NS))
    hot = hot[np.lexsort((hot["sampled_at_ns"] // BUCKET_NS, hot["series"]))]
    for start, end in groups(hot["series"], hot["sampled_at_ns"] // BUCKET_NS):
        rows = hot[start:end]
        key = int(rows["series"][0]), bucket_of(int(rows["sampled_at_ns"][0]))
        sealed = select(db, "SELECT rows FROM sealed WHERE key=?", (pair(key[1], key[0]),)).fetchone()
        if sealed is not None:
            rows = joined((decode_rows(sealed[0]), rows))
        if sealed is not None or key not in found:  # a rollup alone is of trimmed samples: it stands
            found[key] = minutes_of(unique_sorted(rows))
    return np.concatenate([np.empty(0, MINUTE_DTYPE), *found.values()])


def blocks_between(db: apsw.Connection, series: int, start_ns: int, end_ns: int) -> Iterator[StoredBlock]:
    """The waveform blocks of one series that begin in the interval, each key once, by time."""
    hot = select(
        db,
        "SELECT block FROM waveform WHERE series=? AND started_at_ns>=? AND started_at_ns<?",
        (series, start_ns, end_ns),
    )
    found = {block.started_at_ns: block for (blob,) in hot for block in (decode_hot(blob),)}
    sealed = select(
        db,
        "SELECT blocks FROM sealed_waveform WHERE series=? AND bucket BETWEEN ? AND ?",
        (series, bucket_of(start_ns), bucket_of(end_ns)),
    )
    found |= {block.started_at_ns: block for (blob,) in sealed for block in decode_blocks(blob)}
    return (found[at] for at in sorted(found) if start_ns <= at < end_ns)


def count_samples(db: apsw.Connection) -> int:
    """Distinct keys of all samples. Reads all that is hot, shard by shard."""
    total = number_of(db, "SELECT sum(count) FROM sealed")
    for (shard,) in select(db, "SELECT DISTINCT key>>32 FROM hot").fetchall():
        hot = unique_sorted(hot_rows(db, range(shard * SHARD_SERIES, (shard + 1) * SHARD_SERIES)))
        for start, end in groups(hot["series"], hot["sampled_at_ns"] // BUCKET_NS):
            rows = hot[start:end]
            key = pair(bucket_of(int(rows["sampled_at_ns"][0])), int(rows["series"][0]))
            sealed = select(db, "SELECT rows FROM sealed WHERE key=?", (key,)).fetchone()
            old = np.empty(0, ROW_DTYPE) if sealed is None else decode_rows(sealed[0])
            total += unique_sorted(joined((old, rows))).size - old.size
    return total


def count_waveforms(db: apsw.Connection) -> int:
    """Distinct keys of all waveform blocks."""
    total = number_of(db, "SELECT sum(count) FROM sealed_waveform")
    hot = select(
        db,
        "SELECT series, started_at_ns/?, count(*) FROM waveform GROUP BY 1, 2",
        (BUCKET_NS,),
    ).fetchall()
    for series, bucket, count in hot:
        sealed = select(db, "SELECT blocks FROM sealed_waveform WHERE key=?", (pair(bucket, series),)).fetchone()
        if sealed is None:
            total += count
            continue
        known = {block.started_at_ns for block in decode_blocks(sealed[0])}
        began = select(
            db, "SELECT started_at_ns FROM waveform WHERE series=? AND started_at_ns/?=?", (series, BUCKET_NS, bucket)
        )
        total += sum(at not in known for (at,) in began)
    return total


def _between(rows: Rows, start_ns: int, end_ns: int) -> Rows:
    at = rows["sampled_at_ns"]
    inside = (at >= start_ns) & (at < end_ns)
    found: Rows = rows if inside.all() else rows[inside]
    return found


def _newest_of(rows: Rows, patient: int) -> Rows:
    newest: Rows = rows[rows["patient"] == patient][-1:]
    return newest
