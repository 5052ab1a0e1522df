"""The radio against real bleak and a simulated BlueZ: connect, stream, lose, return; nothing twice."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from bleak import BleakClient, BleakScanner
from radio_world import QUICK, Recorder, address, quick, radio_world, strap

from gateway.devices.driver import Action, HeardSample, Stream, Subscribe
from gateway.gatt import battery, heart_rate
from gateway.gatt.pulse_oximeter import CONTINUOUS, SPOT_CHECK
from gateway.gatt.racp import RECORD_ACCESS
from gateway.radio_status import AllowedDevice
from gateway.recovery import Condition, Policy, Step
from gateway.session_words import Phase
from simulators.bluez import AdapterFaults, Faults, PeripheralSpec
from simulators.bluez.faults import CONNECT_ABORTED, CONNECT_CANCELED, CONNECT_HANGS, NEVER_RESOLVES
from simulators.bluez.timing import Timing
from vitals.model import Reason, Vital

pytestmark = pytest.mark.slow  # each starts a D-Bus daemon


@pytest.mark.parametrize("acquire_notify", [False, True])
async def test_every_notification_arrives_once(monkeypatch: pytest.MonkeyPatch, acquire_notify: bool) -> None:
    async with radio_world(monkeypatch, strap(), acquire_notify=acquire_notify) as world:
        await world.until(world.streams)
        await world.until_more(frames=5)
        await world.until_complete()
        levels = world.frames(uuid=battery.LEVEL)
        assert len(levels) == len(set(levels)), "a read of what is subscribed comes twice from BlueZ"
        status = world.device("w-1")
        assert (status.battery_pct, status.malformed, status.reconnects) == (levels[-1][0], 0, 0)
        assert status.rssi_dbm is not None


async def test_thirty_drops_double_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with radio_world(monkeypatch, strap(), timing=Timing(second_s=0.02)) as world:
        for count in range(31):
            await world.until(world.streams)
            await world.until_more(frames=1)
            if count < 30:
                await world.bluez.drop(address(1))
                await world.until(lambda wanted=count + 1: len(world.happened("link_lost")) == wanted)
        await world.until_complete()
        assert world.device("w-1").reconnects == 30
        assert world.losses() >= 30
        assert world.radio.snapshot().stray_calls == 0


@pytest.mark.parametrize("fault", [CONNECT_HANGS, NEVER_RESOLVES, CONNECT_CANCELED, Faults(hangs=("StartNotify",))])
async def test_a_connection_that_is_not_made_blocks_nobody(monkeypatch: pytest.MonkeyPatch, fault: Faults) -> None:
    settings = quick(connect_s=0.6, subscribe_s=0.6)
    async with radio_world(monkeypatch, strap(1, faults=fault), strap(2), settings=settings) as world:
        await world.until(lambda: world.streams("w-2"))
        await world.until(lambda: world.device("w-1").last_error)
        assert not world.streams("w-1")
        await world.bluez.set_faults(address(1), Faults())
        await world.until(world.streams)
        await world.until_more("w-1")
        await world.until_complete()


async def test_an_aborted_connect_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with radio_world(monkeypatch, strap(faults=CONNECT_ABORTED)) as world:
        await world.until(world.streams)


async def test_a_disconnect_that_hangs_does_not_keep_the_wearable(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(quick(close_s=6.0), disconnect_s=0.3)
    async with radio_world(monkeypatch, strap(), settings=settings, driver=Recorder(stall_s=1.0)) as world:
        await world.until(world.streams)
        await world.bluez.set_faults(address(1), Faults(hangs=("Disconnect",), silent_after_s=0.0))
        await world.until(lambda: world.device("w-1").phase is Phase.STALLED)
        await world.until(lambda: world.device("w-1").phase not in {Phase.STALLED, Phase.STREAMING})
        await world.bluez.set_faults(address(1), Faults())
        await world.until(world.streams)
        await world.until_more()
        await world.until_complete()


async def test_a_silent_stream_is_reconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = Faults(silent_after_s=0.3)
    async with radio_world(monkeypatch, strap(faults=silent), driver=Recorder(stall_s=0.5)) as world:
        await world.until(lambda: world.device("w-1").reconnects >= 2)
        assert "silent" in world.device("w-1").last_error
        await world.until_complete()


@dataclass(frozen=True, slots=True)
class SpotChecks(Recorder):
    """Would watch a stream that this strap does not have."""

    @property
    def streams(self) -> tuple[Stream, ...]:
        return (Stream(CONTINUOUS, 0.3),)

    def begin(self) -> tuple[int, tuple[Action, ...]]:
        return 0, (Subscribe(CONTINUOUS, optional=True), Subscribe(heart_rate.MEASUREMENT))


async def test_a_stream_that_the_wearable_does_not_have_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async with radio_world(monkeypatch, strap(), driver=SpotChecks()) as world:
        await world.until(world.streams)
        await world.until_more(frames=12)  # four times as long
        assert world.device("w-1").reconnects == 0


async def test_stored_measurements_are_told_once_whatever_happens_to_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each connection brings all of them again."""
    oximeter = PeripheralSpec(address=address(1), kind="plx", options={"store_every_s": 1})
    async with radio_world(monkeypatch, oximeter) as world:
        await world.radio.set_allowed({address(1): AllowedDevice("ox-1")})

        def oxygen(*, stored: bool, reason: Reason = Reason.PRESENT) -> list[HeardSample]:
            said = [sample for name, heard in world.heard if name == "ox-1" for sample in heard.samples]
            return [s for s in said if (s.vital, s.stored, s.reason) == (Vital.SPO2, stored, reason)]

        downloads = 0
        for _ in range(3):
            await world.until(lambda: world.streams("ox-1"))
            await world.until(lambda more=downloads: len(world.delivered(uuid=RECORD_ACCESS)) > more)
            downloads = len(world.delivered(uuid=RECORD_ACCESS))
            await world.bluez.set_faults(address(1), Faults(advertises=False))
            losses = len(oxygen(stored=False, reason=Reason.RADIO_LOST))
            await world.bluez.drop(address(1))
            await world.until(lambda n=losses: len(oxygen(stored=False, reason=Reason.RADIO_LOST)) > n + 1)
            await world.bluez.set_faults(address(1), Faults())
        records = world.delivered(uuid=SPOT_CHECK)
        assert len(records) > len(set(records)), "the device tells them again"
        await world.until(lambda: len(oxygen(stored=True)) == len(set(records)))


