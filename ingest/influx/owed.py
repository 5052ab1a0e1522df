"""Hours that a target was not given when it was let go, to be sent from the embedded store: a durable list.

It stands in a mark of the ingest journal, written together with the cursor that moves past those records.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from ingest.influx.refill import HOUR_NS
from vitals.columns import RecordKind, decode_block
from vitals.errors import MalformedMessageError
from vitals.journal import Journal, Record

CROWDED: Final = 0.5  # of the journal's bound: the rest is for the consumers that monitoring rests on
CURSOR_PREFIX: Final = "influx:"
_PAGE_BYTES: Final = 16 << 20
_DECODER: Final = msgspec.msgpack.Decoder(list[int])


class Owed:
    """The hours since 1970, UTC, that one target owes. Safe to call from several threads."""

    def __init__(self, journal: Journal, name: str) -> None:
        self._journal = journal
        self._mark = f"influx-owed:{name}"
        self._lock = threading.Lock()
        stored = journal.mark(self._mark)
        self._hours: dict[int, int] = dict.fromkeys(_DECODER.decode(stored), 0) if stored else {}  # → times noted

    @property
    def hours(self) -> dict[int, int]:
        """The hours owed, the oldest first, and how often each was noted: `paid` wants to know."""
        with self._lock:
            return dict(sorted(self._hours.items()))

    def crowded(self, cursor: str) -> bool:
        """Whether `cursor` is the last, or among the last by far, in a journal that fills up."""
        if self._journal.size_bytes <= CROWDED * self._journal.bounds.max_bytes:
            return False
        cursors = self._journal.cursors()
        others = [at for name, at in cursors.items() if not name.startswith(CURSOR_PREFIX)]
        return cursors.get(cursor, 0) < min(others, default=self._journal.newest)

    def let_go(self, cursor: str, after: int) -> int:
        """Move `cursor` past everything that is journalled now, and note the hours of those readings; the position."""
        newest, found, at = self._journal.newest, set[int](), after
        while at < newest and (records := self._journal.read(at, max_bytes=_PAGE_BYTES)):
            found |= _hours_of(records)
            at = records[-1].sequence
        with self._lock:
            self._hours |= {hour: self._hours.get(hour, 0) + 1 for hour in found}
            self._journal.move(cursor, at, marks={self._mark: self._encoded()})
        return at

    def paid(self, hour: int, noted: int, cursor: str) -> None:
        """`hour`, as it was when it had been noted so often, is at the target; what came since is still owed."""
        with self._lock:
            if self._hours.get(hour) != noted:
                return
            del self._hours[hour]
            self._journal.move(cursor, 0, marks={self._mark: self._encoded()})

    def _encoded(self) -> bytes:
        return msgspec.msgpack.encode(sorted(self._hours))


def forget_others(journals: Iterable[Journal], configured: Iterable[str]) -> list[str]:
    """Forget the cursors of targets that are no longer configured, or journals could not be trimmed; which."""
    names, forgotten = set(configured), []
    for journal in journals:
        for cursor in journal.cursors():
            if cursor.startswith(CURSOR_PREFIX) and cursor.split(":")[1] not in names:
                journal.forget(cursor)
                forgotten.append(cursor)
    return forgotten


def cursor_of(target: str, what: str = "") -> str:
    """The cursor of one target; `what`: of its rollups, when it is not the readings'."""
    return f"{CURSOR_PREFIX}{target}{':' if what else ''}{what}"


def _hours_of(records: Sequence[Record]) -> set[int]:
    found: set[int] = set()
    for record in records:
        if record.kind == RecordKind.SAMPLES:
            try:
                block = decode_block(record.payload)
            except MalformedMessageError:
                continue  # the forwarder would have skipped it as well
            found.update((block.rows["sampled_at_ns"] // HOUR_NS).tolist())
    return found
