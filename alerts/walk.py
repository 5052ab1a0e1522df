"""One sample at a time: the samples that need thought, through the conditions of their stream, to votes on alarms.

Of a vital with a best value only that speaks for the patient. The conditions of the devices' own values are followed
all the same: should the best value fail, they speak at once, without a delay that begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isnan
from typing import Final

import numpy as np

from alerts.alarms import AlarmBook, Finding
from alerts.conditions import MOST_COVER_NS, ConditionState, Tracker, covered_ns, observe
from alerts.events import DEVICES_DISAGREE, Key, Kind, Priority
from alerts.limits import Rule, Source
from alerts.screening import Screened
from alerts.streams import Indices, StreamTable
from vitals.model import Quality, Reason

LIVE_WINDOW_NS: Final = 30_000_000_000  # older than this when processed: backlog, which is journalled but not notified
_POOR: Final = frozenset(
    {Reason.NO_READING, Reason.SEARCHING, Reason.POOR_SIGNAL, Reason.OUT_OF_RANGE, Reason.NOT_A_NUMBER}
)
OVERRULED_NS: Final = 60_000_000_000  # violating time; movement is over by then, most of the time
_OVERRULED: Final = "the best value of this patient decides now"
_ELSEWHERE: Final = "another device measures this now"
_OF_SERVICES: Final = Reason.RADIO_LOST  # reasons from here on say that no sample came at all


@dataclass(slots=True)
class _Cell:
    """One row of `STATE_DTYPE` while it is being worked on; the fields are in that order."""

    newest_at_ns: int
    fresh_at_ns: int
    valid_at_ns: int
    gap_ns: int
    value: float
    reason: int
    quality: int
    gateway: int
    slot: int
    vital: int
    source: int

    def as_row(self) -> tuple[float, ...]:
        return (
            self.newest_at_ns,
            self.fresh_at_ns,
            self.valid_at_ns,
            self.gap_ns,
            self.value,
            self.reason,
            self.quality,
            self.gateway,
            self.slot,
            self.vital,
            self.source,
        )


_NOTHING: Final = _Cell(0, 0, 0, 0, 0.0, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class _Reading:
    """One sample, in the words of the rules."""

    at_ns: int
    value: float
    reason: int
    quality: int
    has_value: bool
    doubtful: bool
    live: bool
    source: int

    def flag(self, source: Source) -> float:
        """Whether what a flag rule looks for is the case, as 1 or 0."""
        if source is Source.POOR_SIGNAL:
            return float(self.doubtful or self._is_poor())
        wanted = Reason.PROBE_OFF if source is Source.PROBE_OFF else Reason.DEVICE_FAULT
        return float(self.reason == wanted)

    def _is_poor(self) -> bool:
        return not self.has_value and (self.reason in _POOR or self.reason == Reason.PRESENT)


class Walk:
    """`trackers`: stream → one tracker per rule, for the streams that are not quiet."""

    def __init__(self, table: StreamTable, book: AlarmBook) -> None:
        self._table = table
        self._book = book
        self.trackers: dict[int, list[Tracker]] = {}
        self.late = 0  # samples that were not newer than what their stream had

    def walk(self, screened: Screened, gateways: Indices, sources: Indices, now_ns: int) -> None:
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
            gateways[chosen].tolist(),
            sources[chosen].tolist(),
        )
        state = self._table.state
        current, cell = -1, _NOTHING
        for stream, at_ns, value, reason, quality, gateway, source in zip(*columns, strict=True):
            if stream != current:
                if current >= 0:
                    state[current] = cell.as_row()
                current, cell = stream, _Cell(*state[stream].item())
            if at_ns <= cell.newest_at_ns:
                self.late += 1
                continue
            has_value = reason == Reason.PRESENT and quality != Quality.UNUSABLE and not isnan(value)
            live = now_ns - at_ns <= LIVE_WINDOW_NS
            reading = _Reading(at_ns, value, reason, quality, has_value, quality == Quality.DOUBTFUL, live, source)
            if quality != Quality.TEST and reason < _OF_SERVICES:
                self._judge(stream, cell, reading)
            _keep(cell, reading, gateway)
            cell.source = source
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

    def adopt(self, stream: int, trackers: list[Tracker]) -> None:
        """Go on with `trackers`, one for each rule that the stream has now."""
        self.trackers[stream] = trackers
        self._settle(stream)

    def settle_dispute(self, stream: int, rule: Rule, finding: Finding) -> None:
        """Take back that the stream is overruled: it is no longer beyond the limit of `rule`."""
        self._dispute(stream, rule, finding, disputed=False)

    def _judge(self, stream: int, cell: _Cell, reading: _Reading) -> None:
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
            if rule.source is not Source.VALUE:
                changed = observe(tracker, rule, reading.flag(rule.source), since_any)
            elif reading.has_value:
                changed = observe(tracker, rule, reading.value, since_value, doubtful=reading.doubtful)
            else:
                continue
            if changed or (tracker.level and reading.live):
                finding = _finding(rule, tracker.level, reading, self._table.told_by(stream, reading.source))
                holds = self._may_hold(stream, rule, reading.at_ns)
                self._vote(stream, rule, tracker.level if holds else 0, finding if holds else _overruled(finding))
                if (best := int(self._table.best_of[stream])) >= 0:
                    long = not holds and bool(tracker.level) and tracker.covered_ns[0] >= OVERRULED_NS
                    self._dispute(stream, rule, finding, disputed=long and not self._agrees(best, rule.sign))
        self._settle(stream)

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


def _finding(rule: Rule, level: int, reading: _Reading, device: str) -> Finding:
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


def _keep(cell: _Cell, reading: _Reading, gateway: int) -> None:
    at_ns = reading.at_ns
    if reading.has_value:
        gap = at_ns - cell.valid_at_ns
        if cell.valid_at_ns > 0 and gap <= MOST_COVER_NS:
            cell.gap_ns = gap
        cell.valid_at_ns, cell.value = at_ns, reading.value
    if reading.reason < _OF_SERVICES:
        cell.fresh_at_ns = at_ns
    cell.newest_at_ns, cell.gateway = at_ns, gateway
    cell.reason, cell.quality = reading.reason, reading.quality
