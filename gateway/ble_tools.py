"""For a person at the gateway: what is in the air, and whether a wearable works. Not while the gateway itself runs.

Two processes on one adapter fail each other, so the gateway's own radio has to be stopped before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass

from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from gateway.ble_link import Link
from gateway.ble_scanner import is_advertisement, make_scanner, seen_of
from gateway.bleak_edge import RadioCallError, bounded, discard_bleak_state
from gateway.devices.driver import Driver, Heard, Seen
from gateway.devices.registry import driver_for
from gateway.radio_status import RadioSettings
from gateway.session_words import Dropped, Event, Failed

MAX_SIGHTINGS = 1000  # different devices of one scan: a ward with all its phones has fewer
_CALL_S = 10.0


@dataclass(frozen=True, slots=True)
class Found:
    """A device in the air. `label`: what it is, for people; `""` when no driver knows it."""

    seen: Seen
    label: str


@dataclass(frozen=True, slots=True)
class Probe:
    """What a test connection showed: `heard` in order. `error`: why it ended early, `""` when it did not."""

    seen: Seen | None
    driver: Driver | None
    heard: tuple[Heard, ...] = ()
    error: str = ""


async def scan(seconds: float, adapter: str = "hci0") -> list[Found]:
    """Every device that advertised within `seconds`, strongest first, as seen last; raises `RadioCallError`."""
    found: dict[str, Seen] = {}

    def hear(_device: BLEDevice, seen: Seen) -> None:
        if seen.address in found or len(found) < MAX_SIGHTINGS:
            found[seen.address] = seen

    try:
        async with _scanning(adapter, hear):
            await asyncio.sleep(seconds)
    finally:
        discard_bleak_state()
    strongest = sorted(found.values(), key=lambda seen: seen.rssi_dbm or -128, reverse=True)
    return [Found(seen, driver.label if (driver := driver_for(seen)) is not None else "") for seen in strongest]


async def probe(
    address: str,
    seconds: float,
    *,
    adapter: str = "hci0",
    driver: Driver | None = None,
    on_heard: Callable[[Heard], None] = lambda _heard: None,
    find_s: float = 30.0,
    settings: RadioSettings | None = None,
) -> Probe:
    """Connect to a wearable, let its driver work for `seconds`, disconnect. Raises `RadioCallError` without Bluetooth.

    `driver`: by default the one that knows its advertisement. `on_heard`: as it comes, to show it live.
    """
    try:
        found = await _find(address.upper(), adapter, find_s)
        if found is None:
            return Probe(None, driver, error=f"{address} does not advertise: is it switched on, near, and worn?")
        device, seen = found
        chosen = driver or driver_for(seen)
        if chosen is None:
            return Probe(seen, None, error=f"no driver knows {seen.name or address}: name one")
        heard, error = await _listen(device, chosen, seconds, on_heard, settings or RadioSettings())
        return Probe(seen, chosen, tuple(heard), error)
    finally:
        discard_bleak_state()


async def _find(address: str, adapter: str, within_s: float) -> tuple[BLEDevice, Seen] | None:
    found: asyncio.Future[tuple[BLEDevice, Seen]] = asyncio.get_running_loop().create_future()

    def hear(device: BLEDevice, seen: Seen) -> None:
        if seen.address == address and not found.done():
            found.set_result((device, seen))

    async with _scanning(adapter, hear):
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                return await found
    return None


async def _listen(
    device: BLEDevice, driver: Driver, seconds: float, on_heard: Callable[[Heard], None], settings: RadioSettings
) -> tuple[list[Heard], str]:
    heard: list[Heard] = []
    events: asyncio.Queue[Event] = asyncio.Queue()

    def hear(what: Heard, _at_ns: int) -> None:
        heard.append(what)
        on_heard(what)

    link = Link(
        device,
        driver,
        acquire_notify=False,
        settings=settings,
        air=nullcontext,
        monotonic_ns=time.monotonic_ns,
        on_event=events.put_nowait,
        on_heard=hear,
    )
    try:
        link.connect()
        error = _failure(await events.get())  # it reports within its own bounds
        if not error:
            link.prepare()
            error = await _drive(link, events, seconds, settings.limits.tick_s)
    finally:
        await link.close()
    return heard, error


async def _drive(link: Link, events: asyncio.Queue[Event], seconds: float, tick_s: float) -> str:
    """Let a second pass again and again; why it ended early, or `""`."""
    ends_s = time.monotonic() + seconds
    while (left_s := ends_s - time.monotonic()) > 0:
        await asyncio.sleep(min(tick_s, left_s))
        while not events.empty():
            if error := _failure(events.get_nowait()):
                return error
        link.tick()
    return ""


def _failure(event: Event) -> str:
    if isinstance(event, Dropped):
        return "the link was lost"
    return event.why if isinstance(event, Failed) else ""


@asynccontextmanager
async def _scanning(adapter: str, hear: Callable[[BLEDevice, Seen], None]) -> AsyncIterator[None]:
    def take(device: BLEDevice, advertisement: AdvertisementData) -> None:
        if is_advertisement(advertisement):
            hear(device, seen_of(device, advertisement))

    scanner = make_scanner(adapter, take)
    await bounded(scanner.start(), _CALL_S, f"starting the scan on {adapter}")
    try:
        yield
    finally:
        with suppress(RadioCallError):
            await bounded(scanner.stop(), _CALL_S, f"stopping the scan on {adapter}")
