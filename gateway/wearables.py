"""What the radio keeps of each allowed wearable besides its session: who it is, how it was seen, what it told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bleak.backends.device import BLEDevice

from gateway.ble_link import Link
from gateway.devices.driver import Driver, Heard, HeardSample, Seen
from gateway.radio_status import AllowedDevice, DeviceStatus
from gateway.session import State
from gateway.session_words import Phase
from vitals.model import Reason, Vital


@dataclass(slots=True)
class Wearable:
    """One allowed wearable. `driver` is known at the latest when it was seen; `device` is bleak's, as seen last."""

    address: str
    allowed: AllowedDevice
    driver: Driver | None
    device: BLEDevice | None = None
    link: Link | None = None
    rssi_dbm: int | None = None
    battery_pct: float | None = None
    notifications: int = 0
    malformed: int = 0
    vitals: set[Vital] = field(default_factory=set)  # that it was heard to tell
    unknown: str = ""  # why it cannot be connected although it is seen

    def may_use(self, adapter: str) -> bool:
        """Whether it may be connected through this adapter."""
        return self.allowed.adapter in {None, adapter}

    def saw(self, device: BLEDevice, seen: Seen) -> None:
        """It was seen; the device object is what to connect to, for an address would be scanned for again."""
        self.device = device
        self.rssi_dbm = seen.rssi_dbm if seen.rssi_dbm is not None else self.rssi_dbm

    def count(self, heard: Heard) -> None:
        """Take note of what it told."""
        self.malformed += len(heard.malformed)
        for sample in heard.samples:
            self.vitals.add(sample.vital)
            if sample.vital is Vital.BATTERY and sample.value is not None:
                self.battery_pct = sample.value

    @property
    def driver_state(self) -> Any | None:
        """What the driver knew at the end of the last link."""
        return self.link.state if self.link is not None else None

    def lost(self, at_ns: int) -> Heard:
        """What is to be said when its radio is lost: every vital that it tells is missing, and why.

        A driver's vitals are what such a device may tell; once readings were heard, it is known what this one does.
        """
        may_tell = self.driver.vitals if self.driver is not None else ()
        vitals = sorted(self.vitals) if self.vitals - {Vital.BATTERY} else may_tell
        return Heard(samples=tuple(HeardSample(vital, at_ns, None, Reason.RADIO_LOST) for vital in vitals))

    def status(self, state: State | None) -> DeviceStatus:
        """For status pages."""
        return DeviceStatus(
            name=self.allowed.name,
            address=self.address,
            driver=self.driver.name if self.driver is not None else "",
            phase=state.phase if state is not None else Phase.AWAY,
            since_s=state.since_s if state is not None else 0.0,
            adapter=state.adapter if state is not None else "",
            rssi_dbm=self.rssi_dbm,
            battery_pct=self.battery_pct,
            notifications=self.notifications,
            malformed=self.malformed,
            reconnects=max(0, state.links - 1) if state is not None else 0,
            last_error=state.why if state is not None else self.unknown,
        )


class Wearables:
    """The allowed wearables by name and by address. What is removed stays until its link is closed."""

    def __init__(self) -> None:
        self._wanted: dict[str, tuple[str, AllowedDevice]] = {}
        self._by_name: dict[str, Wearable] = {}
        self._by_address: dict[str, Wearable] = {}

    def __iter__(self) -> Iterator[Wearable]:
        return iter(tuple(self._by_name.values()))

    def __len__(self) -> int:
        return len(self._by_name)

    def __getitem__(self, name: str) -> Wearable:
        return self._by_name[name]

    def at(self, address: str) -> Wearable | None:
        """The wearable with this address, if it is allowed."""
        return self._by_address.get(address.upper())

    def want(self, allowed: Mapping[str, AllowedDevice]) -> tuple[Wearable, ...]:
        """These from now on, by address; returns those to be removed. Then `admit`."""
        self._wanted = {device.name: (address.upper(), device) for address, device in allowed.items()}
        return tuple(w for w in self if self._wanted.get(w.allowed.name) != (w.address, w.allowed))

    def remove(self, name: str) -> None:
        """Nothing is left of it."""
        wearable = self._by_name.pop(name)
        self._by_address.pop(wearable.address, None)

    def admit(self) -> tuple[Wearable, ...]:
        """Take in what is wanted and whose name and address are free; returns the new ones."""
        new = []
        for name, (address, allowed) in self._wanted.items():
            if name not in self._by_name and address not in self._by_address:
                wearable = Wearable(address, allowed, allowed.driver)
                self._by_name[name] = self._by_address[address] = wearable
                new.append(wearable)
        return tuple(new)
