"""The process that owns `org.bluez`: adapters, peripherals, the bus, and the commands of the control channel.

`bluetoothd` of the simulation: it may be killed and started again while the bus and the ledger stay. Devices that were
connected before are announced again, as the real one does from its storage.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from simulators.bluez import control, wearables
from simulators.bluez.adapter import Adapter
from simulators.bluez.connection import Connection
from simulators.bluez.device import Device
from simulators.bluez.faults import AdapterFaults
from simulators.bluez.ledger import Ledger
from simulators.bluez.objects import GattObject, Interfaces
from simulators.bluez.peripheral import PeripheralSpec
from simulators.bluez.radio import Peripheral, advertise, live_on
from simulators.bluez.service import Service
from simulators.bluez.timing import FAST, Timing


class SimulationSpec(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything a daemon starts with. `adapters`: by name; `folder`: of ledger, storage and control socket.

    `started_at_s`: of the simulation, on the monotonic clock: wearables live on while the daemon is dead.
    """

    address: str
    folder: str
    peripherals: tuple[PeripheralSpec, ...]
    adapters: dict[str, AdapterFaults]
    started_at_s: float
    timing: Timing = FAST

    @property
    def ledger(self) -> Path:
        """Where deliveries are noted."""
        return Path(self.folder) / "ledger.jsonl"

    @property
    def storage(self) -> Path:
        """Where the daemon remembers the devices that were connected."""
        return Path(self.folder) / "storage.json"

    @property
    def control(self) -> Path:
        """The socket for commands."""
        return Path(self.folder) / "control"


class Bluetoothd:
    """`async with Bluetoothd(spec) as daemon: await daemon.gone.wait()`."""

    def __init__(self, spec: SimulationSpec) -> None:
        self.spec = spec
        self.gone = asyncio.Event()  # the bus has gone
        self._ledger = Ledger(spec.ledger)
        self.peripherals = {
            p.address: Peripheral(p, wearables.make(p), self._ledger, second_s=spec.timing.second_s)
            for p in spec.peripherals
        }
        self.adapters: dict[str, Adapter] = {}
        self._group = asyncio.TaskGroup()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Bluetoothd:
        self.connection = Connection(self.spec.address, Service(self).receive, self._client_gone)
        for name, wanted in self.spec.adapters.items():
            self._make_adapter(name).set_faults(wanted)
        self._recall()
        await self._group.__aenter__()
        await self.connection.open()
        for path, interfaces in self.exported().items():
            self.connection.added(path, interfaces)
        self._watch()
        return self

    async def __aexit__(self, *exception: Any) -> None:
        self.close()
        await self._group.__aexit__(None, None, None)
        self._ledger.close()

    def close(self) -> None:
        """Stop everything without a word to anybody, as a kill would."""
        for adapter in self.adapters.values():
            adapter.close()
        for peripheral in self.peripherals.values():
            peripheral.close()
        for task in self._tasks:
            task.cancel()
        self.connection.close()

    # ── objects ──

    def exported(self) -> dict[str, Interfaces]:
        """Every object with its interfaces and properties."""
        found: dict[str, Interfaces] = {}
        for adapter in self.adapters.values():
            found |= adapter.exported()
        return found

    def find(self, path: str) -> tuple[Adapter, Device | None, GattObject | None] | None:
        """The adapter, device and GATT object that a path leads to; `None` when there is no such object."""
        for adapter in self.adapters.values():
            if path == adapter.path:
                return adapter, None, None
            for device in adapter.devices.values():
                if device.known and path == device.path:
                    return adapter, device, None
                if path in device.gatt:
                    return adapter, device, device.gatt[path]
        return None

    @staticmethod
    def die() -> None:
        """End this process as `kill -9` does."""
        os.kill(os.getpid(), signal.SIGKILL)

    def status(self) -> control.Status:
        """How everything is."""
        adapters = [control.AdapterStatus(a.name, a.powered, a.discovering, a.links) for a in self.adapters.values()]
        return control.Status(tuple(adapters), tuple(p.status() for p in self.peripherals.values()))

    # ── adapters ──

    def add_adapter(self, name: str) -> None:
        """Plug an adapter in."""
        self._make_adapter(name).announce()

    def remove_adapter(self, name: str) -> None:
        """Pull an adapter out."""
        self.adapters.pop(name).remove()

    def _make_adapter(self, name: str) -> Adapter:
        in_range = [p for p in self.peripherals.values() if p.heard_by(name)]
        made = Adapter(
            name, self.connection, in_range, timing=self.spec.timing, spawn=self.spawn, remember=self.remember
        )
        self.adapters[name] = made
        return made

    # ── life ──

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run a procedure beside the others."""
        task = self._group.create_task(work, name=name)
        self._tasks = [t for t in self._tasks if not t.done()] + [task]
        return task

    def _watch(self) -> None:
        spec = self.spec
        self.spawn(self._until_bus_is_gone(), "bus")
        for peripheral in self.peripherals.values():
            address = peripheral.spec.address
            living = live_on(peripheral, started_at_s=spec.started_at_s, second_s=spec.timing.second_s)
            self.spawn(living, f"{address} lives")
            self.spawn(
                advertise(peripheral, self._hear, every_s=spec.timing.advertise_every_s), f"{address} advertises"
            )

    async def _until_bus_is_gone(self) -> None:
        try:
            await self.connection.wait_until_gone()
        except (OSError, EOFError):
            pass  # the bus was killed: a bluetoothd without a bus ends
        finally:
            self.gone.set()

    def _hear(self, peripheral: Peripheral, rssi_dbm: int | None) -> None:
        for adapter in self.adapters.values():
            adapter.hear(peripheral, rssi_dbm)

    def _client_gone(self, sender: str) -> None:
        for adapter in self.adapters.values():
            adapter.forget_client(sender)
            for device in adapter.devices.values():
                device.subscriptions.forget_client(sender)

    # ── storage ──

    def remember(self) -> None:
        """Write down which devices were connected once."""
        known = {
            adapter.name: [address for address, device in adapter.devices.items() if device.remembered]
            for adapter in self.adapters.values()
        }
        self.spec.storage.write_bytes(msgspec.json.encode(known))

    def _recall(self) -> None:
        if not self.spec.storage.exists():
            return
        stored = msgspec.json.decode(self.spec.storage.read_bytes(), type=dict[str, list[str]])
        for name, addresses in stored.items():
            for address in addresses:
                if name in self.adapters and address in self.adapters[name].devices:
                    device = self.adapters[name].devices[address]
                    device.known = device.remembered = True
