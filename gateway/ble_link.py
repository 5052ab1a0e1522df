"""One connection to one wearable, from the first try to the last cleaning up. It is never used twice.

After a drop bleak keeps its D-Bus connection and BlueZ its subscription, so reconnecting the same client doubles every
notification: each link makes its own client and always disconnects it. The driver lives here for as long as the link.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Final, TypeAlias

from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.device import BLEDevice
from bleak_retry_connector import BleakClientWithServiceCache, establish_connection

from gateway.bleak_edge import RadioCallError, bounded, give_up
from gateway.devices.driver import Action, Driver, Heard, Read, Subscribe, Write, begin_again
from gateway.radio_status import RadioSettings
from gateway.session_words import Connected, Dropped, Event, Failed, Notified, Subscribed

ATTEMPTS: Final = 2  # of the connector within one try; the session's back-off paces the rest
MAX_ACTIONS: Final = 64  # that wait to be done; a driver that asks for more runs away
ECHO_NS: Final = 1_000_000_000  # BlueZ tells the answer to a Read also as a notification, a moment before or after

Air: TypeAlias = Callable[[], AbstractAsyncContextManager[None]]


class _Client(BleakClientWithServiceCache):
    """A client that shows itself before it connects, so that it can be disconnected whatever happens."""

    def __init__(self, *arguments: Any, on_made: Callable[[_Client], None], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        on_made(self)


class Link:
    """`connect`, then `prepare`, and in any case `close`; each reports its end to `on_event`.

    `before`: the `state` of the driver at the end of the last link to the same wearable. `on_heard(heard,
    at_monotonic_ns)`: whatever the driver understood. `air`: kept while connecting. The reports come on the event loop
    and never after the one that closes it.
    """

    def __init__(
        self,
        device: BLEDevice,
        driver: Driver,
        *,
        before: Any | None = None,
        acquire_notify: bool,
        settings: RadioSettings,
        air: Air,
        monotonic_ns: Callable[[], int],
        on_event: Callable[[Event], None],
        on_heard: Callable[[Heard, int], None],
    ) -> None:
        self._device = device
        self._driver = driver
        self._acquire_notify = acquire_notify
        self._call_s = settings.call_s
        self._disconnect_s = settings.disconnect_s
        self._connect_s = settings.limits.connect_s
        self._air = air
        self._monotonic_ns = monotonic_ns
        self._on_event = on_event
        self._on_heard = on_heard
        self._client: _Client | None = None
        self._work: asyncio.Task[None] | None = None
        self._closed = False
        self.state, self._first = begin_again(driver, before)
        self._actions: asyncio.Queue[Action] = asyncio.Queue(MAX_ACTIONS)
        self._subscribed: set[str] = set()
        self._absent: set[str] = set()  # optional, and nobody will notify of it
        self._echoing: set[str] = set()  # subscribed and being read
        self._echoes: dict[str, tuple[bytes, int]] = {}  # characteristic → value that comes once more, until when

    def connect(self) -> None:
        """Begin to connect: `Connected` or `Failed` follows, and `Dropped` when it ends by itself."""
        self._work = asyncio.create_task(self._connecting(), name=f"connect {self._device.address}")

    def prepare(self) -> None:
        """Begin with the driver's first actions: `Subscribed` or `Failed` follows."""
        self._work = asyncio.create_task(self._working(), name=f"drive {self._device.address}")

    def tick(self) -> None:
        """Let the driver know that a second passed."""
        at_ns = self._monotonic_ns()
        self._drive(lambda: self._driver.tick(self.state, at_ns), at_ns)

    async def close(self) -> None:
        """Stop everything and disconnect, as well as possible and in bounded time. Reports nothing afterwards.

        What arrives until then is still heard: the wearable does not know that it is about to be left.
        """
        try:
            if self._work is not None and not self._work.done():
                await give_up(self._work)
            if self._client is not None:
                with suppress(RadioCallError):
                    await bounded(self._client.disconnect(), self._disconnect_s, "disconnecting")
        finally:
            self._closed = True

    # -- the wearable's side -----------------------------------------------------------------------------------------

    async def _connecting(self) -> None:
        try:
            async with self._air():
                await bounded(self._establish(), self._connect_s, "connecting")
        except RadioCallError as error:
            self._report(Failed(str(error)))
        else:
            self._report(Connected())

    async def _establish(self) -> None:
        await establish_connection(
            _Client,
            self._device,
            self._device.name or self._device.address,
            disconnected_callback=lambda _client: self._report(Dropped()),
            max_attempts=ATTEMPTS,
            use_services_cache=False,  # a cache can be of another firmware, or of before bluetoothd's restart
            pair=self._driver.needs_pairing,
            on_made=self._adopt,
        )

    def _adopt(self, client: _Client) -> None:
        self._client = client

    async def _working(self) -> None:
        try:
            for action in self._first:
                await self._act(action)
            self._report(Subscribed(frozenset(self._absent)))
            while True:
                await self._act(await self._actions.get())
        except RadioCallError as error:
            self._report(Failed(str(error)))

    async def _act(self, action: Action) -> None:
        """Do what the driver asks for; what is optional may be absent or refused."""
        client = self._client
        found = client.services.get_characteristic(action.uuid) if client is not None and client.is_connected else None
        if client is None or not client.is_connected:
            raise RadioCallError("the link was lost")
        if found is None:
            if action.optional:
                self._note_absent(action)
                return
            raise RadioCallError(f"it has no characteristic {action.uuid}: is it a {self._driver.label}?")
        try:
            await self._do(client, found, action)
        except RadioCallError:
            if not action.optional or not client.is_connected:
                raise
            self._note_absent(action)

    def _note_absent(self, action: Action) -> None:
        if isinstance(action, Subscribe):
            self._absent.add(action.uuid)

    async def _do(self, client: _Client, found: BleakGATTCharacteristic, action: Action) -> None:
        match action:
            case Subscribe(uuid=uuid):
                arguments: Any = {"use_start_notify": not self._acquire_notify}
                start = client.start_notify(found, lambda _, data: self._notified(uuid, bytes(data)), bluez=arguments)
                self._subscribed.add(uuid)
                await bounded(start, self._call_s, f"subscribing to {uuid}")
            case Read(uuid=uuid):
                await self._read(client, found, uuid)
            case Write(uuid=uuid, data=data, response=response):
                write = client.write_gatt_char(found, data, response=response)
                await bounded(write, self._call_s, f"writing {uuid}")

    # -- values ------------------------------------------------------------------------------------------------------

    def _notified(self, uuid: str, data: bytes) -> None:
        if self._is_echo(uuid, data):
            return
        if uuid in self._echoing:
            self._remember(uuid, data)
        self._take(uuid, data)

    async def _read(self, client: _Client, found: BleakGATTCharacteristic, uuid: str) -> None:
        """The answer to a Read of a subscribed characteristic comes twice; the first to arrive counts."""
        if uuid in self._subscribed and not self._acquire_notify:
            self._echoing.add(uuid)
        try:
            data = bytes(await bounded(client.read_gatt_char(found), self._call_s, f"reading {uuid}"))
        finally:
            echoes = uuid in self._echoing
            self._echoing.discard(uuid)
        if not self._is_echo(uuid, data):
            self._take(uuid, data)
            if echoes:
                self._remember(uuid, data)

    def _remember(self, uuid: str, data: bytes) -> None:
        self._echoes[uuid] = (data, self._monotonic_ns() + ECHO_NS)

    def _is_echo(self, uuid: str, data: bytes) -> bool:
        """Whether this value was told a moment ago and comes a second time now; there is no third."""
        told, until_ns = self._echoes.pop(uuid, (b"", 0))
        return told == data and self._monotonic_ns() < until_ns

    def _take(self, uuid: str, data: bytes) -> None:
        at_ns = self._monotonic_ns()
        self._report(Notified(uuid))
        self._drive(lambda: self._driver.feed(self.state, uuid, data, at_ns), at_ns)

    def _drive(self, part: Callable[[], tuple[Any, Heard]], at_ns: int) -> None:
        if self._closed:
            return
        try:
            self.state, heard = part()
            for action in heard.actions:
                self._actions.put_nowait(action)
        except Exception as error:  # noqa: BLE001  a driver's fault ends its link, never the radio
            self._report(Failed(f"the driver {self._driver.name} broke: {error!r}"))
            return
        self._on_heard(heard, at_ns)

    def _report(self, event: Event) -> None:
        if not self._closed:
            self._on_event(event)
