"""What happened while nothing came: the readings of an outage, walked through when they come at last. Pure.

A silence of more than `LONG_GAP_NS` leaves a hole in a stream. What comes into it later, oldest first as gateways send
it, is walked through with the limits of now, beginning with how the conditions stood before; it never changes what is
live. An episode that it shows is one entry of the alarm log. An episode that runs into the live samples is followed
until both tell the same, as far as these are remembered. Once filled, a part of a hole is not filled again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from alerts.alarms import AlarmBook
from alerts.annotations import annotate
from alerts.cells import Cell, Reading, Sample
from alerts.conditions import MOST_COVER_NS, Tracker
from alerts.events import Kind
from alerts.limits import Rule
from alerts.recent import Recent, copied, fits
from alerts.retrace import Comparison, Difference, Retrace
from alerts.screening import LONG_GAP_NS, Screened
from alerts.streams import BEHIND_NS, NEVER, StreamTable
from alerts.walk import Walk
from vitals.model import Reason

SETTLE_NS: Final = 10_000_000_000  # nothing more came for a hole: what goes on at its end is told
MOST_OF_STREAM: Final = 4  # holes; a gateway that fails more often in the time of its backlog has other troubles
MOST_HOLES: Final = 100_000  # of the ward, 0.4 kB each; beyond, the streams with the oldest ones forget them


@dataclass(slots=True)
class Stand:
    """How a stream stands at a moment. `trackers`: `None` while nothing is pending or present."""

    newest_ns: int
    valid_ns: int
    gap_ns: int
    trackers: list[Tracker] | None

    def retrace(self, rules: tuple[Rule, ...], calm: tuple[float, float]) -> Retrace:
        """The way from there on."""
        cell = Cell(newest_at_ns=self.newest_ns, valid_at_ns=self.valid_ns, gap_ns=self.gap_ns)
        return Retrace(rules, calm, cell, None if self.trackers is None else copied(self.trackers))

    @classmethod
    def of(cls, retrace: Retrace) -> Stand:
        cell = retrace.cell
        return cls(cell.newest_at_ns, cell.valid_at_ns, cell.gap_ns, retrace.trackers)


@dataclass(slots=True)
class Hole:
    """Nothing is known of a stream after `after_ns` and before `before_ns`, but for what came late.

    `start`: how it stood then. `stand`: how it stands after what came; `None` when nothing did. `tail`: the live
    samples from `before_ns` on, as they are remembered. `going_on`: by rule, the difference that has not ended.
    """

    after_ns: int
    before_ns: int
    start: Stand
    stand: Stand | None = None
    received_ns: int = NEVER
    tail: list[Sample] = field(default_factory=list)
    going_on: list[Difference | None] = field(default_factory=list)

    @property
    def is_unsettled(self) -> bool:
        """Whether something goes on at the end of what came that was not told yet."""
        pending = self.stand is not None and self.stand.trackers is not None
        return any(self.going_on) or (pending and bool(self.tail))


class History:
    """`holes`: by stream, oldest first."""

    def __init__(self, table: StreamTable, book: AlarmBook, walk: Walk, recent: Recent) -> None:
        self._table = table
        self._book = book
        self._walk = walk
        self._recent = recent
        self.holes: dict[int, list[Hole]] = {}
        self._unsettled: dict[int, None] = {}  # streams, in the order in which their samples came

    # -- silences ----------------------------------------------------------------------------------------------------

    def notice(self, screened: Screened) -> None:
        """Take note of the silences that end with a block, before the table takes note of it."""
        first, state = screened.streams[screened.starts], self._table.state
        before, at_ns = state["newest_at_ns"][first], screened.times[screened.starts]
        long = (at_ns - before > LONG_GAP_NS) & (before != NEVER) & screened.plain
        for i in np.flatnonzero(long).tolist() if long.any() else ():
            self.open(int(first[i]), int(at_ns[i]))

    def open(self, stream: int, before_ns: int) -> None:
        """A stream that is as the table says goes on at `before_ns`, after a long silence."""
        if not _is_followed(self._table.rules[stream]):
            return
        row, trackers = self._table.state[stream], self._walk.trackers.get(stream)
        newest_ns = int(row["newest_at_ns"])
        start = Stand(newest_ns, int(row["valid_at_ns"]), int(row["gap_ns"]), trackers and copied(trackers))
        self._add(stream, Hole(newest_ns, before_ns, start))

    def _add(self, stream: int, hole: Hole) -> None:
        self.holes[stream] = [*self.holes.get(stream, ()), hole][-MOST_OF_STREAM:]
        if len(self.holes) * MOST_OF_STREAM > MOST_HOLES and sum(map(len, self.holes.values())) > MOST_HOLES:
            del self.holes[next(iter(self.holes))]

    def _hole(self, stream: int, at_ns: int) -> Hole | None:
        """The hole of a moment. What was before the first sample of a stream is one too."""
        found = next((h for h in self.holes.get(stream, ()) if h.after_ns < at_ns < h.before_ns), None)
        first_ns = self._recent.began_ns(stream)
        if found is None and at_ns < first_ns:
            found = Hole(NEVER, first_ns, Stand(NEVER, NEVER, 0, None))
            self._add(stream, found)
        return found

    def is_within(self, stream: int, at_ns: int) -> bool:
        """Whether a moment lies in a hole that is known already."""
        return any(hole.after_ns < at_ns < hole.before_ns for hole in self.holes.get(stream, ()))

    # -- what comes late ---------------------------------------------------------------------------------------------

    def take(self, stream: int, sample: Sample, received_ns: int) -> None:
        """Take a sample of long ago. One that came before, or that is older than another of its hole, is left out."""
        rules = self._table.rules[stream]
        hole = self._hole(stream, sample.at_ns)
        if hole is None or not _is_followed(rules):
            return
        stand = self._fitting(hole, rules)
        if sample.at_ns <= stand.newest_ns:
            return
        if not hole.tail:
            hole.tail = self._live(stream, hole)
        retrace = stand.retrace(rules, self._calm(stream))
        held = hole.start.trackers
        levels = [0] * len(rules) if held is None else [tracker.level for tracker in held]
        self._compare(stream, hole, retrace.step(sample), levels, retrace)
        hole.stand, hole.received_ns = Stand.of(retrace), max(hole.received_ns, received_ns)
        if hole.is_unsettled:
            self._unsettled[stream] = None

    def pass_calm(self, stream: int, at_ns: int) -> bool:
        """Take a sample that needs no thought, as most do even in an outage; whether that was possible."""
        hole = next((h for h in self.holes.get(stream, ()) if h.after_ns < at_ns < h.before_ns), None)
        if hole is None or hole.start.trackers is not None:
            return False
        stand = hole.stand
        if stand is None:
            stand = hole.stand = replace(hole.start)
        if stand.trackers is not None:
            return False
        if at_ns > stand.newest_ns:
            gap_ns = at_ns - stand.valid_ns
            if stand.valid_ns != NEVER and gap_ns <= MOST_COVER_NS:
                stand.gap_ns = gap_ns
            stand.newest_ns = stand.valid_ns = at_ns
        return True

    def tick(self, now_ns: int) -> None:
        """Tell what goes on at the end of holes for which nothing more came."""
        for stream in list(self._unsettled):
            unsettled = [hole for hole in self.holes.get(stream, ()) if hole.is_unsettled]
            for hole in unsettled:
                if now_ns - hole.received_ns >= SETTLE_NS:
                    self._settle(stream, hole)
            if all(now_ns - hole.received_ns >= SETTLE_NS for hole in unsettled):
                del self._unsettled[stream]

    def put_back(self, holes: Mapping[int, list[Hole]]) -> None:
        """Carry on from a snapshot."""
        self.holes = {stream: list(found) for stream, found in holes.items()}
        self._unsettled = {s: None for s, found in self.holes.items() if any(hole.is_unsettled for hole in found)}

    def speaks(self, stream: int, at_ns: int) -> bool:
        """Whether a stream stood for its patient at a moment of the past: there was no best value."""
        best = int(self._table.best_of[stream])
        if best < 0 or at_ns < self._recent.began_ns(best) or self.is_within(best, at_ns):
            return True
        rows = self._recent.of(best)
        if not rows or at_ns <= rows[0].at_ns:
            return False  # longer ago than is remembered, and not in a silence
        return not any(0 <= at_ns - row.at_ns <= BEHIND_NS and row.reason == Reason.PRESENT for row in rows)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _settle(self, stream: int, hole: Hole) -> None:
        rules = self._table.rules[stream]
        retrace = self._fitting(hole, rules).retrace(rules, self._calm(stream))
        held, end_ns = hole.start.retrace(rules, self._calm(stream)), retrace.cell.newest_at_ns
        live = self._live(stream, hole)
        if len(live) > len(hole.tail) and hole.tail and live[0].at_ns == hole.tail[0].at_ns:
            hole.tail = live
        reaches = bool(hole.tail) and hole.tail[0].at_ns - end_ns <= MOST_COVER_NS
        for sample in hole.tail if reaches else ():
            reading, end_ns = retrace.step(sample), sample.at_ns
            held.step(sample)
            self._compare(stream, hole, reading, [held.level(i) for i in range(len(rules))], retrace)
            if held.is_at(retrace):
                break
        for index, rule in enumerate(rules):
            self._tell(stream, rule, Comparison(rule, hole.going_on[index]).end(end_ns))
        hole.going_on, hole.tail = [None] * len(rules), []

    def _live(self, stream: int, hole: Hole) -> list[Sample]:
        """The samples after a hole that are remembered."""
        return [row for row in self._recent.of(stream) if row.at_ns >= hole.before_ns]

    def _compare(self, stream: int, hole: Hole, reading: Reading, held: list[int], retrace: Retrace) -> None:
        speaks = self.speaks(stream, reading.at_ns)
        for index, rule in enumerate(retrace.rules):
            if rule.kind is Kind.PHYSIOLOGICAL:
                comparison = Comparison(rule, hole.going_on[index])
                levels = (held[index], retrace.level(index)) if speaks else (0, 0)
                self._tell(stream, rule, comparison.see(reading, *levels))
                hole.going_on[index] = comparison.open

    def _tell(self, stream: int, rule: Rule, difference: Difference | None) -> None:
        if difference is not None:
            vote = self._walk.vote_of(stream, rule)
            annotate(self._book, vote, rule, difference, self._table.told_by(stream))

    def _fitting(self, hole: Hole, rules: tuple[Rule, ...]) -> Stand:
        """How the hole stands; under other rules than it was begun with no condition is known."""
        for stand in (hole.start, hole.stand):
            if stand is not None and stand.trackers is not None and not fits(stand.trackers, rules):
                stand.trackers = None
        if len(hole.going_on) != len(rules):
            hole.going_on = [None] * len(rules)
        return hole.stand or hole.start

    def _calm(self, stream: int) -> tuple[float, float]:
        return float(self._table.rule_low[stream]), float(self._table.high[stream])


def _is_followed(rules: tuple[Rule, ...]) -> bool:
    """Whether the past of a stream is of interest: what its device had then is not."""
    return any(rule.kind is Kind.PHYSIOLOGICAL for rule in rules)
