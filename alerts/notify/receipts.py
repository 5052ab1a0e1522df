"""Receipts: what a device or a person's gateway says of a message, and the tickets with which it may. Pure.

A ticket goes out with the message as the last part of an address. It says which alarms and calls the message was about,
so a receipt needs no account and no memory on our side, and its holder can report on that message and on nothing else.

What was reported is a record of the alarm journal, with the ticket's calls: that is how the escalation learns of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct

from alerts.events import Priority
from alerts.notify.message import Message
from alerts.notify.seal import ForgedError, Seal
from vitals.errors import MalformedMessageError

PATH: Final = "/receipts/"
VALID_NS: Final = 86_400 * 1_000_000_000  # a day after the message; later one acknowledges on the station page
MOST_CALLS: Final = 24  # that a ticket speaks for; a summary of more than these alarms may be told again
_PURPOSE: Final = "receipt"
_VERSION: Final = 1


class Said(StrEnum):
    """What can be said of a message; the words of `alerts.notify.loop.CallReport`."""

    DELIVERED = "delivered"
    SEEN = "seen"
    ACKNOWLEDGED = "acknowledged"


class Ticket(Struct, array_like=True, frozen=True):
    """What a receipt is about. `alarms`: each with the priority it was told with. `phone`: of several on a channel."""

    channel: str
    message_id: str
    alarms: tuple[tuple[str, int], ...]
    calls: tuple[str, ...]
    phone: str = ""


def message_id(message: Message, channel: str) -> str:
    """The same in every attempt to tell one message, and in no other message of the channel."""
    if message.calls:
        others = f"+{len(message.calls) - 1}" if len(message.calls) > 1 else ""
        return message.calls[0] + others
    number = "-".join(map(str, message.numbers[:8]))
    return f"{channel}:{message.decided_at_ns}:{number}"


class TicketOffice:
    """Issues tickets and reads them. `base_url`: under which the station is reached from elsewhere; may be empty."""

    def __init__(self, seal: Seal, base_url: str = "") -> None:
        self._seal = seal
        self._base_url = base_url.rstrip("/")

    def path(self, message: Message, channel: str, phone: str = "") -> str:
        """Where receipts of `message` go, on the station; the same in every attempt."""
        alarms = tuple((alarm_id, int(priority)) for alarm_id, priority in message.alarms)
        calls = tuple(call_id.removesuffix(f"-{channel}") for call_id in message.calls[:MOST_CALLS])
        ticket = Ticket(channel, message_id(message, channel), alarms, calls, phone)
        expires_ns = message.decided_at_ns + VALID_NS
        return PATH + self._seal.close(_PURPOSE, msgspec.msgpack.encode(ticket), expires_ns)

    def url(self, message: Message, channel: str) -> str:
        """The same for programs elsewhere; empty without `base_url`."""
        return self._base_url + self.path(message, channel) if self._base_url else ""

    def read(self, token: str, now_ns: int) -> Ticket:
        """The ticket in the last part of a path; raises `ForgedError` or `ExpiredError`."""
        content = self._seal.open(_PURPOSE, token, now_ns)
        try:
            ticket = msgspec.msgpack.decode(content, type=Ticket)
        except msgspec.DecodeError as error:  # sealed by a version that wrote tickets otherwise
            raise ForgedError("a ticket that cannot be read here") from error
        return msgspec.structs.replace(ticket, calls=tuple(f"{call}-{ticket.channel}" for call in ticket.calls))


class Verdict(IntEnum):
    """What became of a receipt; the number is the HTTP status that says so."""

    TAKEN = 200
    UNKNOWN = 404  # no ticket of this server
    WORSE = 409  # an alarm has become worse than this message said: only a newer message acknowledges that
    OVER = 410  # the ticket has expired, or no alarm of it is open any more


@dataclass(frozen=True, slots=True)
class Receipt:
    """A record of the alarm journal: `said` of a message. `actor`: who acknowledged; `phone`: of several."""

    channel: str
    message_id: str
    said: Said
    at_ns: int
    calls: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    actor: str = ""
    phone: str = ""
    version: int = _VERSION


_RECEIPT: Final[msgspec.msgpack.Decoder[Any]] = msgspec.msgpack.Decoder(Receipt)


def encode_receipt(receipt: Receipt) -> bytes:
    """The journal form of `receipt`."""
    return msgspec.msgpack.encode(receipt)


def decode_receipt(payload: bytes) -> Receipt:
    """Read a journal record; raises `MalformedMessageError` for anything that `encode_receipt` did not write."""
    try:
        receipt: Receipt = _RECEIPT.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessageError("truncated", "", f"not a receipt: {error}") from error
    if receipt.version != _VERSION:
        raise MalformedMessageError(
            "unknown_version", "version", f"a receipt of version {receipt.version} cannot be read here"
        )
    return receipt


def told_priority(ticket: Ticket, alarm_id: str) -> Priority | None:
    """The priority with which a message told of an alarm; `None` when it did not."""
    return next((Priority(priority) for told, priority in ticket.alarms if told == alarm_id), None)