async def test_a_driver_that_breaks_ends_only_its_link(monkeypatch: pytest.MonkeyPatch) -> None:
    async with radio_world(monkeypatch, strap(), driver=Recorder(breaks_at=4)) as world:
        await world.until(lambda: world.device("w-1").reconnects >= 1)
        assert "recorder broke" in world.happened("link_lost")[0].text


async def test_the_driver_is_found_by_the_advertisement_or_its_lack_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {address(1): AllowedDevice("w-1"), address(2): AllowedDevice("w-2", Recorder())}
    async with radio_world(monkeypatch, strap(1), strap(2)) as world:
        await world.radio.set_allowed(known)
        await world.until(lambda: world.streams("w-1", "w-2") and world.device("w-1").driver == "heart-rate")
        monkeypatch.setattr(world.radio, "_choose", lambda _seen: None)
        await world.radio.set_allowed({address(1): AllowedDevice("w-3")})
        await world.until(lambda: world.happened("unknown_device"))
        assert "name its driver" in world.device("w-3").last_error


async def test_bluetoothd_killed_and_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with radio_world(monkeypatch, strap(1), strap(2)) as world:
        await world.until(world.streams)
        for count in (1, 2):
            await world.bluez.kill_daemon()
            await world.until(lambda wanted=count: len(world.happened("bluez_gone")) == wanted)
            assert not world.radio.snapshot().bluez
            assert world.losses() >= count
            await world.bluez.start_daemon()
            await world.until(world.streams)
            await world.until_more("w-1")
            await world.until_more("w-2")
        await world.until_complete()


async def test_the_bus_itself_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with radio_world(monkeypatch, strap(1), strap(2)) as world:
        await world.until(world.streams)
        await world.bluez.restart_bus()
        await world.until(lambda: world.happened("bluez_gone"))
        await world.until(world.streams)
        await world.until_more("w-1")
        await world.until_complete()


