"""One sample at a time: the samples that need thought, through the conditions of their stream, to votes on alarms.

Of a vital with a best value only that speaks for the patient. The conditions of the devices' own values are followed
all the same: should the best value fail, they speak at once, without a delay that begins anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

import numpy as np

from alerts.alarms import AlarmBook, Finding
from alerts.cells import Cell, Reading, Sample, follow, reading_of
from alerts.conditions import ConditionState, Tracker, covered_ns
from alerts.events import DEVICES_DISAGREE, Key, Kind, Priority
from alerts.limits import Rule, Source
from alerts.screening import Screened
from alerts.streams import Indices, StreamTable
from vitals.model import Reason

OVERRULED_NS: Final = 60_000_000_000  # violating time; movement is over by then, most of the time
_OVERRULED: Final = "the best value of this patient decides now"
_ELSEWHERE: Final = "another device measures this now"
_NOTHING: Final = Cell()


class Late(Protocol):
    """What remembers samples one by one, and takes those that are not newer than what their stream has."""

    def remember(self, stream: int, sample: Sample) -> None:
        """Take note of a sample that is newer, before it is judged."""

    def take_old(self, stream: int, sample: Sample, received_ns: int) -> bool:
        """Take a late sample that changes nothing here, such as one of an outage; whether it is one."""

    def take(self, stream: int, sample: Sample, now_ns: int) -> None:
        """Take any other late sample. The table and the trackers may be others afterwards."""


class Walk:
    """`trackers`: stream → one tracker per rule, for the streams that are not quiet.

    `renewed`: called with a stream of which something else than a sample changed the conditions.
    """

    def __init__(self, table: StreamTable, book: AlarmBook) -> None:
        self._table = table
        self._book = book
        self.trackers: dict[int, list[Tracker]] = {}
        self.renewed: Callable[[int], None] = lambda _stream: None

    def walk(self, screened: Screened, gateways: Indices, sources: Indices, now_ns: int, late: Late) -> None:
        """Take the groups that are not calm, in order, best values first: they decide who speaks for the patient.

        `gateways`, `sources`: parallel to the sorted rows; of `sources` see `STATE_DTYPE`.
        """
        lengths = screened.ends - screened.starts + 1
        chosen = np.flatnonzero(np.repeat(~screened.calm, lengths))
        chosen = chosen[np.argsort(~self._table.best[screened.streams[chosen]], kind="stable")]
        rows = screened.rows[chosen]
        columns = (
            screened.streams[chosen].tolist(),
            screened.times[chosen].tolist(),
            rows["value"].tolist(),
            rows["reason"].tolist(),
            rows["quality"].tolist(),
            sources[chosen].tolist(),
            gateways[chosen].tolist(),
            rows["received_at_ns"].tolist(),
            np.repeat(screened.plain, lengths)[chosen].tolist(),
        )
        state = self._table.state
        current, cell = -1, _NOTHING
        for stream, at_ns, value, reason, quality, source, gateway, received_ns, plain in zip(*columns, strict=True):
            if stream != current:
                if current >= 0:
                    state[current] = cell.as_row()
                current, cell = stream, Cell(*state[stream].item())
            if not plain:
                sample = Sample(at_ns, value, reason, quality)
                is_late = at_ns <= cell.newest_at_ns
                if is_late and late.take_old(stream, sample, received_ns):
                    continue
                state[stream] = cell.as_row()
                if is_late:
                    late.take(stream, sample, now_ns)
                    cell = Cell(*state[stream].item())
                    continue
                late.remember(stream, sample)
            reading = reading_of(at_ns, value, reason, quality, source, now_ns=now_ns)
            if reading.is_judged:
                self._judge(stream, cell, reading)
            cell.keep(reading)
            cell.gateway = gateway
        if current >= 0:
            state[current] = cell.as_row()

    def withdraw(self, stream: int, at_ns: int) -> None:
        """Drop what a silent stream still holds to be true of its patient: another one speaks for that now."""
        trackers = self.trackers[stream]
        for index, rule in enumerate(self._table.rules[stream]):
            if rule.kind is Kind.PHYSIOLOGICAL:
                trackers[index] = Tracker.of(rule)
                device = self._table.told_by(stream)
                finding = Finding(rule.kind, at_ns, device=device, detail=_ELSEWHERE)
                self._vote(stream, rule, 0, finding)
                self._dispute(stream, rule, finding, disputed=False)
        self._settle(stream)
        self.renewed(stream)

    def adopt(self, stream: int, trackers: list[Tracker]) -> None:
        """Go on with `trackers`, one for each rule that the stream has now."""
        self.trackers[stream] = trackers
        self._settle(stream)

    def put(self, stream: int, trackers: list[Tracker] | None) -> None:
        """Go on with `trackers`, `None` when nothing is pending or present."""
        self._table.quiet[stream] = trackers is None
        self.trackers.pop(stream, None)
        if trackers is not None:
            self.trackers[stream] = trackers

    def settle_dispute(self, stream: int, rule: Rule, finding: Finding) -> None:
        """Take back that the stream is overruled: it is no longer beyond the limit of `rule`."""
        self._dispute(stream, rule, finding, disputed=False)

    def _judge(self, stream: int, cell: Cell, reading: Reading) -> None:
        trackers = self.trackers.get(stream)
        rules = self._table.rules[stream]
        if trackers is None:
            calm = self._table.low[stream] <= reading.value <= self._table.high[stream]
            if not rules or (reading.has_value and calm and not reading.doubtful):
                return
            trackers = self.trackers[stream] = [Tracker.of(rule) for rule in rules]
        since_any = covered_ns(reading.at_ns, cell.newest_at_ns, cell.gap_ns)
        since_value = covered_ns(reading.at_ns, cell.valid_at_ns, cell.gap_ns)
        for rule, tracker in zip(rules, trackers, strict=True):
            changed = follow(tracker, rule, reading, since_any, since_value)
            if changed or (changed is not None and tracker.level and reading.live):
                self.tell(stream, rule, tracker, reading)
        self._settle(stream)

    def tell(self, stream: int, rule: Rule, tracker: Tracker, reading: Reading) -> None:
        """Vote on what a rule's tracker says after a reading."""
        finding = _finding(rule, tracker.level, reading, self._table.told_by(stream, reading.source))
        holds = self._may_hold(stream, rule, reading.at_ns)
        self._vote(stream, rule, tracker.level if holds else 0, finding if holds else _overruled(finding))
        if (best := int(self._table.best_of[stream])) >= 0:
            long = not holds and bool(tracker.level) and tracker.covered_ns[0] >= OVERRULED_NS
            self._dispute(stream, rule, finding, disputed=long and not self._agrees(best, rule.sign))

    def _may_hold(self, stream: int, rule: Rule, at_ns: int) -> bool:
        """Whether a stream may hold what it finds of the patient.

        A device's own value may not while the best value speaks; but what it holds already, it keeps until that has
        made up its mind, so that an alarm passes from the one to the other without a gap.
        """
        if rule.kind is Kind.TECHNICAL or self._table.speaks(stream, at_ns):
            return True
        key, source = self.vote_of(stream, rule)
        return self._book.holds(key, source) and self._is_undecided(int(self._table.best_of[stream]), rule.sign)

    def _dispute(self, stream: int, rule: Rule, finding: Finding, *, disputed: bool) -> None:
        """Tell of a device that is beyond a limit while the best value is another's: somebody has to look."""
        if rule.kind is Kind.PHYSIOLOGICAL:
            key, source = self.dispute_of(stream, rule)
            detail = f"{key.device}: {rule.condition.replace('_', ' ')}"
            told = Finding(Kind.TECHNICAL, finding.at_ns, device=key.device, detail=detail, live=finding.live)
            self._book.vote(key, source, Priority.LOW if disputed else 0, told)

    def dispute_of(self, stream: int, rule: Rule) -> tuple[Key, str]:
        """Which alarm tells that a device is overruled, and under which name."""
        key, source = self.vote_of(stream, rule)
        return Key(DEVICES_DISAGREE, key.patient, self._table.told_by(stream)), f"{source}/{rule.condition}"

    def _agrees(self, stream: int, sign: int) -> bool:
        """Whether the stream too is beyond a limit on that side."""
        trackers = zip(self._table.rules[stream], self.trackers.get(stream, ()), strict=False)
        return any(rule.sign == sign and not tracker.is_idle for rule, tracker in trackers)

    def _is_undecided(self, stream: int, sign: int) -> bool:
        """Whether a delay is running on that side of the stream's limits."""
        trackers = zip(self._table.rules[stream], self.trackers.get(stream, ()), strict=False)
        return any(rule.sign == sign and tracker.state is ConditionState.PENDING for rule, tracker in trackers)

    def _settle(self, stream: int) -> None:
        quiet = all(tracker.is_idle for tracker in self.trackers[stream])
        if quiet:
            del self.trackers[stream]
        self._table.quiet[stream] = quiet

    def _vote(self, stream: int, rule: Rule, level: int, finding: Finding) -> None:
        key, source = self.vote_of(stream, rule)
        priority = int(rule.levels[level - 1].priority) if level else 0
        self._book.vote(key, source, priority, finding)

    def vote_of(self, stream: int, rule: Rule) -> tuple[Key, str]:
        """Which alarm a rule of a stream votes on, and under which name."""
        row = self._table.state[stream]
        patient, device = self._table.slots[row["slot"]]
        of_patient = rule.kind is Kind.PHYSIOLOGICAL
        return Key(rule.condition, patient, "" if of_patient else device), f"{device}/{int(row['vital'])}"


def _finding(rule: Rule, level: int, reading: Reading, device: str) -> Finding:
    by_value = rule.source is Source.VALUE
    return Finding(
        rule.kind,
        reading.at_ns,
        value=reading.value if by_value else None,
        limit=rule.levels[max(level, 1) - 1].limit if by_value else None,
        reason=Reason(reading.reason),
        device=device,
        live=reading.live,
    )


def _overruled(finding: Finding) -> Finding:
    return replace(finding, detail=_OVERRULED)
