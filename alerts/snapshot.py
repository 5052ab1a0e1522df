"""The engine's state as bytes, and back. Whoever is no longer on the ward, and rules that are gone, stay behind.

A snapshot of version 1 knew no best values; it is read as one in which none was heard yet. Version 2 knew no pauses
and no alarms that come and go, and had one alarm for each silent device where there is one for the bed now.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
from msgspec import Struct

from alerts.alarms import Alarm, AlarmBook, Pause
from alerts.chatter import CHATTER
from alerts.conditions import Tracker
from alerts.course import CourseKept
from alerts.engine import Engine
from alerts.events import (
    CLOCK_UNTRUSTED,
    GATEWAY_DOWN,
    INTAKE_DOWN,
    JUDGE_DOWN,
    NO_DATA,
    RADIO_DOWN,
    REPORTED,
    Key,
    Kind,
)
from alerts.limits import Preset
from alerts.limits_in_force import is_safe
from alerts.links import Gateway
from alerts.recall import PastKept, kept_past, put_back_past
from alerts.streams import STATE_DTYPE
from vitals.errors import MalformedMessageError
from vitals.ward import Ward

_VERSION: Final = 3
_BEFORE_PAUSES: Final = 2
_BEFORE_BEST: Final = 1
_STATE_BEFORE_BEST: Final = np.dtype([(name, STATE_DTYPE[name]) for name in (STATE_DTYPE.names or ())[:-1]])


class _Kept(Struct, array_like=True, frozen=True):
    """One tracker, by the name of its rule: rules may have changed when it is read again."""

    condition: str
    tracker: Tracker


class Snapshot(Struct, array_like=True, frozen=True):
    """See `Engine`. `taken_at_ns`: when; `position`: the ingest record through which it had read."""

    version: int
    taken_at_ns: int
    position: int
    number: int
    late: int
    unassigned: int
    since_ns: int
    slots: list[tuple[str, str]]
    state: bytes
    trackers: dict[int, list[_Kept]]
    alarms: list[Alarm]
    gateways: list[Gateway]
    down: set[int]
    silent_slots: set[int]
    pauses: list[Pause] = []
    came_ns: list[tuple[Key, list[int]]] = []
    quiet_since_ns: list[tuple[Key, int]] = []
    deaf: set[int] = set()
    all_down: bool = False
    changed: dict[str, dict[str, dict[str, float]]] = {}
    course: CourseKept | None = None
    past: PastKept | None = None


_DECODER: Final = msgspec.msgpack.Decoder(Snapshot)


def encode_snapshot(engine: Engine, now_ns: int) -> bytes:
    """The state of `engine` between two steps."""
    table, links, walk = engine.table, engine.links, engine.walk
    trackers = {
        stream: [_Kept(r.condition, t) for r, t in zip(table.rules[stream], kept, strict=True)]
        for stream, kept in walk.trackers.items()
    }
    return msgspec.msgpack.encode(
        Snapshot(
            _VERSION,
            now_ns,
            engine.position,
            engine.book.number,
            engine.late_samples.count,
            engine.unassigned,
            links.since_ns,
            table.slots,
            table.state[: table.size].tobytes(),
            trackers,
            list(engine.book.open.values()),
            links.gateways,
            links.down,
            links.silence.slots,
            list(engine.book.pauses.values()),
            list(engine.book.chatter.came_ns.items()),
            list(engine.book.chatter.quiet_since_ns.items()),
            links.deaf,
            links.all_down,
            {patient: {vital: dict(f) for vital, f in own.items()} for patient, own in engine.changed.items()},
            engine.course.kept(),
            kept_past(engine),
        )
    )


def decode_snapshot(payload: bytes) -> Snapshot:
    """Read a snapshot; raises `MalformedMessageError` for anything that `encode_snapshot` did not write."""
    try:
        version = msgspec.msgpack.decode(payload)[0]
        if version not in (_VERSION, _BEFORE_PAUSES, _BEFORE_BEST):
            raise MalformedMessageError("unknown_version", "version", f"a snapshot of version {version!r}")
        snapshot = _DECODER.decode(payload)
        if version == _BEFORE_BEST:
            snapshot = msgspec.structs.replace(snapshot, version=_VERSION, state=_with_sources(snapshot.state))
        streams = len(np.frombuffer(snapshot.state, STATE_DTYPE))
        if snapshot.course is not None:
            snapshot.course.check(streams)
        if snapshot.past is not None:
            snapshot.past.check(streams)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, TypeError, LookupError) as error:
        raise MalformedMessageError("truncated", "", f"not a snapshot of the alert engine: {error}") from error
    return snapshot


def _with_sources(state: bytes) -> bytes:
    """The streams of a version 1 snapshot as they are kept now; raises `ValueError`."""
    before = np.frombuffer(state, _STATE_BEFORE_BEST)
    after = np.zeros(len(before), STATE_DTYPE)
    for name in before.dtype.names or ():
        after[name] = before[name]
    after["source"] = -1
    return after.tobytes()


def restore(snapshot: Snapshot, ward: Ward, preset: Preset, *, screening: bool = True) -> Engine:
    """An engine for `ward` and `preset` that carries on where the snapshot was taken.

    Alarms of patients who left, and of rules that are gone, are left out: whoever knows the journal ends them.
    """
    of_ward = [(p, snapshot.changed[p.patient]) for p in ward.patients if p.patient in snapshot.changed]
    changed = {p.patient: own for p, own in of_ward if is_safe(preset, p, own)}  # the files may say otherwise now
    engine = Engine(ward, preset, snapshot.since_ns, screening=screening, changed=changed)
    engine.position, engine.book.number = snapshot.position, snapshot.number
    engine.late_samples.count, engine.unassigned = snapshot.late, snapshot.unassigned
    for gateway in snapshot.gateways:
        engine.links.gateways[engine.links.index(gateway.name)] = gateway
    engine.links.down, engine.links.deaf = set(snapshot.down), set(snapshot.deaf)
    engine.links.all_down = snapshot.all_down
    slots = [engine.table.slot(patient, device) for patient, device in snapshot.slots]
    engine.links.silence.slots = {slots[s] for s in snapshot.silent_slots if slots[s] >= 0}
    places = _restore_streams(engine, snapshot, slots)
    if snapshot.course is not None:
        engine.course.put_back(snapshot.course, places)
    put_back_past(engine, snapshot.past, places)
    _restore_alarms(engine, snapshot)
    return engine


def _restore_streams(engine: Engine, snapshot: Snapshot, slots: list[int]) -> dict[int, int]:
    """Which row of the snapshot became which stream."""
    table = engine.table
    kept = np.frombuffer(snapshot.state, STATE_DTYPE)
    now = np.array([*slots, -1], np.int64)  # the last for those who have none
    staying = np.flatnonzero(now[kept["slot"]] >= 0)
    rows = kept[staying]
    rows["slot"], rows["source"] = now[rows["slot"]], now[rows["source"]]
    streams = table.add(rows["slot"].tolist(), rows["vital"].tolist())
    table.state[streams.start : streams.stop] = rows
    places = dict(zip(staying.tolist(), streams, strict=True))
    for old, stream in places.items():
        if old in snapshot.trackers:
            _restore_trackers(engine, stream, {k.condition: k.tracker for k in snapshot.trackers[old]})
    return places


def _restore_trackers(engine: Engine, stream: int, kept: dict[str, Tracker]) -> None:
    trackers = [_fitting(kept.get(r.condition), Tracker.of(r)) for r in engine.table.rules[stream]]
    if any(not t.is_idle for t in trackers):
        engine.walk.trackers[stream] = trackers
        engine.table.quiet[stream] = False


def _fitting(kept: Tracker | None, fresh: Tracker) -> Tracker:
    return kept if kept is not None and len(kept.covered_ns) == len(fresh.covered_ns) else fresh


def _restore_alarms(engine: Engine, snapshot: Snapshot) -> None:
    voting = _voting(engine)
    patients = {p.patient for p in engine.ward.patients}
    silent = {engine.table.slots[s] for s in engine.links.silence.slots}
    book = engine.book
    book.pauses = {pause.patient: pause for pause in snapshot.pauses if pause.patient in patients}
    book.chatter.came_ns.update(snapshot.came_ns)
    book.chatter.quiet_since_ns.update(snapshot.quiet_since_ns)
    for alarm in snapshot.alarms:
        key = alarm.key
        if key.patient and key.patient not in patients:
            continue
        if key.condition == NO_DATA:
            _make_of_bed(alarm, book)
            alarm.votes = {device: p for device, p in alarm.votes.items() if (key.patient, device) in silent}
            keep = bool(alarm.votes) and alarm.key not in book.open
        elif key.condition in (GATEWAY_DOWN, RADIO_DOWN, INTAKE_DOWN, CLOCK_UNTRUSTED, JUDGE_DOWN, *REPORTED):
            keep = True
        else:
            latched = not alarm.votes
            alarm.votes = {s: p for s, p in alarm.votes.items() if s == CHATTER or (key, s) in voting}
            keep = latched or bool(alarm.votes)
        if keep:
            engine.book.reopen(alarm)


def _make_of_bed(alarm: Alarm, book: AlarmBook) -> None:
    """Make the alarm of a silent device of a version 2 snapshot the bed's; the first of a bed takes in the rest."""
    if not alarm.key.device:
        return
    key = Key(NO_DATA, alarm.key.patient)
    if key in book.open:
        book.open[key].votes.update(alarm.votes)
    alarm.key = key


def _voting(engine: Engine) -> set[tuple[Key, str]]:
    """The votes that the restored trackers, and what goes on over time, still hold."""
    table = engine.table
    found = engine.course.voting()
    for stream, trackers in engine.walk.trackers.items():
        patient, device = table.slots[int(table.state["slot"][stream])]
        source = f"{device}/{int(table.state['vital'][stream])}"
        for rule, tracker in zip(table.rules[stream], trackers, strict=True):
            if tracker.level:
                of_patient = rule.kind is Kind.PHYSIOLOGICAL
                found.add((Key(rule.condition, patient, "" if of_patient else device), source))
                found.add(engine.walk.dispute_of(stream, rule))
    return found
