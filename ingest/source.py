"""What a source hands to the ingest worker: one published message and the way to acknowledge it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message as it came in.

    `acknowledge` is called once, from the event loop, after the message is durable (a reading in the journal, or
    rubbish in the poison journal); until then the sender keeps it. For QoS 0 it does nothing.
    """

    topic: str
    payload: bytes
    received_at_ns: int
    acknowledge: Callable[[], None]
