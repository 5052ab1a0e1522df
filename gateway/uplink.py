"""The uplink: brings the spool to ingest, for ever, through ingest's endpoint or a broker.

The shell around `uplink_state`: it dials, sends what the machine wants, reports what happened, keeps the retained
status fresh, and lets the spool tidy up. Disk reads and flushes run in threads; the event loop never waits for them.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from gateway.config import UplinkConfig
from gateway.link import Link, LinkLostError
from gateway.spool import Spool
from gateway.uplink_state import (
    Dial,
    Event,
    Limits,
    Lost,
    Opened,
    Overdue,
    Phase,
    Portion,
    Receipted,
    Renewed,
    Sent,
    begin,
    next_deadline,
    step,
    wants,
)
from vitals.clock import SYNCHRONISED_UNCERTAINTY_MS
from vitals.control import decode_receipt, encode_status
from vitals.errors import MalformedMessageError
from vitals.model import ClockSource, ClockTrust, GatewayStatus, Presence

PORTION_MESSAGES: Final = 64  # read and sent at a time: about 3 ms on the loop, then others have their turn
TIDY_EVERY_S: Final = 10.0  # receipts reach the disk with each append anyway; this is for deleting and for idle hours
FAREWELL_S: Final = 2.0  # to see the OFFLINE status acknowledged; after that the last will speaks


@dataclass(frozen=True, slots=True)
class UplinkStats:
    """Counts since the process began, except `receipted` (a sequence) and `spooled` (waiting now)."""

    phase: Phase
    sent: int
    receipted: int
    resent: int
    reconnects: int
    spooled: int
    dropped: int
    foreign_receipts: int
    receipts_ahead: int
    refused: int  # by the server, with an error code: see its rights and limits
    last_error: str


class Uplink:
    """Sends a spool's messages until each is receipted. `run` it in a task; appends to the spool wake it."""

    def __init__(
        self,
        config: UplinkConfig,
        spool: Spool,
        *,
        now_ns: Callable[[], int],
        monotonic: Callable[[], float],
        clock: Callable[[], ClockTrust] = lambda: ClockTrust(ClockSource.SYNCHRONISED, SYNCHRONISED_UNCERTAINTY_MS),
    ) -> None:
        """`now_ns`: UTC; `monotonic`: seconds, at the pace of the event loop; `clock`: the trust in `now_ns`."""
        self._config = config
        self._spool = spool
        self._now_ns = now_ns
        self._monotonic = monotonic
        self._clock = clock
        self._limits = Limits(config.receipt_timeout_s, config.reconnect_min_s, config.reconnect_max_s)
        self._state = begin(spool.epoch, receipted=spool.receipted, newest=spool.newest, limits=self._limits)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._progress = asyncio.Event()
        self._status_at_s = self._tidy_at_s = 0.0
        self._sent = self._reconnects = self._refused = 0
        self._last_error = ""

    async def run(self) -> None:
        """Connect, send and reconnect until cancelled; then say OFFLINE and leave within about `FAREWELL_S`.

        Raises `ConfigurationError` or a disk's error; a network's or a server's never end it, see `stats`.
        """
        self._loop = asyncio.get_running_loop()
        try:
            with self._spool.listen(self.notify):
                while True:
                    due_s = next_deadline(self._state, limits=self._limits) or 0.0
                    await asyncio.sleep(max(0.0, due_s - self._monotonic()))
                    await self._connection()
        finally:
            self._loop = None

    def notify(self) -> None:
        """Something was appended. Called by the spool, from any thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop closed a moment ago; the message is safe in the spool
                self._loop.call_soon_threadsafe(self._wake.set)

    @property
    def stats(self) -> UplinkStats:
        """What happened so far, for logs and status pages."""
        state = self._state
        return UplinkStats(
            state.phase,
            self._sent,
            state.receipted,
            state.resent,
            self._reconnects,
            self._spool.waiting,
            self._spool.dropped,
            state.foreign_receipts,
            state.receipts_ahead,
            self._refused,
            self._last_error,
        )

    async def drained(self, timeout: float) -> bool:  # noqa: ASYNC109  a question with a bound, not a cancellation
        """Whether, within `timeout` seconds, everything that is in the spool now was receipted."""
        newest = self._spool.newest
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._state.receipted < newest:
                    self._progress.clear()
                    await self._progress.wait()
        return self._state.receipted >= newest

    # -- one connection ----------------------------------------------------------------------------------------------

    async def _connection(self) -> None:
        self._step(Dial())
        link = None
        try:
            link = Link(
                self._config,
                will=self._status(Presence.LOST),
                on_receipt=self._take_receipt,
                on_change=self._wake.set,
            )
            await link.open()
            self._step(Opened())
            self._reconnects += 1
            await self._serve(link)
        except (LinkLostError, OSError) as error:
            self._last_error = str(error)
        except asyncio.CancelledError:
            if link is not None and self._state.phase is Phase.ONLINE:
                await self._farewell(link)
            raise
        finally:
            if link is not None:
                link.close()
                self._refused += link.refused
            self._step(Lost(random.random()))  # noqa: S311  jitter, not a secret

    async def _serve(self, link: Link) -> None:
        self._status_at_s = self._monotonic()
        while link.lost is None:
            self._wake.clear()
            await self._chores(link)
            portion = wants(self._state, newest=self._spool.newest, limits=self._limits)
            if portion is not None and link.room > 0:
                await self._send(link, portion)
            else:
                await self._wait()
        raise link.lost

    async def _send(self, link: Link, portion: Portion) -> None:
        limit = min(portion.messages, link.room, PORTION_MESSAGES)
        records = await asyncio.to_thread(self._spool.read, portion.after, limit=limit, max_bytes=portion.bytes)
        fresh = [record for record in records if record.sequence > self._state.sent]  # a receipt may have overtaken
        now_ns = self._now_ns()
        sent = []
        for record in fresh:
            message = self._spool.message(record, now_ns=now_ns)
            link.publish("batch", message)
            sent.append((record.sequence, len(message)))
        self._sent += len(sent)
        self._step(Sent(tuple(sent)))

    async def _chores(self, link: Link) -> None:
        now_s = self._monotonic()
        deadline_s = next_deadline(self._state, limits=self._limits)
        if deadline_s is not None and now_s >= deadline_s:
            self._last_error = f"no receipt for {self._config.receipt_timeout_s:g} s: is ingest running?"
            self._step(Overdue())
        if self._state.stale:
            await asyncio.to_thread(self._spool.renew_epoch)
            self._step(Renewed(self._spool.epoch))
        if now_s >= self._status_at_s:
            self._status_at_s = now_s + self._config.status_every_s
            link.publish("status", self._status(Presence.ONLINE), retain=True)
        if now_s >= self._tidy_at_s:
            self._tidy_at_s = now_s + TIDY_EVERY_S
            await asyncio.to_thread(self._spool.tidy)

    async def _wait(self) -> None:
        """Until something changes or the next chore is due."""
        overdue_s = next_deadline(self._state, limits=self._limits)
        due_s = min(self._status_at_s, self._tidy_at_s, self._status_at_s if overdue_s is None else overdue_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, due_s - self._monotonic())):
                await self._wake.wait()

    async def _farewell(self, link: Link) -> None:
        link.publish("status", self._status(Presence.OFFLINE), retain=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                while link.lost is None and not link.answered:
                    self._wake.clear()
                    await self._wake.wait()

    # -- small parts -------------------------------------------------------------------------------------------------

    def _step(self, event: Event) -> None:
        self._state = step(self._state, event, now_s=self._monotonic(), limits=self._limits)

    def _take_receipt(self, payload: bytes) -> None:
        try:
            receipt = decode_receipt(payload)
        except MalformedMessageError as error:
            self._last_error = f"unreadable receipt: {error}"
            return
        before = self._state
        self._step(Receipted(receipt.epoch, receipt.through))
        if self._state.receipts_ahead > before.receipts_ahead:
            self._last_error = (
                f"ingest holds {receipt.through:,} messages of this spool, which knows {before.reached:,}: "
                "it is an old copy, or its disk loses writes; a new epoch was begun, replace the card"
            )
            self._wake.set()
        if self._state.receipted > before.receipted:
            self._spool.receipt(self._state.receipted)
            self._progress.set()
            self._wake.set()

    def _status(self, presence: Presence) -> bytes:
        return encode_status(
            GatewayStatus(
                gateway=self._config.gateway,
                presence=presence,
                at_ns=self._now_ns(),
                version=version("wardlight"),
                spooled=self._spool.waiting,
                dropped=self._spool.dropped,
                clock=self._clock(),
            )
        )
