"""The whole chain: simulated BlueZ (a process of its own), the real gateway, ingest's endpoint, and what it stored.

Everything that waits is scaled alike: at `scale` 0.1 a wearable's second, a link's set-up and every limit of the
gateway last a tenth of what they last in a ward.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import serials
from serials import Stored

from gateway.app import OnHeard, Surroundings, run
from gateway.ble import Radio
from gateway.bluetooth import radio_settings
from gateway.config import GatewayConfig, RadioConfig, config_of
from gateway.devices.driver import Stream
from gateway.devices.heart_rate import HeartRateDriver
from gateway.radio_status import AllowedDevice, Commands, RadioEvent, RadioSettings
from gateway.recovery import Rung
from gateway.session_words import Limits, Phase
from gateway.timekeeper import ClockReading
from ingest.app import IngestService
from ingest.endpoint import Endpoint, EndpointConfig
from ingest.poison import PoisonStore
from simulators.bluez import AdapterFaults, PeripheralSpec, SimulatedBluez, simulated_bluez
from simulators.bluez.timing import REAL, Timing
from vitals.columns import SAMPLE_DTYPE, RecordKind, decode_block
from vitals.journal import Journal

SITE: Final = "north"
LOOK_EVERY_S: Final = 0.1


def address(number: int) -> str:
    """Of the n-th strap."""
    return f"C0:00:00:00:00:{number:02X}"


def strap(number: int) -> PeripheralSpec:
    """Its readings are numbered."""
    return PeripheralSpec(address=address(number), kind="strap", options={"numbered": True})


def scaled_settings(scale: float) -> RadioSettings:
    """What a gateway does by default, with every time scaled, and without touching this computer's own bluetoothd."""
    whole = radio_settings(RadioConfig())
    policy = whole.policy
    ladder = {step: Rung(rung.settle_s * scale, rung.per_hour) for step, rung in policy.ladder.items()}
    return replace(
        whole,
        call_s=whole.call_s * scale,
        adopt_s=whole.adopt_s * scale,
        disconnect_s=whole.disconnect_s * scale,
        limits=Limits(**{f.name: getattr(whole.limits, f.name) * scale for f in fields(Limits)}),
        policy=replace(
            policy,
            silence_s=policy.silence_s * scale,
            grace_s=policy.grace_s * scale,
            links_alive_s=policy.links_alive_s * scale,
            ladder=ladder,
        ),
        commands=Commands((), (), (), 5.0),
    )


def scaled_timing(scale: float) -> Timing:
    """A radio as slow as a real one, scaled."""
    return Timing(
        connect_s=REAL.connect_s * scale,
        unreachable_s=REAL.unreachable_s * scale,
        discovery_s=REAL.discovery_s * scale,
        disconnect_s=REAL.disconnect_s * scale,
        advertise_every_s=REAL.advertise_every_s * scale,
        forget_after_s=REAL.forget_after_s * scale,
        second_s=scale,
    )


@dataclass(slots=True)
class Chain:
    """A running chain. `count`: straps, named `w-1` …; `scale`: see the module's text."""

    bluez: SimulatedBluez
    count: int
    scale: float
    radios: list[Radio] = field(default_factory=list)  # one per life of the gateway
    events: list[RadioEvent] = field(default_factory=list)
    _journal: Journal | None = None
    _read: int = 0
    _rows: dict[str, list[np.ndarray[Any, Any]]] = field(default_factory=dict)

    def delivered(self) -> dict[str, list[int]]:
        """The numbers that each strap's radio delivered so far."""
        said: dict[str, list[Any]] = {address(n): [] for n in range(1, self.count + 1)}
        for delivery in self.bluez.deliveries():
            said[delivery.address].append(delivery)
        return {f"w-{n}": serials.delivered(said[address(n)]) for n in range(1, self.count + 1)}

    def stored(self) -> dict[str, Stored]:
        """What ingest has stored of each strap."""
        assert self._journal is not None
        while records := self._journal.read(self._read):
            self._read = records[-1].sequence
            for block in (decode_block(r.payload) for r in records if r.kind == RecordKind.SAMPLES):
                for index, name in enumerate(block.devices):
                    self._rows.setdefault(name, []).append(block.rows[block.rows["device"] == index])
        none = np.empty(0, SAMPLE_DTYPE)
        names = [f"w-{n}" for n in range(1, self.count + 1)]
        return {name: serials.stored(np.concatenate([none, *self._rows.get(name, [])])) for name in names}

    def phase(self, name: str) -> Phase:
        """Where a wearable's link stands."""
        return next(d.phase for d in self.radios[-1].snapshot().devices if d.name == name)

    def reconnects(self, name: str) -> int:
        """How often its link was made again."""
        return next(d.reconnects for d in self.radios[-1].snapshot().devices if d.name == name)

    async def lasts(self, seconds: float) -> None:
        """The fault goes on for so long, scaled."""
        await asyncio.sleep(seconds * self.scale)

    async def until(self, reached: Callable[[], object], within_s: float) -> None:
        """Wait for a state; raises `TimeoutError` with what is known."""
        try:
            async with asyncio.timeout(within_s):
                while not reached():  # noqa: ASYNC110  other processes and threads fulfil it: no event to wait for
                    await asyncio.sleep(min(LOOK_EVERY_S, self.scale))
        except TimeoutError as error:
            known = (self.radios[-1].snapshot(), self.events[-8:])
            raise TimeoutError(f"not reached within {within_s:g} s: {known}") from error

    async def streams(self, within_s: float, *, more: int = 2) -> None:
        """Wait until so many readings of every strap are at ingest that its radio has not delivered yet."""
        newest = {name: max(numbers, default=-1) for name, numbers in self.delivered().items()}

        def fresh(name: str, said: Stored) -> int:
            return sum(number > newest[name] for number in said.serials)

        await self.until(lambda: all(fresh(n, said) >= more for n, said in self.stored().items()), within_s)

    async def complete(self, within_s: float) -> dict[str, Stored]:
        """Wait until everything that was delivered until now is stored; what is stored then."""
        wanted = self.delivered()
        await self.until(lambda: all(not serials.missing(s, wanted[n]) for n, s in self.stored().items()), within_s)
        return self.stored()


