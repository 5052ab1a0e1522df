"""What a person's channel tells: the calls that the escalation made for it. Pure; the counterpart of `outbox.due`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final
from zoneinfo import ZoneInfo

from alerts.escalation import Call, Why
from alerts.events import AlarmEvent, Transition
from alerts.notify.message import Message, message_for, summary_for, told_late
from alerts.notify.outbox import BURST, SUMMARY_AFTER_NS, Due

_BECAUSE: Final = {
    Why.NOT_ACKNOWLEDGED: "Nobody has acknowledged it yet.",
    Why.NOT_REACHED: "Those who were called before could not be reached.",
    Why.REMINDER: "Still not acknowledged.",
}
_SETTLED: Final = (Transition.ENDED, Transition.ACKNOWLEDGED, Transition.PAUSED)


def call_due(channel: str, records: Iterable[tuple[int, AlarmEvent | Call]], zone: ZoneInfo, now_ns: int) -> Due | None:
    """The next message for `channel` from `(sequence, record)` after its cursor; `None` when it was not called."""
    waiting: dict[str, tuple[int, Call]] = {}
    first: tuple[int, Call] | None = None
    last = 0
    for last, record in records:
        if isinstance(record, Call):
            if record.channel == channel:
                first = first or (last, record)
                waiting[record.event.alarm_id or record.call_id] = (last, record)
        elif record.transition in _SETTLED:
            waiting.pop(record.alarm_id, None)
    if first is None:
        return None
    sequence, oldest = first
    if not waiting:
        return Due(None, last, (oldest.event.number,))
    late = now_ns - oldest.at_ns >= SUMMARY_AFTER_NS
    if late or len(waiting) > BURST or oldest.why is Why.HAND_OVER:
        return Due(_together([call for _, call in waiting.values()], zone, late=late), last, calls=_ids(waiting))
    if first not in waiting.values():  # settled, or told again by a later call: that one's turn comes
        return Due(None, sequence, (oldest.event.number,))
    return Due(_one(oldest, zone), sequence, calls=(oldest.call_id,))


def _ids(waiting: dict[str, tuple[int, Call]]) -> tuple[str, ...]:
    return tuple(call.call_id for _, call in waiting.values())


def _one(call: Call, zone: ZoneInfo) -> Message:
    message = message_for(call.event, zone)
    because = _BECAUSE.get(call.why, "")
    return replace(message, body=f"{because} {message.body}".strip())


def _together(calls: list[Call], zone: ZoneInfo, *, late: bool) -> Message:
    message = _one(calls[0], zone) if len(calls) == 1 else summary_for([call.event for call in calls], zone)
    if all(call.why is Why.HAND_OVER for call in calls):
        body = f"Hand-over to your shift: nobody has acknowledged this yet.\n{message.body}"
        message = replace(message, body=body.rstrip())
    return told_late(message) if late else message
