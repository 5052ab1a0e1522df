"""The tables of a journal. A change is a further script; what was released is never edited."""

from __future__ import annotations

from typing import Final

from vitals.errors import JournalCorruptError, JournalFullError
from vitals.sqlite_file import FileKind

JOURNAL: Final = FileKind(
    noun="journal",
    application_id=0x57_4C_4A_31,  # "WLJ1": tells a journal from any other SQLite file
    migrations=(
        """
    CREATE TABLE record(
        sequence INTEGER PRIMARY KEY,
        kind INTEGER NOT NULL,
        appended_at_ns INTEGER NOT NULL,
        end_offset INTEGER NOT NULL,  -- bytes appended so far, this record included: size without a scan
        payload BLOB NOT NULL
    );
    CREATE TABLE cursor(name TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE mark(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE gap(
        id INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
        bytes INTEGER NOT NULL, reason TEXT NOT NULL
    );
    """,
    ),
    corrupt=JournalCorruptError,
    full=JournalFullError,
)