@asynccontextmanager
async def chain_world(
    set_bus: Callable[[str], None],
    folder: Path,
    *,
    straps: int,
    scale: float,
    adapters: int = 1,
    adapter_faults: AdapterFaults | None = None,
    settings: RadioSettings | None = None,
) -> AsyncIterator[Chain]:
    """`set_bus`: gets the address of the private bus, before bleak looks for it."""
    specs: Sequence[PeripheralSpec] = [strap(n) for n in range(1, straps + 1)]
    async with AsyncExitStack() as opened:
        bluez = await opened.enter_async_context(
            simulated_bluez(specs, adapters=adapters, adapter_faults=adapter_faults, timing=scaled_timing(scale))
        )
        set_bus(bluez.address)
        chain = Chain(bluez, straps, scale)
        url = await opened.enter_async_context(_ingest(folder))
        chain._journal = opened.enter_context(Journal(folder / "journal.db", read_only=True))
        await opened.enter_async_context(_gateway(chain, folder, url, settings or scaled_settings(scale)))
        yield chain


@asynccontextmanager
async def _ingest(folder: Path) -> AsyncIterator[str]:
    with Journal(folder / "journal.db") as journal, Journal(folder / "poison.db") as poison:
        service = IngestService(
            journal=journal,
            poison=PoisonStore(poison),
            patient_of={},
            now_ns=time.time_ns,
            publish_receipt=lambda *receipt: endpoint.publish(*receipt),  # noqa: PLW0108  it is made below
        )
        config = EndpointConfig(port=0)
        endpoint = Endpoint(config, service.offer, service.offer, now_ns=time.time_ns, monotonic=time.monotonic)
        async with endpoint:
            work = asyncio.create_task(service.run())
            yield f"mqtt://127.0.0.1:{endpoint.port}"
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work


@asynccontextmanager
async def _gateway(chain: Chain, folder: Path, url: str, settings: RadioSettings) -> AsyncIterator[None]:
    stall_s = HeartRateDriver().streams[0].stall_s * chain.scale
    driver = replace(HeartRateDriver(), streams=(Stream(HeartRateDriver().streams[0].uuid, stall_s),))
    devices = [{"name": f"w-{n}", "address": address(n)} for n in range(1, chain.count + 1)]
    config = config_of(
        {
            "site": SITE,
            "gateway": "gw-1",
            "uplink": {"url": url, "reconnect_min_s": 0.05, "reconnect_max_s": 0.2},
            "spool": {"folder": str(folder / "state")},
            "runtime_folder": str(folder / "run"),
            "device": devices,
        }
    )

    def make(config: GatewayConfig, on_heard: OnHeard, on_event: Callable[[RadioEvent], None]) -> Radio:
        def happen(event: RadioEvent) -> None:
            chain.events.append(event)
            on_event(event)

        allowed = {d.address: AllowedDevice(d.name, driver) for d in config.device}
        made = Radio(allowed, on_heard=on_heard, on_event=happen, monotonic_ns=time.monotonic_ns, settings=settings)
        chain.radios.append(made)
        return made

    stop = asyncio.Event()
    around = Surroundings(make, lambda: ClockReading(time.time_ns(), time.monotonic_ns(), True), lambda: "boot")
    running = asyncio.create_task(run(config, stop=stop, surroundings=around))
    try:
        await chain.until(lambda: running.done() or chain.radios, 10.0)
        yield
    finally:
        stop.set()
        await running
