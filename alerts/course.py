"""The course of patients' values over time, as the engine sees it: one object for its hooks. Pure.

take(screened)   before the table takes note of a block        tell(now_ns)   after it was walked through
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from msgspec import Struct

from alerts.alarms import AlarmBook, Finding
from alerts.early_warning import SOURCE, EarlyWarnings, Scored
from alerts.events import EARLY_WARNING, NO_DATA, Key
from alerts.falls import Area, Fall
from alerts.limits import Preset
from alerts.looks import KEPT_DTYPE
from alerts.measure_settings import measures_of
from alerts.measure_votes import MeasureVotes
from alerts.measures import MeasureWatch
from alerts.screening import Screened
from alerts.streams import JUDGED, StreamTable
from alerts.view import PartialScore
from vitals.model import VITAL_BY_NAME
from vitals.ward import Ward


class CourseKept(Struct, array_like=True, frozen=True):
    """What a snapshot holds of it. `rows`: of `KEPT_DTYPE`, `row_bytes` each; by stream, and by patient."""

    row_bytes: int
    rows: bytes
    falls: dict[int, Fall]
    areas: dict[int, Area]
    trends: dict[int, int]
    scored: dict[str, Scored]

    def check(self, streams: int) -> None:
        """Raise `ValueError` unless there is a row for each of so many streams."""
        if len(self.rows) != streams * self.row_bytes:
            raise ValueError(f"{len(self.rows)} bytes are no {streams} rows of {self.row_bytes}")


class Course:
    """Falls, areas, trends and scores of one ward. Raises `ConfigurationError` for settings that cannot be."""

    def __init__(self, ward: Ward, preset: Preset, table: StreamTable, book: AlarmBook) -> None:
        settings = {p.patient: measures_of(preset.measures, p.patient, p.measures) for p in ward.patients}
        self._table = table
        self._silence_ns = preset.technical[NO_DATA].delay_ns
        self.votes = MeasureVotes(table, book)
        self.watch = MeasureWatch(table, self.votes, preset.measures, settings)
        self.warnings = EarlyWarnings(
            table,
            self.watch.looks,
            book,
            {p.patient: p for p in ward.patients if p.early_warning},
            {patient: own.early_warning for patient, own in settings.items()},
        )

    def take(self, screened: Screened) -> None:
        """Take a block, before the table takes note of it."""
        self.watch.take(screened)

    def tell(self, now_ns: int) -> None:
        """Vote on what the last block brought, after its samples were held against the limits."""
        if over := self.watch.tell(now_ns):
            self.warnings.judge(over, now_ns)

    def tick(self, now_ns: int) -> None:
        """Let time pass."""
        self.watch.tick(now_ns, self._silence_ns)

    def forget_after(self, now_ns: int) -> None:
        """Let nothing be known of later than `now_ns`, because the clock was set back."""
        self.watch.looks.forget_after(now_ns)

    def earlier(self, key: Key, finding: Finding) -> float | None:
        """What the vital of a finding was ten minutes before it; `None` when that is not known."""
        vital = VITAL_BY_NAME.get(key.condition.rpartition("_")[0])
        if vital is None or vital not in JUDGED or not key.patient:
            return None
        means = (self.watch.looks.earlier(s, finding.at_ns) for s in self._table.telling(key.patient, vital))
        return next((mean for mean in means if mean is not None), None)

    def score(self, patient: str, now_ns: int) -> PartialScore | None:
        """The patient's partial early-warning score for a screen."""
        return self.warnings.score(patient, now_ns)

    def kept(self) -> CourseKept:
        """The state between two steps."""
        watch = self.watch
        watch.fit()
        rows = watch.looks.kept[: watch.looks.size].tobytes()
        return CourseKept(KEPT_DTYPE.itemsize, rows, watch.falls, watch.areas, watch.trends, self.warnings.scored)

    def put_back(self, kept: CourseKept, places: Mapping[int, int]) -> None:
        """Carry on from a snapshot. `places`: its rows → the streams of now; who left is left out.

        What a release with other rows wrote of the past is forgotten: it comes together anew.
        """
        watch = self.watch
        watch.fit()
        if kept.row_bytes == KEPT_DTYPE.itemsize:
            old = np.array(sorted(places), np.int64)
            rows = np.frombuffer(kept.rows, KEPT_DTYPE)
            watch.looks.put_back(np.array([places[i] for i in old.tolist()], np.int64), rows[old])
        watch.falls = {places[s]: fall for s, fall in kept.falls.items() if s in places}
        watch.areas = {places[s]: area for s, area in kept.areas.items() if s in places}
        watch.trends = {places[s]: side for s, side in kept.trends.items() if s in places}
        self.warnings.scored.update({p: s for p, s in kept.scored.items() if p in self.warnings.patients})
        watch.refresh()

    def voting(self) -> set[tuple[Key, str]]:
        """The votes that what is going on may hold."""
        found = {(Key(EARLY_WARNING, p), SOURCE) for p, scored in self.warnings.scored.items() if scored.present}
        watch = self.watch
        return found.union(*(self.votes.of_stream(s) for s in {*watch.falls, *watch.areas, *watch.trends}))
