"""A patient's alarms as periods: from the journal's transitions to one line per alarm. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from alerts.events import AlarmEvent, Kind, Priority, Transition
from alerts.view import OpenAlarm

MAX_EPISODES: Final = 100  # more than anybody reads on a page; the export has them all
_AFTERWARDS: Final = (Transition.ANNOTATED, Transition.DISPROVED)


@dataclass(frozen=True, slots=True)
class Episode:
    """One alarm from when it was raised; `end_ns` is `None` while its condition holds.

    `priority` is the worst it had; `value` and `limit` are those at its beginning. `found`: `ANNOTATED` or `DISPROVED`
    of what only readings that came late showed, which nobody was called for; `value` is then the worst.
    """

    alarm_id: str
    kind: Kind
    condition: str
    priority: Priority
    start_ns: int
    end_ns: int | None
    value: float | None
    limit: float | None
    acknowledged_by: str = ""
    acknowledged_at_ns: int | None = None
    found: Transition | None = None


def episodes(events: Iterable[AlarmEvent], still_open: Sequence[OpenAlarm]) -> list[Episode]:
    """The alarms that `events` (oldest first) and the open alarms tell of, newest first, at most `MAX_EPISODES`.

    An alarm that is not among the open ones has ended, whatever its last known transition was. What was found
    afterwards piece by piece is one episode.
    """
    found: dict[str, Episode] = {alarm.alarm_id: _of_open(alarm) for alarm in still_open}
    is_open = set(found)
    late: dict[tuple[str, Transition], Episode] = {}
    for event in events:
        if event.transition in _AFTERWARDS:
            piece = _piece(event)
            before = late.get((event.condition, event.transition))
            if before is not None and piece.start_ns <= (before.end_ns or 0):
                piece = _together(before, piece)
            late[event.condition, event.transition] = found[piece.alarm_id] = piece
        elif event.alarm_id and event.transition is not Transition.NOTED:
            found[event.alarm_id] = _after(found.get(event.alarm_id), event, still_open=event.alarm_id in is_open)
    return sorted(found.values(), key=lambda e: -e.start_ns)[:MAX_EPISODES]


def _of_open(alarm: OpenAlarm) -> Episode:
    return Episode(
        alarm.alarm_id,
        alarm.kind,
        alarm.condition,
        alarm.priority,
        alarm.raised_at_ns,
        None,
        alarm.value,
        alarm.limit,
        alarm.acknowledged_by,
        alarm.acknowledged_at_ns,
    )


def _piece(event: AlarmEvent) -> Episode:
    numbers = (event.at_ns, event.until_ns, event.value, event.limit)
    return Episode(f"#{event.number}", event.kind, event.condition, event.priority, *numbers, found=event.transition)


def _together(first: Episode, second: Episode) -> Episode:
    """Two pieces that touch or overlap as one."""
    worse = second if second.priority > first.priority else first
    end_ns = max(first.end_ns or 0, second.end_ns or 0)
    return replace(first, priority=worse.priority, end_ns=end_ns, value=worse.value, limit=worse.limit)


def _after(episode: Episode | None, event: AlarmEvent, *, still_open: bool) -> Episode:
    end_ns = None if still_open else event.at_ns
    if episode is None or event.transition is Transition.RAISED:
        return Episode(
            event.alarm_id,
            event.kind,
            event.condition,
            event.priority,
            event.at_ns,
            end_ns,
            event.value,
            event.limit,
        )
    if event.transition is Transition.ACKNOWLEDGED:  # of a latched alarm perhaps, whose condition is over
        return replace(episode, acknowledged_by=event.actor, acknowledged_at_ns=event.decided_at_ns)
    if end_ns is not None:
        end_ns = max(end_ns, episode.start_ns)  # what late readings end may never have been
    return replace(episode, end_ns=end_ns, priority=max(episode.priority, event.priority))
