"""The Bluetooth radio of a gateway: allowed wearables come in, what they tell goes out, whatever BlueZ does.

The shell around `roster` and `recovery`: it hears advertisements, does what the machines say with `ble_link` and
`supervisor`, and tells them what happened. One event loop, one scan per adapter, one connection attempt at a time.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from functools import partial
from typing import Final

from bleak.backends.device import BLEDevice
from bleak_retry_connector import get_device_by_adapter

from gateway.ble_link import Link
from gateway.bleak_edge import RadioCallError, bounded, discard_bleak_state, drain_bleak, stray_calls
from gateway.bluez_watch import BluezView, BluezWatch
from gateway.devices.driver import Driver, Heard, Seen
from gateway.devices.registry import driver_for
from gateway.radio_status import AllowedDevice, RadioEvent, RadioSettings, RadioStatus, What
from gateway.roster import Roster, Task
from gateway.session_words import HOLDING, Closed, Effect, Event, Failed, Notified, Phase, Removed, Sighted, Subscribed
from gateway.slots import Slots, crowded
from gateway.supervisor import Supervisor
from gateway.wearables import Wearable, Wearables

FAREWELL_S: Final = 4.0  # for all links to be closed at the end; systemd does not wait long

OnHeard = Callable[[str, Heard, "int | None", int], None]


class Radio:
    """`run` it in a task. `allowed`: by address.

    `on_heard(device name, heard, rssi_dbm, at_monotonic_ns)`: what a wearable told, or that its radio is lost. Both
    callbacks are called on the event loop and must not block. `monotonic_ns`: the event loop's pace, from the boot.
    """

    def __init__(
        self,
        allowed: Mapping[str, AllowedDevice],
        *,
        on_heard: OnHeard,
        on_event: Callable[[RadioEvent], None],
        monotonic_ns: Callable[[], int],
        settings: RadioSettings | None = None,
        choose: Callable[[Seen], Driver | None] = driver_for,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._allowed = allowed
        self._on_heard = on_heard
        self._on_event = on_event
        self._monotonic_ns = monotonic_ns
        self._settings = settings or RadioSettings()
        self._choose = choose
        self._jitter = jitter
        self._roster = Roster(self._settings.limits, Slots(self._settings.slots, self._settings.budget))
        self._wearables = Wearables()
        self._changes: asyncio.Queue[tuple[BluezView, BluezView]] = asyncio.Queue()  # a few an hour
        self._watch = BluezWatch(lambda before, after: self._changes.put_nowait((before, after)))
        self._supervisor: Supervisor | None = None
        self._wake = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()
        self._without_slot: Mapping[str, tuple[str, ...]] = {}
        self._admit()

    async def run(self) -> None:
        """Connect to what is allowed until cancelled, then close every link. Nothing a radio does ends it."""
        self._supervisor = Supervisor(
            self._settings,
            self._watch,
            now_s=self._now_s,
            on_sighting=lambda adapter: partial(self._sighted, adapter),
            report=self._report,
            on_change=self._wake.set,
        )
        try:
            self._supervisor.need(len(self._wearables) > 0)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch.run(), name="watch BlueZ")
                tasks.create_task(self._follow_bluez(), name="follow BlueZ")
                tasks.create_task(self._keep_time(), name="deadlines")
                tasks.create_task(self._adopt(), name="adopt")
        finally:
            await self._farewell()

    async def set_allowed(self, allowed: Mapping[str, AllowedDevice]) -> None:
        """These from now on, by address. Who is no longer among them, or has other settings, is disconnected."""
        self._allowed = allowed
        self._admit()

    def snapshot(self) -> RadioStatus:
        """How everything is now."""
        return RadioStatus(
            bluez=self._watch.view.running,
            devices=tuple(w.status(self._roster.sessions.get(w.allowed.name)) for w in self._wearables),
            adapters=self._supervisor.status(self._roster.slots) if self._supervisor is not None else (),
            stray_calls=stray_calls(),
        )

    # -- wearables come and go ---------------------------------------------------------------------------------------

    def _admit(self) -> None:
        for wearable in self._wearables.want(self._allowed):
            name = wearable.allowed.name
            if name in self._roster.sessions:
                if self._roster.sessions[name].phase is not Phase.GONE:
                    self._do(self._roster.take(name, Removed(), self._now_s()))
            else:
                self._wearables.remove(name)
        for wearable in self._wearables.admit():
            self._enrol(wearable)
        if self._supervisor is not None:
            self._supervisor.need(len(self._wearables) > 0)

    def _enrol(self, wearable: Wearable) -> None:
        """Its session begins when its driver is known."""
        if wearable.driver is not None:
            streams = {stream.uuid: stream.stall_s for stream in wearable.driver.streams}
            self._roster.allow(wearable.allowed.name, streams, self._now_s())

    def _sighted(self, adapter: str, device: BLEDevice, seen: Seen) -> None:
        assert self._supervisor is not None
        self._supervisor.advertised(adapter)
        wearable = self._wearables.at(seen.address)
        if wearable is None or not wearable.may_use(adapter):
            return
        if wearable.driver is None:
            self._identify(wearable, seen)
        state = self._roster.sessions.get(wearable.allowed.name)
        if state is None or state.phase in HOLDING:
            return
        is_news = state.phase is Phase.AWAY or self._roster.moves(wearable.allowed.name, adapter)
        if is_news or state.phase is not Phase.QUEUED or state.adapter == adapter:
            wearable.saw(device, seen)
        if is_news:
            self._tell(wearable, Sighted(adapter))
        else:  # this only moves deadlines away: nobody has to be woken
            self._roster.take(wearable.allowed.name, Sighted(adapter), self._now_s())

    def _identify(self, wearable: Wearable, seen: Seen) -> None:
        wearable.driver = self._choose(seen)
        if wearable.driver is not None:
            self._enrol(wearable)
        elif not wearable.unknown:
            name = wearable.allowed.name
            wearable.unknown = f"no driver knows its advertisement ({seen.name or 'without a name'}): name its driver"
            self._report("unknown_device", "", f"{name}: {wearable.unknown}", name)

    async def _adopt(self) -> None:
        """After a kill, BlueZ may hold wearables that were connected: they do not advertise, but can be taken over."""
        assert self._supervisor is not None
        while True:
            await asyncio.sleep(self._settings.adopt_s)
            for wearable in self._wearables:
                state = self._roster.sessions.get(wearable.allowed.name)
                if not self._watch.view.running or (state is not None and state.phase is not Phase.AWAY):
                    continue
                for adapter in filter(wearable.may_use, self._supervisor.names()):
                    with suppress(RadioCallError):
                        await self._adopt_from(adapter, wearable)

    async def _adopt_from(self, adapter: str, wearable: Wearable) -> None:
        look = get_device_by_adapter(wearable.address, adapter)
        device = await bounded(look, self._settings.call_s, "asking BlueZ for its devices")
        known = device.details["props"] if device is not None else {}
        if device is not None and known.get("Connected"):
            services = frozenset(uuid.lower() for uuid in known.get("UUIDs", ()))
            self._sighted(adapter, device, Seen(wearable.address, known.get("Name", ""), None, services))

    # -- the machines' side ------------------------------------------------------------------------------------------

    def _now_s(self) -> float:
        return self._monotonic_ns() / 1e9

    async def _keep_time(self) -> None:
        """Report deadlines to the machines. Notifications only move deadlines away and need not wake this."""
        assert self._supervisor is not None
        while True:
            self._wake.clear()
            self._do(self._roster.due(self._now_s(), self._jitter()))
            self._supervisor.due()
            deadlines = (self._roster.next_deadline(), self._supervisor.next_deadline())
            due_s = min((at_s for at_s in deadlines if at_s is not None), default=None)
            with suppress(TimeoutError):
                async with asyncio.timeout(None if due_s is None else max(0.0, due_s - self._now_s())):
                    await self._wake.wait()

    def _tell(self, wearable: Wearable, event: Event) -> None:
        self._do(self._roster.take(wearable.allowed.name, event, self._now_s()))
        self._wake.set()

    def _do(self, tasks: list[Task]) -> None:
        for name, effect in tasks:
            self._perform(self._wearables[name], effect)
        self._report_crowd()

    def _perform(self, wearable: Wearable, effect: Effect) -> None:
        link = wearable.link
        match effect:
            case Effect.CONNECT:
                wearable.link = self._make_link(wearable)
                wearable.link.connect()
            case Effect.SUBSCRIBE if link is not None:
                link.prepare()
            case Effect.TICK if link is not None:
                link.tick()
            case Effect.CLOSE if link is not None:
                task = asyncio.create_task(self._close(wearable, link), name=f"close {wearable.allowed.name}")
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)
            case Effect.SAY_LOST:
                at_ns = self._monotonic_ns()
                self._on_heard(wearable.allowed.name, wearable.lost(at_ns), None, at_ns)
            case Effect.FORGET:
                self._wearables.remove(wearable.allowed.name)
                self._admit()

    async def _follow_bluez(self) -> None:
        """What goes away takes its links along, once their last notifications were read."""
        assert self._supervisor is not None
        while True:
            before, after = await self._changes.get()
            lost = [name for name, powered in before.powered.items() if powered and not after.powered.get(name)]
            if lost or (before.running and not after.running):
                await drain_bleak()
            if after.running != before.running:
                self._bluez_came_or_went(running=after.running)
            elif lost:
                for adapter in lost:
                    self._do(self._roster.radio_down(adapter, f"{adapter} was off", self._now_s()))
            self._supervisor.seen(before, after)

    def _bluez_came_or_went(self, *, running: bool) -> None:
        if running:
            self._report("bluez_back", "", "bluetoothd is running")
            return
        self._report("bluez_gone", "", "bluetoothd or the D-Bus is gone: see `systemctl status bluetooth`")
        self._do(self._roster.radio_down(None, "bluetoothd was gone", self._now_s()))
        discard_bleak_state()

    # -- links -------------------------------------------------------------------------------------------------------

    def _make_link(self, wearable: Wearable) -> Link:
        assert wearable.device is not None
        assert wearable.driver is not None
        adapter = self._roster.sessions[wearable.allowed.name].adapter
        link = Link(
            wearable.device,
            wearable.driver,
            before=wearable.driver_state,
            acquire_notify=wearable.allowed.acquire_notify,
            settings=self._settings,
            air=partial(self._air, adapter),
            monotonic_ns=self._monotonic_ns,
            on_event=lambda event: self._of_link(wearable, link, event),
            on_heard=lambda heard, at_ns: self._heard(wearable, heard, at_ns),
        )
        return link

    def _air(self, adapter: str) -> AbstractAsyncContextManager[None]:
        assert self._supervisor is not None
        return nullcontext() if self._settings.scan_while_connecting else self._supervisor.scanner(adapter).rest()

    def _of_link(self, wearable: Wearable, link: Link, event: Event) -> None:
        """What a link reports; one that was given up has nothing to say any more."""
        state = self._roster.sessions.get(wearable.allowed.name)
        if wearable.link is not link or state is None or state.phase not in HOLDING:
            return
        if isinstance(event, Notified):
            wearable.notifications += 1
            if self._supervisor is not None:
                self._supervisor.notified(state.adapter)
            self._roster.take(wearable.allowed.name, event, self._now_s())
            return
        before = state.phase
        self._tell(wearable, event)
        if isinstance(event, Subscribed):
            self._report("link_up", state.adapter, f"{wearable.allowed.name} streams", wearable.allowed.name)
        elif before in {Phase.SUBSCRIBING, Phase.STREAMING}:
            why = event.why if isinstance(event, Failed) else "the link was lost"
            self._report("link_lost", state.adapter, f"{wearable.allowed.name}: {why}", wearable.allowed.name)

    def _heard(self, wearable: Wearable, heard: Heard, at_ns: int) -> None:
        wearable.count(heard)
        self._on_heard(wearable.allowed.name, heard, wearable.rssi_dbm, at_ns)

    async def _close(self, wearable: Wearable, link: Link) -> None:
        await link.close()
        self._of_link(wearable, link, Closed(self._jitter()))

    async def _farewell(self) -> None:
        """Close every link, so that BlueZ does not keep wearables that then advertise to nobody."""
        links = [asyncio.ensure_future(w.link.close()) for w in self._wearables if w.link is not None]
        if waiting := [*links, *self._closing]:
            await asyncio.wait(waiting, timeout=FAREWELL_S)
        if self._supervisor is not None:
            await self._supervisor.close()
        discard_bleak_state()

    # -- telling people ----------------------------------------------------------------------------------------------

    def _report(self, what: What, adapter: str, text: str, device: str = "") -> None:
        self._on_event(RadioEvent(what, text, self._monotonic_ns(), adapter, device))

    def _report_crowd(self) -> None:
        """Say once who waits for a slot that will not become free."""
        found = crowded(self._roster.slots)
        for adapter, names in found.items():
            if names != self._without_slot.get(adapter):
                budget = self._roster.slots.budget_of(adapter)
                text = f"{adapter} holds its {budget} connections; {', '.join(names)} wait: add an adapter or a gateway"
                self._report("no_slot", adapter, text)
        self._without_slot = found
