"""What can go wrong with a peripheral and with an adapter: lists to choose from. Pure.

    PeripheralSpec(..., faults=CONNECT_HANGS)
    await bluez.set_faults(address, Faults(silent_after_s=5, rssi="absent"))

Each was seen in the field; where no other source is named, see the robustness notes of the gateway's documentation.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

FAILED: Final = "org.bluez.Error.Failed"
IN_PROGRESS: Final = "org.bluez.Error.InProgress"
NOT_CONNECTED: Final = "org.bluez.Error.NotConnected"
NOT_PERMITTED: Final = "org.bluez.Error.NotPermitted"
NOT_READY: Final = "org.bluez.Error.NotReady"
NOT_SUPPORTED: Final = "org.bluez.Error.NotSupported"
DOES_NOT_EXIST: Final = "org.bluez.Error.DoesNotExist"
INVALID_ARGUMENTS: Final = "org.bluez.Error.InvalidArguments"
UNKNOWN_OBJECT: Final = "org.freedesktop.DBus.Error.UnknownObject"
UNKNOWN_METHOD: Final = "org.freedesktop.DBus.Error.UnknownMethod"

ABORTED_LOCALLY: Final = "le-connection-abort-by-local"
ALWAYS: Final = -1

Share = Annotated[float, Meta(ge=0, le=1)]


class Failure(Struct, frozen=True, forbid_unknown_fields=True):
    """Calls of the D-Bus method `member` are answered with an error, `times` times or `ALWAYS`."""

    member: str
    error: str = FAILED
    message: str = ""
    times: int = ALWAYS


class Faults(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Of one peripheral. Without arguments: a faultless one.

    `hangs`: methods that are never answered, such as `"Connect"`, `"Disconnect"`, `"StartNotify"`, `"ReadValue"`.
    `undiscovered_share`: of connects that bleak sees as "failed to discover services".
    `discovery_s`: how long service discovery takes, `None` for the simulation's timing; `resolves` off: for ever.
    `silent_after_s`: so long after a connect the device stops notifying and stays connected.
    `rssi`: `same` repeats one value, `absent` advertises without one. `advertises` off: out of range, not seen; an
    existing connection stays. `stale_gatt`: the objects move just after they were announced, once per connection.
    """

    hangs: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    undiscovered_share: Share = 0.0
    discovery_s: Annotated[float, Meta(ge=0)] | None = None
    resolves: bool = True
    silent_after_s: Annotated[float, Meta(ge=0)] | None = None
    rssi: Literal["normal", "same", "absent"] = "normal"
    advertises: bool = True
    stale_gatt: bool = False


class AdapterFaults(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Of one adapter.

    `connection_slots`: connects beyond so many fail (about 7 on Broadcom, 5 on CSR chips); `None`: no limit.
    `scanner` dead: discovery is acknowledged and nothing is heard, until `heals_on` happens.
    """

    connection_slots: Annotated[int, Meta(ge=0)] | None = None
    scanner: Literal["works", "dead"] = "works"
    heals_on: Literal["scan_restart", "power_cycle", "daemon_restart", "never"] = "never"
    hangs: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()


CONNECT_HANGS: Final = Faults(hangs=("Connect",))
DISCONNECT_HANGS: Final = Faults(hangs=("Disconnect",))
NEVER_RESOLVES: Final = Faults(resolves=False)
POLAR_DISCOVERY: Final = Faults(discovery_s=15.0)  # an H10 was seen to need 15 to 20 s
CONNECT_CANCELED: Final = Faults(failures=(Failure("Connect", FAILED, "br-connection-canceled"),))
CONNECT_ABORTED: Final = Faults(failures=(Failure("Connect", FAILED, ABORTED_LOCALLY, times=2),))
CONNECT_IN_PROGRESS: Final = Faults(failures=(Failure("Connect", FAILED, "Operation already in progress", times=1),))
ACQUIRE_IN_PROGRESS: Final = Faults(failures=(Failure("AcquireNotify", IN_PROGRESS, "In Progress"),))
SCANNER_DEAD: Final = AdapterFaults(scanner="dead", heals_on="scan_restart")

Event = Literal["scan_restart", "power_cycle", "daemon_restart"]
_HEALS: Final[dict[Event, int]] = {"scan_restart": 0, "power_cycle": 1, "daemon_restart": 2}


def healed(faults: AdapterFaults, event: Event) -> AdapterFaults:
    """The adapter's faults after `event`; a step of recovery heals what a smaller step would have healed."""
    if faults.scanner == "works" or faults.heals_on == "never" or _HEALS[event] < _HEALS[faults.heals_on]:
        return faults
    return msgspec.structs.replace(faults, scanner="works")


class FaultBudget:
    """How often each failure of a list was answered already."""

    def __init__(self, failures: tuple[Failure, ...]) -> None:
        self._left = [(failure, failure.times) for failure in failures]

    def take(self, member: str) -> Failure | None:
        """The failure that a call of `member` gets now, and one time less is left of it."""
        for place, (failure, left) in enumerate(self._left):
            if failure.member == member and left != 0:
                self._left[place] = (failure, left - 1 if left > 0 else left)
                return failure
        return None
