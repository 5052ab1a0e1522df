"""A stream's samples walked once more, telling nobody, and how that differs from what was held to be so. Pure.

held \\ now     absent       milder or as severe     more severe
absent            –                   –                  found
present       disproved               –                  found
"""

from __future__ import annotations

from dataclasses import dataclass

from alerts.cells import Cell, Reading, Sample, follow, reading_of
from alerts.conditions import Tracker, covered_ns
from alerts.limits import Rule, Source
from alerts.recent import copied


@dataclass(slots=True)
class Retrace:
    """One stream on its way. `trackers`: `None` while nothing is pending or present.

    `calm`: the lowest and the highest value in which no rule takes interest.
    """

    rules: tuple[Rule, ...]
    calm: tuple[float, float]
    cell: Cell
    trackers: list[Tracker] | None

    def fork(self) -> Retrace:
        """The same, to go another way."""
        trackers = None if self.trackers is None else copied(self.trackers)
        return Retrace(self.rules, self.calm, Cell(*self.cell.as_row()), trackers)  # type: ignore[arg-type]  # as_row is its pair

    def step(self, sample: Sample) -> Reading:
        """Take one sample that is newer than all before it."""
        reading = reading_of(*sample, now_ns=sample.at_ns)
        if reading.is_judged:
            self._judge(reading)
        self.cell.keep(reading)
        return reading

    def _judge(self, reading: Reading) -> None:
        trackers, (low, high) = self.trackers, self.calm
        if trackers is None:
            if reading.has_value and not reading.doubtful and low <= reading.value <= high:
                return
            trackers = [Tracker.of(rule) for rule in self.rules]
        cell = self.cell
        since_any = covered_ns(reading.at_ns, cell.newest_at_ns, cell.gap_ns)
        since_value = covered_ns(reading.at_ns, cell.valid_at_ns, cell.gap_ns)
        for rule, tracker in zip(self.rules, trackers, strict=True):
            follow(tracker, rule, reading, since_any, since_value)
        self.trackers = None if all(tracker.is_idle for tracker in trackers) else trackers

    def level(self, index: int) -> int:
        """How many levels of a rule are present."""
        return 0 if self.trackers is None else self.trackers[index].level

    def is_at(self, other: Retrace) -> bool:
        """Whether both go on the same from here."""
        mine, its = self.cell, other.cell
        return self.trackers == other.trackers and (
            (mine.newest_at_ns, mine.fresh_at_ns, mine.valid_at_ns, mine.gap_ns)
            == (its.newest_at_ns, its.fresh_at_ns, its.valid_at_ns, its.gap_ns)
        )


@dataclass(slots=True)
class Difference:
    """From `begin_ns` up to `end_ns` a condition was present that was held absent or milder (`found`), or the reverse.

    `level`: the highest there was. `value`: the worst; `None` of a flag.
    """

    found: bool
    begin_ns: int
    end_ns: int
    level: int
    value: float | None


class Comparison:
    """The differences in one rule's condition, sample by sample.

    `open`: the one that still goes on, and `first` the reading that it began with.
    """

    def __init__(self, rule: Rule, going_on: Difference | None = None) -> None:
        self._rule = rule
        self.open = going_on
        self.first: Reading | None = None

    def see(self, reading: Reading, held: int, now: int) -> Difference | None:
        """Take the levels that were held and are now found from a reading on; a difference that ends with it."""
        differs = now > held or (now == 0 and held > 0)
        ended = None
        if self.open is not None and (not differs or self.open.found != (now > held)):
            ended = self.end(reading.at_ns)
        if differs:
            if self.open is None:
                self.first = reading
                self.open = Difference(now > held, reading.at_ns, reading.at_ns, 0, None)
            self.open.level = max(self.open.level, now, held)
            if reading.has_value and self._rule.source is Source.VALUE:
                self.open.value = self._worse(reading.value, self.open.value)
        return ended

    def end(self, at_ns: int) -> Difference | None:
        """End the difference that goes on, if any."""
        ended, self.open, self.first = self.open, None, None
        if ended is not None:
            ended.end_ns = at_ns
        return ended

    def _worse(self, value: float, worst: float | None) -> float:
        return value if worst is None or self._rule.sign * value > self._rule.sign * worst else worst
