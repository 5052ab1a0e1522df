"""Alarm events as line protocol: what the boards draw as regions and count.

    alarm,condition=spo2_low,kind=physiological,patient=P-0001,priority=high,site=north,transition=raised
        number=17.0,value=84.0,limit=88.0,open=1.0,alarm_id="…",bed="3-01",actor="" 1767225600000000017

    alarm_episode,condition=spo2_low,kind=physiological,patient=P-0001,priority=high,site=north
        ended_ms=1767225660000.0,duration_s=60.0,late=0.0,number=21.0,alarm_id="…",bed="3-01" 1767225600000000021

`alarm`: each transition, when it was. `open` says whether the alarm is open after it; an entry that is about no open
alarm (a note, an episode found afterwards) has none, or it would close the real one. `alarm_episode`: each whole
stretch, at its beginning, once its end is known: an alarm from its raising to its end, and what was found in late
data (`late`).

Several transitions may share a moment: the time carries the event's number in its last digits, so that none replaces
another and sending one twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from alerts.events import ALARMS_PAUSED, AlarmEvent, AlarmRecordKind, Kind, Priority, Transition, decode_event
from ingest.influx.encoding import Encoded
from ingest.influx.line_protocol import Lines, Precision, in_bodies, line
from ingest.influx.wave_lines import Moment
from vitals.errors import MalformedMessageError
from vitals.journal import Record

MEASUREMENT: Final = "alarm"
EPISODE_MEASUREMENT: Final = "alarm_episode"
_NUMBERS: Final = 1_000  # of the clock's last digits given to the event's number


def alarm_lines(event: AlarmEvent, site: str, precision: Precision) -> list[bytes]:
    """One event: its transition, and the episode whose end it tells."""
    return [alarm_line(event, site, precision), *_episode(event, site, precision)]


def alarm_line(event: AlarmEvent, site: str, precision: Precision) -> bytes:
    """One transition as a line. A gateway's alarm has no patient: its beds are a field."""
    tags = _tags(event, site) | {"transition": event.transition.value, "device": event.device}
    fields: dict[str, float | str | None] = {
        "number": float(event.number),
        "priority_level": float(event.priority),
        "open": _open(event),
        "backlog": float(event.backlog),
        "value": event.value,
        "limit": event.limit,
        "reason": float(event.reason),
        "decided_s": event.decided_at_ns / 1e9,
        "until_ms": event.until_ns / 1e6 if event.until_ns else None,
        "alarm_id": event.alarm_id,
        "bed": event.bed or ", ".join(event.beds),
        "actor": event.actor,
    }
    return line(MEASUREMENT, tags, fields, stamp_of(event, precision))


def _tags(event: AlarmEvent, site: str) -> dict[str, str]:
    return {
        "condition": event.condition,
        "kind": event.kind.value,
        "patient": event.patient,
        "priority": event.priority.name.lower(),
        "site": site,
        "gateway": event.gateway,
    }


def _open(event: AlarmEvent) -> float | None:
    """1 while the alarm is open, 0 when it ended; `None` for an entry that is about none. A pause of a patient's alarms
    is open until somebody resumes them or its time is over."""
    if event.condition == ALARMS_PAUSED:
        return float(event.transition is Transition.PAUSED)
    return float(event.transition is not Transition.ENDED) if event.alarm_id else None


def _episode(event: AlarmEvent, site: str, precision: Precision) -> Iterator[bytes]:
    """The stretch that ends with `event`, or that it is about, at its beginning; of an older journal none is known."""
    span = _span(event)
    if span is None:
        return
    begin_ns, end_ns = span
    fields: dict[str, float | str | None] = {
        "ended_ms": end_ns / 1e6,
        "duration_s": max(0, end_ns - begin_ns) / 1e9,
        "late": float(event.transition is Transition.ANNOTATED),
        "number": float(event.number),
        "alarm_id": event.alarm_id,
        "bed": event.bed or ", ".join(event.beds),
    }
    yield line(EPISODE_MEASUREMENT, _tags(event, site), fields, _stamp(begin_ns, event.number, precision))


def _span(event: AlarmEvent) -> tuple[int, int] | None:
    if event.transition is Transition.ENDED and event.raised_at_ns:
        return event.raised_at_ns, event.at_ns
    if event.transition is Transition.ANNOTATED and event.until_ns:
        return event.at_ns, event.until_ns
    return None


def stamp_of(event: AlarmEvent, precision: Precision) -> int:
    """When it became true, in steps of `precision`, the last thousand of nanoseconds being the event's number."""
    return _stamp(event.at_ns, event.number, precision)


def _stamp(at_ns: int, number: int, precision: Precision) -> int:
    if precision is Precision.MILLISECONDS:  # too coarse to hide a number in: tags keep most events apart
        return at_ns // precision.divisor
    return at_ns // _NUMBERS * _NUMBERS + number % _NUMBERS


def moments_of(records: Sequence[Record]) -> list[Moment]:
    """The alarms among `records` of which a pulse wave may show why: of a patient's vitals, and not of low priority."""
    found: list[Moment] = []
    for record in records:
        if record.kind == AlarmRecordKind.EVENT:
            with suppress(MalformedMessageError):  # `encode_alarms` counts it
                found += moments([decode_event(record.payload)])
    return found


def moments(events: Iterable[AlarmEvent]) -> Iterator[Moment]:
    """The same of events."""
    return (
        Moment(event.patient, event.at_ns)
        for event in events
        if event.transition is Transition.RAISED and event.kind is Kind.PHYSIOLOGICAL and event.priority > Priority.LOW
    )


def encode_alarms(records: Sequence[Record], site: str, precision: Precision, lines_per_body: int) -> Encoded:
    """The lines of the events among `records` of an alarm journal."""
    found: list[bytes] = []
    unreadable = 0
    for record in records:
        if record.kind == AlarmRecordKind.EVENT:
            try:
                found += alarm_lines(decode_event(record.payload), site, precision)
            except MalformedMessageError:
                unreadable += 1
    return Encoded(Lines(tuple(in_bodies(found, lines_per_body)), len(found)), unreadable)
