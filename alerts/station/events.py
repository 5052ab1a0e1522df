"""Server-sent events: the ward is rendered once a second and the same bytes go to every browser.

One kind of event carries everything, at a fixed pace, whether or not something changed: it is the data and the
heartbeat at once. A browser that hears nothing for a few seconds shows that its values are not current, so a rendering
that fails, a stuck server and a cut cable all look the same to it, which is what they are. There is no catching up:
a browser that was away needs the ward as it is now.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

PERIOD_S: Final = 1.0  # wearables speak once a second; a person reads no faster
MAX_CLIENTS: Final = 64  # a ward has a handful of screens and phones; each one here costs a socket and a frame
SEND_TIMEOUT_S: Final = 5.0  # the browser has called itself out of date by then; it reconnects to the present
RETRY_MS: Final = 1000  # how soon a browser tries again by itself

_log = structlog.get_logger(__name__)


class TooManyClientsError(Exception):
    """All `MAX_CLIENTS` places are taken."""


class Mailbox:
    """What waits for one browser: at most one frame, the newest. `None` ends the stream."""

    def __init__(self) -> None:
        self._frame: bytes | None = None
        self._ready = asyncio.Event()
        self.was_filled = False
        self.replaced = 0  # frames this browser was too slow to take

    def put(self, frame: bytes | None) -> None:
        """Hand over `frame` in place of one that was not taken yet."""
        self.replaced += self._ready.is_set()
        self._frame = frame
        self.was_filled = True
        self._ready.set()

    async def take(self) -> bytes | None:
        """The newest frame, once there is one."""
        await self._ready.wait()
        self._ready.clear()
        return self._frame


class EventHub:
    """Renders while somebody watches and hands each frame to every mailbox.

    `render` returns the payload of one event as a single line. When it raises, this beat is left out, logged and
    counted in `failures`. One rendering is under way at a time, and takes at most half of the event loop's time.
    """

    def __init__(self, render: Callable[[], Awaitable[bytes]], *, max_clients: int = MAX_CLIENTS) -> None:
        self._render = render
        self._rendering = asyncio.Lock()
        self._max_clients = max_clients
        self._mailboxes: set[Mailbox] = set()
        self._closed = False
        self.frames = 0
        self.failures = 0
        self.dropped = 0  # browsers cut off because they did not read

    @property
    def clients(self) -> int:
        """How many browsers are connected."""
        return len(self._mailboxes)

    @contextmanager
    def joined(self) -> Iterator[Mailbox]:
        """A mailbox for the time of one connection; raises `TooManyClientsError`."""
        if len(self._mailboxes) >= self._max_clients:
            raise TooManyClientsError
        mailbox = Mailbox()
        self._mailboxes.add(mailbox)
        try:
            yield mailbox
        finally:
            self._mailboxes.discard(mailbox)

    async def beat(self) -> None:
        """Render once and deliver to all; does nothing while nobody watches."""
        async with self._rendering:
            if self._mailboxes:
                await self._deliver()

    async def welcome(self, mailbox: Mailbox) -> None:
        """Put the present ward into the mailbox of a new browser; those who come together share one rendering."""
        async with self._rendering:
            if not mailbox.was_filled:
                await self._deliver()

    async def run(self) -> None:
        """Beat every `PERIOD_S`, or more slowly when a rendering takes more than half of that; until closed."""
        while not self._closed:
            started = time.monotonic()
            await self.beat()
            took_s = time.monotonic() - started
            await asyncio.sleep(max(PERIOD_S - took_s, took_s))

    def close(self) -> None:
        """End every stream, now and from here on; browsers say so and try to reconnect."""
        self._closed = True
        for mailbox in self._mailboxes:
            mailbox.put(None)

    async def _deliver(self) -> None:
        frame: bytes | None = None
        if not self._closed:
            try:
                frame = framed(await self._render())
            except Exception:  # noqa: BLE001 - whatever the view raises, browsers must hear silence, not old values
                self.failures += 1
                _log.exception("station_render_failed", failures=self.failures)
                return
            self.frames += 1
        for mailbox in self._mailboxes:
            mailbox.put(None if self._closed else frame)


def framed(payload: bytes) -> bytes:
    """One server-sent event named `ward`; the payload must be a single line."""
    if b"\n" in payload or b"\r" in payload:
        raise ValueError("an event payload is one line")
    return b"event: ward\ndata: " + payload + b"\n\n"


class EventStream:
    """The ASGI response of `GET /events`: frames until the browser leaves, stops reading, or the hub closes."""

    def __init__(self, hub: EventHub) -> None:
        self._hub = hub

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._hub.joined() as mailbox:
                await _open(send)
                await self._hub.welcome(mailbox)
                async with asyncio.TaskGroup() as group:
                    sending = group.create_task(self._forward(mailbox, send), name="station-events")
                    leaving = group.create_task(_departure(receive), name="station-events-departure")
                    sending.add_done_callback(lambda _: leaving.cancel())
                    leaving.add_done_callback(lambda _: sending.cancel())
        except TooManyClientsError:
            await _refuse(send)

    async def _forward(self, mailbox: Mailbox, send: Send) -> None:
        while (frame := await mailbox.take()) is not None:
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await send({"type": "http.response.body", "body": frame, "more_body": True})
            except TimeoutError:
                self._hub.dropped += 1
                _log.warning("station_slow_browser_dropped", frames_skipped=mailbox.replaced)
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _open(send: Send) -> None:
    headers = [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"x-accel-buffering", b"no"),  # a proxy that collects events would make them late
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"retry: %d\n\n" % RETRY_MS, "more_body": True})


async def _refuse(send: Send) -> None:
    text = f"{MAX_CLIENTS} station pages are open already; close one that nobody looks at.\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"retry-after", b"10")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": text, "more_body": False})


async def _departure(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
