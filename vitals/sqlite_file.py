"""One SQLite file of ours: opened durably, owned by one writing process, brought to its newest schema.

WAL and `synchronous=FULL`: a commit that returned survives a power cut. The SQLite is the one that `apsw` carries
(docs/decisions/0002), and one connection does all writes and checkpoints.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import apsw

from vitals.errors import ConfigurationError, PermanentError, RetryableError

_BUSY_TIMEOUT_MS: Final = 5_000
_WAL_BYTES: Final = 16 << 20  # between checkpoints: fewer fsyncs of the main file, a bounded log
_DISK_FAILED: Final = (apsw.FullError, apsw.IOError, apsw.CantOpenError, apsw.ReadOnlyError)


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a file is: `noun` in messages, the application id in its header, its schema, one script a version.

    `page_bytes`: of a new file; large pages suit large rows. `corrupt`: raised for a damaged or foreign file.
    `full`: raised when it cannot be written now.
    """

    noun: str
    application_id: int
    migrations: tuple[str, ...]
    page_bytes: int = 4_096
    corrupt: type[PermanentError] = PermanentError
    full: type[RetryableError] = RetryableError


def connect(path: Path, kind: FileKind, *, read_only: bool) -> apsw.Connection:
    """Open `path`; a writer creates it. Raises `ConfigurationError`, `kind.corrupt` or `kind.full` with what to do."""
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    try:
        db = apsw.Connection(str(path), flags=flags)
        db.set_busy_timeout(_BUSY_TIMEOUT_MS)
        if not read_only:
            db.execute(f"PRAGMA page_size={kind.page_bytes}")
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.execute(f"PRAGMA wal_autocheckpoint={_WAL_BYTES // kind.page_bytes}")
        _number(db, "PRAGMA schema_version")  # reads the header: tells now whether this is SQLite
    except apsw.CantOpenError as error:
        raise ConfigurationError(f"{path} cannot be opened: check that the folder exists and is ours") from error
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise kind.corrupt(f"{path} is not a readable {kind.noun} ({error}): move it aside and start again") from error
    except _DISK_FAILED as error:
        raise kind.full(f"{path} could not be opened ({error}): free disk space or check the disk") from error
    return db


def check_kind(db: apsw.Connection, path: Path, kind: FileKind) -> int:
    """The schema version of the file, 0 for a new one; raises `kind.corrupt` for a foreign or newer file."""
    version = _number(db, "PRAGMA user_version")
    in_use = _number(db, "SELECT count(*) FROM sqlite_schema")
    if in_use and _number(db, "PRAGMA application_id") != kind.application_id:
        raise kind.corrupt(f"{path} is a SQLite file of another program: name another file")
    if version > len(kind.migrations):
        raise kind.corrupt(
            f"{path} was written by a newer release (schema {version}, this one knows {len(kind.migrations)}): upgrade"
        )
    return version


def migrate(db: apsw.Connection, path: Path, kind: FileKind) -> None:
    """Bring the schema to the newest version, one transaction a step."""
    version = check_kind(db, path, kind)
    for number, script in enumerate(kind.migrations[version:], start=version + 1):
        with transaction(db, path, kind):
            db.execute(script)
            db.pragma("application_id", kind.application_id)
            db.pragma("user_version", number)


def require_newest(db: apsw.Connection, path: Path, kind: FileKind) -> None:
    """Check before reading that the schema is the one this release knows; raises `kind.corrupt`."""
    if check_kind(db, path, kind) != len(kind.migrations):
        raise kind.corrupt(f"{path} is of an older release: start the service that writes it once, then read")


@contextmanager
def transaction(db: apsw.Connection, path: Path, kind: FileKind) -> Iterator[None]:
    """All or nothing, durable at the end. A full or failing disk raises `kind.full` and leaves nothing behind."""
    try:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("COMMIT")
    except BaseException as error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        if isinstance(error, _DISK_FAILED):
            raise kind.full(
                f"{path} could not be written ({error}): free disk space or check the disk", retry_after_s=1.0
            ) from error
        raise


def take_ownership(path: Path) -> IO[bytes]:
    """Become the one process that writes `path`, until `release`; raises `ConfigurationError` when another one is."""
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
    """Let another process write."""
    if owner is not None:
        owner.close()


def _number(db: apsw.Connection, sql: str) -> int:
    row: Any = db.execute(sql).fetchone()
    return int(row[0]) if row else 0
