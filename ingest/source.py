"""What a source hands to the ingest worker: one published message and the way to acknowledge it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgspec import Struct


class Incoming(Struct, frozen=True):
    """One message as it came in.

    `acknowledge` is called once, from the event loop, after the message is durable (a reading in the journal, or
    rubbish in the poison journal); until then the sender keeps it. For QoS 0 it does nothing.
    """

    topic: str
    payload: bytes
    received_at_ns: int
    acknowledge: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Rejection:
    """A message that its source set aside: it can never be a reading, and is to be kept with its reason.

    `reason`: a stable code that is counted (`topic`, `not_authorised`, `too_large`); `field`: what was wrong, such as
    `topic`; `message`: a sentence that says what to do. With `too_large` the payload is only the beginning of
    what was sent. `incoming.acknowledge` is called once it is kept, as for any message.
    """

    incoming: Incoming
    reason: str
    field: str
    message: str
