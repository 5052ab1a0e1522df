"""The uplink: brings spools to ingest, for ever, through ingest's endpoint or a broker.

The shell around `uplink_state` (the connection) and `lane` (one for each spool): it dials, sends what the lanes want,
live data of every spool before any backlog, reports what happened, keeps the retained status fresh, and lets the spools
tidy up. Disk reads and flushes run in threads; the event loop never waits for them.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Final

from gateway.config import UplinkConfig
from gateway.lane import LIVE_MESSAGES, Limits, Portion
from gateway.link import Link, LinkLostError
from gateway.spool import Spool
from gateway.track import Track
from gateway.uplink_state import Answered, Dial, Event, Lost, Opened, Phase, State, next_dial, step
from vitals.clock import SYNCHRONISED_UNCERTAINTY_MS
from vitals.control import decode_receipt, encode_status
from vitals.errors import MalformedMessageError
from vitals.model import ClockSource, ClockTrust, GatewayHealth, GatewayStatus, Presence

PORTION_MESSAGES: Final = 64  # read and sent at a time: about 3 ms on the loop, then others have their turn
TIDY_EVERY_S: Final = 10.0  # receipts reach the disk with each append anyway; this is for deleting and for idle hours
_ALL: Final = 1 << 62  # messages: everything is live
FAREWELL_S: Final = 2.0  # to see the OFFLINE status acknowledged; after that the last will speaks


@dataclass(frozen=True, slots=True)
class UplinkStats:
    """Counts of all spools since the process began; `receipted` is a sequence of the first, `spooled` waits now."""

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
    set_aside: int  # messages that ingest could not read, see `Spool.set_aside`
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
        also: Sequence[Spool] = (),
        health: Callable[[], GatewayHealth | None] = lambda: None,
        on_config: Callable[[bytes], None] | None = None,
    ) -> None:
        """`now_ns`: UTC; `monotonic`: seconds, at the pace of the event loop; `clock`: the trust in `now_ns`.

        `also`: further spools, in falling importance. `health`: for the status. `on_config`: gets each settings
        document that the server pushes.
        """
        self._config = config
        self._now_ns = now_ns
        self._monotonic = monotonic
        self._clock = clock
        self._health = health
        self._on_config = on_config
        self._limits = Limits(
            config.receipt_timeout_s,
            config.reconnect_min_s,
            config.reconnect_max_s,
            live_messages=_ALL if config.oldest_first else LIVE_MESSAGES,
            backlog_per_s=config.backlog_per_s,
        )
        self._tracks = [Track(each, self._limits) for each in (spool, *also)]
        self._state = State()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._progress = asyncio.Event()
        self._status_at_s = self._tidy_at_s = 0.0
        self._sent = self._reconnects = self._refused = self._foreign = 0
        self._answered_at_s: float | None = None
        self._last_error = ""

    async def run(self) -> None:
        """Connect, send and reconnect until cancelled; then say OFFLINE and leave within about `FAREWELL_S`.

        Raises `ConfigurationError` or a disk's error; a network's or a server's never end it, see `stats`.
        """
        self._loop = asyncio.get_running_loop()
        try:
            with ExitStack() as stack:
                for track in self._tracks:
                    stack.enter_context(track.spool.listen(self.notify))
                while True:
                    await asyncio.sleep(max(0.0, (next_dial(self._state) or 0.0) - self._monotonic()))
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
        return UplinkStats(
            self._state.phase,
            self._sent,
            self._tracks[0].lane.receipted,
            sum(track.lane.resent for track in self._tracks),
            self._reconnects,
            sum(track.spool.waiting for track in self._tracks),
            sum(track.spool.dropped for track in self._tracks),
            self._foreign,
            sum(track.lane.receipts_ahead for track in self._tracks),
            self._refused,
            sum(track.spool.aside for track in self._tracks),
            self._last_error,
        )

    @property
    def answered_at_s(self) -> float | None:
        """When a receipt last told something new, monotonic seconds; `None` before the first."""
        return self._answered_at_s

    @property
    def connected(self) -> bool:
        """Whether the server is reached."""
        return self._state.phase is Phase.ONLINE

    async def drained(self, timeout: float) -> bool:  # noqa: ASYNC109  a question with a bound, not a cancellation
        """Whether, within `timeout` seconds, everything that is in the spool now was receipted."""
        newest = [track.spool.newest for track in self._tracks]
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not self._holds(newest):
                    self._progress.clear()
                    await self._progress.wait()
        return self._holds(newest)

    def _holds(self, newest: list[int]) -> bool:
        return all(track.lane.receipted >= last for track, last in zip(self._tracks, newest, strict=True))

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
                on_config=self._on_config,
            )
            await link.open()
            self._step(Opened())
            self._reconnects += 1
            for track in self._tracks:
                track.open()
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
            for track in self._tracks:
                track.lose()
            self._step(Lost(random.random()))  # noqa: S311  jitter, not a secret

    async def _serve(self, link: Link) -> None:
        self._status_at_s = self._monotonic()
        while link.lost is None:
            self._wake.clear()
            await self._chores(link)
            due = self._next_portion() if link.room > 0 else None
            if due is not None:
                await self._send(link, *due)
            else:
                await self._wait()
        raise link.lost

    def _next_portion(self) -> tuple[Track, Portion] | None:
        """Live data of every spool, the first one first; then backlog in the same order."""
        now_s = self._monotonic()
        offers = [(track, track.live) for track in self._tracks]
        offers += [(track, partial(track.backlog, now_s)) for track in self._tracks]
        return next(((track, portion) for track, offer in offers if (portion := offer())), None)

    async def _send(self, link: Link, track: Track, portion: Portion) -> None:
        at_most = min(link.room, PORTION_MESSAGES)
        self._sent += await track.send(link, portion, at_most=at_most, now_ns=self._now_ns(), monotonic=self._monotonic)

    async def _chores(self, link: Link) -> None:
        now_s = self._monotonic()
        for track in self._tracks:
            await track.look_after(now_s)
            self._heed(track)
        if now_s >= self._status_at_s:
            self._status_at_s = now_s + self._config.status_every_s
            link.publish("status", self._status(Presence.ONLINE), retain=True)
        if now_s >= self._tidy_at_s:
            self._tidy_at_s = now_s + TIDY_EVERY_S
            for track in self._tracks:
                await track.tidy()

    async def _wait(self) -> None:
        """Until something changes or the next chore is due."""
        now_s = self._monotonic()
        due = [due_s for track in self._tracks if (due_s := track.due_s(now_s)) is not None]
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, min(self._status_at_s, self._tidy_at_s, *due) - now_s)):
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
        track = next((each for each in self._tracks if each.lane.epoch == receipt.epoch), None)
        if track is None:
            self._foreign += 1  # of an older spool, usually retained by the server
            return
        if track.take(receipt, now_s=self._monotonic()):
            self._answered_at_s = self._monotonic()
            self._step(Answered())
            self._progress.set()
        self._heed(track)
        self._wake.set()

    def _heed(self, track: Track) -> None:
        if track.error:
            self._last_error, track.error = track.error, ""

    def _status(self, presence: Presence) -> bytes:
        return encode_status(
            GatewayStatus(
                gateway=self._config.gateway,
                presence=presence,
                at_ns=self._now_ns(),
                version=version("wardlight"),
                spooled=sum(track.spool.waiting for track in self._tracks),
                dropped=sum(track.spool.dropped for track in self._tracks),
                clock=self._clock(),
                health=None if presence is Presence.LOST else self._health(),
            )
        )
