"""Whether ingest still makes best values: while several devices tell a vital, its best value must go on too.

The devices' own values speak for the patient five seconds after the best one stopped (`StreamTable.speaks`); here
people are told, by one technical alarm for the ward that lists its beds. Where there never was one, none is missed; nor
where one device tells the vital, which speaks for itself as long as it is not doubted (docs/decisions/0010).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from alerts.alarms import AlarmBook, Finding
from alerts.events import JUDGE_DOWN, Key, Kind, Priority
from alerts.streams import StreamTable
from vitals.model import Quality

SILENT_NS: Final = 10_000_000_000  # so far may a best value be behind its devices: two rows of the slowest that stream
CURRENT_NS: Final = 30_000_000_000  # a device that is silent as well is no proof
MOST_LISTED: Final = 12  # beds named; the rest is counted
_KEY: Final = Key(JUDGE_DOWN)


class JudgeWatch:
    """`beds`: patient → bed."""

    def __init__(self, table: StreamTable, book: AlarmBook, beds: Mapping[str, str]) -> None:
        self._table = table
        self._book = book
        self._beds = beds

    def tick(self, now_ns: int) -> None:
        """Raise and end the alarm."""
        lost = self._lost(now_ns)
        alarm = self._book.open.get(_KEY)
        held = set(alarm.votes) if alarm is not None else set()
        if lost == held:
            return
        finding = Finding(Kind.TECHNICAL, now_ns, detail=self._listed(lost))
        for patient in sorted(lost - held):
            self._book.vote(_KEY, patient, Priority.LOW, finding)
        for patient in sorted(held - lost):
            self._book.vote(_KEY, patient, 0, finding)
        if (alarm := self._book.open.get(_KEY)) is not None:
            alarm.finding = replace(alarm.finding, detail=finding.detail)

    def _lost(self, now_ns: int) -> set[str]:
        """The patients of whom several devices have values now and whose best value stays away."""
        table = self._table
        state, best_of = table.state[: table.size], table.best_of[: table.size]
        own = np.flatnonzero((best_of >= 0) & ~table.virtual[: table.size])
        valid_ns, quality = state["valid_at_ns"][own], state["quality"][own]
        behind = valid_ns - state["fresh_at_ns"][best_of[own]] > SILENT_NS
        sure = (now_ns - valid_ns <= CURRENT_NS) & (quality != Quality.TEST) & (quality != Quality.UNUSABLE)
        lost = own[behind & sure]
        several = np.bincount(best_of[lost], minlength=1)[best_of[lost]] > 1
        return {table.slots[int(slot)][0] for slot in np.unique(state["slot"][lost[several]])}

    def _listed(self, patients: set[str]) -> str:
        beds = sorted(self._beds.get(patient, "") for patient in patients)
        more = f" and {len(beds) - MOST_LISTED} more" if len(beds) > MOST_LISTED else ""
        return f"Beds {', '.join(beds[:MOST_LISTED])}{more}" if beds else ""
