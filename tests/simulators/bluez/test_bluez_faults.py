"""Each fault, as bleak sees it: where the gateway must cope with something, the simulator must really do it."""

from __future__ import annotations

import asyncio

import pytest
from bleak import BleakClient, BleakScanner
from bleak.backends.bluezdbus.manager import get_global_bluez_manager
from bleak.exc import BleakDBusError, BleakDeviceNotFoundError, BleakError
from bluez_world import HEART_RATE, Heard, address, bluez_world, forget_bleak_manager, found, needs_dbus, strap
from dbus_fast import BusType, Message, Variant
from dbus_fast.aio import MessageBus

from simulators.bluez import AdapterFaults, Failure, Faults, Timing, faults

pytestmark = needs_dbus
STRAP = address(1)


# ── links ──


async def test_a_drop_is_noticed_and_the_wearable_can_be_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bluez_world(monkeypatch, strap()) as bluez:
        async with Heard(await found(STRAP)) as heard:
            await bluez.drop(STRAP)
            await asyncio.wait_for(heard.lost.wait(), 10)
            assert not heard.client.is_connected
        async with Heard(await found(STRAP)) as again:
            await bluez.push(STRAP, HEART_RATE, b"\x00\x50")
            assert await again.count(1) == [b"\x00\x50"]
            assert bluez.deliveries()[-1].copies == 1


