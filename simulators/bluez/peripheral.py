"""What a simulated peripheral is: what it advertises and offers, and the wearable that lives behind it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Protocol
from zlib import crc32

from msgspec import Meta, Struct

from simulators import ppg
from simulators.bluez.faults import Faults
from simulators.body import BodySecond
from simulators.story import ScenarioDevice, ScenarioPatient
from simulators.timeline import DeviceCondition
from vitals.errors import ConfigurationError

MAX_PERIPHERALS: Final = 200  # more than any room holds; each costs a body per second
ADDRESS: Final = re.compile(r"[0-9A-F]{2}(:[0-9A-F]{2}){5}")

_HEALTHY: Final = ScenarioPatient(patient="P-0001", bed="1", gateway="gw", devices=(ScenarioDevice("wearable"),))


@dataclass(frozen=True, slots=True)
class Characteristic:
    """`flags` as BlueZ names them: `read`, `write`, `write-without-response`, `notify`, `indicate`."""

    uuid: str
    flags: tuple[str, ...]

    @property
    def notifies(self) -> bool:
        """Whether a central can subscribe to it."""
        return "notify" in self.flags or "indicate" in self.flags


@dataclass(frozen=True, slots=True)
class Service:
    """A GATT service. `uuid`: 128-bit text in lower case, as everywhere here."""

    uuid: str
    characteristics: tuple[Characteristic, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """What a device says of itself before and after a connection. `advertised`: UUIDs in the advertisement."""

    name: str
    services: tuple[Service, ...]
    advertised: tuple[str, ...] = ()
    manufacturer_data: Mapping[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification or indication, to leave `after_s` into the second (or after the write that asked for it)."""

    uuid: str
    value: bytes
    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Lived:
    """One second of the wearer. `at_s`: whole seconds since the start of the simulation; `light`: what an optical
    sensor sees, at `ppg.SAMPLE_RATE_HZ`; `connected`: whether anybody listens at its end."""

    at_s: int
    second: BodySecond
    condition: DeviceCondition
    light: ppg.Light
    perfusion_pct: float
    connected: bool


class AttError(Exception):
    """A device refuses a read or a write. `code`: the ATT error, such as 0x80 for a first application error."""

    def __init__(self, code: int) -> None:
        super().__init__(f"Operation failed with ATT error: 0x{code:02x}")
        self.code = code


class Wearable(Protocol):
    """The device behind a peripheral. Its state is its own value; the radio only keeps it."""

    @property
    def profile(self) -> Profile:
        """What it advertises and offers; never changes."""
        ...

    def start(self) -> Any:
        """The state when it is switched on."""
        ...

    def connect(self, state: Any) -> Any:
        """A central has connected: what the last connection had started is off."""
        ...

    def live(self, state: Any, lived: Lived) -> tuple[Any, tuple[Notification, ...]]:
        """A second has passed, connected or not; what it sends in the next one to whoever has subscribed."""
        ...

    def read(self, state: Any, uuid: str) -> bytes:
        """The value of a readable characteristic; raises `AttError`."""
        ...

    def write(self, state: Any, uuid: str, data: bytes) -> tuple[Any, tuple[Notification, ...]]:
        """Take a write and answer it with notifications; raises `AttError`."""
        ...


class PeripheralSpec(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One peripheral of a simulation; a value that crosses processes.

    `kind`: a name of `wearables.KINDS`; `options`: what that kind's constructor takes. `patient`: the wearer with what
    happens to him or her; the events are those of his or her first device. `heard_by`: names of adapters, all if empty.
    `silent`: the wearable sends nothing by itself, only what is pushed. `repeat_every_s`: as in a scenario.
    """

    address: str
    kind: str = "strap"
    name: str = ""
    patient: ScenarioPatient = _HEALTHY
    seed: int = 1
    heard_by: tuple[str, ...] = ()
    rssi_dbm: Annotated[int, Meta(ge=-127, le=20)] = -60
    faults: Faults = Faults()
    options: dict[str, Any] = {}
    silent: bool = False
    repeat_every_s: Annotated[float, Meta(ge=0)] = 0.0

    def __post_init__(self) -> None:
        if not ADDRESS.fullmatch(self.address):
            raise ConfigurationError(f"address {self.address!r}: write six upper-case bytes such as C0:00:00:00:00:01")

    @property
    def body_seed(self) -> int:
        """Wearables on one named patient share a body; those on nobody in particular have one each."""
        who = self.address if self.patient == _HEALTHY else self.patient.patient
        return (self.seed << 32) | crc32(who.encode())
