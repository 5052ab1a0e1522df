"""The book of open alarms: votes of streams in, alarm events out.

One alarm per condition and whom it concerns: all devices of a patient vote on `spo2_low`, and the worst vote is its
priority. Each change of an alarm is one `AlarmEvent`; the signal machine decides whether it calls for somebody.
What people and time do to the signals is in `alerts.attention`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from alerts.alarm_signals import SignalEvent, SignalState, is_audible, is_paused, is_possible, signal_after
from alerts.chatter import CHATTER, COMES_AND_GOES, Chatter
from alerts.events import AlarmEvent, Key, Kind, Priority, Transition, calls_nobody
from alerts.signal_settings import Signals
from vitals.model import Reason

_NOTIFIED: Final = (
    Transition.RAISED,
    Transition.CONFIRMED,
    Transition.ESCALATED,
    Transition.WIDENED,
    Transition.RESUMED,
    Transition.REMINDED,
    Transition.ENDED,
    Transition.NOTED,
)


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
    paused_by: str = ""
    paused_until_ns: int = 0


@dataclass(frozen=True, slots=True)
class Pause:
    """All alarms of a patient are quiet until `until_ns`, those of high priority until `severe_until_ns`."""

    patient: str
    actor: str
    reason: str
    since_ns: int
    until_ns: int
    severe_until_ns: int

    def until(self, priority: Priority) -> int:
        """Until when an alarm of this priority is quiet."""
        return self.severe_until_ns if priority is Priority.HIGH else self.until_ns


class AlarmBook:
    """The open alarms. `begin` states the moment that the following calls belong to; `take` hands out its events.

    `earlier`: what the value of a finding was some time before.
    """

    def __init__(
        self,
        bed_of: Callable[[str], str],
        latching: frozenset[str] = frozenset(),
        settings: Signals = Signals(),  # noqa: B008  frozen
    ) -> None:
        self._bed_of = bed_of
        self.earlier: Callable[[Key, Finding], float | None] = lambda _key, _finding: None
        self._latching = latching
        self.settings = settings
        self.open: dict[Key, Alarm] = {}
        self.pauses: dict[str, Pause] = {}
        self.chatter = Chatter(settings)
        self.number = 0
        self._events: list[AlarmEvent] = []
        self._position = self.now_ns = 0

    def begin(self, position: int, now_ns: int) -> None:
        """Events from here on are decided at `now_ns`, having read the ingest journal through `position`."""
        self._position, self.now_ns = position, now_ns

    def take(self) -> tuple[AlarmEvent, ...]:
        """The events since the last call."""
        events, self._events = tuple(self._events), []
        return events

    def vote(self, key: Key, source: str, priority: int, finding: Finding) -> None:
        """Let `source` hold that the condition is present with `priority`, or with 0 that it is not."""
        alarm = self.open.get(key)
        if alarm is None:
            if priority:
                self._raise(key, {source: priority}, finding)
            return
        votes = {name: level for name, level in alarm.votes.items() if name != source}
        if priority:
            votes[source] = priority
        self._settle(alarm, votes, finding, supported=bool(priority))

    def restate(self, key: Key, votes: Mapping[str, int], finding: Finding) -> None:
        """Let `votes` be all that holds of an alarm; more voices than before call again."""
        alarm = self.open.get(key)
        if alarm is None:
            if votes:
                self._raise(key, dict(votes), finding)
            return
        if votes == alarm.votes:
            return
        widened = bool(alarm.votes) and not votes.keys() <= alarm.votes.keys()
        before = self.number
        self._settle(alarm, dict(votes), finding, supported=bool(votes))
        if self.number == before:
            if widened:
                self.change(alarm, Transition.WIDENED, SignalEvent.ESCALATED, finding, alarm.priority)
            else:
                alarm.finding = replace(finding, at_ns=alarm.finding.at_ns, live=alarm.finding.live)

    def _settle(self, alarm: Alarm, votes: dict[str, int], finding: Finding, *, supported: bool) -> None:
        """Give an alarm new votes, and tell what that changes. `supported`: the latest vote is for it."""
        had_votes = bool(alarm.votes)
        if supported:
            self.chatter.returned(alarm.key, finding.at_ns)
        elif had_votes and not votes.keys() - {CHATTER}:
            held = votes != alarm.votes and self.chatter.holds(alarm.key, alarm.priority, finding.at_ns)
            votes = {CHATTER: alarm.priority} if held else {}
            if held:
                alarm.finding = replace(alarm.finding, detail=COMES_AND_GOES)
        alarm.votes = votes
        worst = max(votes.values(), default=0)
        if not had_votes:
            if worst:
                alarm.raised_at_ns = finding.at_ns
                self._rise(alarm.key, worst, finding)
                self.change(alarm, Transition.RAISED, SignalEvent.RAISED, finding, worst)
        elif worst == 0:
            self._end(alarm, finding)
        elif worst > alarm.priority:
            self.change(alarm, Transition.ESCALATED, SignalEvent.ESCALATED, finding, worst)
        elif worst < alarm.priority:
            self.change(alarm, Transition.DE_ESCALATED, SignalEvent.DE_ESCALATED, finding, worst)
        elif supported and finding.live and not alarm.announced:
            self.change(alarm, Transition.CONFIRMED, None, finding, worst)

    def has(self, key: Key) -> bool:
        """Whether the condition is present."""
        alarm = self.open.get(key)
        return alarm is not None and bool(alarm.votes)

    def holds(self, key: Key, source: str) -> bool:
        """Whether `source` holds that the condition is present."""
        return self.voted(key, source) > 0

    def voted(self, key: Key, source: str) -> int:
        """The priority with which `source` holds that the condition is present, 0 when it does not."""
        alarm = self.open.get(key)
        return 0 if alarm is None else alarm.votes.get(source, 0)

    def state(self) -> tuple[list[Alarm], dict[str, Pause], int]:
        """A copy of what commands of people change, for `put_back`."""
        return [replace(a, votes=dict(a.votes)) for a in self.open.values()], dict(self.pauses), self.number

    def put_back(self, state: tuple[list[Alarm], dict[str, Pause], int]) -> None:
        """Undo a command that could not be written down."""
        alarms, self.pauses, self.number = state
        self.open = {alarm.key: alarm for alarm in alarms}

    def note(self, condition: str, finding: Finding, *, notify: bool) -> None:
        """Write an entry into the log that opens no alarm; one that people are told of is to be looked at soon."""
        priority = Priority.MEDIUM if notify else Priority.LOW
        self.emit("", Key(condition), Transition.NOTED, finding, priority, notify=notify)

    def reopen(self, alarm: Alarm) -> None:
        """Put an alarm back as it was, without an event."""
        self.open[alarm.key] = alarm

    def find(self, alarm_id: str) -> Alarm | None:
        """The open alarm of that id."""
        return next((alarm for alarm in self.open.values() if alarm.alarm_id == alarm_id), None)

    def close(self, alarm_id: str, key: Key, finding: Finding, priority: Priority) -> None:
        """Write down the end of an alarm that the journal holds open and nobody watches any more."""
        self.emit(alarm_id, key, Transition.ENDED, finding, priority, notify=True)

    def announce(self, alarm: Alarm) -> None:
        """Write down that an alarm is open which the journal does not know of (after a change of the rules)."""
        self.emit(alarm.alarm_id, alarm.key, Transition.RAISED, alarm.finding, alarm.priority, notify=True)

    def _raise(self, key: Key, votes: dict[str, int], finding: Finding) -> None:
        alarm_id = f"{self.now_ns // 1_000_000:x}-{self.number + 1:x}"
        priority = max(votes.values())
        alarm = Alarm(alarm_id, key, finding, Priority(priority), finding.at_ns, votes)
        self.open[key] = alarm
        self._rise(key, priority, finding)
        self.change(alarm, Transition.RAISED, SignalEvent.RAISED, finding, priority)

    def _rise(self, key: Key, priority: int, finding: Finding) -> None:
        if finding.live and key.patient and priority < Priority.HIGH:
            self.chatter.came(key, finding.at_ns)

    def _end(self, alarm: Alarm, finding: Finding) -> None:
        latches = alarm.key.condition in self._latching
        event = SignalEvent.ENDED_LATCHING if latches else SignalEvent.ENDED
        self.change(alarm, Transition.ENDED, event, finding, alarm.priority)

    def change(
        self,
        alarm: Alarm,
        transition: Transition,
        signal: SignalEvent | None,
        finding: Finding,
        priority: int,
        *,
        actor: str = "",
    ) -> None:
        """Move an alarm's signal and write down the transition. An alarm whose signal is off is closed."""
        alarm.finding, alarm.priority = finding, Priority(priority)
        if signal is not None:
            alarm.signal = signal_after(alarm.signal, signal)
        self._heed_pause(alarm, transition)
        if is_audible(alarm.signal) and transition is not Transition.ENDED:
            alarm.acknowledged_by, alarm.acknowledged_at_ns = "", None
        if transition in (Transition.RAISED, Transition.ESCALATED, Transition.CONFIRMED):
            alarm.announced = finding.live
        told = transition is Transition.ENDED or is_audible(alarm.signal)
        self.emit(
            alarm.alarm_id,
            alarm.key,
            transition,
            finding,
            alarm.priority,
            notify=transition in _NOTIFIED and finding.live and told,
            actor=actor,
            until_ns=alarm.paused_until_ns if transition is Transition.PAUSED else 0,
            raised_at_ns=alarm.raised_at_ns,
        )
        if alarm.signal is SignalState.OFF:
            self.open.pop(alarm.key, None)

    def _heed_pause(self, alarm: Alarm, transition: Transition) -> None:
        """The joint transition with a pause of the patient's alarms, as long as that is in force."""
        pause = self.pauses.get(alarm.key.patient)
        if pause is not None and transition is not Transition.RESUMED and self.now_ns < pause.until(alarm.priority):
            if is_possible(alarm.signal, SignalEvent.ALARM_PAUSED):
                alarm.signal = signal_after(alarm.signal, SignalEvent.ALARM_PAUSED)
                alarm.paused_by = pause.actor
            if is_paused(alarm.signal):
                alarm.paused_until_ns = pause.until(alarm.priority)
        if not is_paused(alarm.signal):
            alarm.paused_by, alarm.paused_until_ns = "", 0

    def emit(
        self,
        alarm_id: str,
        key: Key,
        transition: Transition,
        finding: Finding,
        priority: Priority,
        *,
        notify: bool,
        actor: str = "",
        until_ns: int = 0,
        raised_at_ns: int = 0,
    ) -> None:
        """Write one event."""
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
                decided_at_ns=self.now_ns,
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
                notify=notify and not calls_nobody(key.condition, priority),
                until_ns=until_ns,
                raised_at_ns=raised_at_ns,
                before=None if finding.value is None else self.earlier(key, finding),
            )
        )
