"""The closed loop of one call: what is known of a message on its way to a person. Pure; `_TABLE` holds it.

A channel tells what it can: an e-mail is handed over and no more, a phone answers that it showed the message and that
somebody touched it. Reports may overtake one another, so a later one never takes back what an earlier one proved.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class CallState(StrEnum):
    """How far a message came."""

    QUEUED = "queued"
    HANDED_OVER = "handed_over"  # the service behind the channel has it
    DELIVERED = "delivered"  # the person's device has it
    SEEN = "seen"
    ACKNOWLEDGED = "acknowledged"
    FAILED = "failed"  # refused, or given up after an hour
    WITHDRAWN = "withdrawn"  # no longer true before it was handed over


class CallReport(StrEnum):
    """What was heard of a message."""

    HANDED_OVER = "handed_over"
    DELIVERED = "delivered"
    SEEN = "seen"
    ACKNOWLEDGED = "acknowledged"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


_S, _R = CallState, CallReport
_TABLE: Final[Mapping[tuple[CallState, CallReport], CallState]] = MappingProxyType(
    {
        (_S.QUEUED, _R.HANDED_OVER): _S.HANDED_OVER,
        (_S.QUEUED, _R.DELIVERED): _S.DELIVERED,
        (_S.QUEUED, _R.SEEN): _S.SEEN,
        (_S.QUEUED, _R.ACKNOWLEDGED): _S.ACKNOWLEDGED,
        (_S.QUEUED, _R.FAILED): _S.FAILED,
        (_S.QUEUED, _R.WITHDRAWN): _S.WITHDRAWN,
        (_S.HANDED_OVER, _R.DELIVERED): _S.DELIVERED,
        (_S.HANDED_OVER, _R.SEEN): _S.SEEN,
        (_S.HANDED_OVER, _R.ACKNOWLEDGED): _S.ACKNOWLEDGED,
        (_S.DELIVERED, _R.SEEN): _S.SEEN,
        (_S.DELIVERED, _R.ACKNOWLEDGED): _S.ACKNOWLEDGED,
        (_S.SEEN, _R.ACKNOWLEDGED): _S.ACKNOWLEDGED,
        (_S.FAILED, _R.DELIVERED): _S.DELIVERED,  # cut off after it had arrived: the person's device knows better
        (_S.FAILED, _R.SEEN): _S.SEEN,
        (_S.FAILED, _R.ACKNOWLEDGED): _S.ACKNOWLEDGED,
    }
)


def call_after(state: CallState, report: CallReport) -> CallState:
    """The state after `report`; a report that proves nothing new leaves it as it was."""
    return _TABLE.get((state, report), state)
