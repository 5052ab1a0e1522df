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
        "ALTER TABLE record ADD COLUMN link BLOB",  # of a chained journal, see vitals.chain
    ),
    corrupt=JournalCorruptError,
    full=JournalFullError,
)

INSERT: Final = "INSERT INTO record(sequence, kind, appended_at_ns, end_offset, payload, link) VALUES(?,?,?,?,?,?)"
LINKED: Final = """
    SELECT sequence, kind, appended_at_ns, payload, link FROM record WHERE sequence>? ORDER BY sequence LIMIT 500
"""
CHAIN_BASE: Final = "chain.base"  # mark: the link of the newest record that was trimmed
KEEP_BASE: Final = """
    INSERT OR REPLACE INTO mark SELECT 'chain.base', link FROM record
    WHERE sequence=(SELECT max(sequence) FROM record WHERE sequence<=?) AND link IS NOT NULL
"""
SET_MARK: Final = "INSERT OR REPLACE INTO mark VALUES(?,?)"
MOVE: Final = """
    INSERT INTO cursor VALUES(?,?)
    ON CONFLICT(name) DO UPDATE SET position=max(position, excluded.position)
"""
EXTEND_GAP: Final = """
    UPDATE gap SET last=?, bytes=bytes+? WHERE id=(SELECT max(id) FROM gap) AND last=?-1 AND reason=?
"""
ADD_GAP: Final = "INSERT INTO gap(at_ns, first, last, bytes, reason) VALUES(?,?,?,?,?)"
