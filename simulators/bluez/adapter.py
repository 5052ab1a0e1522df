"""An adapter: power, discovery, the devices it knows, the connections it has room for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeAlias

from dbus_fast import Message, Variant

from simulators.bluez import faults, objects
from simulators.bluez.connection import Connection
from simulators.bluez.device import Device
from simulators.bluez.faults import AdapterFaults, FaultBudget, healed
from simulators.bluez.objects import ADAPTER, Interfaces
from simulators.bluez.radio import Peripheral
from simulators.bluez.timing import Timing

Spawn: TypeAlias = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]


class Adapter:
    """`hciN` with one device object per peripheral in reach. `powered`: as its property."""

    def __init__(
        self,
        name: str,
        connection: Connection,
        peripherals: Iterable[Peripheral],
        *,
        timing: Timing,
        spawn: Spawn,
        remember: Callable[[], None],
    ) -> None:
        self.name = name
        self.path = objects.adapter_path(name)
        self.address = f"00:1A:7D:DA:71:{int(name[3:]):02X}"
        self.connection = connection
        self.timing = timing
        self.spawn = spawn
        self.remember = remember
        self.powered = True
        self.devices = {p.spec.address: Device(self, p) for p in peripherals}
        self.faults = AdapterFaults()
        self.budget = FaultBudget(())
        self._scanners: dict[str, bool] = {}  # client → whether it wants duplicates
        self._forgetting: asyncio.TimerHandle | None = None

    def set_faults(self, wanted: AdapterFaults) -> None:
        """Behave like this from now on."""
        self.faults, self.budget = wanted, FaultBudget(wanted.failures)

    @property
    def discovering(self) -> bool:
        """Whether any client scans."""
        return bool(self._scanners)

    @property
    def links(self) -> int:
        """Connections that stand."""
        return sum(device.link.connected for device in self.devices.values())

    def has_slot(self) -> bool:
        """Whether the controller takes one more connection."""
        slots = self.faults.connection_slots
        return slots is None or self.links < slots

    def interfaces(self) -> Interfaces:
        """`Adapter1`."""
        name = f"wardlight-sim-{self.name}"
        own = objects.adapter_properties(self.address, name, powered=self.powered, discovering=self.discovering)
        return {ADAPTER: own}

    def exported(self) -> dict[str, Interfaces]:
        """This object and those below it."""
        found = {self.path: self.interfaces()}
        for device in self.devices.values():
            if device.known:
                found |= device.exported()
        return found

    # ── discovery ──

    def start_discovery(self, call: Message) -> None:
        """`StartDiscovery`."""
        sender = str(call.sender)
        if not self.powered:
            self.connection.fail(call, faults.NOT_READY, "Resource Not Ready")
        elif sender in self._scanners:
            self.connection.fail(call, faults.IN_PROGRESS, "Operation already in progress")
        else:
            self.faults = self.faults if self._scanners else healed(self.faults, "scan_restart")
            self._scanners[sender] = False
            self._stop_forgetting()
            self.connection.reply(call)
            if len(self._scanners) == 1:
                self._tell(Discovering=Variant("b", True))

    def stop_discovery(self, call: Message) -> None:
        """`StopDiscovery`."""
        if not self.powered:
            self.connection.fail(call, faults.NOT_READY, "Resource Not Ready")
        elif call.sender not in self._scanners:
            self.connection.fail(call, faults.FAILED, "No discovery started")
        else:
            self.connection.reply(call)
            self.forget_client(str(call.sender))

    def forget_client(self, sender: str) -> None:
        """A client has stopped scanning or left the bus."""
        if self._scanners.pop(sender, None) is not None and not self._scanners:
            self._scan_ended()

    def hear(self, peripheral: Peripheral, rssi_dbm: int | None) -> None:
        """An advertisement is in the air."""
        device = self.devices.get(peripheral.spec.address)
        if device is not None and self.powered and self.discovering and self.faults.scanner == "works":
            device.heard(rssi_dbm)

    def _scan_ended(self) -> None:
        self._tell(Discovering=Variant("b", False))
        for device in self.devices.values():
            device.unheard()
        loop = asyncio.get_running_loop()
        self._forgetting = loop.call_later(self.timing.forget_after_s, self._forget_temporary)

    def _forget_temporary(self) -> None:
        """Devices that were heard and never connected do not stay."""
        for device in self.devices.values():
            if device.known and not device.remembered:
                device.remove()

    def _stop_forgetting(self) -> None:
        if self._forgetting is not None:
            self._forgetting.cancel()
            self._forgetting = None

    # ── power and presence ──

    def set_power(self, *, on: bool) -> None:
        """Off: every link is lost and every scan is over, without a word to the scanners."""
        if on is self.powered:
            return
        self.powered = on
        if on:
            self.faults = healed(self.faults, "power_cycle")
            self._tell(Powered=Variant("b", True))
            return
        for device in self.devices.values():
            device.lose()
        if self._scanners:
            self._scanners.clear()
            self._scan_ended()
        self._tell(Powered=Variant("b", False))

    def announce(self) -> None:
        """The adapter is plugged in."""
        self.connection.added(self.path, self.interfaces())

    def remove(self) -> None:
        """The adapter is pulled out."""
        self._stop_forgetting()
        self._scanners.clear()
        for device in self.devices.values():
            device.remove()
        self.connection.removed(self.path, [ADAPTER])

    def close(self) -> None:
        """The process ends, and its sockets with it."""
        self._stop_forgetting()
        for device in self.devices.values():
            device.subscriptions.unlink()

    def _tell(self, **values: Variant) -> None:
        self.connection.changed(self.path, ADAPTER, values)
