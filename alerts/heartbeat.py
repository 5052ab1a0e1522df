"""The heartbeat: whether the synthetic patient's alarm gets through, and who is owed word of that. Pure.

A round begins with a reading and comes through when the alarm that follows from it was handed over. `_TABLE` is the
machine; `Pager` says what the second channel is owed. Time is an argument, in seconds of a clock that never goes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Final

RETRY_S: Final = 10.0  # after a round that did not come through: how soon it is noticed that alarms get through again
REPEAT_S: Final = 3_600.0  # alarms that do not get through are told again this often
FIRST_RETRY_S: Final = 2.0
MOST_RETRY_S: Final = 30.0  # a second channel that fails is tried at least this often


class Step(IntEnum):
    """How far a round was seen to come."""

    BEGUN = 1
    ACCEPTED = 2  # the reading was taken in
    COMMITTED = 3  # it is durable
    JUDGED = 4  # the engine decided the alarm
    JOURNALLED = 5  # the alarm is durable, and its message on its way to the channel
    HANDED_OVER = 6  # the channel has it


class State(StrEnum):
    """Between rounds or in one, after one that came through or after one that did not."""

    RESTING = "resting"
    UNDER_WAY = "under_way"
    LOST = "lost"
    RETRYING = "retrying"


class Happening(StrEnum):
    """What becomes of rounds."""

    BEGUN = "begun"
    THROUGH = "through"
    OVERDUE = "overdue"


class IllegalTransitionError(ValueError):
    """The table has no such transition; nothing was changed. A fault of the program."""


_S, _H = State, Happening
_TABLE: Final[Mapping[tuple[State, Happening], State]] = MappingProxyType(
    {
        (_S.RESTING, _H.BEGUN): _S.UNDER_WAY,
        (_S.UNDER_WAY, _H.THROUGH): _S.RESTING,
        (_S.UNDER_WAY, _H.OVERDUE): _S.LOST,
        (_S.LOST, _H.BEGUN): _S.RETRYING,
        (_S.RETRYING, _H.THROUGH): _S.RESTING,
        (_S.RETRYING, _H.OVERDUE): _S.LOST,
    }
)


def after(state: State, happening: Happening) -> State:
    """The state after `happening`; raises `IllegalTransitionError` when the table has none."""
    found = _TABLE.get((state, happening))
    if found is None:
        raise IllegalTransitionError(f"{happening} is not possible while {state}")
    return found


@dataclass(frozen=True, slots=True)
class Pace:
    """A round every `every_s`, which comes through within `within_s`; the first `first_s` after the start."""

    every_s: float = 120.0
    within_s: float = 30.0
    first_s: float = 10.0  # gateways come back first


class Heartbeat:
    """`lost`: what was known before a restart. A round that a restart cut off is forgotten.

    `round`: the number of the latest round; `furthest`: how far it came. `stuck_at`: the same of the latest that was
    overdue. `took_s`: of the latest that came through, `None` before the first. `counts`: by what became of them.
    """

    def __init__(self, pace: Pace, now_s: float, *, lost: bool = False) -> None:
        self._pace = pace
        self.state = State.LOST if lost else State.RESTING
        self.round = 0
        self.furthest = Step.BEGUN
        self.stuck_at = Step.BEGUN
        self.took_s: float | None = None
        self.counts = {Happening.THROUGH: 0, Happening.OVERDUE: 0}
        self._begun_s = now_s
        self._due_s = now_s + pace.first_s

    @property
    def lost(self) -> bool:
        """Whether alarms may not be getting through: no round has come through since one that was overdue."""
        return self.state in (State.LOST, State.RETRYING)

    @property
    def in_round(self) -> bool:
        """Whether a round is under way."""
        return self.state in (State.UNDER_WAY, State.RETRYING)

    def let_pass(self, now_s: float) -> Happening | None:
        """What time alone has brought about, if anything; to be called again until it is nothing."""
        if now_s < self._due_s:
            return None
        if self.in_round:
            self._end(Happening.OVERDUE)
            self.stuck_at = self.furthest
            self._due_s = now_s + RETRY_S
            return Happening.OVERDUE
        self.state = after(self.state, Happening.BEGUN)
        self.round += 1
        self.furthest = Step.BEGUN
        self._begun_s, self._due_s = now_s, now_s + self._pace.within_s
        return Happening.BEGUN

    def seen(self, number: int, step: Step, now_s: float) -> bool:
        """Take note of how far a round came; whether it came through now. Of a round that is over it is too late."""
        if number != self.round or not self.in_round:
            return False
        self.furthest = max(self.furthest, step)
        if step is not Step.HANDED_OVER:
            return False
        self._end(Happening.THROUGH)
        self.took_s = now_s - self._begun_s
        self._due_s = self._begun_s + max(self._pace.every_s, self.took_s)
        return True

    def _end(self, happening: Happening) -> None:
        self.state = after(self.state, happening)
        self.counts[happening] += 1


class Page(StrEnum):
    """What the second channel tells."""

    LOST = "lost"
    BACK = "back"


class Pager:
    """`told`: whether somebody was told, before a restart, that alarms may not be getting through.

    Who was told that is told when it is over; who was not, need not know.
    """

    def __init__(self, now_s: float, *, told: bool = False) -> None:
        self.told = told
        self._again_s = now_s + REPEAT_S
        self._tried: Page | None = None
        self._attempts = 0
        self._retry_s = now_s

    def owed(self, now_s: float, *, lost: bool) -> Page | None:
        """What is to be handed over now."""
        if lost and (not self.told or now_s >= self._again_s):
            page = Page.LOST
        elif not lost and self.told:
            page = Page.BACK
        else:
            return None
        return page if page is not self._tried or now_s >= self._retry_s else None

    def handed_over(self, page: Page, now_s: float) -> None:
        """The second channel has it."""
        self.told = page is Page.LOST
        self._again_s = now_s + REPEAT_S
        self._tried, self._attempts = None, 0

    def failed(self, page: Page, now_s: float) -> None:
        """The second channel did not take it; it is tried again, less and less often."""
        self._attempts = self._attempts + 1 if page is self._tried else 1
        self._tried = page
        self._retry_s = now_s + min(MOST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(self._attempts - 1, 10))


class AwakeClock:
    """Seconds during which this process ran: of a longer standstill (frozen, suspended) only `MOST_STEP_S` count.

    So nobody is paged because a computer slept, and a server that stands still all the time is found out all the same.
    """

    MOST_STEP_S: Final = 5.0

    def __init__(self, monotonic_s: float) -> None:
        self._last_s = monotonic_s
        self.now_s = 0.0

    def advance(self, monotonic_s: float) -> float:
        """Take note of the time; returns `now_s`."""
        self.now_s += min(max(0.0, monotonic_s - self._last_s), self.MOST_STEP_S)
        self._last_s = monotonic_s
        return self.now_s
