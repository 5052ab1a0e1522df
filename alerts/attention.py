"""What people and time do to the signals: acknowledging, pausing, resuming, reminding.

Every quiet state has an end. A pause expires by itself, and what still holds then calls again; an acknowledged alarm
that is still true calls again after the interval of its priority.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import Final

from alerts.alarm_signals import SignalEvent, SignalState, is_paused, is_possible
from alerts.alarms import Alarm, AlarmBook, Finding, Pause
from alerts.chatter import CHATTER
from alerts.events import ALARMS_PAUSED, Key, Kind, Priority, Transition
from alerts.signal_settings import Signals

MAX_REASON: Final = 60  # it stands on the tile
_EXPIRED: Final = "the time is over"


class Acknowledged(Enum):
    """What became of an acknowledgement."""

    ACCEPTED = "accepted"
    ALREADY = "already acknowledged"
    UNKNOWN = "no such open alarm"


class Paused(Enum):
    """What became of a wish to pause or to resume."""

    ACCEPTED = "accepted"
    NOTHING = "nothing to pause or resume"
    UNKNOWN = "no such open alarm or patient"
    TOO_LONG = "longer than permitted"


def acknowledge(book: AlarmBook, alarm_id: str, actor: str) -> Acknowledged:
    """Let `actor` take notice of an alarm; its signal stops until its priority rises or a reminder is due."""
    alarm = book.find(alarm_id)
    if alarm is None:
        return Acknowledged.UNKNOWN
    if alarm.signal is SignalState.ACKNOWLEDGED:
        return Acknowledged.ALREADY
    alarm.acknowledged_by, alarm.acknowledged_at_ns = actor, book.now_ns
    _act(book, alarm, Transition.ACKNOWLEDGED, SignalEvent.ACKNOWLEDGED, actor)
    return Acknowledged.ACCEPTED


def pause_audio(book: AlarmBook, alarm_id: str, actor: str) -> Paused:
    """Pause the sound of one alarm for `Signals.audio_pause_s`; of a high one not longer than `severe_pause_s`."""
    alarm = book.find(alarm_id)
    if alarm is None:
        return Paused.UNKNOWN
    if not is_possible(alarm.signal, SignalEvent.AUDIO_PAUSED):
        return Paused.NOTHING
    settings = book.settings
    length_s = settings.audio_pause_s
    if alarm.priority is Priority.HIGH:
        length_s = min(length_s, settings.severe_pause_s)
    alarm.paused_by, alarm.paused_until_ns = actor, book.now_ns + round(length_s * 1e9)
    _act(book, alarm, Transition.PAUSED, SignalEvent.AUDIO_PAUSED, actor)
    return Paused.ACCEPTED


def pause_alarms(book: AlarmBook, patient: str, actor: str, reason: str, length_s: float) -> Paused:
    """Pause all alarms of a patient. Pausing again starts the time anew, which again is one person's decision."""
    if not 0 < length_s <= book.settings.alarm_pause_s:
        return Paused.TOO_LONG
    severe_s = min(length_s, book.settings.severe_pause_s)
    now_ns = book.now_ns
    pause = Pause(
        patient, actor, reason[:MAX_REASON], now_ns, now_ns + round(length_s * 1e9), now_ns + round(severe_s * 1e9)
    )
    book.pauses[patient] = pause
    _tell(book, pause, Transition.PAUSED, actor, pause.reason)
    for alarm in [a for a in book.open.values() if a.key.patient == patient]:
        if is_possible(alarm.signal, SignalEvent.ALARM_PAUSED):
            alarm.paused_by = actor
            _act(book, alarm, Transition.PAUSED, SignalEvent.ALARM_PAUSED, actor)
        elif is_paused(alarm.signal):
            alarm.paused_by, alarm.paused_until_ns = actor, pause.until(alarm.priority)
    return Paused.ACCEPTED