async def test_an_adapter_that_is_switched_off_is_switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async with radio_world(monkeypatch, strap()) as world:
        await world.until(world.streams)
        await world.bluez.power("hci0", on=False)
        await world.until(lambda: world.happened("adapter_off"))
        await world.until(lambda: world.happened("step"))
        await world.until(world.streams)
        await world.until_more()
        await world.until_complete()
        assert world.radio.snapshot().adapters[0].steps == {Step.POWER_CYCLE: 1}


async def test_a_power_cycle_by_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    async with radio_world(monkeypatch, strap()) as world:
        await world.until(world.streams)
        await world.bluez.power("hci0", on=False)
        await world.bluez.power("hci0", on=True)
        await world.until(lambda: world.device("w-1").reconnects == 1)
        await world.until_more()
        await world.until_complete()
        assert world.happened("step") == []


@pytest.mark.parametrize(
    ("heals_on", "highest"), [("scan_restart", Step.RESTART_SCAN), ("power_cycle", Step.POWER_CYCLE)]
)
async def test_a_scan_that_hears_nothing_is_helped(
    monkeypatch: pytest.MonkeyPatch, heals_on: str, highest: Step
) -> None:
    ladder = {step: replace(rung, settle_s=1.0) for step, rung in Policy().ladder.items()}
    settings = replace(QUICK, policy=replace(QUICK.policy, ladder=ladder))
    async with radio_world(monkeypatch, strap(faults=Faults(advertises=False)), settings=settings) as world:
        await world.until(lambda: [a for a in world.radio.snapshot().adapters if a.scanning])
        dead = AdapterFaults(scanner="dead", heals_on=heals_on)  # type: ignore[arg-type]  # of the list above
        await world.bluez.set_adapter_faults("hci0", dead)
        await world.bluez.set_faults(address(1), Faults())
        await world.until(world.streams)
        assert max(world.radio.snapshot().adapters[0].steps) is highest
        assert world.happened("recovered")
        assert all(event.kind == "radio" for event in world.events)


async def test_an_adapter_is_pulled_out_and_put_in_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with radio_world(monkeypatch, strap()) as world:
        await world.until(world.streams)
        await world.bluez.remove_adapter("hci0")
        await world.until(lambda: world.radio.snapshot().adapters[0].condition is Condition.MISSING)
        await world.bluez.add_adapter("hci0")
        await world.until(world.streams)
        await world.until_more()
        await world.until_complete()


async def test_more_wearables_than_slots_is_said_and_a_free_slot_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(QUICK, slots=2)
    async with radio_world(monkeypatch, *(strap(n) for n in (1, 2, 3)), settings=settings) as world:
        await world.until(lambda: world.happened("no_slot"))
        streaming = [d for d in world.radio.snapshot().devices if d.phase is Phase.STREAMING]
        waiting = next(d for d in world.radio.snapshot().devices if d.phase is Phase.QUEUED)
        assert len(streaming) <= 2
        rest = {d.address: AllowedDevice(d.name, Recorder()) for d in (*streaming[1:], waiting)}
        await world.radio.set_allowed(rest)
        await world.until(lambda: world.streams(waiting.name))
        await world.until(lambda: len(world.radio.snapshot().devices) == len(rest))


async def test_twenty_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    timing = Timing(second_s=0.5)
    async with radio_world(monkeypatch, *(strap(n) for n in range(1, 21)), timing=timing) as world:
        await world.until(world.streams, within_s=30.0)
        await world.until_more("w-20")
        await world.until_complete()


async def test_a_lost_wearable_says_so_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with radio_world(monkeypatch, strap()) as world:
        await world.until(world.streams)
        await world.bluez.set_faults(address(1), Faults(advertises=False))
        await world.bluez.drop(address(1))
        await world.until(lambda: world.losses() >= 2)
        await world.bluez.set_faults(address(1), Faults())
        await world.until(world.streams)
        losses = world.losses()
        await world.until_more(frames=8)
        assert world.losses() == losses


async def test_wearables_that_bluez_still_holds_are_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a kill of the gateway its links live on, and who is connected does not advertise."""

    async def connect() -> None:
        device = await BleakScanner.find_device_by_address(address(1))
        assert device is not None
        await BleakClient(device).connect()

    async with radio_world(monkeypatch, strap(), before=connect) as world:
        assert (await world.bluez.status()).peripheral(address(1)).connected
        await world.until(world.streams)
        await world.until_more()
        await world.until_complete()
