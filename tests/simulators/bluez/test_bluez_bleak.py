"""Unmodified bleak against the simulated BlueZ: what works on a real one works here."""

from __future__ import annotations

import asyncio

import pytest
from bleak import BleakClient, BleakScanner
from bleak.exc import BleakError
from bluez_world import HEART_RATE, Heard, address, bluez_world, found, needs_dbus, strap

from gateway.gatt import heart_rate, pulse_oximeter
from gateway.gatt.battery import LEVEL
from gateway.gatt.heart_rate import HeartRateMeasurement
from gateway.gatt.pulse_oximeter import ContinuousMeasurement
from simulators.bluez import PeripheralSpec, Timing
from simulators.bluez.wearables.strap import serial_of

pytestmark = needs_dbus
QUICK = Timing(second_s=0.05)


async def test_a_scan_hears_every_wearable_with_what_it_advertises(monkeypatch: pytest.MonkeyPatch) -> None:
    oximeter = PeripheralSpec(address=address(2), kind="plx", name="Clip", rssi_dbm=-70)
    async with bluez_world(monkeypatch, strap(1), oximeter), BleakScanner() as scanner:
        heard = {}
        async for device, advertisement in scanner.advertisement_data():
            heard[device.address] = (device.name, advertisement)
            if len(heard) == 2:
                break
    name, advertisement = heard[address(2)]
    assert (name, advertisement.service_uuids) == ("Clip", [pulse_oximeter.SERVICE])
    assert -80 <= advertisement.rssi <= -60


