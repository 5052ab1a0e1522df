"""A message as JSON, the same for every channel that hands it to a program. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import msgspec

from alerts.notify.message import Message
from alerts.notify.receipts import MOST_CALLS, message_id

_MOST_NUMBERS: Final = 24  # of a summary; beyond it they only make the message long


def encode_message(message: Message, channel: str, **more: Any) -> bytes:
    """The JSON body: version, id, priority, title, text, the alarm events it tells, when the oldest was decided.

    `calls`: those it answers, when people are called (`alerts.escalation.Call`). `more`: fields of the channel's own.
    """
    body: dict[str, Any] = {
        "v": 1,
        "id": message_id(message, channel),
        "priority": message.priority.name.lower(),
        "title": message.title,
        "text": message.body,
        "numbers": message.numbers[:_MOST_NUMBERS],
        "decided_at_ns": message.decided_at_ns,
    }
    if message.calls:
        body["calls"] = message.calls[:MOST_CALLS]
    return msgspec.json.encode(body | more)


def encode_bounded(message: Message, channel: str, most_bytes: int, **more: Any) -> bytes:
    """The same with a text that ends in an ellipsis where all of it would be longer than `most_bytes`."""
    body = encode_message(message, channel, **more)
    over = len(body) - most_bytes
    if over <= 0:
        return body
    kept = message.body.encode()[: -over - len("…".encode())].decode(errors="ignore")
    return encode_message(replace(message, body=kept + "…"), channel, **more)
