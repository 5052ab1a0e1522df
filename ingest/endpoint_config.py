"""How much the endpoint may use, and what it counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ingest.mqtt.events import SessionBounds


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """Where to listen and how much everybody together may use; `bounds` is for each connection.

    `port` 0 takes a free one. `max_unacknowledged_*`: handed to the intake and not committed; there, reading stops
    until half of it is. `max_held_bytes`: incomplete packets of all connections; who goes beyond it is closed as
    "server busy". `max_write_bytes`: not read by one peer, who is closed there. `linger_s`: time to read why.
    """

    host: str = "127.0.0.1"
    port: int = 1883
    bounds: SessionBounds = field(default_factory=SessionBounds)
    max_connections: int = 4_096  # a hospital has hundreds of gateways; at most what the file limit allows
    max_unacknowledged_bytes: int = 24 << 20  # 15 s of 20,000 wearables
    max_unacknowledged_messages: int = 16_000
    max_held_bytes: int = 64 << 20
    max_write_bytes: int = 256 << 10  # 60,000 PUBACKs, or the receipts of an hour
    max_retained_topics: int = 10_000  # two topics for each of 5,000 gateways
    linger_s: float = 2.0
    sweep_s: float = 0.25  # how exactly deadlines are kept
    drain_s: float = 2.0  # how long `close` waits for peers to read the goodbye


@dataclass(slots=True)
class EndpointStats:
    """Counters since the start; `connections` and `held_bytes` are as of now.

    `rejected`: set aside, by reason. `violations`: connections closed or refused for a fault, by reason.
    """

    connections: int = 0
    accepted: int = 0
    refused: int = 0
    messages: int = 0
    message_bytes: int = 0
    pauses: int = 0
    held_bytes: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)
