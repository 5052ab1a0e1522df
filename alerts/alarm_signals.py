"""The alarm signal machine: what people perceive of an alarm, coupled to its condition.

Condition and signal are two machines (IEC 60601-1-8); every joint transition stands in `_TABLE`. A rise in priority
calls again in spite of an acknowledgement. With latching, a signal that nobody acknowledged outlives its condition.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from alerts.conditions import IllegalTransitionError


class SignalState(IntEnum):
    """Of one alarm. Only `UNACKNOWLEDGED` and `LATCHED` are audible."""

    OFF = 0
    UNACKNOWLEDGED = 1
    ACKNOWLEDGED = 2
    LATCHED = 3


class SignalEvent(IntEnum):
    """What the condition, or a person, does."""

    RAISED = 1
    ESCALATED = 2
    DE_ESCALATED = 3
    ACKNOWLEDGED = 4
    ENDED = 5
    ENDED_LATCHING = 6  # the condition ended, and its alarm is configured to latch


_S, _E = SignalState, SignalEvent
_TABLE: Final[Mapping[tuple[SignalState, SignalEvent], SignalState]] = MappingProxyType(
    {
        (_S.OFF, _E.RAISED): _S.UNACKNOWLEDGED,
        (_S.UNACKNOWLEDGED, _E.ESCALATED): _S.UNACKNOWLEDGED,
        (_S.UNACKNOWLEDGED, _E.DE_ESCALATED): _S.UNACKNOWLEDGED,
        (_S.UNACKNOWLEDGED, _E.ACKNOWLEDGED): _S.ACKNOWLEDGED,
        (_S.UNACKNOWLEDGED, _E.ENDED): _S.OFF,
        (_S.UNACKNOWLEDGED, _E.ENDED_LATCHING): _S.LATCHED,
        (_S.ACKNOWLEDGED, _E.ESCALATED): _S.UNACKNOWLEDGED,
        (_S.ACKNOWLEDGED, _E.DE_ESCALATED): _S.ACKNOWLEDGED,
        (_S.ACKNOWLEDGED, _E.ENDED): _S.OFF,
        (_S.ACKNOWLEDGED, _E.ENDED_LATCHING): _S.OFF,
        (_S.LATCHED, _E.RAISED): _S.UNACKNOWLEDGED,
        (_S.LATCHED, _E.ACKNOWLEDGED): _S.OFF,
    }
)


def signal_after(state: SignalState, event: SignalEvent) -> SignalState:
    """The state after `event`; raises `IllegalTransitionError` when the table has none."""
    after = _TABLE.get((state, event))
    if after is None:
        raise IllegalTransitionError(f"{event.name} is not possible while {state.name}")
    return after


def is_audible(state: SignalState) -> bool:
    """Whether the alarm calls for somebody."""
    return state in (SignalState.UNACKNOWLEDGED, SignalState.LATCHED)
