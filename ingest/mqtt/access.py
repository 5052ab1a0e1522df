"""Who may publish and subscribe what: a gateway writes its own `batch` and `status`, and reads what comes to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mqtt5 import PubAckReasonCode, SubAckReasonCode

from vitals.errors import MalformedMessageError
from vitals.topics import Topic

UP: Final = ("batch", "status")
DOWN: Final = ("receipt", "config")


@dataclass(frozen=True, slots=True)
class Route:
    """What becomes of messages under one topic of one gateway.

    With a `reason` they are set aside: `reason`, `field` and `message` are those of `ingest.source.Rejection`, and
    `code` is what the sender hears (a `PubAckReasonCode`).
    """

    topic: str
    gateway: str = ""
    reason: str = ""
    field: str = ""
    message: str = ""
    code: int = 0


def route(topic: str, gateway: str | None) -> Route:
    """Judge a publish under `topic` by a connection of `gateway` (`None`: not bound to one yet)."""
    try:
        parsed = Topic.parse(topic)
    except MalformedMessageError as error:
        return Route(topic, "", error.reason, error.field, str(error), int(PubAckReasonCode.TOPIC_NAME_INVALID))
    if parsed.name not in UP:
        message = f"`{parsed.name}` comes from ingest: a gateway publishes under `batch` and `status`"
    elif gateway not in (None, parsed.gateway):
        message = f"the connection belongs to gateway {gateway!r}: it publishes under that name only"
    else:
        return Route(topic, parsed.gateway)
    return Route(topic, parsed.gateway, "not_authorised", "topic", message, int(PubAckReasonCode.NOT_AUTHORIZED))


def subscription(pattern: str, gateway: str | None) -> tuple[SubAckReasonCode, str]:
    """The answer to one topic filter, and the gateway it names when it is granted.

    Topics are subscribed by their full name only: there are two of them, and a wildcard would hide a typing error.
    """
    if pattern.startswith("$share/"):
        return SubAckReasonCode.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED, ""
    if "+" in pattern or "#" in pattern:
        return SubAckReasonCode.WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED, ""
    try:
        parsed = Topic.parse(pattern)
    except MalformedMessageError:
        return SubAckReasonCode.NOT_AUTHORIZED, ""
    if parsed.name not in DOWN or gateway not in (None, parsed.gateway):
        return SubAckReasonCode.NOT_AUTHORIZED, ""
    return SubAckReasonCode.GRANTED_QOS_AT_MOST_ONCE, parsed.gateway
