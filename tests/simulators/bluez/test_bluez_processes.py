"""The simulated bluetoothd as a process that is killed, and seen by a client that is not bleak."""

from __future__ import annotations

import asyncio
import os
import shutil

import pytest
from bluez_world import HEART_RATE, Heard, address, bluez_world, found, needs_dbus, strap

from gateway.gatt.heart_rate import HeartRateMeasurement
from simulators.bluez import Faults, PeripheralSpec, SimulatedBluez, Timing
from simulators.bluez.wearables.strap import serial_of

pytestmark = [needs_dbus, pytest.mark.slow]
BLUETOOTHCTL = shutil.which("bluetoothctl")


async def test_the_ledger_is_exact_over_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a client heard is what the ledger says, in the same order, however often bluetoothd is killed."""
    busy = strap(1, silent=False, options={"numbered": True, "per_second": 20})
    heard: list[bytes] = []
    async with bluez_world(monkeypatch, busy, own_process=True, timing=Timing(second_s=0.5)) as bluez:
        for _ in range(3):
            client = Heard(await found(address(1)))
            await client.__aenter__()
            await client.count(25)
            await bluez.kill_daemon()
            with pytest.raises(Exception, match="ServiceUnknown"):
                await client.client.disconnect()
            heard += client.values
            await bluez.start_daemon()
        delivered = bluez.deliveries(address(1), HEART_RATE)
    assert heard == [d.value for d in delivered]
    assert [d.sequence for d in delivered] == list(range(1, len(delivered) + 1))
    serials = [serial_of(HeartRateMeasurement.decode(value)) for value in heard]
    assert serials == sorted(set(serials))  # the wearable has lived on meanwhile


async def test_a_killed_bus_ends_bluetoothd(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bluez_world(monkeypatch, strap(1), own_process=True) as bluez:
        device = await found(address(1))
        heard = Heard(device)
        await heard.__aenter__()
        await bluez.restart_bus()
        await asyncio.wait_for(heard.lost.wait(), 10)
        await heard.client.disconnect()
        async with Heard(await found(address(1))) as again:
            await bluez.push(address(1), HEART_RATE, b"\x00\x50")
            await again.count(1)


# ── Debian's own client ──


class Bluetoothctl:
    """An interactive bluetoothctl: `await ctl.says("connect …", "Connection successful")`."""

    def __init__(self, bluez: SimulatedBluez) -> None:
        self._address = bluez.address
        self.output = ""

    async def __aenter__(self) -> Bluetoothctl:
        self._process = await asyncio.create_subprocess_exec(
            str(BLUETOOTHCTL),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": self._address, "TERM": "dumb"},
        )
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._process.kill()
        await self._process.wait()

    async def says(self, command: str, *expected: str) -> None:
        """Type a command and wait for its outcome."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.output = ""
        self._process.stdin.write(f"{command}\n".encode())
        try:
            async with asyncio.timeout(10):
                while not all(words in self.output for words in expected):
                    read = await self._process.stdout.read(4096)
                    assert read, f"bluetoothctl ended: {self.output}"
                    self.output += read.decode(errors="replace")
        except TimeoutError:
            pytest.fail(f"{command!r}: expected {expected!r}, bluetoothctl said: {self.output}")


@pytest.mark.skipif(BLUETOOTHCTL is None, reason="bluetoothctl is not installed: `apt-get install bluez`")
async def test_bluetoothctl_finds_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = strap(1, faults=Faults(rssi="same"))
    clip = PeripheralSpec(address=address(2), kind="plx", name="Clip", faults=quiet.faults)
    async with bluez_world(monkeypatch, quiet, clip) as bluez, Bluetoothctl(bluez) as ctl:
        await ctl.says("list", "Controller 00:1A:7D:DA:71:00")
        await ctl.says("scan on", f"Device {address(1)} Strap", f"Device {address(2)} Clip")
        await ctl.says(f"connect {address(1)}", "ServicesResolved: yes")
        await ctl.says("scan off", "Discovery stopped")
        await ctl.says(f"info {address(1)}", "Connected: yes")
        await ctl.says("gatt.select-attribute " + HEART_RATE, "char")
        await ctl.says("gatt.notify on", "Notify started")
        await bluez.push(address(1), HEART_RATE, b"\x00\x55")
        await ctl.says("", "00 55")
        await ctl.says("gatt.select-attribute 00002a29-0000-1000-8000-00805f9b34fb", "char")
        await ctl.says("gatt.read", "57 61 72 64")  # "Ward"
        await ctl.says(f"disconnect {address(1)}", "Connected: no")
        await ctl.says("power off", "Powered: no")
        await ctl.says("power on", "Powered: yes")
        await ctl.says(f"remove {address(1)}", "Device has been removed")
