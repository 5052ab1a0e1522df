"""The words of a notification: what, value, since when, where, and what to do. Pure.

A bed says where; neither a name nor the patient's pseudonym leaves the house.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from alerts.events import (
    ADVISORIES,
    BATTERY_LOW,
    CHANNEL_DOWN,
    CLOCK_UNTRUSTED,
    DATABASE_DOWN,
    DEVICE_FAULT,
    DEVICES_DISAGREE,
    ENGINE_DOWN,
    GATEWAY_DOWN,
    HEARTBEAT_LOST,
    INTAKE_DOWN,
    IRREGULAR_RHYTHM,
    JUDGE_DOWN,
    LIMITS_CHANGED,
    LIMITS_STUCK,
    NO_DATA,
    POOR_SIGNAL,
    PROBE_OFF,
    RADIO_DOWN,
    AlarmEvent,
    Kind,
    Priority,
    Transition,
)
from vitals.model import VITAL_BY_NAME, VITALS, Reason

MARKERS: Final = {Priority.HIGH: "***", Priority.MEDIUM: "**", Priority.LOW: "*"}
MOST_LISTED: Final = 12  # alarms or beds named in one message; the rest is counted
_NAMES: Final = {
    PROBE_OFF: "sensor off",
    POOR_SIGNAL: "poor signal",
    DEVICE_FAULT: "device fault",
    BATTERY_LOW: "battery low",
    NO_DATA: "no data",
    GATEWAY_DOWN: "gateway silent",
    RADIO_DOWN: "radio hears no wearable",
    INTAKE_DOWN: "nothing arrives from any gateway",
    CLOCK_UNTRUSTED: "clock not trusted",
    CHANNEL_DOWN: "notifications do not arrive",
    DATABASE_DOWN: "readings do not arrive there",
    HEARTBEAT_LOST: "alarms may not be getting through",
    LIMITS_STUCK: "changed limits are not in force",
    LIMITS_CHANGED: "limits changed",
    ENGINE_DOWN: "alarms were not watched",
    JUDGE_DOWN: "values not cross-checked",
    DEVICES_DISAGREE: "devices disagree",
    IRREGULAR_RHYTHM: "irregular rhythm suspected",
}
_ACTIONS: Final = {
    PROBE_OFF: "Put the sensor back on.",
    POOR_SIGNAL: "Check the patient, then warmth, fit and movement of the sensor.",
    DEVICE_FAULT: "Check the patient and replace the device.",
    BATTERY_LOW: "Charge or replace the device soon.",
    NO_DATA: "The patient is not monitored. Check patient and device.",
    GATEWAY_DOWN: "These patients are not monitored. Check them, then the gateway's power and network.",
    RADIO_DOWN: "These patients are not monitored. Check them, then restart the gateway's radio.",
    INTAKE_DOWN: "Nobody is monitored. Look at the patients, and call the people who run the server and the network.",
    CLOCK_UNTRUSTED: "Times of its readings may be wrong. Check the gateway's network time.",
    CHANNEL_DOWN: "Look at the station page, and check this channel's service and address.",
    DATABASE_DOWN: "Monitoring and alarms go on; its boards stand still. Tell the people who run the server.",
    HEARTBEAT_LOST: "Look at the patients more often, and call the people who run the server.",
    LIMITS_STUCK: "Alarms go on with the limits that held before. Tell the people who run the server.",
    ENGINE_DOWN: "Look at the station page for what happened meanwhile.",
    DEVICES_DISAGREE: "One device is beyond a limit, another is not. Look at the patient, then at the sensors.",
    JUDGE_DOWN: "Alarms go on, from each device's own values. Tell the people who run the server.",
    IRREGULAR_RHYTHM: "A suspicion from the intervals between beats, not a diagnosis: an ECG decides.",
}
_REASONS: Final = {
    Reason.RADIO_LOST: "out of reach or switched off",
    Reason.BATTERY_EMPTY: "battery empty",
    Reason.NEVER_SEEN: "nothing received since monitoring began",
    Reason.BROKER_DOWN: "message broker down",
    Reason.STORE_DOWN: "store down",
}


@dataclass(frozen=True, slots=True)
class Message:
    """What a channel hands over.

    `numbers`: of the alarm events it tells (`AlarmEvent.number`); `decided_at_ns`: of the oldest of them.
    `alarms`: those that it lists and that can be acknowledged, each with the priority it is told with.
    `calls`: those that it answers (`Call.call_id`).
    """

    title: str
    body: str
    priority: Priority
    numbers: tuple[int, ...]
    decided_at_ns: int
    alarms: tuple[tuple[str, Priority], ...] = ()
    calls: tuple[str, ...] = ()


def condition_name(condition: str) -> str:
    """What people call a condition: `spo2_low` → "SpO₂ low"."""
    vital, _, side = condition.rpartition("_")
    if vital in VITAL_BY_NAME and condition not in _NAMES:
        return f"{VITALS[VITAL_BY_NAME[vital]].label} {side}"
    return _NAMES.get(condition, condition.replace("_", " "))


def message_for(event: AlarmEvent, zone: ZoneInfo) -> Message:
    """The message about one alarm."""
    ended = event.transition is Transition.ENDED
    title = f"Ended: {_headline(event)}" if ended else f"{MARKERS[event.priority]} {_headline(event)}"
    if event.transition is Transition.ESCALATED:
        title += f", now {event.priority.name.lower()} priority"
    sentences = [_measured(event), f"{'At' if ended else 'Since'} {_clock(event.at_ns, zone)}.", _because(event)]
    if not ended:
        sentences.append(_action(event))
    body = " ".join(sentence for sentence in sentences if sentence)
    return Message(title, body, event.priority, (event.number,), event.decided_at_ns, _open_among([event]))


def summary_for(events: Sequence[AlarmEvent], zone: ZoneInfo) -> Message:
    """One message about several open alarms, the worst first. `events`: the latest of each, not empty."""
    ordered = sorted(events, key=lambda e: (-e.priority, e.at_ns))
    lines = [
        f"{MARKERS[e.priority]} {_headline(e)} {_measured(e)}".rstrip(" .") + f" since {_clock(e.at_ns, zone)}"
        for e in ordered[:MOST_LISTED]
    ]
    if len(ordered) > MOST_LISTED:
        lines.append(f"and {len(ordered) - MOST_LISTED} more: see the station page")
    return Message(
        title=f"{MARKERS[ordered[0].priority]} {len(ordered)} alarms are open",
        body="\n".join(lines),
        priority=ordered[0].priority,
        numbers=tuple(e.number for e in ordered),
        decided_at_ns=min(e.decided_at_ns for e in ordered),
        alarms=_open_among(ordered[:MOST_LISTED]),
    )


def told_late(message: Message) -> Message:
    """The same, saying that it was kept from getting through."""
    late = "LATE: this way to you was interrupted. This is what is still true."
    return replace(message, body=f"{late}\n{message.body}".rstrip())


def _open_among(events: Sequence[AlarmEvent]) -> tuple[tuple[str, Priority], ...]:
    return tuple((e.alarm_id, e.priority) for e in events if e.alarm_id and e.transition is not Transition.ENDED)


def _headline(event: AlarmEvent) -> str:
    name = condition_name(event.condition)
    if event.condition == GATEWAY_DOWN:
        beds = len(event.beds)
        return f"Gateway {event.gateway}: {beds} {'bed' if beds == 1 else 'beds'} not monitored"
    if event.gateway:
        return f"Gateway {event.gateway}: {name}"
    if event.condition == CHANNEL_DOWN:
        return f"Channel {event.detail}: {name}"
    if event.condition == DATABASE_DOWN:
        return f"Database {event.detail}: {name}"
    if event.condition == LIMITS_STUCK:
        return f"Limits of {event.detail}: {name}"
    return f"Bed {event.bed}: {name}" if event.bed else name[:1].upper() + name[1:]


def _measured(event: AlarmEvent) -> str:
    vital = VITAL_BY_NAME.get(event.condition.rpartition("_")[0])
    if event.value is None or event.limit is None or vital is None:
        return ""
    info = VITALS[vital]
    return f"{event.value:.{info.decimals}f} {info.unit} (limit {event.limit:g})."


def _because(event: AlarmEvent) -> str:
    if event.beds and not event.bed:
        more = f" and {len(event.beds) - MOST_LISTED} more" if len(event.beds) > MOST_LISTED else ""
        return f"Beds {', '.join(event.beds[:MOST_LISTED])}{more}."
    if event.condition in (ENGINE_DOWN, JUDGE_DOWN):
        return f"{event.detail}." if event.detail else ""
    reason = _REASONS.get(event.reason, "")
    return f"{reason[:1].upper()}{reason[1:]}." if reason else ""


def _action(event: AlarmEvent) -> str:
    if event.kind is Kind.TECHNICAL or event.condition in ADVISORIES:
        return _ACTIONS.get(event.condition, "")
    return "Look at the patient now." if event.priority is Priority.HIGH else "Look at the patient."


def _clock(at_ns: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).astimezone(zone).strftime("%H:%M:%S")
