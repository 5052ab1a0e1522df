"""The journal of changed limits: `limits.db` in the data folder. Chained; `wardlight journal verify` checks it.

Two processes write it, each only for a moment: the command `wardlight limits` what a person changed, and a server, when
it starts, what it found changed in its files. Everybody may read it at any time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

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
from vitals.errors import ConfigurationError, MalformedMessageError
from vitals.journal import Journal, Record

_TRY_AGAIN_S: Final = 0.05


@dataclass(slots=True)
class LimitHistory:
    """Everything up to record `position`: each entry, and what follows from all of them."""

    position: int = 0
    entries: list[LimitChange | ConfigurationChange] = field(default_factory=list)
    changes: Changes = field(default_factory=Changes)
    configuration: ConfigurationChange | None = None  # the last one

    def read_on(self, journal: Journal) -> bool:
        """Take in what is new; whether anything was. Raises `MalformedMessageError` at what cannot be read.

        What stands behind that is not taken in: nobody knows what of it still counts.
        """
        before = self.position
        while records := journal.read(self.position):
            for record in records:
                self._take(record)
        return self.position > before

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
        with Journal(path, read_only=True) as journal:
            history.read_on(journal)
    return history


@contextmanager
def writing(path: Path, *, wait_s: float = 0.0) -> Iterator[Journal]:
    """The journal for writing, as soon as nobody else writes it; raises `ConfigurationError` after `wait_s`."""
    deadline_s = time.monotonic() + wait_s
    while True:
        try:
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
