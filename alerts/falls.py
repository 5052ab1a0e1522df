"""What SpO2 does over more than a moment: a fast fall, and an area below the limit. Pure, one sample at a time.

Both count covered measurement time like every condition. A doubtful sample counts half in an area and nothing in a
fall, which is there to call before a delay is over; it ends neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from alerts.conditions import DOUBTFUL_SHARE, ConditionEvent, ConditionState, advance
from alerts.measure_settings import Deficit, Falling

_LEAST_BACK_PCT: Final = 1.0  # what the area shrinks by at least, for each second without a deficit
_S, _E = ConditionState, ConditionEvent


@dataclass(slots=True)
class Fall:
    """One fall. `from_pct`: the level before it; `covered_ns`: how long it has been so deep.

    `since_lowest_ns`, `back_ns`: covered time since the lowest value, and since half of the fall was made good.
    `told_with`: the condition that tells of it in its place.
    """

    state: ConditionState = ConditionState.ABSENT
    from_pct: float = 0.0
    lowest_pct: float = 0.0
    covered_ns: int = 0
    since_lowest_ns: int = 0
    back_ns: int = 0
    told_with: str = ""

    @property
    def is_present(self) -> bool:
        return self.state is ConditionState.PRESENT

    @property
    def is_idle(self) -> bool:
        return self.state in (ConditionState.ABSENT, ConditionState.ENDED)


def follow_fall(fall: Fall, settings: Falling, value_pct: float, cover_ns: int, *, level_pct: float) -> bool:
    """Take one trusted sample into account; whether the fall became present or ended.

    `level_pct`: the highest level that was held before; 0 when there is none.
    """
    if fall.is_present:
        return _is_over(fall, settings, value_pct, cover_ns)
    before_pct = fall.from_pct if fall.state is ConditionState.PENDING else level_pct
    if before_pct <= 0 or value_pct > before_pct - settings.points:
        if fall.state is ConditionState.PENDING:
            fall.state = advance(fall.state, ConditionEvent.CLEARED)
        return False
    if fall.state is not ConditionState.PENDING:
        fall.from_pct, fall.lowest_pct, fall.covered_ns, fall.told_with = before_pct, value_pct, 0, ""
        fall.since_lowest_ns = fall.back_ns = 0
    fall.state = advance(fall.state, ConditionEvent.VIOLATED)
    fall.lowest_pct = min(fall.lowest_pct, value_pct)
    fall.covered_ns += cover_ns
    if fall.covered_ns < settings.delay_s * 1e9:
        return False
    fall.state = advance(fall.state, ConditionEvent.DELAY_PASSED)
    return True


def _is_over(fall: Fall, settings: Falling, value_pct: float, cover_ns: int) -> bool:
    """Whether a present fall ends with this sample: half made good for the delay, or no longer falling."""
    if value_pct < fall.lowest_pct:
        fall.lowest_pct, fall.since_lowest_ns, fall.back_ns = value_pct, 0, 0
        return False
    fall.since_lowest_ns += cover_ns
    back = value_pct >= (fall.from_pct + fall.lowest_pct) / 2
    fall.back_ns = fall.back_ns + cover_ns if back else 0
    if (back and fall.back_ns >= settings.delay_s * 1e9) or fall.since_lowest_ns >= settings.settled_s * 1e9:
        fall.state = advance(fall.state, ConditionEvent.CLEARED)
        return True
    return False


@dataclass(slots=True)
class Area:
    """Points below the limit times seconds, so far. `present`: it became an alarm, and has not run down since."""

    pct_s: float = 0.0
    present: bool = False


def follow_area(
    area: Area, settings: Deficit, value_pct: float, cover_ns: int, *, low_pct: float, doubtful: bool = False
) -> bool:
    """Take one sample into account; whether the alarm begins or ends.

    It fills by the points below `low_pct` for each second, up to the alarm, and runs down by the points above, one at
    least. How fast is this project's choice; the makers of such counters do not say.
    """
    seconds = cover_ns / 1e9
    if value_pct < low_pct:
        share = seconds / DOUBTFUL_SHARE if doubtful else seconds
        area.pct_s = min(area.pct_s + (low_pct - value_pct) * share, settings.pct_s)
        begins = not area.present and area.pct_s >= settings.pct_s
        area.present |= begins
        return begins
    if not doubtful:
        area.pct_s = max(0.0, area.pct_s - max(_LEAST_BACK_PCT, value_pct - low_pct) * seconds)
    ends = area.present and area.pct_s <= 0.0
    area.present &= not ends
    return ends
