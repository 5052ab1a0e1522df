"""The alarm signal machine: what people perceive of an alarm, coupled to its condition.

Condition and signal are two machines (IEC 60601-1-8); every joint transition stands in `_TABLE`. A rise in priority
calls again in spite of an acknowledgement or a pause of the sound. With latching, a signal that nobody acknowledged
outlives its condition. No quiet state is for ever: pauses expire, and an acknowledgement is followed by a reminder.

A pause of all alarms of a patient is a second step: what the table makes `UNACKNOWLEDGED` or `LATCHED` while such a
pause is in force gets `ALARM_PAUSED` as its next event.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from alerts.conditions import IllegalTransitionError


class SignalState(IntEnum):
    """Of one alarm. Only `UNACKNOWLEDGED` and `LATCHED` call; a pause of the sound alone leaves the light."""

    OFF = 0
    UNACKNOWLEDGED = 1
    ACKNOWLEDGED = 2
    LATCHED = 3
    AUDIO_PAUSED = 4  # the sound of this alarm, with an expiry
    ALARM_PAUSED = 5  # all alarms of the patient, with an expiry
    LATCHED_PAUSED = 6  # the condition ended during a pause, or the pause began when only the latched signal was left


class SignalEvent(IntEnum):
    """What the condition, a person, or time does."""

    RAISED = 1
    ESCALATED = 2  # its priority rose, or it is about more than before
    DE_ESCALATED = 3
    ACKNOWLEDGED = 4
    ENDED = 5
    ENDED_LATCHING = 6  # the condition ended, and its alarm is configured to latch
    AUDIO_PAUSED = 7
    ALARM_PAUSED = 8
    PAUSE_OVER = 9  # it expired, or a person ended it
    REMINDED = 10


_S, _E = SignalState, SignalEvent
_TABLE: Final[Mapping[tuple[SignalState, SignalEvent], SignalState]] = MappingProxyType(
    {
        (_S.OFF, _E.RAISED): _S.UNACKNOWLEDGED,
        (_S.UNACKNOWLEDGED, _E.ESCALATED): _S.UNACKNOWLEDGED,
        (_S.UNACKNOWLEDGED, _E.DE_ESCALATED): _S.UNACKNOWLEDGED,
        (_S.UNACKNOWLEDGED, _E.ACKNOWLEDGED): _S.ACKNOWLEDGED,
        (_S.UNACKNOWLEDGED, _E.ENDED): _S.OFF,
        (_S.UNACKNOWLEDGED, _E.ENDED_LATCHING): _S.LATCHED,
        (_S.UNACKNOWLEDGED, _E.AUDIO_PAUSED): _S.AUDIO_PAUSED,
        (_S.UNACKNOWLEDGED, _E.ALARM_PAUSED): _S.ALARM_PAUSED,
        (_S.ACKNOWLEDGED, _E.ESCALATED): _S.UNACKNOWLEDGED,
        (_S.ACKNOWLEDGED, _E.DE_ESCALATED): _S.ACKNOWLEDGED,
        (_S.ACKNOWLEDGED, _E.ENDED): _S.OFF,
        (_S.ACKNOWLEDGED, _E.ENDED_LATCHING): _S.OFF,
        (_S.ACKNOWLEDGED, _E.REMINDED): _S.UNACKNOWLEDGED,
        (_S.LATCHED, _E.RAISED): _S.UNACKNOWLEDGED,
        (_S.LATCHED, _E.ACKNOWLEDGED): _S.OFF,
        (_S.LATCHED, _E.AUDIO_PAUSED): _S.LATCHED_PAUSED,
        (_S.LATCHED, _E.ALARM_PAUSED): _S.LATCHED_PAUSED,
        (_S.AUDIO_PAUSED, _E.ESCALATED): _S.UNACKNOWLEDGED,
        (_S.AUDIO_PAUSED, _E.DE_ESCALATED): _S.AUDIO_PAUSED,
        (_S.AUDIO_PAUSED, _E.ACKNOWLEDGED): _S.ACKNOWLEDGED,
        (_S.AUDIO_PAUSED, _E.ENDED): _S.OFF,
        (_S.AUDIO_PAUSED, _E.ENDED_LATCHING): _S.LATCHED_PAUSED,
        (_S.AUDIO_PAUSED, _E.ALARM_PAUSED): _S.ALARM_PAUSED,
        (_S.AUDIO_PAUSED, _E.PAUSE_OVER): _S.UNACKNOWLEDGED,
        (_S.ALARM_PAUSED, _E.ESCALATED): _S.ALARM_PAUSED,
        (_S.ALARM_PAUSED, _E.DE_ESCALATED): _S.ALARM_PAUSED,
        (_S.ALARM_PAUSED, _E.ACKNOWLEDGED): _S.ACKNOWLEDGED,
        (_S.ALARM_PAUSED, _E.ENDED): _S.OFF,
        (_S.ALARM_PAUSED, _E.ENDED_LATCHING): _S.LATCHED_PAUSED,
        (_S.ALARM_PAUSED, _E.PAUSE_OVER): _S.UNACKNOWLEDGED,
        (_S.LATCHED_PAUSED, _E.RAISED): _S.UNACKNOWLEDGED,
        (_S.LATCHED_PAUSED, _E.ACKNOWLEDGED): _S.OFF,
        (_S.LATCHED_PAUSED, _E.PAUSE_OVER): _S.LATCHED,
    }
)


def signal_after(state: SignalState, event: SignalEvent) -> SignalState:
    """The state after `event`; raises `IllegalTransitionError` when the table has none."""
    after = _TABLE.get((state, event))
    if after is None:
        raise IllegalTransitionError(f"{event.name} is not possible while {state.name}")
    return after


def is_possible(state: SignalState, event: SignalEvent) -> bool:
    """Whether the table has a transition."""
    return (state, event) in _TABLE


def is_audible(state: SignalState) -> bool:
    """Whether the alarm calls for somebody."""
    return state in (SignalState.UNACKNOWLEDGED, SignalState.LATCHED)


def is_paused(state: SignalState) -> bool:
    """Whether the alarm would call, were it not for a pause."""
    return state in (SignalState.AUDIO_PAUSED, SignalState.ALARM_PAUSED, SignalState.LATCHED_PAUSED)
