"""Alarm events as line protocol: what the boards draw as regions and count.

    alarm,condition=spo2_low,kind=physiological,patient=P-0001,priority=high,site=north,transition=raised
        number=17.0,value=84.0,limit=88.0,open=1.0,alarm_id="…",bed="3-01",actor="" 1767225600000000017

Several transitions may share a moment: the time carries the event's number in its last digits, so that none replaces
another and sending one twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from alerts.events import AlarmEvent, AlarmRecordKind, Transition, decode_event
from ingest.influx.encoding import Encoded
from ingest.influx.line_protocol import Lines, Precision, in_bodies, line
from vitals.errors import MalformedMessageError
from vitals.journal import Record

MEASUREMENT: Final = "alarm"
_NUMBERS: Final = 1_000  # of the clock's last digits given to the event's number


def alarm_line(event: AlarmEvent, site: str, precision: Precision) -> bytes:
    """One transition as a line. A gateway's alarm has no patient: its beds are a field."""
    tags = {
        "condition": event.condition,
        "kind": event.kind.value,
        "patient": event.patient,
        "priority": event.priority.name.lower(),
        "site": site,
        "transition": event.transition.value,
        "gateway": event.gateway,
        "device": event.device,
    }
    fields: dict[str, float | str | None] = {
        "number": float(event.number),
        "priority_level": float(event.priority),
        "open": 0.0 if event.transition in (Transition.ENDED, Transition.NOTED) else 1.0,
        "backlog": float(event.backlog),
        "value": event.value,
        "limit": event.limit,
        "reason": float(event.reason),
        "decided_s": event.decided_at_ns / 1e9,
        "alarm_id": event.alarm_id,
        "bed": event.bed or ", ".join(event.beds),
        "actor": event.actor,
    }
    return line(MEASUREMENT, tags, fields, stamp_of(event, precision))


def stamp_of(event: AlarmEvent, precision: Precision) -> int:
    """When it became true, in steps of `precision`, the last thousand of nanoseconds being the event's number."""
    if precision is Precision.MILLISECONDS:  # too coarse to hide a number in: tags keep most events apart
        return event.at_ns // precision.divisor
    return event.at_ns // _NUMBERS * _NUMBERS + event.number % _NUMBERS


def encode_alarms(records: Sequence[Record], site: str, precision: Precision, lines_per_body: int) -> Encoded:
    """The lines of the events among `records` of an alarm journal."""
    found: list[bytes] = []
    unreadable = 0
    for record in records:
        if record.kind == AlarmRecordKind.EVENT:
            try:
                found.append(alarm_line(decode_event(record.payload), site, precision))
            except MalformedMessageError:
                unreadable += 1
    return Encoded(Lines(tuple(in_bodies(found, lines_per_body)), len(found)), unreadable)
