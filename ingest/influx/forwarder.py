"""From a journal to one target: follow, encode, send, move the cursor when it is safe.

    journal ─follow─▶ encode (in a thread) ─▶ Sender ─▶ settled ─▶ move the cursor

A target that is slow, down or wrong only lags behind its own cursor; the journal keeps what it has not taken. When that
would crowd the journal so that monitoring had to stop, the target is let go instead: its cursor moves on, and what it
owes is sent later from the embedded store (`ingest.influx.refill`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from ingest.influx.encoding import Encoded
from ingest.influx.making import Pace
from ingest.influx.sender import Abandoned, Sender
from ingest.influx.settling import Settling
from vitals.errors import PermanentError, RetryableError
from vitals.follow import follow
from vitals.journal import Journal, Record

GATHER_S: Final = 1.0  # between portions while it keeps up: a board is refreshed every few seconds
PORTION: Final = 1_000  # records at once
PORTION_BYTES: Final = 4 << 20  # 90,000 readings, read in 5 ms, decoded in a thread; a quarter of it costs a tenth more
KEEP_EVERY_S: Final = 1.0  # while behind: acknowledgements wait for the commit of a cursor, the file being theirs
LIFE_EVERY_S: Final = 5.0  # how soon a restart of a target that forgets is noticed
FIRST_RETRY_S: Final = 1.0
_HIDDEN: Final = "hidden"  # the life of a target that does not name it

Encode = Callable[[Sequence[Record], int], Encoded]  # records and the most lines of one body → lines

_log: Final = structlog.get_logger(__name__)


@dataclass(slots=True)
class Progress:
    """How far a forwarder is. `position`: everything through it was answered; `unreadable`: records skipped."""

    position: int = 0
    unreadable: int = 0
    restarts: int = 0  # of the target, after which its tail was sent again
    let_go: int = 0  # times that the journal became crowded
    moved: asyncio.Condition = field(default_factory=asyncio.Condition)


class _Restarted(Exception):  # noqa: N818 - no error: the target came back, and forgot
    """The target is in another life."""


async def _at_once(_records: Sequence[Record]) -> None:
    """What stands in the journal can be sent."""


class Forwarder:
    """Keeps one target up with one journal, under a cursor of its own.

    `ready`: waits until records can be encoded. `life`: names the life of a target whose answers are not durable,
    blocking. `crowded`: whether this cursor keeps the journal from taking in more; `let_go`: what is to be done then
    with the position reached, instead of waiting on; it returns the position to go on from.
    """

    def __init__(
        self,
        journal: Journal,
        cursor: str,
        encode: Encode,
        sender: Sender,
        *,
        ready: Callable[[Sequence[Record]], Awaitable[None]] = _at_once,
        life: Callable[[], str] = lambda: "",
        crowded: Callable[[], bool] = lambda: False,
        let_go: Callable[[int], int] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._journal = journal
        self._cursor = cursor
        self._encode = encode
        self._sender = sender
        self._ready = ready
        self._life = life
        self._crowded = crowded
        self._let_go = let_go
        self._monotonic = monotonic
        self._pause = pause
        journal.move(cursor, 0)  # from here on the journal keeps for the target what it has not taken
        start = journal.cursor(cursor)
        self._settling = Settling(start, sender.target.settle_s)
        self._pace = Pace(sender.target.drain_lines_per_s, monotonic=monotonic)
        self._kept_at_s = monotonic() - KEEP_EVERY_S
        self._hidden = False  # whether it was said that the target does not tell when it started
        self.progress = Progress(position=start)

    async def run(self) -> None:
        """Work for ever."""
        if self._settling.delay_s:
            await self._settle()  # before the first line is sent: so that it is known which life it went to
        while True:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._forward_on(), name=f"{self._cursor}: forward")
                    if self._settling.delay_s:
                        group.create_task(self._settle_on(), name=f"{self._cursor}: settle")
            except* _Restarted:
                self.progress.restarts += 1
                self.progress.position = self._settling.settled
                name = self._sender.target.name
                _log.warning("the database restarted: its last lines are sent again", target=name)

    async def reached(self, position: int) -> None:
        """Return once everything through journal record `position` was answered by the target."""
        async with self.progress.moved:
            await self.progress.moved.wait_for(lambda: self.progress.position >= position)

    def lag(self, now_ns: int) -> tuple[int, float]:
        """Journal records not answered yet, and the age of the oldest of them in seconds."""
        waiting = self._journal.read(self.progress.position, limit=1)
        if not waiting:
            return 0, 0.0
        return self._journal.newest - self.progress.position, max(0.0, (now_ns - waiting[0].appended_at_ns) / 1e9)

    # -- forwarding --------------------------------------------------------------------------------------------------

    async def _forward_on(self) -> None:
        while True:
            try:
                await self._follow()
            except Abandoned:
                await self._abandon()

    async def _follow(self) -> None:
        following = follow(self._journal, self.progress.position, limit=PORTION, max_bytes=PORTION_BYTES)
        async for records in following:
            if self._crowded():  # it answers, and takes less than comes in
                raise Abandoned
            await self._ready(records)
            encoded = await asyncio.to_thread(self._encode, records, self._sender.lines_per_body)
            if encoded.unreadable:
                _log.error("journal records skipped", cursor=self._cursor, records=encoded.unreadable)
            self.progress.unreadable += encoded.unreadable
            self._sender.traffic.expired += encoded.lines.expired
            await self._sender.send_all(encoded.lines.bodies, abandon=self._crowded, pace=self._pace)
            await self._advance(records[-1].sequence)
            small = len(records) < PORTION and encoded.lines.count < self._sender.lines_per_body
            await self._pause(GATHER_S if small else 0.0)

    async def _advance(self, position: int) -> None:
        self._settling.answered(position, self._monotonic())
        self.progress.position = position
        behind = position < self._journal.newest
        if not behind or self._monotonic() - self._kept_at_s >= KEEP_EVERY_S:
            await self._keep()
        async with self.progress.moved:
            self.progress.moved.notify_all()

    async def _keep(self) -> None:
        """Move the cursor to what is safe; a disk that is full delays that, and no more."""
        self._kept_at_s = self._monotonic()
        while True:
            try:
                await asyncio.to_thread(self._journal.move, self._cursor, self._settling.settled)
            except RetryableError as error:
                _log.warning("cursor not moved, will be tried again", cursor=self._cursor, error=str(error))
                await self._pause(max(FIRST_RETRY_S, error.retry_after_s or 0.0))
            else:
                return

    async def _abandon(self) -> None:
        if self._let_go is None:
            return
        position = await asyncio.to_thread(self._let_go, self._settling.settled)
        self._settling.skip(position)
        self.progress.position = position
        self.progress.let_go += 1
        _log.error(
            "the journal is crowded: what the database has not taken will come from the embedded store",
            target=self._sender.target.name,
        )

    # -- settling ----------------------------------------------------------------------------------------------------

    async def _settle_on(self) -> None:
        while True:
            await self._pause(LIFE_EVERY_S)
            await self._settle()

    async def _settle(self) -> None:
        """Ask the target which life it is in. While it does not answer nothing is settled, and the sender says so.

        One that hides its life, or would crowd the journal by that, is trusted as if it never restarted.
        """
        try:
            life = await self._sender.ask(self._life)
        except (RetryableError, PermanentError) as error:
            if isinstance(error, RetryableError) and not self._crowded():
                return
            life = self._settling.life or _HIDDEN
            if not self._hidden:
                _log.error("cannot see restarts, so lines may be lost at one", error=str(error))
            self._hidden = True
        if not self._settling.alive(life, self._monotonic()):
            raise _Restarted
        await self._keep()
