"""Alarms as spans of time, put together from their journalled transitions: for figures, never for decisions. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from alerts.events import AlarmEvent, Kind, Priority, Transition

_BEGINS: Final = (Transition.RAISED, Transition.CONFIRMED)


@dataclass(frozen=True, slots=True)
class AlarmSpan:
    """One alarm from its first raising to its end. Times are event times, UTC.

    `priority`: the highest it reached. `ended_at_ns`: `None` while it is open. `acknowledged_at_ns`: of the first
    acknowledgement, `None` for none. `told`: whether people were told of it at all. `beds`: of a gateway's alarm.
    """

    alarm_id: str
    patient: str
    bed: str
    kind: Kind
    condition: str
    priority: Priority
    raised_at_ns: int
    ended_at_ns: int | None = None
    acknowledged_at_ns: int | None = None
    acknowledged_by: str = ""
    told: bool = False
    beds: tuple[str, ...] = ()

    def lasted_ns(self, now_ns: int) -> int:
        """How long it was present, or has been until `now_ns`."""
        return max(0, (now_ns if self.ended_at_ns is None else self.ended_at_ns) - self.raised_at_ns)


def spans_of(events: Iterable[AlarmEvent]) -> list[AlarmSpan]:
    """The alarms whose raising is among `events` (in journal order), in the order in which they were raised.

    A latched alarm that is raised a second time under its id is a second span. An acknowledgement that comes after the
    end, as a latched signal gets it, counts for the alarm. Entries that are about no alarm, such as a pause of all
    alarms of a patient or an episode found afterwards, are none; an alarm that late readings show to be over before it
    was raised has ended when it was raised.
    """
    spans: list[AlarmSpan] = []
    place: dict[str, int] = {}
    for event in events:
        if not event.alarm_id:
            continue
        index = place.get(event.alarm_id)
        opened = index is not None and spans[index].ended_at_ns is None
        if event.transition in _BEGINS and not opened:
            place[event.alarm_id] = len(spans)
            spans.append(_begun(event))
        elif index is not None:
            spans[index] = _after(spans[index], event)
    return spans


def _begun(event: AlarmEvent) -> AlarmSpan:
    return AlarmSpan(
        event.alarm_id,
        event.patient,
        event.bed,
        event.kind,
        event.condition,
        event.priority,
        event.at_ns,
        told=event.notify,
        beds=event.beds,
    )


def _after(span: AlarmSpan, event: AlarmEvent) -> AlarmSpan:
    if event.transition is Transition.ENDED:
        return replace(span, ended_at_ns=max(event.at_ns, span.raised_at_ns))
    if event.transition is Transition.ACKNOWLEDGED:
        first = span.acknowledged_at_ns is None
        return replace(span, acknowledged_at_ns=event.at_ns, acknowledged_by=event.actor) if first else span
    return replace(span, priority=max(span.priority, event.priority), told=span.told or event.notify)
