"""The alarm journal, written: an event is durable before any screen or channel hears of it.

When the journal cannot be written (disk full), what was decided waits here, and nothing more is decided until it could
be written. Reading is in `alerts.log`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import structlog

from alerts.events import AlarmEvent, AlarmRecordKind, encode_event
from vitals.errors import JournalFullError, RetryableError
from vitals.journal import Journal
from vitals.self_test import SELF_TEST

_FULL_RETRY_S: Final = 1.0

_log = structlog.get_logger(__name__)


class AlarmWriter:
    """Writes `journal`, which nobody else writes. To be used on one event loop."""

    def __init__(self, journal: Journal, now_ns: Callable[[], int]) -> None:
        self._journal = journal
        self._now_ns = now_ns
        self._listeners: list[Callable[[Sequence[AlarmEvent]], None]] = []
        self._waiting: tuple[AlarmEvent, ...] = ()

    @property
    def is_stuck(self) -> bool:
        """Whether something was decided that could not be written yet."""
        return bool(self._waiting)

    def require_room(self) -> None:
        """Refuse what a person wants as long as nothing can be written; raises `RetryableError`."""
        if self._waiting:
            raise RetryableError("the alarm journal cannot be written: free disk space", retry_after_s=_FULL_RETRY_S)

    @contextmanager
    def listen(self, changed: Callable[[Sequence[AlarmEvent]], None]) -> Iterator[None]:
        """Call `changed` with the events of each step that had any, once they are durable."""
        self._listeners.append(changed)
        try:
            yield
        finally:
            self._listeners.remove(changed)

    def commit(self, events: Sequence[AlarmEvent], marks: Mapping[str, bytes] | None = None) -> None:
        """Write events and marks, then tell who listens; raises `JournalFullError` and has written nothing."""
        if not events:
            return
        self.save(events, marks or {})
        of_ward = [event for event in events if event.patient != SELF_TEST]
        for event in of_ward:
            _log.info(
                "alarm",
                transition=event.transition,
                condition=event.condition,
                priority=event.priority.name.lower(),
                patient=event.patient,
                bed=event.bed,
                gateway=event.gateway,
                backlog=event.backlog,
            )
        for changed in tuple(self._listeners) if of_ward else ():
            changed(of_ward)

    async def commit_at_last(
        self, events: Sequence[AlarmEvent], marks: Callable[[], Mapping[str, bytes]] = dict
    ) -> None:
        """Write events, and what waits before them, however long it takes; `marks` go with them."""
        self._waiting += tuple(events)
        said = False
        while self._waiting:
            try:
                self.commit(self._waiting, marks())
                self._waiting = ()
            except JournalFullError as error:
                if not said:
                    self._complain(error)
                said = True
                await asyncio.sleep(_FULL_RETRY_S)

    def commit_soon(self, events: tuple[AlarmEvent, ...]) -> None:
        """Write events now, or with the next `commit_at_last`."""
        if self._waiting:
            self._waiting += events
            return
        try:
            self.commit(events)
        except JournalFullError as error:
            self._waiting = events
            self._complain(error)

    def save(self, events: Sequence[AlarmEvent], marks: Mapping[str, bytes]) -> None:
        """Write events and marks in one transaction, without telling anybody; raises `JournalFullError`."""
        records = [(int(_kind_of(event)), encode_event(event)) for event in events]
        self._journal.append(records, now_ns=self._now_ns(), marks=marks)

    def _complain(self, error: JournalFullError) -> None:
        _log.error("alarms_not_journalled", waiting=len(self._waiting), reason=str(error))


def _kind_of(event: AlarmEvent) -> AlarmRecordKind:
    return AlarmRecordKind.SELF_TEST if event.patient == SELF_TEST else AlarmRecordKind.EVENT
