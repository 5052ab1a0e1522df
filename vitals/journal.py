"""The durable journal: an append-only log with named cursors, in one SQLite file.

The gateway's spool, the ingest worker's output, the alarm log and the notification outbox are all this class. A
writer appends records and returns when they are on disk; a consumer reads after its cursor, does its work, and moves
the cursor when that work is durable elsewhere. A slow consumer lags behind its own cursor and holds nobody up.

What it promises
- `append` returns after the commit is durable (WAL, `synchronous=FULL`); a `kill -9` or a power cut afterwards loses
  nothing.
- Sequences rise by one and are never used twice, across restarts and trimming.
- Marks given to `append` are committed in the same transaction: a consumer that writes its results into a journal keeps
  "how far" and "what came of it" together.
- One process writes (held by a lock on `<file>.lock`); any number of processes read at the same time.
- SQLite is the one that `apsw` carries, free of the WAL-reset bug that Debian 12's has (docs/decisions/0002).

At the bound: records that every cursor has passed go first. If that is not enough, `WhenFull.REFUSE` makes `append`
raise `JournalFullError` and loses nothing; `WhenFull.DROP_OLDEST` deletes the oldest unread records and keeps an
entry in `gaps()` that says which, how many and why.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from vitals.chain import START, Linked, link_after
from vitals.errors import JournalFullError
from vitals.journal_schema import ADD_GAP, EXTEND_GAP, INSERT, JOURNAL, KEEP_BASE, LINKED, MOVE, SET_MARK
from vitals.retention import Bounds, Gap, Trimmed, WhenFull, last_beyond
from vitals.sqlite_file import connect, migrate, release, require_newest, take_ownership, transaction

__all__ = ["Bounds", "Gap", "Journal", "Record", "Trimmed", "WhenFull"]

_ANY_TIME_NS: Final = (1 << 63) - 1  # also of records from before the clock was set back
_TRIM_CHUNK: Final = 2_000  # records deleted per transaction, so that an append never waits long


@dataclass(frozen=True, slots=True)
class Record:
    """One entry. `kind` is the writer's own small number for what the payload is."""

    sequence: int
    kind: int
    appended_at_ns: int
    payload: bytes