async def test_reconnecting_after_a_drop_without_disconnect_doubles_notifications(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """hbldh/bleak#2002: two, then three signals per notification, because the old sessions live on."""
    async with bluez_world(monkeypatch, strap()) as bluez:
        device = await found(STRAP)
        heard = Heard(device)
        await heard.__aenter__()
        leaked = []
        for copies in (2, 3):
            await bluez.drop(STRAP)
            await asyncio.wait_for(heard.lost.wait(), 10)
            leaked.append(heard.client._backend._bus)  # type: ignore[attr-defined] # what disconnect() would close
            heard = Heard(device)
            await heard.__aenter__()
            before = len(heard.values)
            assert await bluez.push(STRAP, HEART_RATE, b"\x00\x50") == copies
            assert len(await heard.count(before + copies)) == before + copies
        await heard.client.disconnect()
        for bus in leaked:
            bus.disconnect()
            await bus.wait_for_disconnect()


async def test_reconnecting_after_disconnect_hears_everything_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bluez_world(monkeypatch, strap()) as bluez:
        device = await found(STRAP)
        for _ in range(10):
            async with Heard(device) as heard:
                assert await bluez.push(STRAP, HEART_RATE, b"\x00\x50") == 1
                await heard.count(1)
                await bluez.drop(STRAP)
                await asyncio.wait_for(heard.lost.wait(), 10)


async def test_a_bus_has_the_connection_limit_of_a_real_system_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever leaks one connection per drop is locked out after about 250 of them."""
    async with bluez_world(monkeypatch, strap()) as bluez:
        held = [await MessageBus(bus_address=bluez.address).connect() for _ in range(250)]
        assert all(str(bus.unique_name).startswith(":") for bus in held)
        held += [await MessageBus(bus_address=bluez.address).connect() for _ in range(10)]
        assert not str(held[-1].unique_name).startswith(":")  # it got an error for a name
        for bus in held:
            bus.disconnect()
        await asyncio.gather(*(bus.wait_for_disconnect() for bus in held), return_exceptions=True)


@pytest.mark.parametrize(
    "wanted", [faults.CONNECT_HANGS, faults.NEVER_RESOLVES, Faults(discovery_s=15.0)], ids=["connect", "never", "slow"]
)
async def test_a_connect_that_does_not_come_to_an_end(monkeypatch: pytest.MonkeyPatch, wanted: Faults) -> None:
    async with bluez_world(monkeypatch, strap(faults=wanted)) as bluez:
        device = await found(STRAP)
        with pytest.raises(TimeoutError):
            await BleakClient(device, timeout=0.5).connect()
        await bluez.until(lambda now: not now.peripheral(STRAP).connected)
        await bluez.set_faults(STRAP, Faults())
        async with Heard(device):
            pass


async def test_slow_discovery_is_only_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        bluez_world(monkeypatch, strap(faults=Faults(discovery_s=0.4))),
        BleakClient(await found(STRAP)) as client,
    ):
        assert client.services.get_characteristic(HEART_RATE) is not None


async def test_a_disconnect_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bluez_world(monkeypatch, strap(faults=faults.DISCONNECT_HANGS)) as bluez:
        heard = Heard(await found(STRAP))
        await heard.__aenter__()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(heard.client.disconnect(), 0.3)
        assert (await bluez.status()).peripheral(STRAP).connected


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (Failure("Connect", message="br-connection-canceled"), "br-connection-canceled"),
        (Failure("Connect", message="Operation already in progress"), "Operation already in progress"),
    ],
)
async def test_a_connect_that_fails(monkeypatch: pytest.MonkeyPatch, failure: Failure, message: str) -> None:
    async with bluez_world(monkeypatch, strap(faults=Faults(failures=(failure,)))):
        with pytest.raises(BleakDBusError, match=message):
            await BleakClient(await found(STRAP)).connect()


async def test_connects_aborted_by_ourselves_are_repeated_by_bleak(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        bluez_world(monkeypatch, strap(faults=faults.CONNECT_ABORTED)),
        BleakClient(await found(STRAP)) as client,
    ):
        assert client.is_connected


async def test_a_second_connect_while_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bluez_world(monkeypatch, strap(), timing=Timing(connect_s=0.3)):
        device = await found(STRAP)
        first = asyncio.create_task(Heard(device).__aenter__())
        await asyncio.sleep(0)
        with pytest.raises(BleakDBusError, match="Operation already in progress"):
            await asyncio.gather(BleakClient(device).connect(), BleakClient(device).connect())
        with pytest.raises(BleakError):
            await first


async def test_services_that_are_not_discovered(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bluez_world(monkeypatch, strap(faults=Faults(undiscovered_share=1.0))):
        with pytest.raises(BleakError, match="failed to discover services"):
            await BleakClient(await found(STRAP)).connect()


async def test_a_share_of_connects_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bluez_world(monkeypatch, strap(faults=Faults(undiscovered_share=0.5))):
        device, failed = await found(STRAP), 0
        for _ in range(12):
            try:
                async with BleakClient(device):
                    pass
            except BleakError:
                failed += 1
    assert 2 <= failed <= 10


async def test_an_adapter_without_a_free_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    limited = AdapterFaults(connection_slots=1)
    async with bluez_world(monkeypatch, strap(1), strap(2), adapter_faults=limited):
        second = await found(address(2))
        async with Heard(await found(address(1))):
            with pytest.raises(BleakDBusError):
                await BleakClient(second).connect()
        async with Heard(second):
            pass


async def test_a_wearable_out_of_range(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bluez_world(monkeypatch, strap(), timing=Timing(unreachable_s=0.1)) as bluez:
        device = await found(STRAP)
        await bluez.set_faults(STRAP, Faults(advertises=False))
        with pytest.raises(TimeoutError):  # bleak repeats aborted connects until its own time is over
            await BleakClient(device, timeout=0.5).connect()
        async with asyncio.timeout(20):  # an advertisement from before may still be on its way
            while await BleakScanner.find_device_by_address(STRAP, timeout=0.3) is not None:
                pass


# ── values ──


async def test_a_device_that_goes_silent_and_stays_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bluez_world(monkeypatch, strap()) as bluez:
        device = await found(STRAP)
        async with Heard(device) as heard:
            await bluez.set_faults(STRAP, Faults(silent_after_s=0.0))
            assert await bluez.push(STRAP, HEART_RATE, b"\x00\x50") == 0
            assert heard.client.is_connected
            assert bluez.deliveries() == []


async def test_acquire_notify_in_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        bluez_world(monkeypatch, strap(faults=faults.ACQUIRE_IN_PROGRESS)),
        BleakClient(await found(STRAP)) as client,
    ):
        with pytest.raises(BleakDBusError, match="InProgress"):
            await client.start_notify(HEART_RATE, lambda *_: None, bluez={"use_start_notify": False})


async def test_acquire_notify_beside_a_notify_session(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bluez_world(monkeypatch, strap()) as bluez:
        device = await found(STRAP)
        async with Heard(device), foreign(bluez.address) as call:
            path = next(p for p in (await managed(call)) if p.startswith(device.details["path"]) and "char" in p)
            reply = await call(path, "org.bluez.GattCharacteristic1", "AcquireNotify", "a{sv}", [{}])
            assert reply.error_name == faults.IN_PROGRESS


async def test_objects_that_are_gone_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stale table: the objects move soon after they were announced."""
    stale = strap(faults=Faults(stale_gatt=True))
    async with (
        bluez_world(monkeypatch, stale, timing=Timing(connected_lead_s=0.1)),
        BleakClient(await found(STRAP)) as client,
    ):
        characteristic = client.services.get_characteristic(HEART_RATE)
        assert characteristic is not None
        known = await get_global_bluez_manager()
        while characteristic.obj[0] in known._properties:  # noqa: ASYNC110 - bleak has no event for it
            await asyncio.sleep(0)
        with pytest.raises(BleakError, match="UnknownObject"):
            await client.start_notify(characteristic, lambda *_: None)


async def test_a_table_that_moved_between_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bluez_world(monkeypatch, strap()) as bluez:
        device = await found(STRAP)
        async with BleakClient(device) as client:
            before = client.services.get_characteristic(HEART_RATE)
        await bluez.move_handles(STRAP)
        async with BleakClient(device) as client:
            after = client.services.get_characteristic(HEART_RATE)
            assert before is not None
            assert after is not None
            assert before.obj[0] != after.obj[0]
            with pytest.raises(BleakError, match="UnknownObject"):
                await client._backend.start_notify(before, lambda _: None, bluez={})


async def test_a_device_forgotten_after_the_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bluez_world(monkeypatch, strap(), timing=Timing(forget_after_s=0.05)) as bluez:
        device = await found(STRAP)
        async with foreign(bluez.address) as call:
            while device.details["path"] in await managed(call):  # noqa: ASYNC110 - the bus has no event for it
                await asyncio.sleep(0)
        with pytest.raises((BleakDeviceNotFoundError, BleakError)):
            await BleakClient(device).connect()


@pytest.mark.parametrize(("kind", "expected"), [("absent", {-127}), ("same", {-60})])
async def test_signal_strengths(monkeypatch: pytest.MonkeyPatch, kind: str, expected: set[int]) -> None:
    wanted = Faults(rssi=kind)  # type: ignore[arg-type] # one of its literals
    async with bluez_world(monkeypatch, strap(faults=wanted)), BleakScanner() as scanner:
        async for _, advertisement in scanner.advertisement_data():
            assert {advertisement.rssi} == expected
            break


# ── adapters ──


async def test_a_power_cycle_kills_links_and_the_scanner_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bluez_world(monkeypatch, strap(1), strap(2)) as bluez:
        heard = Heard(await found(address(1)))
        await heard.__aenter__()
        scanner = BleakScanner()
        await scanner.start()
        await bluez.power("hci0", on=False)
        await asyncio.wait_for(heard.lost.wait(), 10)
        await heard.client.disconnect()
        with pytest.raises(BleakError):
            await BleakScanner(bluez={"adapter": "hci0"}).start()
        await bluez.power("hci0", on=True)
        with pytest.raises(BleakDBusError, match="No discovery started"):
            await scanner.stop()
        async with Heard(await found(address(1))):
            pass


async def test_a_connect_without_power(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bluez_world(monkeypatch, strap()) as bluez:
        device = await found(STRAP)
        await bluez.power("hci0", on=False)
        with pytest.raises(BleakDBusError, match="Input/output error"):
            await BleakClient(device).connect()


async def test_power_can_be_switched_over_the_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bluez_world(monkeypatch, strap()) as bluez, foreign(bluez.address) as call:
        for on in (False, True):
            body = ["org.bluez.Adapter1", "Powered", Variant("b", on)]
            await call("/org/bluez/hci0", "org.freedesktop.DBus.Properties", "Set", "ssv", body)
            adapter = (await bluez.status()).adapter("hci0")
            assert adapter is not None
            assert adapter.powered is on


async def test_an_adapter_is_pulled_out_and_plugged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bluez_world(monkeypatch, strap()) as bluez:
        heard = Heard(await found(STRAP))
        await heard.__aenter__()
        await bluez.remove_adapter("hci0")
        await asyncio.wait_for(heard.lost.wait(), 10)
        await heard.client.disconnect()
        with pytest.raises(BleakError):
            await BleakScanner().start()
        await bluez.add_adapter("hci0")
        known = await get_global_bluez_manager()
        while not known._adapters:  # noqa: ASYNC110 - bleak has no event for it
            await asyncio.sleep(0)
        async with Heard(await found(STRAP)):
            pass


@pytest.mark.parametrize("heals_on", ["scan_restart", "power_cycle", "daemon_restart"])
async def test_a_scanner_that_hears_nothing(monkeypatch: pytest.MonkeyPatch, heals_on: str) -> None:
    dead = AdapterFaults(scanner="dead", heals_on=heals_on)  # type: ignore[arg-type] # one of its literals
    async with bluez_world(monkeypatch, strap()) as bluez:
        async with BleakScanner():
            await bluez.set_adapter_faults("hci0", dead)
        if heals_on != "scan_restart":
            assert await BleakScanner.find_device_by_address(STRAP, timeout=0.3) is None
            await bluez.power("hci0", on=False)
            await bluez.power("hci0", on=True)
        if heals_on == "daemon_restart":
            assert await BleakScanner.find_device_by_address(STRAP, timeout=0.3) is None
            await bluez.restart_daemon()
            await forget_bleak_manager()
        await found(STRAP)


# ── processes ──


async def test_bleak_does_not_notice_that_bluetoothd_died(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bluez_world(monkeypatch, strap()) as bluez:
        heard = Heard(await found(STRAP))
        await heard.__aenter__()
        await bluez.kill_daemon()
        async with foreign(bluez.address) as call:
            reply = await call("/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner", "s", ["org.bluez"])
            assert reply.body == [False]
        assert heard.client.is_connected
        assert not heard.lost.is_set()
        with pytest.raises(BleakError, match="ServiceUnknown"):
            await heard.client.disconnect()
        assert not heard.client.is_connected
        await bluez.start_daemon()
        async with Heard(await found(STRAP)) as again:
            await bluez.push(STRAP, HEART_RATE, b"\x00\x50")
            await again.count(1)


async def test_a_device_that_was_connected_is_known_again_after_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bluez_world(monkeypatch, strap(1), strap(2)) as bluez:
        async with Heard(await found(address(1))):
            await found(address(2))
        await bluez.restart_daemon()
        async with foreign(bluez.address) as call:
            known = [path for path in await managed(call) if "dev_" in path]
        assert [path[-17:] for path in known] == [address(1).replace(":", "_")]


async def test_a_bus_that_is_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bluez_world(monkeypatch, strap()) as bluez:
        heard = Heard(await found(STRAP))
        await heard.__aenter__()
        await bluez.restart_bus()
        await asyncio.wait_for(heard.lost.wait(), 10)
        await heard.client.disconnect()
        async with Heard(await found(STRAP)) as again:
            await bluez.push(STRAP, HEART_RATE, b"\x00\x50")
            await again.count(1)


# ── another client on the bus ──


class foreign:  # noqa: N801 - used as a function
    """`async with foreign(address) as call`: calls of a client that is not bleak."""

    def __init__(self, bus_address: str) -> None:
        self._bus = MessageBus(bus_address=bus_address, bus_type=BusType.SYSTEM, negotiate_unix_fd=True)

    async def __aenter__(self) -> foreign:
        await self._bus.connect()
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._bus.disconnect()
        await self._bus.wait_for_disconnect()

    async def __call__(
        self, path: str, interface: str, member: str, signature: str = "", body: list[object] | None = None
    ) -> Message:
        to = "org.freedesktop.DBus" if interface == "org.freedesktop.DBus" else "org.bluez"
        return await self._bus.call(
            Message(destination=to, path=path, interface=interface, member=member, signature=signature, body=body or [])
        )


async def managed(call: foreign) -> dict[str, object]:
    """Every object that BlueZ exports."""
    reply = await call("/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
    objects: dict[str, object] = reply.body[0]
    return objects
