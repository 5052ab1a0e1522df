"""The journal of changed limits: `limits.db` in the data folder. Chained; `wardlight journal verify` checks it.

Two processes write it, each only for a moment: the command `wardlight limits` what a person changed, and a server, when
it starts, what it found changed in its files. Everybody may read it at any time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import apsw

from alerts.limit_changes import (
    ConfigurationChange,
    LimitChange,
    LimitRecordKind,
    decode_change,
    decode_configuration,
    encode_change,
    encode_configuration,
)
from alerts.limits_in_force import Changes
from vitals.chain import START, verify
from vitals.errors import ConfigurationError, JournalCorruptError, MalformedMessageError
from vitals.journal import Journal, Record
from vitals.journal_schema import CHAIN_BASE

_TRY_AGAIN_S: Final = 0.05
_BUSY_MS: Final = 500  # another process may just be making the file
_RESTORE: Final = "put it back from a backup"


@dataclass(slots=True)
class LimitHistory:
    """Everything up to record `position`: each entry, and what follows from all of them."""

    position: int = 0
    entries: list[LimitChange | ConfigurationChange] = field(default_factory=list)
    changes: Changes = field(default_factory=Changes)
    configuration: ConfigurationChange | None = None  # the last one

    def read_on(self, journal: Journal) -> bool:
        """Take in what is new; whether anything was.

        Raises `MalformedMessageError` at an entry that cannot be read, `JournalCorruptError` for a damaged file or an
        entry that is not what was written. What stands behind is not taken in: nobody knows what of it still counts.
        """
        with _damage_told(journal.path):
            if (newest := journal.newest) == self.position:
                return False
            verdict = verify(journal.linked(), journal.mark(CHAIN_BASE) or START)
            if newest < self.position or verdict.broken_at is not None:
                why = f"entry {verdict.broken_at}: {verdict.why}" if verdict.why else "entries are missing"
                raise JournalCorruptError(f"{journal.path} is not what was written ({why}): {_RESTORE}")
            while records := journal.read(self.position):
                for record in records:
                    self._take(record)
        return True

    def _take(self, record: Record) -> None:
        if record.kind == LimitRecordKind.CHANGE:
            change = decode_change(record.payload)
            self.changes.take(change)
            self.entries.append(change)
        elif record.kind == LimitRecordKind.CONFIGURATION:
            self.configuration = decode_configuration(record.payload)
            self.entries.append(self.configuration)
        else:
            raise MalformedMessageError(
                "unknown_kind", "", f"entry {record.sequence} is of a newer release (kind {record.kind}): upgrade"
            )
        self.position = record.sequence


def read_history(path: Path) -> LimitHistory:
    """All of the journal at `path`, nothing when there is none; raises `WardlightError` when it cannot be read."""
    history = LimitHistory()
    if path.exists():
        with open_read_only(path) as journal:
            history.read_on(journal)
    return history


def open_read_only(path: Path) -> Journal:
    """The journal at `path`; raises `WardlightError` when that is not possible."""
    _require_sound(path)
    with _damage_told(path):
        return Journal(path, read_only=True)


def _require_sound(path: Path) -> None:
    """Let SQLite go through its file: a damaged table may read as one with fewer entries, which is no error to it."""
    with _damage_told(path), closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        db.set_busy_timeout(_BUSY_MS)
        found: Any = db.execute("PRAGMA integrity_check(1)").fetchone()
        if found != ("ok",):
            raise JournalCorruptError(f"{path} is damaged ({found[0]}): {_RESTORE}")


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """SQLite's own errors, and values that are not of their column's kind, as one error that says what to do."""
    try:
        yield
    except (apsw.Error, TypeError, ValueError, OverflowError) as error:
        raise JournalCorruptError(f"{path} is damaged ({error}): {_RESTORE}") from error


@contextmanager
def writing(path: Path, *, wait_s: float = 0.0) -> Iterator[Journal]:
    """The journal for writing, as soon as nobody else writes it; raises `ConfigurationError` after `wait_s`."""
    deadline_s = time.monotonic() + wait_s
    while True:
        try:
            if path.exists():
                _require_sound(path)
            with _damage_told(path):
                journal = Journal(path, chained=True)
            break
        except ConfigurationError:
            if time.monotonic() >= deadline_s:
                raise
            time.sleep(_TRY_AGAIN_S)
    with journal:
        yield journal


def append(journal: Journal, entry: LimitChange | ConfigurationChange) -> None:
    """Write an entry, durable on return; raises `JournalFullError` and has written nothing."""
    if isinstance(entry, LimitChange):
        record = (int(LimitRecordKind.CHANGE), encode_change(entry))
    else:
        record = (int(LimitRecordKind.CONFIGURATION), encode_configuration(entry))
    journal.append([record], now_ns=entry.at_ns)
