"""What an alarm journal tells in the end: when each condition was present, corrections included."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from alerts.events import AlarmEvent, Transition

Spans = list[tuple[int, int]]
OPEN_END = 2**62  # of a condition that is present at the end


def account(events: Iterable[AlarmEvent]) -> dict[tuple[str, str], Spans]:
    """(patient, condition) → from when to when, apart from each other; without those that were never present."""
    found: defaultdict[tuple[str, str], Spans] = defaultdict(list)
    for event in events:
        key = (event.patient, event.condition)
        match event.transition:
            case Transition.RAISED:
                found[key] = plus(found[key], (event.at_ns, OPEN_END))
            case Transition.ENDED:
                found[key] = minus(found[key], (event.at_ns, OPEN_END))
            case Transition.ANNOTATED:
                found[key] = plus(found[key], (event.at_ns, event.until_ns))
            case Transition.DISPROVED:
                found[key] = minus(found[key], (event.at_ns, event.until_ns))
    return {key: spans for key, spans in found.items() if spans}


def plus(spans: Spans, new: tuple[int, int]) -> Spans:
    """The spans with one more, those that touch made one."""
    start, end = new
    apart = [s for s in spans if s[1] < start or s[0] > end]
    touching = [s for s in spans if s not in apart]
    merged = (min([start, *(s[0] for s in touching)]), max([end, *(s[1] for s in touching)]))
    return sorted([*apart, merged] if merged[0] < merged[1] else apart)


def minus(spans: Spans, gone: tuple[int, int]) -> Spans:
    """The spans without what lies in `gone`."""
    start, end = gone
    pieces = [piece for s in spans for piece in ((s[0], min(s[1], start)), (max(s[0], end), s[1]))]
    return sorted(piece for piece in pieces if piece[0] < piece[1])
