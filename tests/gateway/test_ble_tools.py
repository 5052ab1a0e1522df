"""Scanning and trying a wearable, as a person does it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from radio_world import QUICK, TENTH, Recorder, address, strap

from gateway.ble_tools import probe, scan
from gateway.bleak_edge import RadioCallError
from gateway.devices.driver import Heard
from gateway.gatt import heart_rate
from simulators.bluez import PeripheralSpec, SimulatedBluez, simulated_bluez
from simulators.bluez.faults import CONNECT_CANCELED
from vitals.model import Vital


@pytest.fixture
async def bluez(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SimulatedBluez]:
    near = strap(1, rssi_dbm=-40)
    far = strap(2, rssi_dbm=-80, faults=CONNECT_CANCELED)
    oximeter = PeripheralSpec(address=address(3), kind="plx", rssi_dbm=-60)
    async with simulated_bluez([far, oximeter, near], timing=TENTH, own_process=False) as simulated:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", simulated.address)
        yield simulated


async def test_a_scan_lists_the_strongest_first_and_says_what_it_is(bluez: SimulatedBluez) -> None:
    found = await scan(0.5)
    assert [f.seen.address for f in found] == [address(1), address(3), address(2)]
    assert all(f.label for f in found)


async def test_a_probe_shows_what_a_wearable_tells(bluez: SimulatedBluez) -> None:
    live: list[Heard] = []
    shown = await probe(address(1).lower(), 1.0, on_heard=live.append, settings=QUICK)
    assert shown.error == ""
    assert list(shown.heard) == live
    assert {s.vital for heard in live for s in heard.samples} >= {Vital.HEART_RATE, Vital.BATTERY}
    assert not (await bluez.status()).peripheral(address(1)).connected


async def test_a_probe_says_why_it_failed(bluez: SimulatedBluez) -> None:
    assert "connecting" in (await probe(address(2), 1.0, settings=QUICK)).error
    absent = await probe(address(9), 1.0, settings=QUICK, find_s=0.3)
    assert (absent.seen, absent.error[:25]) == (None, "C0:00:00:00:00:09 does no")
    wrong = await probe(address(3), 1.0, settings=QUICK, driver=Recorder())
    assert f"no characteristic {heart_rate.MEASUREMENT}" in wrong.error


async def test_without_bluetooth_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
    with pytest.raises(RadioCallError, match="starting the scan on hci0"):
        await scan(0.1)