async def test_services_are_discovered_with_their_characteristics(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bluez_world(monkeypatch, strap(1)), BleakClient(await found(address(1))) as client:
        assert client.services.get_service(heart_rate.SERVICE) is not None
        measurement = client.services.get_characteristic(HEART_RATE)
        assert measurement is not None
        assert measurement.properties == ["notify"]
        assert [d.uuid[4:8] for d in measurement.descriptors] == ["2902"]


async def test_every_notification_arrives_once_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = strap(1, silent=False, options={"numbered": True, "per_second": 20})
    async with bluez_world(monkeypatch, busy, timing=Timing(second_s=1.0)) as bluez:
        async with Heard(await found(address(1))) as heard:
            await heard.count(30)
        sent = [d.value for d in bluez.deliveries(address(1), HEART_RATE)]
    assert heard.values == sent
    serials = [serial_of(HeartRateMeasurement.decode(value)) for value in sent]
    assert serials == list(range(serials[0], serials[0] + len(sent)))


async def test_the_ledger_numbers_what_was_delivered_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bluez_world(monkeypatch, strap(1)) as bluez:
        assert await bluez.push(address(1), HEART_RATE, b"\x00\x10") == 0  # nobody is connected
        async with Heard(await found(address(1))) as heard:
            assert await bluez.push(address(1), HEART_RATE, b"\x00\x20") == 1
            assert await bluez.push(address(1), HEART_RATE, b"\x00\x20") == 1  # equal values are not merged
            assert await bluez.push(address(1), LEVEL, b"\x50") == 0  # not subscribed
            await heard.count(2)
        deliveries = bluez.deliveries()
    assert [(d.uuid, d.sequence, d.value, d.copies) for d in deliveries] == [
        (HEART_RATE, 1, b"\x00\x20", 1),
        (HEART_RATE, 2, b"\x00\x20", 1),
    ]
    assert deliveries[0].monotonic_ns < deliveries[1].monotonic_ns


async def test_values_are_read_and_written(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bluez_world(monkeypatch, strap(1)), BleakClient(await found(address(1))) as client:
        assert await client.read_gatt_char(heart_rate.LOCATION) == b"\x01"
        assert 0 < (await client.read_gatt_char(LEVEL))[0] <= 100
        await client.write_gatt_char(heart_rate.CONTROL_POINT, b"\x01", response=True)
        with pytest.raises(BleakError, match="0x80"):
            await client.write_gatt_char(heart_rate.CONTROL_POINT, b"\x07", response=True)
        with pytest.raises(BleakError):
            await client.read_gatt_char(HEART_RATE)


async def test_a_value_read_while_subscribed_is_notified_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bluez_world(monkeypatch, strap(1)), Heard(await found(address(1)), LEVEL) as heard:
        level = await heard.client.read_gatt_char(LEVEL)
        assert await heard.count(1) == [bytes(level)]


async def test_acquire_notify_goes_past_the_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        bluez_world(monkeypatch, strap(1)) as bluez,
        Heard(await found(address(1)), bluez={"use_start_notify": False}) as heard,
    ):
        for number in range(5):
            await bluez.push(address(1), HEART_RATE, bytes([0, number]))
        assert await heard.count(5) == [d.value for d in bluez.deliveries()]
        await heard.client.stop_notify(HEART_RATE)
        await heard.client.start_notify(HEART_RATE, heard._take)
        assert await bluez.push(address(1), HEART_RATE, b"\x00\x50") == 1
        await heard.count(6)


async def test_an_ended_subscription_hears_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bluez_world(monkeypatch, strap(1)) as bluez, Heard(await found(address(1))) as heard:
        await heard.client.stop_notify(HEART_RATE)
        assert await bluez.push(address(1), HEART_RATE, b"\x00\x20") == 0


async def test_twenty_wearables_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = range(1, 21)
    specs = [strap(n) if n % 2 else PeripheralSpec(address=address(n), kind="plx") for n in numbers]
    async with bluez_world(monkeypatch, *(strap(n, silent=False) for n in numbers), timing=QUICK) as bluez:
        assert len(specs) == 20
        async with BleakScanner() as scanner:
            devices = {}
            async for device, _ in scanner.advertisement_data():
                devices[device.address] = device
                if len(devices) == 20:
                    break
        heard = [Heard(device) for device in devices.values()]
        await asyncio.gather(*(h.__aenter__() for h in heard))
        await asyncio.gather(*(h.count(5) for h in heard))
        await asyncio.gather(*(h.__aexit__() for h in heard))
        for device, said in zip(devices, heard, strict=True):
            assert said.values == [d.value for d in bluez.deliveries(device, HEART_RATE)]


async def test_stored_measurements_of_an_oximeter_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = PeripheralSpec(address=address(1), kind="plx", options={"store_every_s": 1})
    async with (
        bluez_world(monkeypatch, clip, timing=QUICK),
        Heard(await found(address(1)), pulse_oximeter.SPOT_CHECK) as records,
    ):
        ended: asyncio.Queue[bytes] = asyncio.Queue()
        answer = "00002a52-0000-1000-8000-00805f9b34fb"
        await records.client.start_notify(answer, lambda _, value: ended.put_nowait(bytes(value)))
        await records.client.write_gatt_char(answer, b"\x01\x01", response=True)
        assert await asyncio.wait_for(ended.get(), 10) == bytes.fromhex("06000101")
        spo2 = {pulse_oximeter.SpotCheckMeasurement.decode(value).reading.spo2_pct for value in await records.count(1)}
    assert spo2 <= {94, 95, 96, 97, 98, 99, 100}


async def test_an_oximeter_and_its_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = PeripheralSpec(address=address(1), kind="plx")
    async with (
        bluez_world(monkeypatch, clip, timing=QUICK),
        Heard(await found(address(1)), pulse_oximeter.CONTINUOUS) as heard,
    ):
        said = [ContinuousMeasurement.decode(value) for value in await heard.count(3)]
    assert all(90 <= float(str(each.normal.spo2_pct)) <= 100 for each in said)


@pytest.mark.parametrize("count", [2])
async def test_each_adapter_is_its_own_way_to_a_wearable(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    near_one = strap(1, heard_by=("hci1",))
    async with bluez_world(monkeypatch, near_one, strap(2), adapters=count):
        assert (await found(address(2), bluez={"adapter": "hci0"})).details["path"].startswith("/org/bluez/hci0/")
        device = await found(address(1), bluez={"adapter": "hci1"})
        assert device.details["path"].startswith("/org/bluez/hci1/")
        assert await BleakScanner.find_device_by_address(address(1), timeout=0.3, bluez={"adapter": "hci0"}) is None
