"""What a person's channel tells: the calls that the escalation made for it. Pure; the counterpart of `outbox.due`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from alerts.escalation import Call, Why
from alerts.events import AlarmEvent, Transition
from alerts.notify.message import Message, message_for, summary_for, told_late
from alerts.notify.outbox import BURST, SUMMARY_AFTER_NS, Due
from alerts.notify.wording import Wording

_SETTLED: Final = (Transition.ENDED, Transition.ACKNOWLEDGED, Transition.PAUSED)


def call_due(
    channel: str, records: Iterable[tuple[int, AlarmEvent | Call]], wording: Wording, now_ns: int
) -> Due | None:
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
        message = _together([call for _, call in waiting.values()], wording, now_ns)
        return Due(told_late(message, wording.texts) if late else message, last, calls=_ids(waiting))
    if first not in waiting.values():  # settled, or told again by a later call: that one's turn comes
        return Due(None, sequence, (oldest.event.number,))
    return Due(_one(oldest, wording, now_ns), sequence, calls=(oldest.call_id,))


def _ids(waiting: dict[str, tuple[int, Call]]) -> tuple[str, ...]:
    return tuple(call.call_id for _, call in waiting.values())


def _one(call: Call, wording: Wording, now_ns: int) -> Message:
    return _because(call.why, message_for(call.event, wording, now_ns), wording)


def _together(calls: list[Call], wording: Wording, now_ns: int) -> Message:
    events = [call.event for call in calls]
    message = _one(calls[0], wording, now_ns) if len(calls) == 1 else summary_for(events, wording, now_ns)
    if len(calls) > 1 and all(call.why is Why.HAND_OVER for call in calls):
        message = _because(Why.HAND_OVER, message, wording)
    return message


def _because(why: Why, message: Message, wording: Wording) -> Message:
    said = str(getattr(wording.texts.calls, why.value, ""))
    between = "\n" if why is Why.HAND_OVER else " "
    return replace(message, body=f"{said}{between}{message.body}".strip()) if said else message
