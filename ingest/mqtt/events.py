"""What one MQTT connection may use, and what it tells its shell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from msgspec import Struct

from ingest.mqtt.access import Route
from vitals.wire import MAX_PAYLOAD_BYTES


@dataclass(frozen=True, slots=True)
class SessionBounds:
    """What one connection may use.

    `max_packet_bytes`: of a PUBLISH. `max_control_bytes`: of any other packet, a CONNECT with its will included.
    `receive_max`: QoS 1 messages not yet acknowledged. `messages_per_s` and `burst`: token bucket over all packets; at
    its end the connection is not read, the sender waits. `connect_s`, `packet_s`: time to send CONNECT, to finish a
    packet. `max_keep_alive_s`: imposed on MQTT 5 clients that ask for more or for none. `max_subscriptions`: topics.
    """

    max_packet_bytes: int = MAX_PAYLOAD_BYTES + 4096  # the largest message, its topic and properties
    max_control_bytes: int = 16_384  # before a client is known it can make us hold no more than this
    receive_max: int = 1_000  # a gateway sends one a second: a quarter of an hour on the way at once
    messages_per_s: float = 1_000.0  # a gateway that drains its spool after an outage sends as fast as this
    burst: float = 2_000.0
    connect_s: float = 10.0
    packet_s: float = 30.0  # 1 MiB over a poor mobile link
    max_keep_alive_s: int = 300  # a half-open connection is noticed after 1.5 times this
    max_subscriptions: int = 8


class Opened(NamedTuple):
    """The client is known; an older connection of the same `client_id` and `gateway` is to be closed."""

    client_id: str
    gateway: str | None


class Message(Struct):
    """A message on its way to the journal: give it to `Session.acknowledge` when it is there.

    `route.reason` says whether it is to be set aside. `packet_id` 0: QoS 0 or a will, nobody waits for it.
    """

    route: Route
    payload: bytes
    packet_id: int = 0
    settled: bool = False


class Subscribed(NamedTuple):
    """The connection wants `topic`, beginning with its newest value."""

    topic: str


class Unsubscribed(NamedTuple):
    """The connection no longer wants `topic`."""

    topic: str


class Closed(NamedTuple):
    """The last event: write what is left and close. `reason` is "" after an orderly DISCONNECT."""

    reason: str
    message: str


Event = Opened | Message | Subscribed | Unsubscribed | Closed
