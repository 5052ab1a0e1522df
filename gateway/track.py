"""A spool and its lane: what the uplink does with each of its spools. The disk is touched in threads only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from gateway import lane as lanes
from gateway.lane import Lane, Limits, Portion
from gateway.link import Link
from gateway.spool import Spool
from vitals.errors import RetryableError
from vitals.model import Receipt


class Track:
    """See the module's text. `error`: the last thing that an operator should know."""

    def __init__(self, spool: Spool, limits: Limits) -> None:
        self.spool = spool
        self.lane: Lane = lanes.begin(spool.epoch, receipted=spool.receipted, newest=spool.newest, limits=limits)
        self.error = ""
        self._limits = limits

    def open(self) -> None:
        """A connection is there."""
        self.lane = lanes.opened(self.lane, newest=self.spool.newest, limits=self._limits)

    def lose(self) -> None:
        """The connection is gone."""
        self.lane = lanes.lost(self.lane)

    def live(self) -> Portion | None:
        """What is live and may be sent now."""
        return lanes.wants_live(self.lane, newest=self.spool.newest, limits=self._limits)

    def backlog(self, now_s: float) -> Portion | None:
        """What is older and may be sent now."""
        return lanes.wants_backlog(self.lane, oldest=self.spool.oldest, now_s=now_s, limits=self._limits)

    def due_s(self, now_s: float) -> float | None:
        """When there is something to do although nothing happened, monotonic seconds."""
        overdue_s = lanes.deadline(self.lane, limits=self._limits)
        waits = self.lane.backlog_at_s > now_s and lanes.has_backlog(self.lane, oldest=self.spool.oldest)
        return min([s for s in (overdue_s, self.lane.backlog_at_s if waits else None) if s is not None], default=None)

    async def send(
        self, link: Link, portion: Portion, *, at_most: int, now_ns: int, monotonic: Callable[[], float]
    ) -> int:
        """Send a portion, at most so many messages; how many it were."""
        limit = min(portion.messages, at_most)
        records = await asyncio.to_thread(self.spool.read, portion.after, limit=limit, max_bytes=portion.bytes)
        sent = []
        for record in records:  # a receipt may have overtaken, or the bound have cut away what was wanted
            if self.lane.receipted < record.sequence <= portion.after + portion.messages:
                message = self.spool.message(record, now_ns=now_ns)
                link.publish("batch", message)
                sent.append((record.sequence, len(message)))
        self.lane = lanes.sent(self.lane, tuple(sent), now_s=monotonic(), limits=self._limits)
        return len(sent)

    def take(self, receipt: Receipt, *, now_s: float) -> bool:
        """Take a receipt of this spool's epoch; whether ingest holds more than it did."""
        before = self.lane
        self.lane = lanes.receipted(before, receipt.through, receipt.ahead, now_s=now_s, limits=self._limits)
        if self.lane.receipts_ahead > before.receipts_ahead:
            self.error = (
                f"ingest holds {receipt.through:,} messages of this spool, which knows {before.reached:,}: "
                "it is an old copy, or its disk loses writes; a new epoch was begun, replace the card"
            )
        self.spool.receipt(self.lane.receipted)
        return self.lane is not before and not self.lane.stale

    async def look_after(self, now_s: float) -> None:
        """Do what is due: an overdue receipt, a message that cannot be read, an epoch that is spent."""
        due_s = lanes.deadline(self.lane, limits=self._limits)
        if due_s is not None and now_s >= due_s:
            self.error = f"no receipt for {self._limits.receipt_timeout_s:g} s: is ingest running?"
            self.lane = lanes.overdue(self.lane, now_s=now_s, limits=self._limits)
            if (sequence := lanes.unreadable(self.lane)) is not None:
                self.error = f"ingest cannot read message {sequence:,}: it was set aside, see {self.spool.aside_folder}"
                await self._on_disk(partial(self.spool.set_aside, sequence))
        if self.lane.stale and await self._on_disk(self.spool.renew_epoch):
            newest = self.spool.newest
            self.lane = lanes.renewed(self.lane, self.spool.epoch, newest=newest, limits=self._limits)

    async def tidy(self) -> None:
        """Let the spool save and delete."""
        await self._on_disk(self.spool.tidy)

    async def _on_disk(self, work: Callable[[], None]) -> bool:
        """Do `work`; a disk that cannot be written now does not end the uplink: the work comes again."""
        try:
            await asyncio.to_thread(work)
        except RetryableError as error:
            self.error = str(error)
            return False
        return True
