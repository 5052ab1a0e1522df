"""The engine's state, written: a snapshot in the alarm journal, from which a restart goes on.

The snapshot of 20,000 patients takes a fifth of a second to write. That is done in a thread, of the state of one
moment, while readings are judged and taken in. What is decided meanwhile stands in the journal after the mark that
goes with the snapshot, and is repeated, whichever of the two came to the disk first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog

from alerts.alarm_writer import AlarmWriter
from alerts.engine import Engine
from alerts.events import AlarmEvent
from alerts.recall import needed_after
from alerts.recovery import BEFORE_MARK, CURSOR, SNAPSHOT_MARK
from alerts.snapshot import encode_snapshot
from vitals.errors import JournalFullError
from vitals.journal import Journal

_log: Final = structlog.get_logger(__name__)


class StateSaver:
    """Writes the state of `engine` through `writer` into `alarms`, and lets `ingest` trim what lies before it.

    `ingest`: `None` when another process writes that journal. `alone`: whoever makes a snapshot durable holds it, so
    that an older one never takes the place of a newer one.
    """

    def __init__(
        self, engine: Engine, writer: AlarmWriter, alarms: Journal, ingest: Journal | None, now_ns: Callable[[], int]
    ) -> None:
        self._engine = engine
        self._writer = writer
        self._alarms = alarms
        self._ingest = ingest
        self._now_ns = now_ns
        self.alone = asyncio.Lock()

    def marks(self) -> Mapping[str, bytes]:
        """The state as of now, as marks of the alarm journal."""
        return {
            SNAPSHOT_MARK: encode_snapshot(self._engine, self._now_ns()),
            BEFORE_MARK: self._alarms.newest.to_bytes(8, "big"),
        }

    def save(self, events: Sequence[AlarmEvent] = ()) -> None:
        """Commit `events` and the state together; raises `JournalFullError`."""
        self._write(events, self.marks(), needed_after(self._engine))

    async def save_aside(self) -> None:
        """Commit the state as it is now, in a thread; that it cannot be written is logged, the next one may."""
        async with self.alone:
            writing = asyncio.ensure_future(
                asyncio.to_thread(self._try_to_write, self.marks(), needed_after(self._engine))
            )
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                await writing  # a thread cannot be cancelled, and must not write after the last snapshot
                raise

    def try_to_save(self) -> None:
        """Commit the state; that it cannot be written is logged."""
        self._try_to_write(self.marks(), needed_after(self._engine))

    def _try_to_write(self, marks: Mapping[str, bytes], position: int) -> None:
        try:
            self._write((), marks, position)
        except JournalFullError as error:
            _log.error("snapshot_not_written", reason=str(error))

    def _write(self, events: Sequence[AlarmEvent], marks: Mapping[str, bytes], position: int) -> None:
        self._writer.save(events, marks)
        if self._ingest is not None:
            self._ingest.move(CURSOR, position)
