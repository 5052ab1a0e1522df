"""A device as an adapter knows it: the `Device1` object, its link, its GATT objects."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final

from dbus_fast import Message, Variant

from simulators.bluez import faults, objects
from simulators.bluez.faults import FAILED
from simulators.bluez.link import Link, LinkEvent, after
from simulators.bluez.objects import DEVICE, GattObject, Interfaces
from simulators.bluez.subscriptions import Subscriptions

if TYPE_CHECKING:
    from simulators.bluez.adapter import Adapter
    from simulators.bluez.radio import Peripheral

LINK_LIMIT: Final = "le-connection-concurrent-connection-limit"
CANCELED: Final = "br-connection-canceled"


class Device:
    """One peripheral behind one adapter. `known`: it has a D-Bus object; `rssi_dbm`: while it is being heard."""

    def __init__(self, adapter: Adapter, peripheral: Peripheral) -> None:
        self._adapter = adapter
        self.bus = adapter.connection
        self.peripheral = peripheral
        self.path = objects.device_path(adapter.name, peripheral.spec.address)
        self.link = Link.IDLE
        self.known = False
        self.paired = False
        self.remembered = False  # connected once: stays known when the scan has ended
        self.rssi_dbm: int | None = None
        self.connected_at_s = 0.0
        self.gatt: dict[str, GattObject] = {}
        self.subscriptions = Subscriptions(adapter.connection)
        self._moves = -1  # the table that `gatt` was made of; -1: none yet
        self._procedure: asyncio.Task[None] | None = None
        self._pending: Message | None = None  # the Connect call that waits for its answer
        self._battery_shown = False
        self._random = random.Random(peripheral.spec.address)

    # ── what the bus sees ──

    def interfaces(self) -> Interfaces:
        """`Device1`, and `Battery1` while connected to a device that has a battery level."""
        properties = objects.device_properties(
            self.peripheral.spec.address,
            self._adapter.name,
            self.peripheral.profile,
            connected=self.link.connected,
            resolved=self.link is Link.READY,
            paired=self.paired,
            rssi_dbm=self.rssi_dbm,
        )
        return {DEVICE: properties} | (self._battery() if self._battery_shown else {})

    def exported(self) -> dict[str, Interfaces]:
        """This object and those below it."""
        heard = self.subscriptions.listening
        return {self.path: self.interfaces()} | {p: o.exported(notifying=heard(p)) for p, o in self.gatt.items()}

    def heard(self, rssi_dbm: int | None) -> None:
        """An advertisement was received."""
        changed = rssi_dbm is not None and rssi_dbm != self.rssi_dbm
        self.rssi_dbm = rssi_dbm
        if not self.known:
            self.announce()
        elif changed:
            self._tell(RSSI=Variant("n", rssi_dbm))

    def announce(self) -> None:
        """Make the object known."""
        self.known = True
        self.bus.added(self.path, self.interfaces())

    def unheard(self) -> None:
        """The scan has ended: BlueZ takes the signal strength away."""
        if self.known and self.rssi_dbm is not None:
            self.bus.changed(self.path, DEVICE, {}, ("RSSI",))
        self.rssi_dbm = None

    def remove(self) -> None:
        """Take the object and those below it from the bus."""
        self.lose()
        self._withdraw_gatt()
        if self.known:
            self.bus.removed(self.path, [DEVICE])
        self.known, self.remembered, self.rssi_dbm = False, False, None

    # ── connecting ──

    def connect(self, call: Message) -> None:
        """`Connect`, and `Pair`, which connects first."""
        if not self._adapter.powered:
            self.bus.fail(call, FAILED, "Input/output error")
        elif self.link is Link.CONNECTING or self.link is Link.CLOSING:
            self.bus.fail(call, FAILED, "Operation already in progress")
        elif self.link.connected:
            self._connected(call)
        else:
            self._remember()
            self.link = after(self.link, LinkEvent.CONNECT)
            self._pending = call
            self._run(self._connect(call))

    async def _connect(self, call: Message) -> None:
        timing, wanted = self._adapter.timing, self.peripheral.faults
        if "Connect" in wanted.hangs:
            await asyncio.Future()
        await asyncio.sleep(timing.connect_s)
        if failure := self.peripheral.budget.take("Connect"):
            await self._refuse(failure.error, failure.message)
        elif not self._adapter.has_slot():
            await self._refuse(FAILED, LINK_LIMIT)
        elif not self.peripheral.reachable(self._adapter.name):
            await asyncio.sleep(timing.unreachable_s)
            await self._refuse(FAILED, faults.ABORTED_LOCALLY)
        else:
            await self._establish(call)

    async def _establish(self, call: Message) -> None:
        """`Connected` comes first; a reply that overtakes it is what bleak calls "failed to discover services"."""
        lead_s = self._adapter.timing.connected_lead_s
        overtaken = self._random.random() < self.peripheral.faults.undiscovered_share
        if overtaken:
            self._answer_connect(call)
            await asyncio.sleep(lead_s)
        self._set_connected()
        if not overtaken:
            await asyncio.sleep(lead_s)
            self._answer_connect(call)
        await self._resolve()

    async def _refuse(self, error: str, message: str) -> None:
        """Fail the pending Connect; an abort by ourselves shows the link for a moment, as BlueZ does."""
        aborted = message == faults.ABORTED_LOCALLY
        if aborted:
            self._tell(Connected=Variant("b", True))
            await asyncio.sleep(self._adapter.timing.connected_lead_s)
        if self._pending is not None:
            self.bus.fail(self._pending, error, message)
        self._pending = None
        self.link = after(self.link, LinkEvent.FAILED)
        if aborted:
            await asyncio.sleep(self._adapter.timing.connected_lead_s)
            self._tell(Connected=Variant("b", False))

    def _set_connected(self) -> None:
        self.link = after(self.link, LinkEvent.ESTABLISHED)
        self.connected_at_s = time.monotonic()
        self.peripheral.connected_to(self)
        self._tell(Connected=Variant("b", True))

    def _answer_connect(self, call: Message) -> None:
        self._pending = None
        self._connected(call)

    def _connected(self, call: Message) -> None:
        if call.member == "Pair" and not self.paired:
            self.paired = True
            self._tell(Paired=Variant("b", True), Bonded=Variant("b", True))
        self.bus.reply(call)

    async def _resolve(self) -> None:
        wanted = self.peripheral.faults
        await asyncio.sleep(self._adapter.timing.discovery_s if wanted.discovery_s is None else wanted.discovery_s)
        if not wanted.resolves:
            return
        self._export_gatt()
        self.link = after(self.link, LinkEvent.RESOLVED)
        self._tell(ServicesResolved=Variant("b", True))
        if battery := self._battery():
            self._battery_shown = True
            self.bus.added(self.path, battery)
        if wanted.stale_gatt:
            await asyncio.sleep(self._adapter.timing.connected_lead_s)
            self.peripheral.moves += 1
            self._export_gatt()

    # ── disconnecting ──

    def disconnect(self, call: Message) -> None:
        """`Disconnect`: cancels a connect at once, closes a link after a while."""
        if self.link is Link.CONNECTING:
            self._cancel_connect()
            self.bus.reply(call)
        elif not self.link.connected:
            self.bus.reply(call)
        elif self.link is not Link.CLOSING:
            self._stop_procedure()
            self.link = after(self.link, LinkEvent.DISCONNECT)
            self._run(self._disconnect(call))

    async def _disconnect(self, call: Message) -> None:
        self._tell(ServicesResolved=Variant("b", False))
        await asyncio.sleep(self._adapter.timing.disconnect_s)
        self.bus.reply(call)
        self._unlink(LinkEvent.CLOSED)
        self._tell(Connected=Variant("b", False))
        self._hide_battery()

    def lose(self) -> None:
        """The link is gone: the wearable went away, the power is off, or the adapter is."""
        if self.link is Link.CONNECTING:
            self._cancel_connect()
        elif self.link.connected:
            self._stop_procedure()
            self._unlink(LinkEvent.LOST)
            self._tell(ServicesResolved=Variant("b", False), Connected=Variant("b", False))
            self._hide_battery()

    def _cancel_connect(self) -> None:
        self._stop_procedure()
        if self._pending is not None:
            self.bus.fail(self._pending, FAILED, CANCELED)
            self._pending = None
        self.link = after(self.link, LinkEvent.LOST)

    def _unlink(self, event: LinkEvent) -> None:
        self.link = after(self.link, event)
        self.subscriptions.unlink()
        self.peripheral.disconnected_from(self)

    # ── GATT objects ──

    def _export_gatt(self) -> None:
        """Announce the table; one that has been rearranged since replaces the old one."""
        if self._moves == self.peripheral.moves:
            return
        self._withdraw_gatt()
        self._moves = self.peripheral.moves
        self.gatt = objects.gatt_objects(self.path, self.peripheral.profile.services, self._moves)
        for path, made in self.gatt.items():
            self.bus.added(path, made.exported())

    def _withdraw_gatt(self) -> None:
        self.subscriptions.clear()
        for path, made in reversed(self.gatt.items()):
            self.bus.removed(path, [made.interface])
        self.gatt, self._moves = {}, -1

    def _battery(self) -> Interfaces:
        level = self.peripheral.battery_pct()
        return {} if level is None else {objects.BATTERY: {"Percentage": Variant("y", level)}}

    def _hide_battery(self) -> None:
        if self._battery_shown:
            self._battery_shown = False
            self.bus.removed(self.path, [objects.BATTERY])

    # ── ──

    def _remember(self) -> None:
        if not self.remembered:
            self.remembered = True
            self._adapter.remember()

    def _tell(self, **values: Variant) -> None:
        if self.known:
            self.bus.changed(self.path, DEVICE, values)

    def _run(self, procedure: Coroutine[Any, Any, None]) -> None:
        self._procedure = self._adapter.spawn(procedure, self.path)

    def _stop_procedure(self) -> None:
        if self._procedure is not None:
            self._procedure.cancel()
            self._procedure = None