class Journal:
    """See the module's text. Safe to call from several threads; `append` and `trim` wait for each other."""

    def __init__(
        self, path: Path, *, bounds: Bounds | None = None, read_only: bool = False, chained: bool = False
    ) -> None:
        """`chained`: write a hash chain (`vitals.chain`), for what must not be changed unseen."""
        self.path = path
        self.bounds = bounds or Bounds()
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []
        self._owner = None if read_only else take_ownership(path)
        try:
            self._db = connect(path, JOURNAL, read_only=read_only)
            (require_newest if read_only else migrate)(self._db, path, JOURNAL)
        except BaseException:
            release(self._owner)
            raise
        self._reader = self._db if read_only else connect(path, JOURNAL, read_only=True)
        self._reading = self._lock if read_only else threading.Lock()
        self._newest, self._appended_bytes, self._link = self._tail()
        self._chained = chained
        self._trimmed_bytes = self._head_offset()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; committed records need no closing to be safe."""
        with self._lock:
            self._reader.close()
            self._db.close()
            release(self._owner)

    # -- writing -----------------------------------------------------------------------------------------------------

    def append(
        self,
        records: Sequence[tuple[int, bytes]],
        *,
        now_ns: int,
        marks: Mapping[str, bytes] | None = None,
        cursors: Mapping[str, int] | None = None,
    ) -> int:
        """Commit `(kind, payload)` records, marks and cursor moves in one durable transaction; the newest sequence.

        Raises `JournalFullError` (nothing was written, call again later) at the bound of a refusing journal or
        when the disk is full.
        """
        size = sum(len(payload) for _, payload in records)
        with self._lock:
            self._make_room(size, now_ns)
            newest, offset, link = self._newest, self._appended_bytes, self._link
            rows = []
            for kind, payload in records:
                newest, offset = newest + 1, offset + len(payload)
                link = link_after(link or START, newest, kind, now_ns, payload) if self._chained else None
                rows.append((newest, kind, now_ns, offset, payload, link))
            with transaction(self._db, self.path, JOURNAL):
                self._db.executemany(INSERT, rows)
                for key, value in (marks or {}).items():
                    self._db.execute(SET_MARK, (key, value))
                for name, position in (cursors or {}).items():
                    self._db.execute(MOVE, (name, position))
            self._newest, self._appended_bytes, self._link = newest, offset, link
        for wake in tuple(self._listeners):
            wake()
        return newest

    def move(self, name: str, position: int, *, marks: Mapping[str, bytes] | None = None) -> None:
        """Move cursor `name` forward to `position` (create it there), never back. Durable on return."""
        with self._lock, transaction(self._db, self.path, JOURNAL):
            self._db.execute(MOVE, (name, position))
            for key, value in (marks or {}).items():
                self._db.execute(SET_MARK, (key, value))

    def rewind(self, name: str, position: int) -> None:
        """Set cursor `name` to `position` even if that is back: reading again on purpose."""
        with self._lock, transaction(self._db, self.path, JOURNAL):
            self._db.execute("INSERT OR REPLACE INTO cursor VALUES(?,?)", (name, position))

    def forget(self, name: str) -> None:
        """Remove cursor `name`, so that records need not wait for a consumer that is gone."""
        with self._lock, transaction(self._db, self.path, JOURNAL):
            self._db.execute("DELETE FROM cursor WHERE name=?", (name,))

    def trim(self, *, now_ns: int) -> Trimmed:
        """Delete what the bounds allow: old read records always, unread ones only when dropping is the policy.

        The newest record always stays: it carries the sequence on.
        """
        with self._lock:
            read = self._delete_read(now_ns - int(self.bounds.keep_read_s * 1e9))
            if self.bounds.when_full is WhenFull.REFUSE:
                return Trimmed(read, 0)
            dropped = self._drop_unread(0, now_ns)
            return Trimmed(read, dropped)

    # -- reading -----------------------------------------------------------------------------------------------------

    def read(self, after: int, *, limit: int = 1_000, max_bytes: int = 16 << 20) -> list[Record]:
        """Up to `limit` records after sequence `after`, in order, and no more than about `max_bytes` of payload."""
        found: list[Record] = []
        taken = 0
        with self._reading:
            rows: Any = self._reader.execute(
                "SELECT sequence, kind, appended_at_ns, payload FROM record WHERE sequence>? ORDER BY sequence LIMIT ?",
                (after, limit),
            )
            for row in rows:
                found.append(Record(*row))
                taken += len(found[-1].payload)
                if taken >= max_bytes:
                    break
        return found

    def cursor(self, name: str) -> int:
        """Where cursor `name` stands; 0, before the first record, when it was never moved."""
        row = self._one("SELECT position FROM cursor WHERE name=?", (name,))
        return 0 if row is None else int(row[0])

    def cursors(self) -> dict[str, int]:
        """All cursors and where they stand."""
        return dict(self._many("SELECT name, position FROM cursor ORDER BY name", ()))

    def mark(self, key: str) -> bytes | None:
        """The value last committed under `key`."""
        row = self._one("SELECT value FROM mark WHERE key=?", (key,))
        return None if row is None else bytes(row[0])

    def marks(self, prefix: str = "") -> dict[str, bytes]:
        """All marks whose key begins with `prefix`."""
        rows = self._many("SELECT key, value FROM mark WHERE substr(key, 1, ?)=?", (len(prefix), prefix))
        return {key: bytes(value) for key, value in rows}

    def gaps(self) -> list[Gap]:
        """What was dropped unread, oldest first."""
        return [Gap(*row) for row in self._many("SELECT at_ns, first, last, bytes, reason FROM gap ORDER BY id", ())]

    def linked(self) -> Iterator[Linked]:
        """Every record with its link, oldest first, for `vitals.chain.verify`; the base is mark `CHAIN_BASE`."""
        after = 0
        while rows := self._many(LINKED, (after,)):
            yield from (Linked(*row) for row in rows)
            after = rows[-1][0]

    @property
    def newest(self) -> int:
        """The sequence of the newest record; 0 in a new journal."""
        sql = "SELECT coalesce(max(sequence), 0) FROM record"
        return int(self._one(sql, ())[0]) if self._owner is None else self._newest

    @property
    def oldest(self) -> int:
        """The sequence of the oldest record still held; 0 in a new journal."""
        return int(self._one("SELECT coalesce(min(sequence), 0) FROM record", ())[0])

    @property
    def size_bytes(self) -> int:
        """Payload bytes held."""
        return self._appended_bytes - self._trimmed_bytes

    @contextmanager
    def listen(self, wake: Callable[[], None]) -> Iterator[None]:
        """Call `wake` after each append of this process, from the thread that appended, while the context lasts."""
        self._listeners.append(wake)
        try:
            yield
        finally:
            self._listeners.remove(wake)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _many(self, sql: str, values: tuple[Any, ...]) -> list[Any]:
        with self._reading:
            return self._reader.execute(sql, values).fetchall()

    def _one(self, sql: str, values: tuple[Any, ...]) -> Any:
        with self._reading:
            return self._reader.execute(sql, values).fetchone()

    def _tail(self) -> tuple[int, int, bytes | None]:
        sql = "SELECT sequence, end_offset, link FROM record ORDER BY sequence DESC LIMIT 1"
        row: Any = self._db.execute(sql).fetchone()
        return (0, 0, None) if row is None else row

    def _head_offset(self) -> int:
        sql = "SELECT end_offset - length(payload) FROM record ORDER BY sequence LIMIT 1"
        row: Any = self._db.execute(sql).fetchone()
        return 0 if row is None else int(row[0])

    def _read_through(self) -> int:
        """The highest sequence that every cursor has passed; 0 without cursors: unread by anybody."""
        row: Any = self._db.execute("SELECT min(position) FROM cursor").fetchone()
        return int(row[0]) if row and row[0] is not None else 0

    def _make_room(self, size: int, now_ns: int) -> None:
        if self.size_bytes + size <= self.bounds.max_bytes:
            return
        self._delete_read(_ANY_TIME_NS, at_least=self.size_bytes + size - self.bounds.max_bytes)
        if self.size_bytes + size <= self.bounds.max_bytes:
            return
        if self.bounds.when_full is WhenFull.REFUSE:
            raise JournalFullError(
                f"{self.path} holds {self.size_bytes:,} bytes that a consumer has not read; its bound is "
                f"{self.bounds.max_bytes:,}. The slowest cursor is {self._slowest()}",
                retry_after_s=1.0,
            )
        self._drop_unread(size, now_ns)

    def _slowest(self) -> str:
        row: Any = self._db.execute("SELECT name, position FROM cursor ORDER BY position LIMIT 1").fetchone()
        return "none: no consumer has read yet" if row is None else f"{row[0]!r} at {row[1]:,}"

    def _delete_read(self, before_ns: int, *, at_least: int | None = None) -> int:
        """Delete read records appended before `before_ns`, or until `at_least` bytes are free."""
        through = min(self._read_through(), self._newest - 1)
        sql = (
            "SELECT sequence, end_offset FROM record WHERE sequence<=? AND appended_at_ns<=? ORDER BY sequence LIMIT ?"
        )
        start, removed = self._trimmed_bytes, 0
        while True:
            rows: list[Any] = self._db.execute(sql, (through, before_ns, _TRIM_CHUNK)).fetchall()
            if not rows or (at_least is not None and self._trimmed_bytes - start >= at_least):
                return removed
            removed += self._delete_through(*rows[-1])

    def _drop_unread(self, incoming: int, now_ns: int) -> int:
        """Delete the oldest unread records beyond the bounds and remember the gap."""
        oldest_ns = None if self.bounds.max_age_s is None else now_ns - int(self.bounds.max_age_s * 1e9)
        least_offset = self._appended_bytes + incoming - self.bounds.max_bytes
        dropped = 0
        while True:
            rows: list[Any] = self._db.execute(
                "SELECT sequence, end_offset, appended_at_ns FROM record WHERE sequence<? ORDER BY sequence LIMIT ?",
                (self._newest, _TRIM_CHUNK),
            ).fetchall()
            last = last_beyond(rows, self._trimmed_bytes, least_offset, oldest_ns)
            if last < 0:
                return dropped
            sequence, end, appended_at_ns = rows[last]
            reason = "age" if oldest_ns is not None and appended_at_ns < oldest_ns else "size"
            first_unread = max(self._read_through() + 1, rows[0][0])
            start = max((row[1] for row in rows if row[0] < first_unread), default=self._trimmed_bytes)
            gap = Gap(now_ns, first_unread, sequence, end - start, reason)
            self._delete_through(sequence, end, gap if first_unread <= sequence else None)
            dropped += max(0, sequence - first_unread + 1)

    def _delete_through(self, sequence: int, end_offset: int, gap: Gap | None = None) -> int:
        with transaction(self._db, self.path, JOURNAL):
            self._db.execute(KEEP_BASE, (sequence,))
            self._db.execute("DELETE FROM record WHERE sequence<=?", (sequence,))
            count = self._db.changes()
            if gap is not None:
                self._remember(gap)
        self._trimmed_bytes = end_offset
        return count

    def _remember(self, gap: Gap) -> None:
        """Extend the newest gap when this one follows it: a journal that stays at its bound keeps one entry."""
        self._db.execute(EXTEND_GAP, (gap.last, gap.bytes, gap.first, gap.reason))
        if not self._db.changes():
            self._db.execute(ADD_GAP, (gap.at_ns, gap.first, gap.last, gap.bytes, gap.reason))
