"""Writing the embedded store: one process, one connection; see schema.py for the way a sample takes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeAlias

import numpy as np

from ingest.store.registry import Registry
from ingest.store.retention import CHUNK, DEFAULT, Kept, Retention, deletions
from ingest.store.rows import ROW_DTYPE, Rows, groups, pair, stored_rows
from ingest.store.schema import PIECE_ROWS, SHARD_SERIES, STORE, select
from ingest.store.sealing import horizon_of, seal_shard, seal_waveforms
from ingest.store.waveform_blobs import StoredBlock, encode_hot
from vitals import sqlite_file
from vitals.columns import SampleBlock

SEAL_UNITS: Final = 4  # shards or waveform series sealed per transaction: a write waits some 20 ms for one
RESEAL_NS: Final = 60 * 10**9  # late samples are merged at most so often: a blob is not rewritten for each of them
_POSITION: Final = "position"


@dataclass(frozen=True, slots=True)
class _Piece:
    """The hot piece of a shard that is still appended to."""

    number: int
    oldest_ns: int
    newest_ns: int
    rows: bytes

    def grown(self, rows: Rows) -> _Piece:
        """This piece with `rows` at its end, or the next one when they do not fit."""
        oldest, newest = int(rows["sampled_at_ns"].min()), int(rows["sampled_at_ns"].max())
        if not self.rows or len(self.rows) // ROW_DTYPE.itemsize + rows.size > PIECE_ROWS:
            return _Piece(self.number + 1, oldest, newest, rows.tobytes())
        joined = self.rows + rows.tobytes()
        return _Piece(self.number, min(oldest, self.oldest_ns), max(newest, self.newest_ns), joined)


class _Kind(Enum):
    """What is sealed at once: the samples of a shard, or the waveforms of a series."""

    SHARD = 1
    WAVEFORMS = 2


_Unit: TypeAlias = tuple[_Kind, int]


class StoreWriter:
    """The one writer of a store. Safe to call from several threads: calls wait for each other.

    Raises `ConfigurationError` when another process writes the file, `PermanentError` for a file it cannot read, and
    from every writing call `RetryableError` when the disk is full or fails: nothing was written, call again later.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._owner = sqlite_file.take_ownership(path)
        try:
            self._db = sqlite_file.connect(path, STORE, read_only=False)
            sqlite_file.migrate(self._db, path, STORE)
            self._remember()
        except BaseException:
            sqlite_file.release(self._owner)
            raise
        self._queue: deque[_Unit] = deque()
        self._surveyed_at_ns: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what was committed needs no closing to be safe."""
        with self._lock:
            self._db.close()
            sqlite_file.release(self._owner)

    @property
    def position(self) -> int:
        """The journal sequence given to the last `write`; 0 in a new store."""
        with self._lock:
            row = select(self._db, "SELECT value FROM progress WHERE name=?", (_POSITION,)).fetchone()
        return int(row[0]) if row else 0

    def write(self, blocks: Sequence[SampleBlock], *, position: int) -> int:
        """Store `blocks` and the journal `position` they end at, durably and together; the readings taken.

        A reading whose key is stored already changes nothing.
        """
        with self._lock, self._transaction():
            taken = 0
            for shard, rows in self._by_shard(blocks):
                self._append(shard, rows)
                taken += rows.size
            for block in blocks:
                self._add_waveforms(block)
            self._db.execute("INSERT OR REPLACE INTO progress VALUES(?,?)", (_POSITION, position))
        return taken

    def seal(self, now_ns: int, *, units: int | None = None) -> int:
        """Seal what is due at `now_ns`, in short transactions between which writes go on; the blobs written.

        `units`: at most so many shards or waveform series in this call, so that a caller can spread the work; late
        samples then wait up to `RESEAL_NS`. Without it, everything that is due.
        """
        with self._lock:
            self._survey(now_ns, force=units is None)
            left = len(self._queue) if units is None else units
        blobs = 0
        while left > 0 and (sealed := self._seal_some(now_ns, min(left, SEAL_UNITS))) is not None:
            blobs += sealed
            left -= SEAL_UNITS
        return blobs

    def trim(self, now_ns: int, keep: Retention = DEFAULT) -> dict[Kept, int]:
        """Delete what is older than `keep` says, in short transactions; the blobs or rollups deleted of each.

        The file keeps its size and uses the room again.
        """
        with self._lock:
            row = select(self._db, "SELECT max(id) FROM series").fetchone()
        removed = dict.fromkeys(Kept, 0)
        for deletion in deletions(now_ns, keep, newest_series=row[0] or 0):
            changes = CHUNK
            while changes >= CHUNK:
                with self._lock, self._transaction():
                    self._db.execute(deletion.sql, deletion.values)
                    changes = self._db.changes()
                removed[deletion.what] += changes
        return removed

    # -- inside ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with sqlite_file.transaction(self._db, self.path, STORE):
                yield
        except BaseException:
            self._remember()  # what was kept in memory may be of the transaction that is undone
            raise

    def _remember(self) -> None:
        """Take from the file what is kept in memory: names, where each shard's pieces end, what is hot since when."""
        self._registry = Registry(self._db)
        self._pieces: dict[int, _Piece] = {}
        self._oldest: dict[_Unit, int] = {}
        for shard, newest_key, oldest_ns in select(
            self._db, "SELECT key>>32 AS shard, max(key), min(oldest_ns) FROM hot GROUP BY shard"
        ):
            self._pieces[shard] = _Piece(newest_key & 0xFFFF_FFFF, 0, 0, b"")  # a full one: the next begins anew
            self._oldest[_Kind.SHARD, shard] = oldest_ns
        for series, oldest_ns in select(self._db, "SELECT series, min(started_at_ns) FROM waveform GROUP BY series"):
            self._oldest[_Kind.WAVEFORMS, series] = oldest_ns

    def _by_shard(self, blocks: Sequence[SampleBlock]) -> Iterator[tuple[int, Rows]]:
        known = self._registry
        parts = [
            stored_rows(block.rows, *known.of_rows(block), known.of_sources(block))
            for block in blocks
            if block.rows.size
        ]
        if not parts:
            return
        rows = np.concatenate(parts)
        shard = rows["series"] // SHARD_SERIES
        order = np.argsort(shard, kind="stable")
        rows, shard = rows[order], shard[order]
        for start, end in groups(shard):
            yield int(shard[start]), rows[start:end]

    def _append(self, shard: int, rows: Rows) -> None:
        piece = self._pieces.get(shard, _Piece(0, 0, 0, b"")).grown(rows)
        self._db.execute(
            "INSERT OR REPLACE INTO hot VALUES(?,?,?,?)",
            (pair(shard, piece.number), piece.oldest_ns, piece.newest_ns, piece.rows),
        )
        self._pieces[shard] = piece
        self._note(_Kind.SHARD, shard, piece.oldest_ns)

    def _add_waveforms(self, block: SampleBlock) -> None:
        for w in block.waveforms:
            series, patient = self._registry.of_stream(block.devices[w.device], block.patients[w.device], w.waveform)
            stored = StoredBlock(
                w.started_at_ns,
                w.received_at_ns,
                patient,
                w.sample_rate_hz,
                w.quality,
                w.width_bytes,
                w.samples,
                w.filtered,
            )
            self._db.execute(
                "INSERT OR IGNORE INTO waveform(series, started_at_ns, patient, block) VALUES(?,?,?,?)",
                (series, w.started_at_ns, patient, encode_hot(stored)),
            )
            self._note(_Kind.WAVEFORMS, series, w.started_at_ns)

    def _note(self, kind: _Kind, number: int, oldest_ns: int) -> None:
        unit = kind, number
        self._oldest[unit] = min(oldest_ns, self._oldest.get(unit, oldest_ns))

    def _survey(self, now_ns: int, *, force: bool) -> None:
        """Find the units that are due, unless the last survey is young."""
        last = self._surveyed_at_ns
        if force or last is None or not 0 <= now_ns - last < RESEAL_NS:
            horizon_ns = horizon_of(now_ns)
            self._queue = deque(unit for unit, oldest_ns in self._oldest.items() if oldest_ns < horizon_ns)
            self._surveyed_at_ns = now_ns

    def _seal_some(self, now_ns: int, units: int) -> int | None:
        """Seal up to `units` of the queue in one transaction; the blobs written, `None` when nothing is due."""
        horizon_ns = horizon_of(now_ns)
        with self._lock:
            if not self._queue:
                return None
            chosen = [self._queue.popleft() for _ in range(min(units, len(self._queue)))]
            with self._transaction():
                return sum(self._seal_unit(unit, horizon_ns) for unit in chosen)

    def _seal_unit(self, unit: _Unit, horizon_ns: int) -> int:
        kind, number = unit
        if kind == _Kind.WAVEFORMS:
            sealed = seal_waveforms(self._db, number, horizon_ns)
        else:
            sealed = seal_shard(self._db, number, horizon_ns)
            self._pieces[number] = _Piece(self._pieces[number].number, 0, 0, b"")
        if sealed.oldest_ns is None:
            self._oldest.pop(unit, None)
        else:
            self._oldest[unit] = sealed.oldest_ns
        return sealed.blobs
