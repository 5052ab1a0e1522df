"""After a restart: the engine as it was when the last alarm event became durable.

The alarm journal holds every event, and every few seconds a snapshot of the engine. An event tells the ingest record
through which the engine had read and the moment it decided; so the steps that led to events can be taken again,
exactly, from the snapshot on. What they decide is already journalled and is not written again. Acknowledgements and
reports about channels come out of the journal itself.

Should the second run differ (limits or the ward were changed in between), the journal's open alarms and the
engine's are brought together with explicit events: nothing stays open that nobody watches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

import structlog

from alerts.alarm_signals import SignalState
from alerts.alarms import Finding
from alerts.engine import Arrival, Engine
from alerts.events import (
    ALARMS_PAUSED,
    ENGINE_DOWN,
    REPORTED,
    AlarmEvent,
    AlarmRecordKind,
    Key,
    Kind,
    Priority,
    Transition,
    decode_event,
)
from alerts.limits import Preset
from alerts.recall import needed_after, recall
from alerts.snapshot import Snapshot, decode_snapshot, restore
from vitals.columns import RecordKind, decode_block
from vitals.control import decode_status
from vitals.errors import MalformedMessageError
from vitals.journal import Journal, Record
from vitals.ward import Ward

CURSOR: Final = "alerts"  # in the ingest journal: through the last snapshot
SNAPSHOT_MARK: Final = "alerts.snapshot"
BEFORE_MARK: Final = "alerts.snapshot.after"  # every event after the snapshot stands after this record
_PAGE: Final = 200  # records taken at once

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Recovered:
    """An engine that is ready to read on, and the events of the restart itself, which are not journalled yet."""

    engine: Engine
    events: tuple[AlarmEvent, ...]
    replayed: int  # ingest records that were taken again
    unreadable: int


@dataclass(frozen=True, slots=True)
class _Known:
    """An alarm that the journal says is open."""

    key: Key
    finding: Finding
    priority: Priority

    @classmethod
    def of(cls, event: AlarmEvent) -> _Known:
        channel = event.detail if event.condition in REPORTED else ""
        device = event.device if event.kind is Kind.TECHNICAL else ""
        key = Key(event.condition, event.patient, device, event.gateway, channel)
        finding = Finding(event.kind, event.at_ns, event.value, event.limit, event.reason, event.device)
        return cls(key, finding, event.priority)


def recover(ingest: Journal, alarms: Journal, ward: Ward, preset: Preset, now_ns: int) -> Recovered:
    """The engine where it stood, or a new one that reads the ingest journal from the cursor when it never ran."""
    snapshot = _snapshot(alarms)
    if snapshot is None:
        engine = Engine(ward, preset, now_ns)
        engine.position = ingest.cursor(CURSOR)
        earlier = list(_events(alarms, 0))
        engine.book.number = max((event.number for event in earlier), default=0)
        return Recovered(engine, _reconcile(engine, _still_open(earlier, {}), now_ns), 0, 0)
    engine = restore(snapshot, ward, preset)
    _recall(ingest, engine)
    after = int.from_bytes(alarms.mark(BEFORE_MARK) or b"", "big")
    events = [e for e in _events(alarms, after) if e.number > snapshot.number]
    missed = _missed(ingest, engine.position)
    replay = _Replay(ingest, engine)
    for event_group in _steps(events):
        replay.repeat(event_group)
    engine.book.number = max([engine.book.number, *(e.number for e in events)])
    before = {
        alarm.alarm_id: _Known(alarm.key, alarm.finding, alarm.priority) for alarm in snapshot.alarms if alarm.votes
    }
    changed = _reconcile(engine, _still_open(events, before), now_ns)
    down_since_ns = max([snapshot.taken_at_ns, *(e.decided_at_ns for e in events)])
    detail = f"The alert engine was down for {_length(down_since_ns, now_ns)}{missed}"
    resumed = engine.resume(down_since_ns, now_ns, detail)
    return Recovered(engine, changed + resumed, replay.records, replay.unreadable)


def _recall(ingest: Journal, engine: Engine) -> None:
    """Read again what the engine remembered of the last minute; when it is gone, nothing before now is known."""
    after = needed_after(engine)
    if ingest.oldest > after + 1:
        engine.recent.forget(engine.walk.trackers)
    else:
        recall(engine, _arrivals(ingest, after, engine.position))


def _arrivals(ingest: Journal, after: int, position: int) -> Iterator[Arrival]:
    """What the records after `after` and through `position` hold."""
    while after < position and (records := ingest.read(after, limit=min(_PAGE, position - after))):
        yield from arrivals([record for record in records if record.sequence <= position])[0]
        after = records[-1].sequence


def arrivals(records: list[Record]) -> tuple[list[Arrival], int]:
    """What records of the ingest journal hold, and how many could not be read."""
    found: list[Arrival] = []
    unreadable = 0
    for record in records:
        try:
            if record.kind == RecordKind.SAMPLES:
                found.append((record.appended_at_ns, decode_block(record.payload)))
            elif record.kind == RecordKind.STATUS:
                found.append((record.appended_at_ns, decode_status(record.payload)))
        except MalformedMessageError as error:
            unreadable += 1
            _log.error("ingest_record_unreadable", sequence=record.sequence, reason=str(error))
    return found, unreadable


class _Replay:
    """Takes the steps again that led to journalled events."""

    def __init__(self, ingest: Journal, engine: Engine) -> None:
        self._ingest = ingest
        self._engine = engine
        self.records = 0
        self.unreadable = 0

    def repeat(self, events: list[AlarmEvent]) -> None:
        """Repeat the step, or the command, that decided `events`."""
        engine, first = self._engine, events[0]
        self._read_through(first.position, first.decided_at_ns)
        if first.transition is Transition.ACKNOWLEDGED:
            engine.acknowledge(first.alarm_id, first.actor, first.decided_at_ns)
        elif first.transition is Transition.PAUSED:
            self._pause(events)
        elif first.transition is Transition.RESUMED and first.actor:
            engine.resume_alarms(first.patient, first.actor, first.decided_at_ns)
        elif first.condition in REPORTED:
            failing = first.transition is not Transition.ENDED
            engine.report_part(first.condition, first.detail, failing=failing, now_ns=first.decided_at_ns)
        elif first.condition == ENGINE_DOWN:
            engine.resume(first.at_ns, first.decided_at_ns, first.detail)
        else:
            decided = engine.step((), first.position, first.decided_at_ns)
            if [e.number for e in decided] != [e.number for e in events]:
                _log.warning("replay_differs", position=first.position, journalled=len(events), decided=len(decided))

    def _pause(self, events: list[AlarmEvent]) -> None:
        first = events[0]
        if first.condition == ALARMS_PAUSED:
            length_s = (first.until_ns - first.decided_at_ns) / 1e9
            self._engine.pause_alarms(first.patient, first.actor, first.detail, length_s, first.decided_at_ns)
            return
        for event in events:
            self._engine.pause_audio(event.alarm_id, event.actor, event.decided_at_ns)

    def _read_through(self, position: int, now_ns: int) -> None:
        while self._engine.position < position:
            limit = min(_PAGE, position - self._engine.position)
            records = [r for r in self._ingest.read(self._engine.position, limit=limit) if r.sequence <= position]
            if not records:
                return
            found, unreadable = arrivals(records)
            self._engine.feed(found, records[-1].sequence, now_ns)
            self.records += len(records)
            self.unreadable += unreadable


def _steps(events: list[AlarmEvent]) -> Iterator[list[AlarmEvent]]:
    """Events that were decided together. Commands are decided alone."""

    def step(event: AlarmEvent) -> tuple[object, ...]:
        if event.transition in (Transition.PAUSED, Transition.RESUMED) and event.actor:
            return event.position, event.decided_at_ns, event.transition, event.patient
        command = event.transition in (Transition.ACKNOWLEDGED, Transition.NOTED) or event.condition in REPORTED
        return event.position, event.decided_at_ns, event.number if command else 0

    return (list(group) for _, group in groupby(events, step))


def _snapshot(alarms: Journal) -> Snapshot | None:
    payload = alarms.mark(SNAPSHOT_MARK)
    if payload is None:
        return None
    try:
        return decode_snapshot(payload)
    except MalformedMessageError as error:
        _log.error("snapshot_unreadable", reason=str(error), consequence="alarms start afresh from live data")
        return None


def _events(alarms: Journal, after: int) -> Iterator[AlarmEvent]:
    while records := alarms.read(after):
        for record in records:
            if record.kind == AlarmRecordKind.EVENT:
                try:
                    yield decode_event(record.payload)
                except MalformedMessageError as error:
                    _log.error("alarm_event_unreadable", sequence=record.sequence, reason=str(error))
        after = records[-1].sequence


def _still_open(events: list[AlarmEvent], before: dict[str, _Known]) -> dict[str, _Known]:
    """The alarms that the journal says are open: those of `before`, and what the events after them made of it."""
    found = dict(before)
    for event in events:
        if event.transition is Transition.ENDED:
            found.pop(event.alarm_id, None)
        elif event.transition is Transition.RAISED or event.alarm_id in found:
            found[event.alarm_id] = _Known.of(event)
    return found


def _reconcile(engine: Engine, journalled: dict[str, _Known], now_ns: int) -> tuple[AlarmEvent, ...]:
    """Events that make the journal agree with the engine about which alarms are open."""
    engine.book.begin(engine.position, now_ns)
    current = {alarm.alarm_id: alarm for alarm in engine.book.open.values()}
    for alarm_id, known in journalled.items():
        if alarm_id not in current:
            finding = replace(known.finding, at_ns=now_ns, detail="limits or ward were changed", live=True)
            engine.book.close(alarm_id, known.key, finding, known.priority)
    for alarm_id, alarm in current.items():
        if alarm_id not in journalled and alarm.signal is not SignalState.LATCHED:
            engine.book.announce(alarm)
    return engine.book.take()


def _missed(ingest: Journal, position: int) -> str:
    lost = ingest.oldest - position - 1
    return f"; {lost} records of that time are gone and were not judged" if lost > 0 else ""


def _length(start_ns: int, end_ns: int) -> str:
    seconds = max(0, end_ns - start_ns) // 1_000_000_000
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
