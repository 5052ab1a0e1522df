"""The book of open alarms: votes of streams in, alarm events out.

One alarm per condition and whom it concerns: all devices of a patient vote on `spo2_low`, and the worst vote is its
priority. Each change of an alarm is one `AlarmEvent`; the signal machine decides whether it calls for somebody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final, NamedTuple

from alerts.alarm_signals import SignalEvent, SignalState, is_audible, signal_after
from alerts.events import ADVISORIES, AlarmEvent, Kind, Priority, Transition
from alerts.view import OpenAlarm
from vitals.model import Reason

_NOTIFIED: Final = (
    Transition.RAISED,
    Transition.CONFIRMED,
    Transition.ESCALATED,
    Transition.ENDED,
    Transition.NOTED,
)


class Key(NamedTuple):
    """Which condition, and whom it concerns: a patient, a patient's device, a gateway or a channel."""

    condition: str
    patient: str = ""
    device: str = ""
    gateway: str = ""
    channel: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a vote rests on; see `AlarmEvent`. `live`: from data inside the live window."""

    kind: Kind
    at_ns: int
    value: float | None = None
    limit: float | None = None
    reason: Reason = Reason.PRESENT
    device: str = ""
    detail: str = ""
    beds: tuple[str, ...] = ()
    live: bool = True


@dataclass(slots=True)
class Alarm:
    """An open alarm. `votes`: source → priority; empty once only its latched signal is left."""

    alarm_id: str
    key: Key
    finding: Finding  # of the latest transition
    priority: Priority
    raised_at_ns: int
    votes: dict[str, int] = field(default_factory=dict)
    signal: SignalState = SignalState.OFF
    announced: bool = True
    acknowledged_by: str = ""
    acknowledged_at_ns: int | None = None


class Acknowledged(Enum):
    """What became of an acknowledgement."""

    ACCEPTED = "accepted"
    ALREADY = "already acknowledged"
    UNKNOWN = "no such open alarm"


class AlarmBook:
    """The open alarms. `begin` states the moment that the following calls belong to; `take` hands out its events."""

    def __init__(self, bed_of: Callable[[str], str], latching: frozenset[str] = frozenset()) -> None:
        self._bed_of = bed_of
        self._latching = latching
        self.open: dict[Key, Alarm] = {}
        self.number = 0
        self._events: list[AlarmEvent] = []
        self._position = self._now_ns = 0

    def begin(self, position: int, now_ns: int) -> None:
        """Events from here on are decided at `now_ns`, having read the ingest journal through `position`."""
        self._position, self._now_ns = position, now_ns

    def take(self) -> tuple[AlarmEvent, ...]:
        """The events since the last call."""
        events, self._events = tuple(self._events), []
        return events

    def vote(self, key: Key, source: str, priority: int, finding: Finding) -> None:
        """Let `source` hold that the condition is present with `priority`, or with 0 that it is not."""
        alarm = self.open.get(key)
        if alarm is None:
            if priority:
                self._raise(key, source, priority, finding)
            return
        had_votes = bool(alarm.votes)
        if priority:
            alarm.votes[source] = priority
        else:
            alarm.votes.pop(source, None)
        worst = max(alarm.votes.values(), default=0)
        if not had_votes:
            if worst:
                self._change(alarm, Transition.RAISED, SignalEvent.RAISED, finding, worst)
        elif worst == 0:
            self._end(alarm, finding)
        elif worst > alarm.priority:
            self._change(alarm, Transition.ESCALATED, SignalEvent.ESCALATED, finding, worst)
        elif worst < alarm.priority:
            self._change(alarm, Transition.DE_ESCALATED, SignalEvent.DE_ESCALATED, finding, worst)
        elif priority and finding.live and not alarm.announced:
            self._change(alarm, Transition.CONFIRMED, None, finding, worst)

    def has(self, key: Key) -> bool:
        """Whether the condition is present."""
        alarm = self.open.get(key)
        return alarm is not None and bool(alarm.votes)

    def holds(self, key: Key, source: str) -> bool:
        """Whether `source` holds that the condition is present."""
        alarm = self.open.get(key)
        return alarm is not None and source in alarm.votes

    def acknowledge(self, alarm_id: str, actor: str) -> Acknowledged:
        """Let `actor` take notice of an alarm; its signal stops until its priority rises."""
        alarm = self.find(alarm_id)
        if alarm is None:
            return Acknowledged.UNKNOWN
        if not is_audible(alarm.signal):
            return Acknowledged.ALREADY
        alarm.acknowledged_by, alarm.acknowledged_at_ns = actor, self._now_ns
        finding = replace(alarm.finding, at_ns=self._now_ns, live=True)
        self._change(alarm, Transition.ACKNOWLEDGED, SignalEvent.ACKNOWLEDGED, finding, alarm.priority)
        if alarm.signal is SignalState.OFF:
            del self.open[alarm.key]
        return Acknowledged.ACCEPTED

    def note(self, condition: str, finding: Finding, *, notify: bool) -> None:
        """Write an entry into the log that opens no alarm."""
        self._emit("", Key(condition), Transition.NOTED, finding, Priority.LOW, notify=notify)

    def reopen(self, alarm: Alarm) -> None:
        """Put an alarm back as it was, without an event."""
        self.open[alarm.key] = alarm

    def find(self, alarm_id: str) -> Alarm | None:
        """The open alarm of that id."""
        return next((alarm for alarm in self.open.values() if alarm.alarm_id == alarm_id), None)

    def close(self, alarm_id: str, key: Key, finding: Finding, priority: Priority) -> None:
        """Write down the end of an alarm that the journal holds open and nobody watches any more."""
        self._emit(alarm_id, key, Transition.ENDED, finding, priority, notify=True)

    def announce(self, alarm: Alarm) -> None:
        """Write down that an alarm is open which the journal does not know of (after a change of the rules)."""
        self._emit(alarm.alarm_id, alarm.key, Transition.RAISED, alarm.finding, alarm.priority, notify=True)

    def _raise(self, key: Key, source: str, priority: int, finding: Finding) -> None:
        alarm_id = f"{self._now_ns // 1_000_000:x}-{self.number + 1:x}"
        alarm = Alarm(alarm_id, key, finding, Priority(priority), finding.at_ns, {source: priority})
        self.open[key] = alarm
        self._change(alarm, Transition.RAISED, SignalEvent.RAISED, finding, priority)

    def _end(self, alarm: Alarm, finding: Finding) -> None:
        latches = alarm.key.condition in self._latching
        event = SignalEvent.ENDED_LATCHING if latches else SignalEvent.ENDED
        self._change(alarm, Transition.ENDED, event, finding, alarm.priority)
        if alarm.signal is SignalState.OFF:
            del self.open[alarm.key]

    def _change(
        self, alarm: Alarm, transition: Transition, signal: SignalEvent | None, finding: Finding, priority: int
    ) -> None:
        if signal is not None:
            alarm.signal = signal_after(alarm.signal, signal)
        if is_audible(alarm.signal) and transition is not Transition.ENDED:
            alarm.acknowledged_by, alarm.acknowledged_at_ns = "", None
        alarm.finding, alarm.priority = finding, Priority(priority)
        if transition in (Transition.RAISED, Transition.ESCALATED, Transition.CONFIRMED):
            alarm.announced = finding.live
        told = transition is Transition.ENDED or is_audible(alarm.signal)
        notify = transition in _NOTIFIED and finding.live and told
        self._emit(
            alarm.alarm_id,
            alarm.key,
            transition,
            finding,
            alarm.priority,
            notify=notify,
            actor=alarm.acknowledged_by if transition is Transition.ACKNOWLEDGED else "",
        )

    def _emit(
        self,
        alarm_id: str,
        key: Key,
        transition: Transition,
        finding: Finding,
        priority: Priority,
        *,
        notify: bool,
        actor: str = "",
    ) -> None:
        self.number += 1
        self._events.append(
            AlarmEvent(
                number=self.number,
                alarm_id=alarm_id,
                patient=key.patient,
                bed=self._bed_of(key.patient),
                kind=finding.kind,
                condition=key.condition,
                priority=priority,
                transition=transition,
                at_ns=finding.at_ns,
                decided_at_ns=self._now_ns,
                position=self._position,
                value=finding.value,
                limit=finding.limit,
                reason=finding.reason,
                device=key.device or finding.device,
                gateway=key.gateway,
                detail=key.channel or finding.detail,
                actor=actor,
                beds=finding.beds,
                backlog=not finding.live,
                notify=notify and key.condition not in ADVISORIES,
            )
        )


def open_alarm(alarm: Alarm, bed: str) -> OpenAlarm:
    """The form of an alarm that a screen shows."""
    key, finding = alarm.key, alarm.finding
    return OpenAlarm(
        alarm_id=alarm.alarm_id,
        patient=key.patient,
        bed=bed,
        kind=finding.kind,
        condition=key.condition,
        priority=alarm.priority,
        raised_at_ns=alarm.raised_at_ns,
        value=finding.value,
        limit=finding.limit,
        reason=finding.reason,
        device=key.device or finding.device,
        gateway=key.gateway,
        detail=key.channel or finding.detail,
        beds=finding.beds,
        audible=is_audible(alarm.signal),
        announced=alarm.announced,
        acknowledged_by=alarm.acknowledged_by,
        acknowledged_at_ns=alarm.acknowledged_at_ns,
    )
