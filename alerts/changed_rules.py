"""What becomes of a patient's conditions when the limits change under them. Pure.

What did not change goes on: a running delay, a present condition. A limit that changed is judged from now: what is
present stays present if the last value is beyond the new limit too, and ends otherwise; a delay begins anew. A last
value that is not to be relied on ends nothing: the next good one does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from alerts.alarms import AlarmBook, Finding
from alerts.chatter import CHATTER
from alerts.conditions import ConditionEvent, Tracker, advance
from alerts.events import Key
from alerts.limits import Rule, Rules
from alerts.streams import StreamTable
from alerts.walk import Walk
from vitals.model import Quality, Reason

LIMIT_CHANGED: Final = "limit changed"
_RELIABLE: Final = (Quality.UNKNOWN, Quality.USABLE)


class RuleChange:
    """Replaces rules under running conditions. To be used between two steps of the engine."""

    def __init__(self, table: StreamTable, walk: Walk, book: AlarmBook) -> None:
        self._table = table
        self._walk = walk
        self._book = book

    def apply(self, patient: str, old: Rules, new: Rules) -> None:
        """Bring a patient's streams and alarms from the rules `old` to `new`, which the table looks up already."""
        table, book = self._table, self._book
        changed = _changed(old, new)
        for condition in changed:
            book.chatter.forget(Key(condition, patient))  # what came and went did so at another limit
        for slot, (wearer, _) in enumerate(table.slots):
            for stream in table.of_slot(slot).tolist() if wearer == patient else ():
                before = table.rules[stream]
                table.set_rules([stream])
                if table.rules[stream] == before:
                    continue
                if stream in self._walk.trackers:
                    self._carry_over(stream, before)
                self._walk.renewed(stream)
        for condition in changed:
            alarm = book.open.get(Key(condition, patient))
            if alarm is not None and alarm.votes.keys() == {CHATTER}:
                book.restate(alarm.key, {}, replace(alarm.finding, at_ns=book.now_ns, detail=LIMIT_CHANGED))

    def _carry_over(self, stream: int, before: tuple[Rule, ...]) -> None:
        """Give a stream trackers for its new rules, and let its votes follow from them."""
        kept = dict(zip(before, self._walk.trackers[stream], strict=True))
        of_condition = {rule.condition: rule for rule in before}
        row = self._table.state[stream]
        value = float(row["value"])
        reliable = row["reason"] != Reason.PRESENT or Quality(int(row["quality"])) in _RELIABLE
        trackers = []
        for rule in self._table.rules[stream]:
            old = of_condition.pop(rule.condition, None)
            tracker = Tracker.of(rule) if old is None else carried(old, kept[old], rule, value, reliable=reliable)
            trackers.append(tracker)
            if old is not None and old != rule:
                self._follow(stream, rule, tracker.level, value)
        for gone in of_condition.values():
            self._follow(stream, gone, 0, value)
        self._walk.adopt(stream, trackers)

    def _follow(self, stream: int, rule: Rule, level: int, value: float) -> None:
        """Let the vote of a stream, if it has one, follow from the level that holds under the changed rule."""
        key, source = self._walk.vote_of(stream, rule)
        limit = rule.levels[max(level, 1) - 1].limit
        alarm = self._book.open.get(key)
        live = alarm is None or alarm.announced
        finding = Finding(rule.kind, self._book.now_ns, value=value, limit=limit, detail=LIMIT_CHANGED, live=live)
        if alarm is not None and source in alarm.votes:
            priority = int(rule.levels[level - 1].priority) if level else 0
            if priority != alarm.votes[source]:
                self._book.vote(key, source, priority, finding)
            elif alarm.finding.limit is not None:
                alarm.finding = replace(alarm.finding, limit=limit)
        if not level:
            self._walk.settle_dispute(stream, rule, finding)


def _changed(old: Rules, new: Rules) -> list[str]:
    """The conditions whose rule is not what it was, in some vital."""
    before = {(vital, rule.condition): rule for vital, rules in old.items() for rule in rules}
    after = {(vital, rule.condition): rule for vital, rules in new.items() for rule in rules}
    return sorted({key[1] for key in before.keys() | after.keys() if before.get(key) != after.get(key)})


def carried(old: Rule, tracker: Tracker, rule: Rule, value: float, *, reliable: bool) -> Tracker:
    """The tracker of `rule`, which `old` became; `value`: the last one, which may not be `reliable`."""
    fresh = Tracker.of(rule)
    was = {level.priority: index for index, level in enumerate(old.levels)}
    for index, level in enumerate(rule.levels):
        if (before := was.get(level.priority)) is None:
            continue
        present = before < tracker.level
        if old.levels[before].beyond == level.beyond:
            fresh.covered_ns[index] = tracker.covered_ns[before]
        else:
            present = present and (rule.sign * value > level.beyond or not reliable)
        if present:
            fresh.level = index + 1
    for index in range(fresh.level):
        fresh.covered_ns[index] = max(fresh.covered_ns[index], rule.levels[index].delay_ns)
    if not tracker.is_idle and not fresh.level and (tracker.level or max(fresh.covered_ns) < 0):
        return replace(Tracker.of(rule), state=advance(tracker.state, ConditionEvent.CLEARED))
    return replace(fresh, state=tracker.state)
