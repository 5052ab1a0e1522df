"""From what was heard to what is on disk, with a time: the shell around `collect`, `timekeeper`, `held` and `spools`.

Once a second, or 50 ms after something urgent, what was heard is stored in a thread. While nobody knows the time it is
held; when the server could have it and the time stays unknown, it goes with a time that is said to be unset.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.collect import TAKE_APART_S, TAKE_EVERY_S, Collector, HeardDevice
from gateway.devices.driver import Heard
from gateway.held import Held
from gateway.spools import Spools
from gateway.timekeeper import (
    Anchor,
    ClockReading,
    Timekeeper,
    Timing,
    anchor,
    begin,
    look,
    may_age,
    of_earlier_boot,
    timed,
    timing,
    unsynchronised,
)
from vitals.clock import Moment
from vitals.errors import JournalFullError
from vitals.model import ClockSource, ClockTrust, DeviceBatch

REMEMBER_EVERY_NS: Final = 60_000_000_000  # the anchor: one small disk flush a minute
AGE_EVERY_NS: Final = 600_000_000_000


class Recorder:
    """See the module's text. `hear` at any time from the event loop; `run` it in a task.

    `read_clocks`: the time. `boot`: names this boot. `hold_s`: how long readings wait for the time while
    `server_is_there()`; longer while it is not, because that costs nobody anything.
    """

    def __init__(
        self,
        spools: Spools,
        held: Held,
        *,
        boot: str,
        read_clocks: Callable[[], ClockReading],
        hold_s: float,
        server_is_there: Callable[[], bool],
    ) -> None:
        self.collector = Collector()
        self.stored_at_ns = read_clocks().monotonic_ns  # the last time that all of it was on disk
        self._spools = spools
        self._held = held
        self._boot = boot
        self._read_clocks = read_clocks
        self._hold_ns = int(hold_s * 1e9)
        self._server_is_there = server_is_there
        self._last_anchor: Anchor | None = held.anchor()
        self._timekeeper: Timekeeper = begin(boot, self._last_anchor)
        self._moment: Moment = self._look(read_clocks())
        self._looked_at_ns: int | None = None  # when the server was there and nobody knew the time
        self._waited_ns = 0
        self._remembered_at_ns = self._aged_at_ns = -AGE_EVERY_NS
        self._urgent = asyncio.Event()
        self._storing: asyncio.Future[None] | None = None

    def hear(self, device: str, heard: Heard, rssi_dbm: int | None = None) -> None:
        """A wearable said something."""
        if self.collector.hear(device, heard, rssi_dbm=rssi_dbm):
            self._urgent.set()

    @property
    def clock(self) -> ClockTrust:
        """How far the time can be trusted now."""
        return self._moment.trust

    @property
    def steps(self) -> int:
        """How often the wall clock was stepped while it claimed to be synchronised."""
        return self._timekeeper.steps

    def now_ns(self) -> int:
        """UTC as well as it is known: what messages are stamped with when they are sent."""
        reading = self._read_clocks()
        by = timing(self._timekeeper, self._moment)
        return reading.wall_ns if by is None else reading.monotonic_ns + by.offset_ns

    async def run(self) -> None:
        """Store what is heard until cancelled; then what is left, once more."""
        loop = asyncio.get_running_loop()
        try:
            whole_at_s = loop.time() + TAKE_EVERY_S
            while True:
                is_whole = not await self._something_urgent(whole_at_s - loop.time())
                began_s = loop.time()
                await self.store(whole_second=is_whole)
                if is_whole:
                    whole_at_s = max(whole_at_s + TAKE_EVERY_S, loop.time() + TAKE_APART_S)
                else:
                    await asyncio.sleep(began_s + TAKE_APART_S - loop.time())  # a slow flush is pause enough
        finally:
            if self._storing is not None:
                await asyncio.wait([self._storing])
            await self.store()

    async def _something_urgent(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(max(0.0, timeout_s)):
                await self._urgent.wait()
        except TimeoutError:
            return False
        self._urgent.clear()
        return True

    async def store(self, *, whole_second: bool = True) -> None:
        """Make durable what was heard until now."""
        devices = self.collector.take(whole_second=whole_second)
        self._storing = asyncio.ensure_future(asyncio.to_thread(self._store, devices, whole_second=whole_second))
        await asyncio.shield(self._storing)  # who is cancelled here must not take what was heard along

    def _store(self, devices: tuple[HeardDevice, ...], *, whole_second: bool) -> None:
        reading = self._read_clocks()
        self._moment = self._look(reading)
        by = timing(self._timekeeper, self._moment)
        if by is None and self._waited_enough(reading):
            by = unsynchronised(reading)
        if by is None:
            self._hold(devices, reading)
        else:
            self._spool(timed(devices, by), by)
            if whole_second:
                self._release(by)
        if whole_second:
            self._keep_house(reading)
        self.stored_at_ns = reading.monotonic_ns

    def _look(self, reading: ClockReading) -> Moment:
        self._timekeeper, moment = look(self._timekeeper, reading)
        return moment

    def _waited_enough(self, reading: ClockReading) -> bool:
        """Whether the server was there for `hold_s` in all while nobody knew the time, and is there now.

        A link that comes and goes only pauses the wait: it must not keep readings back for ever.
        """
        there, before_ns = self._server_is_there(), self._looked_at_ns
        self._looked_at_ns = reading.monotonic_ns if there else None
        if there and before_ns is not None:
            self._waited_ns += reading.monotonic_ns - before_ns
        return there and self._waited_ns >= self._hold_ns

    def _hold(self, devices: tuple[HeardDevice, ...], reading: ClockReading) -> None:
        if not devices:
            return
        try:
            self._held.append(devices, boot=self._boot, heard_at_ns=reading.monotonic_ns)
        except JournalFullError:  # no room to wait in: better now, with a time that is said to be unset
            by = unsynchronised(reading)
            self._spool(timed(devices, by), by)

    def _spool(self, devices: tuple[DeviceBatch, ...], by: Timing) -> None:
        ages = by.trust.source is not ClockSource.UNSYNCHRONISED
        self._spools.append(devices, clock=by.trust, now_ns=max(0, self.now_ns()), ages=ages)

    def _release(self, by: Timing) -> None:
        """A part of what was held, once a second: what comes now is not kept waiting for it."""
        if not self._held.waiting:
            return

        def time_of(boot: str, last: Callable[[], int]) -> Timing:
            if boot == self._boot:
                return by
            known = self._last_anchor  # of a boot before that one, or none
            bounded = known is not None and by.trust.source is not ClockSource.UNSYNCHRONISED
            earliest_ns = known.utc_ns if known is not None and bounded else None
            return of_earlier_boot(last(), boot_began_ns=by.offset_ns, earliest_ns=earliest_ns)

        try:
            self._held.release(time_of, self._spool)
        except JournalFullError as error:
            self._spools.fault = str(error)

    def _keep_house(self, reading: ClockReading) -> None:
        """Remember the time; let go of what is too old, when the time is beyond doubt."""
        now_ns = reading.monotonic_ns
        known = anchor(self._timekeeper)
        try:
            if known is not None and not self._held.waiting and now_ns - self._remembered_at_ns >= REMEMBER_EVERY_NS:
                self._remembered_at_ns = now_ns
                self._held.remember(known)
        except JournalFullError as error:
            self._spools.fault = str(error)
        if may_age(self._timekeeper, now_ns) and now_ns - self._aged_at_ns >= AGE_EVERY_NS:
            self._aged_at_ns = now_ns
            self._spools.drop_older(now_ns=self._moment.utc_ns)
