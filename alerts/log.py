"""The alarm journal, read: by the station page, the command line and the export."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from alerts.events import AlarmEvent, AlarmRecordKind, decode_event
from vitals.journal import Journal

_PAGE: Final = 500  # records read at once; newest first, so that a page of today does not read a year


def read_events(journal: Journal, after: int = 0) -> Iterator[AlarmEvent]:
    """Every alarm event after record `after`, in the order it was decided."""
    while records := journal.read(after):
        for record in records:
            if record.kind == AlarmRecordKind.EVENT:
                yield decode_event(record.payload)
        after = records[-1].sequence


class AlarmLogReader:
    """The history of one patient's alarms. Any number of readers, in any process."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def alarm_events(self, patient: str, start_ns: int, end_ns: int) -> list[AlarmEvent]:
        """Transitions of the patient's alarms with `start_ns` <= `at_ns` < `end_ns`, oldest first."""
        found = [
            event for event in self._since(start_ns) if event.patient == patient and start_ns <= event.at_ns < end_ns
        ]
        return sorted(found, key=lambda event: (event.at_ns, event.number))

    def _since(self, start_ns: int) -> Iterator[AlarmEvent]:
        """Events decided since `start_ns`: nothing is decided before it happened."""
        last = self._journal.newest
        while last > 0:
            records = self._journal.read(max(0, last - _PAGE), limit=min(last, _PAGE))
            for record in records:
                if record.kind == AlarmRecordKind.EVENT:
                    yield decode_event(record.payload)
            if not records or records[0].appended_at_ns < start_ns:
                return
            last -= _PAGE
