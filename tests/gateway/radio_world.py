"""A radio against simulated wearables: real bleak, a BlueZ on a private D-Bus, and everything that was heard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final

import pytest

from gateway.ble import Radio
from gateway.devices.driver import NOTHING, Action, Heard, HeardSample, Read, Seen, Stream, Subscribe
from gateway.gatt import battery, heart_rate
from gateway.radio_status import AllowedDevice, Commands, DeviceStatus, RadioEvent, RadioSettings
from gateway.recovery import Policy
from gateway.session_words import Limits, Phase
from simulators.bluez import AdapterFaults, PeripheralSpec, SimulatedBluez, simulated_bluez
from simulators.bluez.timing import Timing
from vitals.model import Reason, Vital

QUICK: Final = RadioSettings(
    slots=20,
    call_s=2.0,
    adopt_s=0.2,
    disconnect_s=1.0,
    limits=Limits(
        connect_s=3.0, subscribe_s=3.0, close_s=8.0, backoff_min_s=0.1, backoff_max_s=0.2, stable_s=0.5, say_lost_s=0.5
    ),
    policy=Policy(silence_s=1.0, grace_s=1.0, links_alive_s=5.0),
    commands=Commands((), (), (), 5.0),
)
TENTH: Final = Timing(second_s=0.1)  # bodies live ten times as fast


def address(number: int) -> str:
    """Of the n-th simulated wearable."""
    return f"C0:00:00:00:00:{number:02X}"


def strap(number: int = 1, **settings: object) -> PeripheralSpec:
    """A chest strap whose readings are numbered: 30, 31, 32 … per minute."""
    options = {"options": {"numbered": True}, "kind": "strap", **settings}
    return PeripheralSpec(address=address(number), **options)  # type: ignore[arg-type]  # settings of the caller


@dataclass(frozen=True, slots=True)
class Recorder:
    """A driver that notes what it is fed, as it comes. `stall_s`: of its one stream. `breaks_at`: feed raises then."""

    stall_s: float = 15.0
    breaks_at: int = -1
    name: str = "recorder"
    label: str = "Recorder"
    vitals: tuple[Vital, ...] = (Vital.HEART_RATE, Vital.SPO2)
    needs_pairing: bool = False

    @property
    def streams(self) -> tuple[Stream, ...]:
        return (Stream(heart_rate.MEASUREMENT, self.stall_s),)

    def matches(self, seen: Seen) -> bool:
        return heart_rate.SERVICE in seen.services

    def begin(self) -> tuple[int, tuple[Action, ...]]:
        return 0, (
            Subscribe(heart_rate.MEASUREMENT),
            Subscribe(battery.LEVEL),
            Read(battery.LEVEL),
            Read("0000ffff-0000-1000-8000-00805f9b34fb", optional=True),
        )

    def feed(self, state: int, uuid: str, data: bytes, at_monotonic_ns: int) -> tuple[int, Heard]:
        if state == self.breaks_at:
            raise ArithmeticError("a driver's fault")
        samples = (HeardSample(Vital.BATTERY, at_monotonic_ns, data[0]),) if uuid == battery.LEVEL else ()
        return state + 1, Heard(samples, notes={"uuid": uuid, "data": data.hex()})

    def tick(self, state: int, at_monotonic_ns: int) -> tuple[int, Heard]:
        return state, NOTHING


class RadioWorld:
    """`radio` runs against `bluez`; `heard` and `events` grow."""

    def __init__(self, bluez: SimulatedBluez, allowed: Mapping[str, AllowedDevice], settings: RadioSettings) -> None:
        self.bluez = bluez
        self.heard: list[tuple[str, Heard]] = []
        self.events: list[RadioEvent] = []
        self._news = asyncio.Event()
        self.radio = Radio(
            allowed,
            on_heard=self._hear,
            on_event=self._happen,
            monotonic_ns=time.monotonic_ns,
            settings=settings,
        )

    def frames(self, name: str = "w-1", uuid: str = heart_rate.MEASUREMENT) -> list[bytes]:
        """The notifications that the driver got, in order."""
        notes = [heard.notes for who, heard in self.heard if who == name]
        return [bytes.fromhex(note["data"]) for note in notes if note.get("uuid") == uuid]

    def delivered(self, number: int = 1, uuid: str = heart_rate.MEASUREMENT) -> list[bytes]:
        """The notifications that the simulated radio delivered, in order."""
        return [delivery.value for delivery in self.bluez.deliveries(address(number), uuid)]

    def losses(self, name: str = "w-1") -> int:
        """How often it was said that its radio is lost."""
        told = [heard.samples for who, heard in self.heard if who == name and heard.samples]
        lost = [samples for samples in told if all(s.reason is Reason.RADIO_LOST for s in samples)]
        assert all({s.vital for s in samples} == {Vital.HEART_RATE, Vital.SPO2} for samples in lost)
        return len(lost)

    def device(self, name: str) -> DeviceStatus:
        """Its status."""
        return next(d for d in self.radio.snapshot().devices if d.name == name)

    def happened(self, what: str) -> list[RadioEvent]:
        """Events of a kind."""
        return [event for event in self.events if event.what == what]

    def streams(self, *names: str) -> bool:
        """Whether they stream; all when none is named."""
        devices = self.radio.snapshot().devices
        return bool(devices) and all(d.phase is Phase.STREAMING for d in devices if not names or d.name in names)

    async def until(self, reached: Callable[[], object], within_s: float = 20.0) -> None:
        """Wait for something that the radio reports."""
        try:
            async with asyncio.timeout(within_s):
                while not reached():
                    self._news.clear()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(0.05):  # phases change without a report
                            await self._news.wait()
        except TimeoutError:
            pytest.fail(f"not reached: {self.radio.snapshot()}\n{self.events[-12:]}")

    async def until_more(self, name: str = "w-1", frames: int = 2) -> None:
        """Wait for further notifications of a wearable."""
        wanted = len(self.frames(name)) + frames
        await self.until(lambda: len(self.frames(name)) >= wanted)

    async def until_complete(self) -> None:
        """Wait until everything that was delivered to anybody was heard, exactly once and in order."""
        names = {d.name: number for number, d in enumerate(self.radio.snapshot().devices, 1)}
        await self.until(lambda: all(self.frames(n) == self.delivered(i) for n, i in names.items()), within_s=3.0)

    def _hear(self, name: str, heard: Heard, _rssi_dbm: int | None, _at_ns: int) -> None:
        self.heard.append((name, heard))
        self._news.set()

    def _happen(self, event: RadioEvent) -> None:
        self.events.append(event)
        self._news.set()


@asynccontextmanager
async def radio_world(
    monkeypatch: pytest.MonkeyPatch,
    *peripherals: PeripheralSpec,
    settings: RadioSettings = QUICK,
    acquire_notify: bool = False,
    driver: Recorder | None = None,
    adapters: int = 1,
    adapter_faults: AdapterFaults | None = None,
    timing: Timing = TENTH,
    before: Callable[[], Awaitable[None]] | None = None,
) -> AsyncIterator[RadioWorld]:
    """Every peripheral is allowed with `driver`, named "w-<number>"; the radio is stopped in the end.

    `before`: what happens before it starts.
    """
    allowed = {
        p.address: AllowedDevice(f"w-{i}", driver or Recorder(), acquire_notify=acquire_notify)
        for i, p in enumerate(peripherals, 1)
    }
    async with simulated_bluez(
        peripherals, adapters=adapters, adapter_faults=adapter_faults, timing=timing, own_process=False
    ) as bluez:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bluez.address)
        if before is not None:
            await before()
        world = RadioWorld(bluez, allowed, settings)
        running = asyncio.create_task(world.radio.run())
        try:
            yield world
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


def quick(**changes: object) -> RadioSettings:
    """`QUICK` with other limits."""
    return replace(QUICK, limits=replace(QUICK.limits, **changes))  # type: ignore[arg-type]  # of the caller
