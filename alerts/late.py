"""Samples that come after a newer one of their stream: put in their place, and what follows from them told. Pure.

One of the last half minute is put among the samples that are remembered (`alerts.recent`), and those after it are
walked again. What is present now, and should not be, ends; what should be, and is not, is raised; both with the time
at which they became true. What differs in between is annotated. One that falls into a longer silence belongs to an
outage (`alerts.history`). One that came before, or for which it is too late, changes nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace

from alerts.alarms import AlarmBook
from alerts.annotations import annotate
from alerts.cells import LIVE_WINDOW_NS, Reading, Sample, reading_of
from alerts.conditions import Tracker
from alerts.events import Kind
from alerts.history import History
from alerts.limits import Rule, Source
from alerts.recent import Checkpoint, Recent, copied
from alerts.retrace import Comparison, Retrace
from alerts.screening import LONG_GAP_NS
from alerts.streams import NEVER, StreamTable
from alerts.walk import Walk


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a late sample belongs: after `before` of the samples since the checkpoint, and before `after` of them."""

    checkpoint: Checkpoint
    before: list[Sample]
    after: list[Sample]


class LateSamples:
    """`count`: samples that came after a newer one of their stream, whatever became of them."""

    def __init__(self, table: StreamTable, book: AlarmBook, walk: Walk, recent: Recent, history: History) -> None:
        self._table = table
        self._book = book
        self._walk = walk
        self._recent = recent
        self._history = history
        self.count = 0

    def remember(self, stream: int, sample: Sample) -> None:
        """Take note of a sample that is newer than all of its stream; the table does not know it yet."""
        newest_ns = int(self._table.state["newest_at_ns"][stream])
        if newest_ns != NEVER and sample.at_ns - newest_ns > LONG_GAP_NS:
            self._history.open(stream, sample.at_ns)
        self._recent.append(stream, sample)

    def take_old(self, stream: int, sample: Sample, received_ns: int) -> bool:
        """Take a late sample if it is of an outage, or of a stream without any rule; whether it is."""
        self.count += 1
        if self.is_old(stream, sample.at_ns):
            self._history.take(stream, sample, received_ns)
            return True
        return not self._table.rules[stream]

    def is_old(self, stream: int, at_ns: int) -> bool:
        """Whether a moment lies in a silence, or long before the stream was first heard."""
        return at_ns < self._recent.began_ns(stream) - LONG_GAP_NS or self._history.is_within(stream, at_ns)

    def take(self, stream: int, sample: Sample, now_ns: int) -> None:
        """Take any other late sample. The table and the trackers are up to date before, and again afterwards."""
        place = self.place(stream, sample.at_ns)
        if place is not None:
            self._recent.insert(stream, len(place.after), sample)
            self._walk_again(stream, sample, place, now_ns)

    def place(self, stream: int, at_ns: int) -> _Place | None:
        """Where a sample belongs; `None` for what is known already, or came too late."""
        for checkpoint in (self._recent.older, self._recent.newer):
            rows = self._recent.since(checkpoint, stream)
            if rows is not None:
                break
        else:
            return None
        count = bisect_left(rows, at_ns, key=lambda row: row.at_ns)
        if at_ns <= checkpoint.newest_ns(stream) or count == len(rows) or rows[count].at_ns == at_ns:
            return None
        before_ns = rows[count - 1].at_ns if count else checkpoint.newest_ns(stream)
        if before_ns != NEVER and rows[count].at_ns - before_ns > LONG_GAP_NS:
            return None  # of a silence that is no longer remembered
        return _Place(checkpoint, rows[:count], rows[count:])

    def _walk_again(self, stream: int, sample: Sample, place: _Place, now_ns: int) -> None:
        """Walk with and without the sample, until both are the same again or the samples end."""
        held = self._retrace(stream, place)
        now, newer = held.fork(), self._recent.newer
        border_ns = newer.newest_ns(stream) if place.checkpoint is not newer else NEVER
        if sample.at_ns < border_ns:
            newer.count[stream] += 1
        differences = [Comparison(rule) for rule in now.rules]
        for row in (sample, *place.after):
            reading = now.step(row)
            if row is not sample:
                held.step(row)
            self._compare(stream, reading, held, now, differences)
            if held.is_at(now):
                return
            if row.at_ns == border_ns:
                newer.amend(stream, now.cell, now.trackers)
        self._go_on(stream, now)
        for index, rule in enumerate(now.rules):
            if held.level(index) != now.level(index):
                tracker = Tracker.of(rule) if now.trackers is None else now.trackers[index]
                self._date_back(stream, rule, differences[index])
                last = None if differences[index].first and not tracker.level else _last([sample, *place.after], rule)
                for reading in filter(None, (differences[index].first, last)):
                    told = reading._replace(live=now_ns - reading.at_ns <= LIVE_WINDOW_NS)
                    self._walk.tell(stream, rule, tracker, told)

    def _retrace(self, stream: int, place: _Place) -> Retrace:
        """How the stream stood before the sample."""
        table, checkpoint = self._table, place.checkpoint
        trackers = checkpoint.trackers.get(stream)
        calm = (float(table.rule_low[stream]), float(table.high[stream]))
        kept = None if trackers is None else copied(trackers)
        found = Retrace(table.rules[stream], calm, checkpoint.cell(stream), kept)
        for row in place.before:
            found.step(row)
        return found

    def _compare(
        self, stream: int, reading: Reading, held: Retrace, now: Retrace, differences: list[Comparison]
    ) -> None:
        """Annotate the differences that end with a reading."""
        speaks = self._history.speaks(stream, reading.at_ns)
        for index, (rule, comparison) in enumerate(zip(now.rules, differences, strict=True)):
            counts = speaks or rule.kind is Kind.TECHNICAL
            ended = comparison.see(reading, *((held.level(index), now.level(index)) if counts else (0, 0)))
            if ended is not None:
                vote = self._walk.vote_of(stream, rule)
                annotate(self._book, vote, rule, ended, self._table.told_by(stream))

    def _date_back(self, stream: int, rule: Rule, comparison: Comparison) -> None:
        """Let an alarm that is open already begin when what is found now began, and annotate the time between."""
        going_on, vote = comparison.open, self._walk.vote_of(stream, rule)
        alarm = self._book.open.get(vote[0])
        if going_on is None or not going_on.found or alarm is None or not alarm.votes:
            return
        before = replace(going_on, end_ns=alarm.raised_at_ns)
        if before.begin_ns < before.end_ns:
            alarm.raised_at_ns = before.begin_ns
            annotate(self._book, vote, rule, before, self._table.told_by(stream))

    def _go_on(self, stream: int, now: Retrace) -> None:
        """Let the stream be what it is with the sample; the newest one is the same as before."""
        row, cell = self._table.state[stream], now.cell
        row["fresh_at_ns"], row["valid_at_ns"] = cell.fresh_at_ns, cell.valid_at_ns
        row["gap_ns"], row["value"] = cell.gap_ns, cell.value
        self._walk.put(stream, now.trackers)


def _last(rows: list[Sample], rule: Rule) -> Reading | None:
    """The newest reading that the rule sees."""
    readings = (reading_of(*row, now_ns=row.at_ns) for row in reversed(rows))
    return next((r for r in readings if r.is_judged and (r.has_value or rule.source is not Source.VALUE)), None)
