"""The embedded store's file: its tables and the bounds of what they hold.

    write ──▶ hot: pieces of a shard, appended to ──seal──▶ sealed: one blob per series and five minutes
                                                       └──▶ rollup: their minutes, kept for longer

docs/decisions/0005 says why, with the figures.
"""

from __future__ import annotations

from typing import Any, Final

import apsw

from vitals.sqlite_file import FileKind

SHARD_SERIES: Final = 32  # series per hot row: a reader of one patient wades through this many, a write touches fewer
PIECE_ROWS: Final = 512  # a hot piece is rewritten until it holds so many: few rows to read, 27 KB at most to rewrite

STORE: Final = FileKind(
    noun="store",
    page_bytes=16_384,  # a hot piece fills one or two: writing costs a quarter less CPU than with pages of 4 KB
    application_id=0x57_4C_53_31,  # "WLS1": tells a store from any other SQLite file
    migrations=(
        """
        CREATE TABLE progress(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
        CREATE TABLE patient(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
        CREATE TABLE series(
            id INTEGER PRIMARY KEY,
            device TEXT NOT NULL,
            stream INTEGER NOT NULL,  -- a Vital or a Waveform
            UNIQUE(device, stream)
        );
        CREATE TABLE worn(  -- which series hold anything of a patient
            patient INTEGER NOT NULL, series INTEGER NOT NULL, PRIMARY KEY(patient, series)
        ) WITHOUT ROWID;
        CREATE TABLE hot(
            key INTEGER PRIMARY KEY,  -- shard, piece in the order written
            oldest_ns INTEGER NOT NULL,
            newest_ns INTEGER NOT NULL,
            rows BLOB NOT NULL  -- ingest.store.rows.ROW_DTYPE
        );
        CREATE TABLE sealed(
            key INTEGER PRIMARY KEY,  -- bucket, series: appended in the order of time, trimmed from the front
            series INTEGER NOT NULL,
            bucket INTEGER NOT NULL,
            count INTEGER NOT NULL,
            rows BLOB NOT NULL  -- ingest.store.blobs
        );
        CREATE UNIQUE INDEX sealed_of_series ON sealed(series, bucket, count);
        CREATE TABLE rollup(
            series INTEGER NOT NULL, bucket INTEGER NOT NULL,
            minutes BLOB NOT NULL,  -- ingest.store.rollup.MINUTE_DTYPE, one for each minute with samples
            PRIMARY KEY(series, bucket)
        ) WITHOUT ROWID;
        CREATE TABLE waveform(
            id INTEGER PRIMARY KEY,
            series INTEGER NOT NULL,
            started_at_ns INTEGER NOT NULL,
            patient INTEGER NOT NULL,
            block BLOB NOT NULL  -- ingest.store.waveform_blobs
        );
        CREATE UNIQUE INDEX waveform_of_series ON waveform(series, started_at_ns);
        CREATE TABLE sealed_waveform(
            key INTEGER PRIMARY KEY,  -- bucket, series
            series INTEGER NOT NULL,
            bucket INTEGER NOT NULL,
            count INTEGER NOT NULL,
            blocks BLOB NOT NULL
        );
        CREATE UNIQUE INDEX sealed_waveform_of_series ON sealed_waveform(series, bucket, count);
        """,
        """
        CREATE TABLE source(  -- devices that best values came from; a best value's `sequence` is such a number
            id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE
        );
        """,
    ),
)


def select(db: apsw.Connection, sql: str, values: tuple[Any, ...] = ()) -> Any:
    """A cursor over the result; SQLite gives numbers, text and bytes, and only the query knows which."""
    return db.execute(sql, values)
