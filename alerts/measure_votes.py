"""From what measures find to votes on a patient's alarms: who speaks for the patient; one alarm for one cause. Pure.

Nothing is told twice: what an open alarm of the same or a higher priority tells already is counted with that. A fall
that goes below the low limit is the limit's own alarm, which then does not wait for its delay; it stays so for as long
as it lasts, or it would call when the limit's alarm ends, which is when it is made good.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from alerts.alarms import AlarmBook, Finding
from alerts.causes import CAUSES, COUNTED_WITH, cause_of
from alerts.cells import LIVE_WINDOW_NS
from alerts.events import FELL_FROM, SPO2_DEFICIT, SPO2_FALLING, SPO2_LOW, TREND, Key, Kind
from alerts.falls import Fall
from alerts.streams import JUDGED, StreamTable
from vitals.model import VITALS, Reason, Vital

_OVERRULED: Final = "the best value of this patient decides now"
_ELSEWHERE: Final = "another device measures this now"


@dataclass(frozen=True, slots=True)
class Found:
    """What a sample completed, or goes on with. `priority`: 0 when it is over. `limit`: what `value` is held against.

    That is the level before a fall, the low limit of an area, and the baseline of a trend.
    """

    stream: int
    condition: str
    priority: int
    at_ns: int
    value: float
    limit: float


def explained_by(book: AlarmBook, condition: str, patient: str, priority: int) -> str:
    """The open condition of the patient that tells the same with at least that priority; `""` when there is none."""
    candidates = ((cause, book.open.get(Key(cause, patient))) for cause in CAUSES.get(condition, ()))
    present = [cause for cause, alarm in candidates if alarm and alarm.votes and alarm.priority >= priority]
    return cause_of(condition, present)


class MeasureVotes:
    """Votes in the names of streams."""

    def __init__(self, table: StreamTable, book: AlarmBook) -> None:
        self._table = table
        self._book = book

    def vote(self, found: Iterable[Found], falls: Mapping[int, Fall], now_ns: int) -> None:
        """Vote on what was found in one block, in the order of time."""
        for each in sorted(found, key=lambda f: (f.at_ns, f.stream, f.condition)):
            fall = falls.get(each.stream) if each.condition == SPO2_FALLING else None
            self._vote(each, fall, live=now_ns - each.at_ns <= LIVE_WINDOW_NS)

    def withdraw(self, stream: int, now_ns: int) -> None:
        """Take back what a stream holds."""
        for condition in self._conditions(stream):
            self._end(stream, condition, Finding(Kind.PHYSIOLOGICAL, now_ns, detail=_ELSEWHERE))

    def of_stream(self, stream: int) -> set[tuple[Key, str]]:
        """All votes that a stream may hold."""
        return {self.vote_of(stream, condition) for condition in self._conditions(stream)}

    def is_replaced(self, stream: int, now_ns: int, silence_ns: int) -> bool:
        """Whether a stream is silent and another one of the patient measures the same."""
        state = self._table.state
        if now_ns - int(state["valid_at_ns"][stream]) <= silence_ns:
            return False
        return any(
            int(state["valid_at_ns"][i]) >= now_ns - silence_ns and state["reason"][i] == Reason.PRESENT
            for i in self._table.family(stream)
            if i != stream
        )

    def vote_of(self, stream: int, condition: str) -> tuple[Key, str]:
        """Which alarm a stream votes on, and under which name."""
        row = self._table.state[stream]
        patient, device = self._table.slots[int(row["slot"])]
        return Key(condition, patient), f"{device}/{int(row['vital'])}/measured"

    def _conditions(self, stream: int) -> tuple[str, ...]:
        vital = Vital(JUDGED[int(self._table.state["vital"][stream])])
        of_spo2 = (SPO2_FALLING, SPO2_DEFICIT, SPO2_LOW) if vital is Vital.SPO2 else ()
        return (*of_spo2, f"{VITALS[vital].name}_{TREND}")

    def _end(self, stream: int, condition: str, finding: Finding) -> None:
        key, source = self.vote_of(stream, condition)
        if self._book.holds(key, source):
            self._book.vote(key, source, 0, finding)

    def _vote(self, found: Found, fall: Fall | None, *, live: bool) -> None:
        if found.condition == SPO2_FALLING:
            self._bypass_delay(found, fall, live=live)
        key, source = self.vote_of(found.stream, found.condition)
        held = self._book.holds(key, source)
        priority, detail = found.priority, ""
        if priority and not held and not self._table.speaks(found.stream, found.at_ns):
            priority, detail = 0, _OVERRULED
        elif priority and (cause := self._cause(found, key.patient, fall)):
            priority, detail = 0, COUNTED_WITH[cause]
        if priority or held:
            self._book.vote(key, source, priority, self._finding(found, found.limit, detail, live=live))

    def _finding(self, found: Found, limit: float, detail: str, *, live: bool) -> Finding:
        device = self._table.told_by(found.stream, int(self._table.state["source"][found.stream]))
        return Finding(Kind.PHYSIOLOGICAL, found.at_ns, found.value, limit, device=device, detail=detail, live=live)

    def _bypass_delay(self, found: Found, fall: Fall | None, *, live: bool) -> None:
        """Let a fall that is below the low limit hold that limit's alarm, until the value is back or the fall over."""
        rule = next((rule for rule in self._table.rules[found.stream] if rule.condition == SPO2_LOW), None)
        if rule is None:
            return
        key, source = self.vote_of(found.stream, SPO2_LOW)
        held = self._book.holds(key, source)
        low_pct = rule.levels[0].limit
        below = found.value < low_pct + (rule.hysteresis if held else 0.0)
        if fall is None or not found.priority or not below:
            self._end(found.stream, SPO2_LOW, self._finding(found, low_pct, "", live=live))
        elif held or self._table.speaks(found.stream, found.at_ns):
            fall.told_with = SPO2_LOW
            priority = max(rule.levels[0].priority, found.priority)
            self._book.vote(key, source, priority, self._finding(found, low_pct, _fell(fall), live=live))
            self._show(key, fall)

    def _cause(self, found: Found, patient: str, fall: Fall | None) -> str:
        """What tells of this already; it is made to show that there is a fall too."""
        if fall is not None and fall.told_with:
            return fall.told_with
        cause = explained_by(self._book, found.condition, patient, found.priority)
        if cause and fall is not None:
            fall.told_with = cause
            self._show(Key(cause, patient), fall)
        return cause

    def _show(self, key: Key, fall: Fall) -> None:
        """Let an open alarm say that there is a fall too."""
        alarm = self._book.open[key]
        if not alarm.finding.detail:
            alarm.finding = replace(alarm.finding, detail=_fell(fall))


def _fell(fall: Fall) -> str:
    return f"{FELL_FROM}{fall.from_pct:.0f} %"
