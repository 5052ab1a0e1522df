"""Who watches the heartbeat: a thread with an event loop of its own, so that nothing that holds the server up holds it.

It asks the server for a round, hears how far that came, and when it does not come through in time hands a message to
the second channel itself, past everything that may be broken. Which message is owed when is pure (`alerts.heartbeat`).
It cannot tell of a process that is dead, or frozen as a whole: the metric and the heartbeat's own channel are for that.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

import structlog

from alerts.heartbeat import AwakeClock, Happening, Heartbeat, Pace, Page, Pager, Step
from alerts.notify.message import Message
from alerts.notify.outbox import Channel, Delivered

TICK_S: Final = 1.0  # how late it may be noticed that a round is due, or overdue
STOP_S: Final = 2.0  # how long the end of the server waits for the watch; the thread is a daemon

_log: Final = structlog.get_logger("heartbeat")


class Ward(Protocol):
    """The server, as the watch needs it. Called from the watch's thread; must return at once."""

    def begin(self, number: int) -> None:
        """Let a round begin."""

    def report(self, lost: bool) -> None:
        """Note that alarms may not be getting through, or do again."""

    def words(self, page: Page, stuck_at: Step) -> Message:
        """What the second channel tells."""


class Watch:
    """`lost`: whether it was reported before a restart that alarms may not be getting through."""

    def __init__(
        self,
        ward: Ward,
        pace: Pace,
        second: Channel | None,
        *,
        monotonic: Callable[[], float],
        tick_s: float = TICK_S,
        lost: bool = False,
    ) -> None:
        self._ward = ward
        self._second = second
        self._monotonic = monotonic
        self._tick_s = tick_s
        self._clock = AwakeClock(monotonic())
        self.beat = Heartbeat(pace, self._clock.now_s, lost=lost)
        self._pager = Pager(self._clock.now_s, told=lost)
        self._through_s = monotonic()
        self._sending: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="heartbeat-watch", daemon=True)

    # -- for the server, from any thread -----------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End, at most `STOP_S` later; a round that is under way is forgotten."""
        self._stopping = True
        self._call(self._wake.set)
        self._thread.join(STOP_S)

    def seen(self, number: int, step: Step) -> None:
        """Take note of how far a round came."""
        self._call(lambda: self._heard(number, step))

    @property
    def lost(self) -> bool:
        """Whether alarms may not be getting through, or nobody watches whether they do."""
        return self.beat.lost or not (self._thread.is_alive() or self._stopping)

    @property
    def age_s(self) -> float:
        """Since a round came through; since the start when none has."""
        return self._monotonic() - self._through_s

    @property
    def awake_s(self) -> float:
        """How long this watch has been at work."""
        return self._clock.now_s

    def _call(self, what: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop is closed: the watch has ended
            if self._loop is not None:
                self._loop.call_soon_threadsafe(what)

    # -- in the watch's own thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._watch())
        except Exception:  # noqa: BLE001  nobody asks for this thread's result: say it, and let the metric grow old
            _log.exception("the heartbeat is not watched any more: restart the server, and please report this")

    async def _watch(self) -> None:
        self._loop = asyncio.get_running_loop()
        while not self._stopping:
            self._look()
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._tick_s):
                    await self._wake.wait()

    def _look(self) -> None:
        now_s = self._clock.advance(self._monotonic())
        while (happening := self.beat.let_pass(now_s)) is not None:
            if happening is Happening.BEGUN:
                self._ward.begin(self.beat.round)
            else:
                _log.error("heartbeat lost", came_as_far_as=self.beat.stuck_at.name.lower())
                self._ward.report(True)
        self._page(now_s)

    def _heard(self, number: int, step: Step) -> None:
        now_s = self._clock.advance(self._monotonic())
        was_lost = self.beat.lost
        if self.beat.seen(number, step, now_s):
            self._through_s = self._monotonic()
            if was_lost:
                _log.info("heartbeat is back", took_s=self.beat.took_s)
                self._ward.report(False)
            self._page(now_s)

    def _page(self, now_s: float) -> None:
        """Hand over what is owed; one message at a time, and the watch goes on meanwhile."""
        if self._second is None or (self._sending is not None and not self._sending.done()):
            return
        owed = self._pager.owed(now_s, lost=self.beat.lost)
        if owed is not None:
            self._sending = asyncio.create_task(self._send(self._second, owed), name="heartbeat-page")

    async def _send(self, second: Channel, owed: Page) -> None:
        name = second.subscription.name
        try:
            outcome = await second.send(self._ward.words(owed, self.beat.stuck_at))
        except Exception as error:  # noqa: BLE001  whatever the last way out raises, it is tried again
            outcome = None
            _log.error("second channel failed", channel=name, error=repr(error))
        now_s = self._clock.advance(self._monotonic())
        if isinstance(outcome, Delivered):
            _log.warning("second channel told", channel=name, what=owed.value)
            self._pager.handed_over(owed, now_s)
        else:
            _log.error("second channel does not deliver", channel=name, what=owed.value, outcome=repr(outcome))
            self._pager.failed(owed, now_s)
        self._wake.set()
