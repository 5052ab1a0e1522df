"""The condition machine: when a limit that is violated becomes an alarm condition, and when that ends.

Everything that affects transitions lives in `_TABLE`. Delays count *covered measurement time*: a sample stands for the
time since the sample before it, up to a bound. Silence therefore neither runs a delay down nor clears anything, and a
back-dated sample cannot fire "low for 15 s" by itself.

Doubtful samples (motion, low perfusion, sources that disagree) are evidence of half the weight: their time counts half,
and a severe limit that only they violate needs the ordinary limit's delay too. They begin and keep up an alarm, but
end none: what is not to be relied on must not say that all is well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from alerts.limits import Rule

LEAST_COVER_NS: Final = 5_000_000_000  # what one sample of a fast device may stand for
MOST_COVER_NS: Final = 10_000_000_000  # and of a slow one: twice the period it last kept, up to this
DOUBTFUL_SHARE: Final = 2  # a doubtful sample stands for its time divided by this
_NOT_VIOLATED: Final = -1  # in `Tracker.covered_ns`


class ConditionState(IntEnum):
    """Of one condition of one stream."""

    ABSENT = 0
    PENDING = 1  # violated, the delay is running
    PRESENT = 2
    ENDED = 3  # was present; a further violation is a new occurrence


class ConditionEvent(IntEnum):
    """What the samples say."""

    VIOLATED = 1
    DELAY_PASSED = 2
    CLEARED = 3


class IllegalTransitionError(ValueError):
    """The table has no such transition; nothing was changed. A fault of the program, never of the input."""


_S, _E = ConditionState, ConditionEvent
_TABLE: Final[Mapping[tuple[ConditionState, ConditionEvent], ConditionState]] = MappingProxyType(
    {
        (_S.ABSENT, _E.VIOLATED): _S.PENDING,
        (_S.PENDING, _E.VIOLATED): _S.PENDING,
        (_S.PENDING, _E.DELAY_PASSED): _S.PRESENT,
        (_S.PENDING, _E.CLEARED): _S.ABSENT,
        (_S.PRESENT, _E.VIOLATED): _S.PRESENT,
        (_S.PRESENT, _E.CLEARED): _S.ENDED,
        (_S.ENDED, _E.VIOLATED): _S.PENDING,
    }
)


def advance(state: ConditionState, event: ConditionEvent) -> ConditionState:
    """The state after `event`; raises `IllegalTransitionError` when the table has none."""
    after = _TABLE.get((state, event))
    if after is None:
        raise IllegalTransitionError(f"{event.name} is not possible while {state.name}")
    return after


def covered_ns(at_ns: int, before_ns: int, gap_ns: int) -> int:
    """Measurement time that a sample at `at_ns` stands for.

    `before_ns`: the sample before it, 0 for none. `gap_ns`: the gap before that one, how often the device speaks.
    """
    if before_ns == 0:
        return 0
    return min(at_ns - before_ns, MOST_COVER_NS, max(LEAST_COVER_NS, 2 * gap_ns))


@dataclass(slots=True)
class Tracker:
    """The condition of one rule on one stream.

    `covered_ns`: per level of the rule the violating time so far, -1 while it is not violated. `level`: how many
    levels are present, 0 for none; levels are nested, so a present level means that all milder ones are.
    """

    covered_ns: list[int]
    level: int = 0
    state: ConditionState = field(default=ConditionState.ABSENT)

    @classmethod
    def of(cls, rule: Rule) -> Tracker:
        return cls([_NOT_VIOLATED] * len(rule.levels))

    @property
    def is_idle(self) -> bool:
        return self.state in (ConditionState.ABSENT, ConditionState.ENDED)


def observe(tracker: Tracker, rule: Rule, value: float, cover_ns: int, *, doubtful: bool = False) -> bool:
    """Take one sample into account; whether the present level changed.

    A pending level is dropped by the first sample that does not violate it; a present one only beyond the hysteresis.
    `doubtful`: a violation counts less (see the module's text), and the rest changes nothing.
    """
    signed = rule.sign * value
    before = tracker.level
    violated = False
    weighed_ns = cover_ns // DOUBTFUL_SHARE if doubtful else cover_ns
    for index, level in enumerate(rule.levels):
        if signed > level.beyond:
            violated = True
            tracker.covered_ns[index] = max(tracker.covered_ns[index], 0) + weighed_ns
        elif not doubtful and (index >= before or signed <= level.beyond - rule.hysteresis):
            tracker.covered_ns[index] = _NOT_VIOLATED
    tracker.level = _reached(tracker, rule, doubtful=doubtful)
    if violated:
        tracker.state = advance(tracker.state, ConditionEvent.VIOLATED)
        if tracker.level and tracker.state is ConditionState.PENDING:
            tracker.state = advance(tracker.state, ConditionEvent.DELAY_PASSED)
    elif not tracker.is_idle and max(tracker.covered_ns) == _NOT_VIOLATED:
        tracker.state = advance(tracker.state, ConditionEvent.CLEARED)
    return tracker.level != before


def _reached(tracker: Tracker, rule: Rule, *, doubtful: bool) -> int:
    """How many levels are present; a present level carries the milder ones, whose delay is then over too."""
    reached = 0
    for index, level in enumerate(rule.levels):
        delay_ns = level.doubtful_delay_ns if doubtful else level.delay_ns
        present = index < tracker.level and tracker.covered_ns[index] != _NOT_VIOLATED
        if present or tracker.covered_ns[index] >= delay_ns:
            reached = index + 1
    for index in range(reached):
        tracker.covered_ns[index] = max(tracker.covered_ns[index], rule.levels[index].delay_ns)
    return reached
