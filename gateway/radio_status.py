"""What the radio is told and what it says: allowed wearables, settings, events, status. Pure values.

Everything here is technical and labelled "radio": it is about links and adapters, never about a patient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from gateway.devices.driver import Driver
from gateway.recovery import Condition, Policy, Step
from gateway.session_words import Limits, Phase
from gateway.slots import SLOTS_PER_ADAPTER

RADIO: Final = "radio"


@dataclass(frozen=True, slots=True)
class AllowedDevice:
    """A wearable to connect to. `driver`: `None` for the first that knows its advertisement.

    `adapter`: the only one to connect through, such as "hci0". `acquire_notify`: spares the bus daemon, and breaks
    with some devices.
    """

    name: str
    driver: Driver | None = None
    adapter: str | None = None
    acquire_notify: bool = False


@dataclass(frozen=True, slots=True)
class Commands:
    """Programs that the recovery ladder runs; `{adapter}` is "hci0", `{index}` is "0". Empty: there is no such step."""

    reset_adapter: tuple[str, ...] = ("hciconfig", "{adapter}", "reset")
    restart_bluetoothd: tuple[str, ...] = ("systemctl", "restart", "bluetooth.service")
    reboot: tuple[str, ...] = ("systemctl", "reboot")
    timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class RadioSettings:
    """`adapters`: which to use, all when empty. `slots`: connections an adapter holds, `budget` where it differs.

    `scan_while_connecting`: many controllers fail at it. `call_s`: for a read, a write, a subscription, a scan's start.
    """

    adapters: tuple[str, ...] = ()
    slots: int = SLOTS_PER_ADAPTER
    budget: Mapping[str, int] = field(default_factory=dict)
    scan_while_connecting: bool = False
    call_s: float = 10.0
    adopt_s: float = 5.0  # how often to look for wearables that BlueZ holds although nobody here does
    disconnect_s: float = 8.0  # BlueZ needs about 2 s, and sometimes never answers
    limits: Limits = field(default_factory=Limits)
    policy: Policy = field(default_factory=Policy)
    commands: Commands = field(default_factory=Commands)


What: TypeAlias = Literal[
    "bluez_gone",
    "bluez_back",
    "adapter_off",
    "adapter_on",
    "adapter_missing",
    "step",
    "step_failed",
    "recovered",
    "no_slot",
    "link_up",
    "link_lost",
    "unknown_device",
]


@dataclass(frozen=True, slots=True)
class RadioEvent:
    """Something technical happened. `text`: for people, with what to do about it where somebody can do something."""

    what: What
    text: str
    at_monotonic_ns: int
    adapter: str = ""
    device: str = ""
    kind: Literal["radio"] = RADIO


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """One allowed wearable. `notifications`, `malformed`, `reconnects`: since it was allowed."""

    name: str
    address: str
    driver: str
    phase: Phase
    since_s: float  # monotonic
    adapter: str
    rssi_dbm: int | None
    battery_pct: float | None
    notifications: int
    malformed: int
    reconnects: int
    last_error: str


@dataclass(frozen=True, slots=True)
class AdapterStatus:
    """One adapter. `advertisement_age_s`: `None` when none was heard. `steps`: of the ladder, since the start."""

    name: str
    condition: Condition
    slots_used: int
    slots: int
    advertisement_age_s: float | None
    steps: Mapping[Step, int]

    @property
    def powered(self) -> bool:
        """Whether BlueZ has it, powered."""
        return self.condition in {Condition.SCANNING, Condition.PAUSED, Condition.IDLE}

    @property
    def scanning(self) -> bool:
        """Whether it listens for advertisements."""
        return self.condition is Condition.SCANNING


@dataclass(frozen=True, slots=True)
class RadioStatus:
    """The radio now. `stray_calls`: to BlueZ that were given up and have not ended yet."""

    bluez: bool
    devices: tuple[DeviceStatus, ...]
    adapters: tuple[AdapterStatus, ...]
    stray_calls: int
