"""Figures of a period of alarms: how many, how fast somebody took notice, and how much of it was noise. Pure.

The words flood, chattering, fleeting and stale are those of ISA-18.2 and EEMUA 191, and so are the figures that stand
beside: they were set for one operator of a process plant (STANDARDS 2.7). They are dashboard definitions, no clinical
targets.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

from alerts.events import Priority
from alerts.spans import AlarmSpan

DAY_NS: Final = 86_400_000_000_000
FLOOD_WINDOW_NS: Final = 600_000_000_000
FLOOD_BEGINS_ABOVE: Final = 10  # alarms in ten minutes
FLOOD_ENDS_BELOW: Final = 5
CHATTER_NS: Final = 60_000_000_000
CHATTER_TIMES: Final = 3  # the same alarm so often within a minute is chattering
FLEETING_NS: Final = 10_000_000_000  # over before anybody could have come (Helsinki 2021 counts < 10 s)
STALE_NS: Final = DAY_NS
NOISIEST: Final = 10
PLANT_FIGURES: Final[Mapping[str, str]] = {
    "alarms_per_hour": "about 6 acceptable, 12 manageable, per operator",
    "flood_share": "< 1 % of time",
    "noisiest_share": "1 to 5 %",
    "chattering": "0",
    "fleeting": "0",
    "stale": "< 5 a day",
    "priority_split": "about 80 / 15 / 5 % low / medium / high",
}


@dataclass(frozen=True, slots=True)
class Flood:
    """From the alarm that made it more than `FLOOD_BEGINS_ABOVE` in ten minutes to when they were few again."""

    start_ns: int
    end_ns: int
    alarms: int


@dataclass(frozen=True, slots=True)
class Report:
    """The alarms with `start_ns` <= raised < `end_ns`, open ones as of `end_ns`. Shares are of 1, `None` of nothing.

    `noisiest`: alarm (bed, condition) and how often, the worst `NOISIEST`. `chattering`: alarms that were one of
    `CHATTER_TIMES` of their kind and bed within a minute. `marked`, `actionable`: alarms that people marked.
    """

    start_ns: int
    end_ns: int
    beds: int
    alarms: int
    by_condition: Mapping[str, int]
    by_priority: Mapping[Priority, int]
    by_bed: Mapping[str, int]
    by_bed_day: Mapping[tuple[str, int], int]
    acknowledged: int
    acknowledge_median_s: float | None
    acknowledge_p90_s: float | None
    noisiest: tuple[tuple[tuple[str, str], int], ...]
    floods: tuple[Flood, ...]
    chattering: int
    fleeting: int
    stale: int
    marked: int
    actionable: int

    @property
    def days(self) -> float:
        return (self.end_ns - self.start_ns) / DAY_NS

    @property
    def per_bed_day(self) -> float | None:
        return self.alarms / (self.beds * self.days) if self.beds and self.days else None

    @property
    def flood_share(self) -> float | None:
        covered = sum(flood.end_ns - flood.start_ns for flood in self.floods)
        return covered / (self.end_ns - self.start_ns) if self.end_ns > self.start_ns else None

    def share(self, count: int) -> float | None:
        """`count` as a share of all alarms."""
        return count / self.alarms if self.alarms else None


def report(
    spans: Iterable[AlarmSpan], start_ns: int, end_ns: int, *, beds: int = 0, marks: Mapping[str, bool] | None = None
) -> Report:
    """The figures of a period. `beds`: how many there are; without, those that alarmed. `marks`: alarm → actionable."""
    own = sorted((s for s in spans if start_ns <= s.raised_at_ns < end_ns), key=lambda s: s.raised_at_ns)
    by_bed = Counter(bed_of(span) for span in own)
    answers = sorted(s.acknowledged_at_ns - s.raised_at_ns for s in own if s.acknowledged_at_ns is not None)
    marked = [marks[s.alarm_id] for s in own if s.alarm_id in marks] if marks else []
    return Report(
        start_ns,
        end_ns,
        beds or len(by_bed),
        len(own),
        Counter(span.condition for span in own),
        Counter(span.priority for span in own),
        by_bed,
        Counter((bed_of(span), (span.raised_at_ns - start_ns) // DAY_NS) for span in own),
        len(answers),
        _quantile_s(answers, 0.5),
        _quantile_s(answers, 0.9),
        tuple(Counter((bed_of(span), span.condition) for span in own).most_common(NOISIEST)),
        tuple(floods([span.raised_at_ns for span in own], end_ns)),
        _chattering(own),
        sum(s.ended_at_ns is not None and s.lasted_ns(end_ns) < FLEETING_NS for s in own),
        sum(s.lasted_ns(end_ns) > STALE_NS for s in own),
        len(marked),
        sum(marked),
    )


def bed_of(span: AlarmSpan) -> str:
    """Where an alarm is: a bed, or what it is about that is no bed."""
    return span.bed or ", ".join(span.beds) or "no bed"


def floods(raised_ns: Sequence[int], end_ns: int) -> list[Flood]:
    """The floods among alarms raised at these times (ascending): more than ten in ten minutes, until fewer than five.

    The window is the ten minutes that end at a moment, so a flood ends when an alarm leaves it and less than five stay.
    """
    found: list[Flood] = []
    window: deque[int] = deque()
    began_ns, count = -1, 0
    for at_ns in [*raised_ns, end_ns]:
        while window and window[0] <= at_ns - FLOOD_WINDOW_NS:
            left_ns = window.popleft() + FLOOD_WINDOW_NS
            if began_ns >= 0 and len(window) < FLOOD_ENDS_BELOW:
                found.append(Flood(began_ns, left_ns, count))
                began_ns = -1
        window.append(at_ns)
        if began_ns >= 0:
            count += 1
        elif len(window) > FLOOD_BEGINS_ABOVE:
            began_ns, count = at_ns, len(window)
    if began_ns >= 0:
        found.append(Flood(began_ns, end_ns, count - 1))
    return [flood for flood in found if flood.start_ns < end_ns]


def _chattering(spans: Sequence[AlarmSpan]) -> int:
    kinds: dict[tuple[str, str], list[int]] = {}
    for span in spans:
        kinds.setdefault((bed_of(span), span.condition), []).append(span.raised_at_ns)
    found = 0
    for times in kinds.values():
        part_of: set[int] = set()
        for first in range(len(times) - CHATTER_TIMES + 1):
            if times[first + CHATTER_TIMES - 1] - times[first] <= CHATTER_NS:
                part_of.update(range(first, first + CHATTER_TIMES))
        found += len(part_of)
    return found


def _quantile_s(ordered: Sequence[int], share: float) -> float | None:
    """The least of the values that at least `share` of them do not exceed."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)] / 1e9 if ordered else None
