"""The event stream: framing, one rendering for all, and what becomes of browsers that are slow, many or gone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from alerts.station import events
from alerts.station.events import EventHub, EventStream, Mailbox, TooManyClientsError, framed


class Rendering:
    """Counts how often it is asked, and can fail."""

    def __init__(self) -> None:
        self.count = 0
        self.fails = False

    async def __call__(self) -> bytes:
        self.count += 1
        if self.fails:
            raise RuntimeError("no view")
        return b'{"n":%d}' % self.count


class Browser:
    """The other end of an ASGI connection: collects what it is sent, may stop reading, may leave."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.reading = asyncio.Event()
        self.reading.set()
        self.left = asyncio.Event()
        self.changed = asyncio.Condition()

    async def receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        await self.reading.wait()
        async with self.changed:
            self.messages.append(message)
            self.changed.notify_all()

    async def has(self, count: int) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.messages) >= count)

    @property
    def bodies(self) -> list[bytes]:
        return [m["body"] for m in self.messages if m["type"] == "http.response.body"]


def connect(hub: EventHub, browser: Browser) -> asyncio.Task[None]:
    return asyncio.create_task(EventStream(hub)({"type": "http"}, browser.receive, browser.send))


def test_an_event_is_framed_as_the_html_standard_says() -> None:
    assert framed(b'{"a":1}') == b'event: ward\ndata: {"a":1}\n\n'


@pytest.mark.parametrize("payload", [b"a\nb", b"a\rb"])
def test_a_payload_of_several_lines_would_break_the_framing(payload: bytes) -> None:
    with pytest.raises(ValueError, match="one line"):
        framed(payload)


async def test_a_browser_gets_the_ward_at_once_and_then_every_beat() -> None:
    hub, browser = EventHub(Rendering()), Browser()
    task = connect(hub, browser)
    await browser.has(3)
    await hub.beat()
    await browser.has(4)
    assert dict(browser.messages[0]["headers"])[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert browser.bodies == [b"retry: 1000\n\n", framed(b'{"n":1}'), framed(b'{"n":2}')]
    browser.left.set()
    await task
    assert hub.clients == 0


async def test_one_rendering_serves_all_browsers_and_none_happens_for_nobody() -> None:
    rendering = Rendering()
    hub = EventHub(rendering)
    await hub.beat()
    assert rendering.count == 0
    with hub.joined() as one, hub.joined() as other:
        rendering.count = 0
        await hub.beat()
        assert rendering.count == 1
        assert await one.take() is await other.take()


async def test_browsers_that_come_together_share_one_rendering() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    rendering = Rendering()

    async def slow() -> bytes:
        begun.set()
        await go_on.wait()
        return await rendering()

    hub, browsers = EventHub(slow), [Browser(), Browser()]
    tasks = [connect(hub, browser) for browser in browsers]
    await begun.wait()
    for browser in browsers:
        await browser.has(2)  # both wait for the ward
    go_on.set()
    for browser in browsers:
        await browser.has(3)
    assert rendering.count == 1
    hub.close()
    await asyncio.gather(*tasks)


async def test_a_hub_that_closes_during_a_rendering_ends_its_streams() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> bytes:
        begun.set()
        await go_on.wait()
        return b"{}"

    hub, browser = EventHub(slow), Browser()
    task = connect(hub, browser)
    await begun.wait()
    hub.close()
    go_on.set()
    await task
    assert browser.bodies == [b"retry: 1000\n\n", b""]


async def test_a_slow_browser_gets_the_newest_frame_and_no_backlog() -> None:
    mailbox = Mailbox()
    for frame in (b"1", b"2", b"3"):
        mailbox.put(frame)
    assert await mailbox.take() == b"3"
    assert mailbox.replaced == 2
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(mailbox.take(), 0)


async def test_a_browser_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "SEND_TIMEOUT_S", 0.0)
    hub, browser = EventHub(Rendering()), Browser()
    task = connect(hub, browser)
    await browser.has(3)
    browser.reading.clear()
    await hub.beat()
    await task
    assert (hub.dropped, hub.clients) == (1, 0)


async def test_places_are_bounded_and_the_refusal_says_what_to_do() -> None:
    hub, browser = EventHub(Rendering(), max_clients=1), Browser()
    with hub.joined():
        with pytest.raises(TooManyClientsError), hub.joined():
            pass
        await connect(hub, browser)
    assert browser.messages[0]["status"] == 503
    assert b"close one" in browser.bodies[0]
    with hub.joined():
        assert hub.clients == 1


async def test_a_view_that_fails_is_silence_and_not_old_values() -> None:
    rendering = Rendering()
    hub, browser = EventHub(rendering), Browser()
    task = connect(hub, browser)
    await browser.has(3)
    rendering.fails = True
    await hub.beat()
    rendering.fails = False
    await hub.beat()
    await browser.has(4)
    assert browser.bodies[1:] == [framed(b'{"n":1}'), framed(b'{"n":3}')]
    assert hub.failures == 1
    hub.close()
    await task


async def test_closing_ends_every_stream_in_an_orderly_manner() -> None:
    hub, browser = EventHub(Rendering()), Browser()
    task = connect(hub, browser)
    await browser.has(3)
    hub.close()
    await task
    assert browser.messages[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    await asyncio.wait_for(hub.run(), 1)  # a closed hub does not beat
    late = Browser()
    await connect(hub, late)
    assert len(late.bodies) == 2  # the retry hint and the end


async def test_a_browser_that_leaves_frees_its_place_at_once() -> None:
    hub, browser = EventHub(Rendering()), Browser()
    task = connect(hub, browser)
    await browser.has(3)
    assert hub.clients == 1
    browser.left.set()
    await task
    assert hub.clients == 0
