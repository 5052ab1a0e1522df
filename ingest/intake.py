"""Between the sources and the committer: messages that are not committed yet, counted and bounded."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final, TypeAlias

from ingest.pipeline import MAX_MESSAGES
from ingest.source import Incoming, Rejection

MAX_COMMIT_BYTES: Final = 1 << 20  # of payload per commit: 12,000 wearable-seconds, 0.1 s of work between two polls
MAX_PENDING_BYTES: Final = 32 << 20  # 20 s of 20,000 wearables; sources pause there
MAX_PENDING_MESSAGES: Final = 20_000  # small messages cost more than their bytes
Message: TypeAlias = Incoming | Rejection


class Intake:
    """Takes messages at any time (`offer`), hands them out in order (`next_messages`), and knows when all are `done`.

    A message counts from its offer until it is done. Above a bound the intake is `congested` until half of the bound is
    done; a source that sees this stops reading, its senders keep the rest.
    """

    def __init__(self) -> None:
        self._pending: deque[Message] = deque()
        self._bytes = 0
        self._messages = 0
        self._arrived = asyncio.Event()
        self._idle = _raised()
        self._relieved = _raised()
        self._congested = asyncio.Event()

    def offer(self, message: Message) -> None:
        """Take a message, at once and always."""
        self._pending.append(message)
        self._messages += 1
        self._bytes += size_of(message)
        self._arrived.set()
        self._idle.clear()
        if self._bytes > MAX_PENDING_BYTES or self._messages > MAX_PENDING_MESSAGES:
            self.hold()

    @property
    def congested(self) -> bool:
        """Whether sources should stop reading."""
        return not self._relieved.is_set()

    @property
    def plenty(self) -> bool:
        """Whether what is not done fills a commit."""
        return self._messages >= MAX_MESSAGES or self._bytes >= MAX_COMMIT_BYTES

    async def congestion(self) -> None:
        """Wait until sources should stop reading."""
        await self._congested.wait()

    async def relieved(self) -> None:
        """Wait until sources may read on."""
        await self._relieved.wait()

    async def drained(self) -> None:
        """Wait until everything offered is done."""
        await self._idle.wait()

    async def next_messages(self) -> list[Message]:
        """Wait for messages; all that are pending, at least one, within the bounds of a commit."""
        await self._arrived.wait()
        taken = [self._pending.popleft()]
        size = size_of(taken[0])
        while self._pending and len(taken) < MAX_MESSAGES:
            size += size_of(self._pending[0])
            if size > MAX_COMMIT_BYTES:
                break
            taken.append(self._pending.popleft())
        if not self._pending:
            self._arrived.clear()
        return taken

    def hold(self) -> None:
        """Be congested until messages are done again: nothing can be written now."""
        self._relieved.clear()
        self._congested.set()

    def done(self, messages: Sequence[Message]) -> None:
        """These are committed."""
        self._messages -= len(messages)
        self._bytes -= sum(map(size_of, messages))
        if self._messages <= MAX_PENDING_MESSAGES // 2 and self._bytes <= MAX_PENDING_BYTES // 2:
            self._congested.clear()
            self._relieved.set()
        if not self._messages:
            self._idle.set()


def size_of(message: Message) -> int:
    """Payload bytes."""
    return len(received(message).payload)


def received(message: Message) -> Incoming:
    """The message itself, also when its source set it aside."""
    return message.incoming if isinstance(message, Rejection) else message


def _raised() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
