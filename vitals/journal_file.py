"""The file under a journal: who owns it, how it is opened, and how its schema is brought up to date."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import apsw

from vitals.errors import ConfigurationError, JournalCorruptError, JournalFullError

_APPLICATION_ID: Final = 0x57_4C_4A_31  # "WLJ1": tells a journal from any other SQLite file
_BUSY_TIMEOUT_MS: Final = 5_000
_WAL_PAGES: Final = 4_000  # 16 MB between checkpoints: fewer fsyncs of the main file, a bounded log
_MIGRATIONS: Final[tuple[str, ...]] = (
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
)


def connect(path: Path, *, read_only: bool) -> apsw.Connection:
    """Open `path` for durable commits, or for reading beside the writer.

    Raises `ConfigurationError` (no such folder or file, not ours) or `JournalCorruptError` (not SQLite).
    """
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    try:
        db = apsw.Connection(str(path), flags=flags)
        db.set_busy_timeout(_BUSY_TIMEOUT_MS)
        if not read_only:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES}")
    except apsw.CantOpenError as error:
        raise ConfigurationError(f"{path} cannot be opened: check that the folder exists and is ours") from error
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise JournalCorruptError(f"{path} is not a journal ({error}): move it aside and start again") from error
    return db


def migrate(db: apsw.Connection, path: Path, migrations: Sequence[str] = _MIGRATIONS) -> None:
    """Bring the schema to the newest version, one transaction a step.

    Raises `JournalCorruptError` for a file of another program or of a newer release, and leaves it as it was.
    """
    version = _number(db, "PRAGMA user_version")
    in_use = _number(db, "SELECT count(*) FROM sqlite_schema")
    if in_use and _number(db, "PRAGMA application_id") != _APPLICATION_ID:
        raise JournalCorruptError(f"{path} is a SQLite file of another program: name another file")
    if version > len(migrations):
        raise JournalCorruptError(
            f"{path} was written by a newer release (schema {version}, this one knows {len(migrations)}): upgrade"
        )
    for number, script in enumerate(migrations[version:], start=version + 1):
        db.execute("BEGIN IMMEDIATE")
        db.execute(script)
        db.pragma("application_id", _APPLICATION_ID)
        db.pragma("user_version", number)
        db.execute("COMMIT")


def _number(db: apsw.Connection, sql: str) -> int:
    row: Any = db.execute(sql).fetchone()
    return int(row[0]) if row else 0


def check_readable(db: apsw.Connection, path: Path) -> None:
    """Raise `JournalCorruptError` unless `db` holds a journal's tables."""
    try:
        db.execute("SELECT 1 FROM record, cursor, mark, gap LIMIT 1").fetchone()
    except (apsw.NotADBError, apsw.CorruptError, apsw.SQLError) as error:
        raise JournalCorruptError(
            f"{path} is not a readable journal ({error}): move it aside and start again, "
            "the senders still hold what was not acknowledged"
        ) from error


@contextmanager
def transaction(db: apsw.Connection, path: Path) -> Iterator[None]:
    """Commit durably on leaving, roll back on any error; a disk that is full or fails is a `JournalFullError`."""
    try:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("COMMIT")
    except BaseException as error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        if isinstance(error, (apsw.FullError, apsw.IOError, apsw.CantOpenError)):
            raise JournalFullError(
                f"{path} could not be written ({error}): free disk space or check the disk", retry_after_s=1.0
            ) from error
        raise


def take_ownership(path: Path) -> IO[bytes]:
    """Become the one process that writes `path`, until `release` or the end of the process, however it ends.

    Raises `ConfigurationError` when another process is, or when the folder cannot be written.
    """
    try:
        owner = path.with_name(path.name + ".lock").open("ab")
    except OSError as error:
        raise ConfigurationError(f"{path.parent} cannot be written: create it and make it ours") from error
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner.close()
        raise ConfigurationError(
            f"{path} is in use by another process: stop that one first, or read it with read_only"
        ) from error
    return owner


def release(owner: IO[bytes] | None) -> None:
    """Give up ownership; `None`, a reader, has none."""
    if owner is not None:
        owner.close()
