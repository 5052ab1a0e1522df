"""The outbox: every channel follows the alarm journal with its own cursor (docs/decisions/0006).

Nothing can be lost between deciding and telling, because there is nothing in between: an alarm event is durable before
it is told, and a channel's cursor moves, in one transaction with a record of the delivery, when the message was handed
over. A hand-over that was cut off is repeated: people may be told twice, never not at all.

What to tell is pure: `due` picks the next message from the events after the cursor. A channel that fell behind tells
what is still true in one summary instead of every message it missed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any, Final, Protocol, TypeAlias
from zoneinfo import ZoneInfo

import msgspec

from alerts.events import CHANNEL_DOWN, AlarmEvent, Priority, Transition
from alerts.notify.catalogue import ENGLISH, Texts
from alerts.notify.message import Message, message_for, summary_for, told_late
from alerts.notify.wording import Privacy, Wording
from vitals.errors import MalformedMessageError

SUMMARY_AFTER_NS: Final = 120_000_000_000  # a message that waited this long is told as part of what is still true
BURST: Final = 5  # more than this many messages waiting: one summary is read sooner, and the worst comes first
FIRST_RETRY_S: Final = 1.0
MOST_RETRY_S: Final = 30.0
FAILING_AFTER_S: Final = 30.0  # undelivered for this long: the other channels say so
_SETTLED: Final = (
    Transition.ENDED,
    Transition.ACKNOWLEDGED,
    Transition.PAUSED,
)  # nobody needs to hear late of these
EXPIRE_AFTER_S: Final = 3_600.0  # undelivered for this long: recorded as expired, and the channel moves on


@dataclass(frozen=True, slots=True)
class Delivered:
    """The service behind the channel took the message over."""


@dataclass(frozen=True, slots=True)
class Retry:
    """It may work later; `after_s`: the least delay the service asked for."""

    reason: str
    after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Permanent:
    """This message will never be taken."""

    reason: str


Outcome: TypeAlias = Delivered | Retry | Permanent


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a channel wants to hear of and in which words.

    `tells_delivery`: whether it tells when a message has reached the person's device.
    """

    name: str
    priorities: frozenset[Priority] = frozenset(Priority)
    send_ended: bool = False
    tells_delivery: bool = False
    texts: Texts = field(default=ENGLISH, repr=False)
    privacy: Privacy = Privacy.BED

    def wording(self, zone: ZoneInfo, ward: str) -> Wording:
        """How this channel of a ward is spoken to."""
        return Wording(self.texts, zone, ward, self.privacy)


class Channel(Protocol):
    """A way to people."""

    @property
    def subscription(self) -> Subscription:
        """What it wants to hear of, and its name."""

    async def send(self, message: Message) -> Outcome:
        """Hand `message` over. Comes back in bounded time and raises nothing but cancellation."""


class DeliveryState(StrEnum):
    """What became of a message."""

    HANDED_OVER = "handed_over"
    REFUSED = "refused"  # permanently
    EXPIRED = "expired"
    OBSOLETE = "obsolete"  # no longer true when the channel worked again


@dataclass(frozen=True, slots=True)
class Delivery:
    """A record of the alarm journal: what became of one message on one channel.

    `numbers`: of the alarm events it told (`AlarmEvent.number`). `calls`: those it answered (`Call.call_id`).
    """

    channel: str
    state: DeliveryState
    numbers: tuple[int, ...]
    decided_at_ns: int
    finished_at_ns: int
    attempts: int
    reason: str = ""
    calls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Due:
    """The next thing to tell, the journal record through which it tells, and the calls that it answers.

    `message`: `None` when what waited is no longer true. `obsolete`: the event numbers of which that holds.
    """

    message: Message | None
    through: int
    obsolete: tuple[int, ...] = ()
    calls: tuple[str, ...] = ()


def wants(subscription: Subscription, event: AlarmEvent) -> bool:
    """Whether a channel is to tell of an event. No channel tells of its own failure: it could not."""
    if not event.notify or (event.condition == CHANNEL_DOWN and event.detail == subscription.name):
        return False
    if event.transition is Transition.ENDED and not subscription.send_ended:
        return False
    return event.priority in subscription.priorities


def due(
    subscription: Subscription, events: Iterable[tuple[int, AlarmEvent]], wording: Wording, now_ns: int
) -> Due | None:
    """The next message from `(sequence, event)` after the cursor, in order; `None` when nothing is to be told."""
    first: tuple[int, AlarmEvent] | None = None
    waiting = 0
    still_open: dict[str, AlarmEvent] = {}
    obsolete: list[int] = []
    last = 0
    for last, event in events:
        if wants(subscription, event):
            first = first or (last, event)
            waiting += 1
            if event.transition is not Transition.ENDED:
                before = still_open.pop(event.alarm_id, None)
                obsolete += [before.number] if before and event.alarm_id else []
                still_open[event.alarm_id or str(event.number)] = event
        if event.transition in _SETTLED and event.alarm_id in still_open:
            obsolete.append(still_open.pop(event.alarm_id).number)
    if first is None:
        return None
    sequence, oldest = first
    if waiting <= BURST and now_ns - oldest.decided_at_ns < SUMMARY_AFTER_NS:
        return Due(message_for(oldest, wording, now_ns), sequence)
    message = _together(tuple(still_open.values()), wording, now_ns)
    if message is not None and now_ns - oldest.decided_at_ns >= SUMMARY_AFTER_NS:
        message = told_late(message, wording.texts)
    return Due(message, last, tuple(obsolete))


def _together(events: tuple[AlarmEvent, ...], wording: Wording, now_ns: int) -> Message | None:
    if not events:
        return None
    return message_for(events[0], wording, now_ns) if len(events) == 1 else summary_for(events, wording, now_ns)


def retry_delay_s(attempt: int, asked_s: float | None, random: Random) -> float:
    """How long to wait after failed attempt number `attempt` (1 first): doubling, jittered by half, bounded."""
    backoff = min(MOST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(attempt - 1, 10)) * random.uniform(0.5, 1.0)
    return max(backoff, min(asked_s or 0.0, 10 * MOST_RETRY_S))


_DELIVERY: Final[msgspec.msgpack.Decoder[Any]] = msgspec.msgpack.Decoder(Delivery)


def encode_delivery(delivery: Delivery) -> bytes:
    """The journal form of `delivery`."""
    return msgspec.msgpack.encode(delivery)


def decode_delivery(payload: bytes) -> Delivery:
    """Read a journal record; raises `MalformedMessageError` for anything that `encode_delivery` did not write."""
    try:
        delivery: Delivery = _DELIVERY.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessageError("truncated", "", f"not a delivery: {error}") from error
    return delivery
