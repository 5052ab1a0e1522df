"""What tests of Bluetooth clients share: a simulated BlueZ that bleak of this test's event loop talks to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from bleak import BleakClient, BleakScanner
from bleak.backends.bluezdbus import manager
from bleak.backends.device import BLEDevice

from simulators.bluez import PeripheralSpec, SimulatedBluez, simulated_bluez
from simulators.bluez.bus import DBUS_DAEMON

HEART_RATE = "00002a37-0000-1000-8000-00805f9b34fb"

needs_dbus = pytest.mark.skipif(
    DBUS_DAEMON is None, reason="dbus-daemon is not installed: run `make test`, which installs it, or install `dbus`"
)


def address(number: int) -> str:
    """The address of a simulated wearable."""
    return f"C0:00:00:00:{number >> 8:02X}:{number & 0xFF:02X}"


def strap(number: int = 1, **more: Any) -> PeripheralSpec:
    """A heart-rate strap that sends only what is pushed, unless told otherwise."""
    return PeripheralSpec(**({"address": address(number), "kind": "strap", "silent": True} | more))


@asynccontextmanager
async def bluez_world(
    monkeypatch: pytest.MonkeyPatch, *peripherals: PeripheralSpec, own_process: bool = False, **more: Any
) -> AsyncIterator[SimulatedBluez]:
    """`simulated_bluez` as the system bus of this test; at the end bleak's connection of this event loop is closed."""
    async with simulated_bluez(peripherals, own_process=own_process, **more) as bluez:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bluez.address)
        try:
            yield bluez
        finally:
            await forget_bleak_manager()


async def forget_bleak_manager() -> None:
    """Close the connection that bleak keeps for this event loop, as it would only once another loop runs."""
    own = manager._global_instances.pop(asyncio.get_running_loop(), None)
    if own is not None and own._bus is not None:
        own._bus.disconnect()
        if own._bus_watcher_task is not None:
            await asyncio.wait({own._bus_watcher_task})


async def found(wanted: str, within_s: float = 10.0, **more: Any) -> BLEDevice:
    """The device with an address, by a scan."""
    device = await BleakScanner.find_device_by_address(wanted, timeout=within_s, **more)
    assert device is not None, f"{wanted} was not heard"
    return device


class Heard:
    """A client with what it was notified of: `async with Heard(device) as heard: await heard.count(3)`."""

    def __init__(self, device: BLEDevice, uuid: str = HEART_RATE, **notify: Any) -> None:
        self.client = BleakClient(device, disconnected_callback=lambda _: self.lost.set())
        self.lost = asyncio.Event()
        self.values: list[bytes] = []
        self._uuid = uuid
        self._notify = notify
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Heard:
        await self.client.connect()
        await self.client.start_notify(self._uuid, self._take, **self._notify)
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.client.disconnect()

    def _take(self, _: object, value: bytearray) -> None:
        self.values.append(bytes(value))
        self._changed.set()

    async def count(self, wanted: int, within_s: float = 10.0) -> list[bytes]:
        """Wait until so many values have come; all of them."""
        async with asyncio.timeout(within_s):
            while len(self.values) < wanted:
                self._changed.clear()
                await self._changed.wait()
        return self.values