def resume_alarms(book: AlarmBook, patient: str, actor: str) -> Paused:
    """End a pause of a patient's alarms before its time."""
    pause = book.pauses.get(patient)
    if pause is None:
        return Paused.NOTHING
    _lift(book, pause, actor, "")
    for alarm in _paused(book):
        if alarm.key.patient == patient:
            _resume(book, alarm, actor)
    return Paused.ACCEPTED


def let_pass(book: AlarmBook) -> None:
    """Let time pass: pauses expire, reminders fall due, and what no longer comes and goes ends."""
    for pause in [p for p in book.pauses.values() if p.until_ns <= book.now_ns]:
        _lift(book, pause, "", _EXPIRED)
    for alarm in _paused(book):
        if alarm.paused_until_ns <= book.now_ns:
            _resume(book, alarm, "")
    for alarm in list(book.open.values()):
        if _reminder_is_due(alarm, book.settings, book.now_ns):
            _act(book, alarm, Transition.REMINDED, SignalEvent.REMINDED, "")
    for key in book.chatter.over(book.now_ns):
        held = book.open.get(key)
        if held is not None and CHATTER in held.votes:
            book.vote(held.key, CHATTER, 0, replace(held.finding, at_ns=book.now_ns, detail=""))


def shorten(book: AlarmBook) -> None:
    """The clock may have been set back: no quiet state lasts longer from now on than it could have from its start."""
    now_ns, settings = book.now_ns, book.settings
    most_ns, severe_ns = now_ns + round(settings.alarm_pause_s * 1e9), now_ns + round(settings.severe_pause_s * 1e9)
    for patient, pause in book.pauses.items():
        book.pauses[patient] = replace(
            pause,
            since_ns=min(pause.since_ns, now_ns),
            until_ns=min(pause.until_ns, most_ns),
            severe_until_ns=min(pause.severe_until_ns, severe_ns),
        )
    longest_ns = now_ns + round(max(settings.alarm_pause_s, settings.audio_pause_s) * 1e9)
    for alarm in book.open.values():
        most = severe_ns if alarm.priority is Priority.HIGH else longest_ns
        alarm.paused_until_ns = min(alarm.paused_until_ns, most)
        if alarm.acknowledged_at_ns is not None:
            alarm.acknowledged_at_ns = min(alarm.acknowledged_at_ns, now_ns)


def _reminder_is_due(alarm: Alarm, settings: Signals, now_ns: int) -> bool:
    if alarm.signal is not SignalState.ACKNOWLEDGED or alarm.acknowledged_at_ns is None:
        return False
    return now_ns - alarm.acknowledged_at_ns >= settings.reminder_ns(alarm.priority)


def _paused(book: AlarmBook) -> list[Alarm]:
    return [alarm for alarm in book.open.values() if is_paused(alarm.signal)]


def _resume(book: AlarmBook, alarm: Alarm, actor: str) -> None:
    alarm.paused_by, alarm.paused_until_ns = "", 0
    _act(book, alarm, Transition.RESUMED, SignalEvent.PAUSE_OVER, actor)


def _lift(book: AlarmBook, pause: Pause, actor: str, why: str) -> None:
    del book.pauses[pause.patient]
    _tell(book, pause, Transition.RESUMED, actor, why)


def _tell(book: AlarmBook, pause: Pause, transition: Transition, actor: str, detail: str) -> None:
    finding = Finding(Kind.TECHNICAL, book.now_ns, detail=detail)
    until_ns = pause.until_ns if transition is Transition.PAUSED else 0
    key = Key(ALARMS_PAUSED, pause.patient)
    book.emit("", key, transition, finding, Priority.LOW, notify=False, actor=actor, until_ns=until_ns)


def _act(book: AlarmBook, alarm: Alarm, transition: Transition, signal: SignalEvent, actor: str) -> None:
    """A change that is not the condition's: what was found stays as it was, and when is now."""
    live = alarm.announced or transition is Transition.ACKNOWLEDGED
    finding = replace(alarm.finding, at_ns=book.now_ns, live=live)
    book.change(alarm, transition, signal, finding, alarm.priority, actor=actor)
