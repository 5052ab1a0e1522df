"""The radio side: peripherals that live second by second, advertise, notify and answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import numpy as np

from simulators.bluez import objects, wearer
from simulators.bluez.control import PeripheralStatus
from simulators.bluez.faults import FaultBudget, Faults
from simulators.bluez.ledger import Ledger
from simulators.bluez.peripheral import Notification, PeripheralSpec, Profile, Wearable
from simulators.timeline import Contact

if TYPE_CHECKING:
    from simulators.bluez.device import Device

RSSI_SWING_DB: Final = 6


class Peripheral:
    """A wearable in the air. At most one adapter is connected to it."""

    def __init__(self, spec: PeripheralSpec, wearable: Wearable, ledger: Ledger, *, second_s: float) -> None:
        self.spec = spec
        self._second_s = second_s
        self.profile: Profile = wearable.profile
        self.moves = 0  # how often its GATT table has been rearranged
        self.out_of_range = False  # the wearer's story has a drop-out now
        self.refused = 0  # notifications that the bus or the client did not take
        self._wearable = wearable
        self._ledger = ledger
        self._state: Any = wearable.start()
        self._wearer = wearer.start(spec.patient, spec.body_seed, spec.repeat_every_s)
        self._device: Device | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        self._random = np.random.default_rng(crc32(spec.address.encode()))
        self.set_faults(spec.faults)

    def set_faults(self, wanted: Faults) -> None:
        """Behave like this from now on."""
        self.faults, self.budget = wanted, FaultBudget(wanted.failures)

    # ── the link ──

    @property
    def connected(self) -> bool:
        """Whether a central is connected."""
        return self._device is not None

    @property
    def device(self) -> Device | None:
        """The adapter's side of the connection."""
        return self._device

    def reachable(self, adapter: str) -> bool:
        """Whether a connect from this adapter finds it."""
        return self.advertising and self.heard_by(adapter)

    def heard_by(self, adapter: str) -> bool:
        """Whether it is in the range of an adapter."""
        return not self.spec.heard_by or adapter in self.spec.heard_by

    def connected_to(self, device: Device) -> None:
        """A central has connected."""
        self._device = device
        self._state = self._wearable.connect(self._state)

    def disconnected_from(self, device: Device) -> None:
        """The link is down; what was about to leave is lost."""
        if self._device is device:
            self._device = None
        self.close()

    def close(self) -> None:
        """Forget what was about to leave."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    # ── advertising ──

    def rssi_dbm(self) -> int | None:
        """The signal strength of the next advertisement."""
        match self.faults.rssi:
            case "absent":
                return None
            case "same":
                return self.spec.rssi_dbm
            case "normal":
                return self.spec.rssi_dbm + int(self._random.integers(-RSSI_SWING_DB, RSSI_SWING_DB + 1))

    @property
    def advertising(self) -> bool:
        """Whether it sends advertisements: in range and not connected."""
        return self.faults.advertises and not self.out_of_range and not self.connected

    # ── living ──

    @property
    def seconds(self) -> int:
        """How long it has lived."""
        return self._wearer.at_s

    def live(self, due_s: float, *, aloud: bool) -> None:
        """One second further, which was due at `due_s` on the monotonic clock.

        Not `aloud`: catching up with seconds in which nobody could listen.
        """
        self._wearer, lived = wearer.step(self._wearer, connected=self.connected)
        self._state, said = self._wearable.live(self._state, lived)
        self._drop_out(lost=lived.condition.contact is Contact.SILENT)
        if aloud and not self.spec.silent:
            self.send_all(said, due_s)

    def _drop_out(self, *, lost: bool) -> None:
        self.out_of_range = lost
        if lost and self._device is not None:
            self._device.lose()

    def push(self, uuid: str, value: bytes) -> int:
        """Notify a value now; to how many clients (0: nobody has subscribed, or nobody is connected)."""
        device, path = self._device, self._path(uuid)
        if device is None or path is None or not device.subscriptions.listening(path) or self._gone_silent(device):
            return 0
        copies = 0

        def delivered(to: int) -> None:
            nonlocal copies
            copies = to
            now = time.time_ns(), time.monotonic_ns()
            address = self.spec.address
            self._ledger.note(address, uuid, value, at_ns=now[0], monotonic_ns=now[1], copies=to)

        self.refused += not device.subscriptions.deliver(path, value, delivered)
        return copies

    def battery_pct(self) -> int | None:
        """The level that its battery service tells, if it has one."""
        offered = {c.uuid for s in self.profile.services for c in s.characteristics}
        return self.read(objects.BATTERY_LEVEL_UUID)[0] if objects.BATTERY_LEVEL_UUID in offered else None

    def read(self, uuid: str) -> bytes:
        """As `Wearable.read`."""
        return self._wearable.read(self._state, uuid)

    def write(self, uuid: str, data: bytes) -> tuple[Notification, ...]:
        """As `Wearable.write`; what it returns is to be sent after the reply."""
        self._state, said = self._wearable.write(self._state, uuid, data)
        return said

    def send_all(self, said: tuple[Notification, ...], since_s: float | None = None) -> None:
        """Notify each value in its time; `since_s`: what the times count from on the monotonic clock, if not now.

        Absolute times keep the order from second to second however late a second was worked off.
        """
        began_s = time.monotonic() if since_s is None else since_s
        for notification in said:
            if notification.after_s <= 0:
                self.push(notification.uuid, notification.value)
            elif self.connected:
                self._later(notification, began_s + notification.after_s * self._second_s)

    def _later(self, notification: Notification, at_s: float) -> None:
        def send() -> None:
            self._timers.discard(timer)
            self.push(notification.uuid, notification.value)

        timer = asyncio.get_running_loop().call_at(at_s, send)  # its clock is the monotonic one
        self._timers.add(timer)

    def _gone_silent(self, device: Device) -> bool:
        limit_s = self.faults.silent_after_s
        return limit_s is not None and time.monotonic() - device.connected_at_s >= limit_s

    def status(self) -> PeripheralStatus:
        """How it is now."""
        linked = self._device
        paths = [] if linked is None else [p for p in linked.subscriptions.paths if p in linked.gatt]
        listening = [] if linked is None else [str(linked.gatt[p].properties["UUID"].value) for p in paths]
        return PeripheralStatus(
            address=self.spec.address,
            kind=self.spec.kind,
            name=self.profile.name,
            connected=self.connected,
            listening=tuple(listening),
            delivered=self._ledger.count(self.spec.address),
            refused=self.refused,
        )

    def _path(self, uuid: str) -> str | None:
        if self._device is None or not self._device.link.connected:
            return None
        found = (p for p, made in self._device.gatt.items() if made.interface == objects.CHARACTERISTIC)
        return next((p for p in found if self._device.gatt[p].properties["UUID"].value == uuid), None)


async def live_on(peripheral: Peripheral, *, started_at_s: float, second_s: float) -> None:
    """Let a peripheral live for ever, in step with the monotonic clock since `started_at_s`; it catches up first."""
    phase_s = crc32(peripheral.spec.address.encode()) % 997 / 997 * second_s  # wearables do not tick together
    while True:
        due_s = started_at_s + phase_s + (peripheral.seconds + 1) * second_s
        late_s = time.monotonic() - due_s
        if late_s < 0:
            await asyncio.sleep(-late_s)
        peripheral.live(due_s, aloud=late_s < second_s)
        if late_s >= 0:
            await asyncio.sleep(0)


async def advertise(peripheral: Peripheral, hear: Callable[[Peripheral, int | None], None], *, every_s: float) -> None:
    """Advertise for ever, with the delay of up to 10 ms that keeps devices from talking at once."""
    rng = np.random.default_rng(crc32(peripheral.spec.address.encode()))
    while True:
        await asyncio.sleep(every_s + float(rng.uniform(0, min(0.01, every_s))))
        if peripheral.advertising:
            hear(peripheral, peripheral.rssi_dbm())
