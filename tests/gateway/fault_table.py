"""The fault matrix: what happens to a gateway's radio, and within how many seconds every wearable streams again.

`strike` makes the fault and returns when the rest is the gateway's; `within_s` counts from its beginning, at a radio
that is as slow as a real one and with the limits that a gateway has by default.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from chain_world import Chain, address

from gateway.session_words import Phase
from simulators.bluez import AdapterFaults, Faults
from simulators.bluez.faults import CONNECT_ABORTED, CONNECT_HANGS, NEVER_RESOLVES
from vitals.model import Reason

HEALTHY: Final = Faults()
FIRST: Final = address(1)
PATIENCE_S: Final = 120.0  # for the gateway to reach a state in which the fault goes on


@dataclass(frozen=True, slots=True)
class Fault:
    """One line of the table. `straps` on `adapters` with `adapter_faults`; `gap`: what ingest is told of the time
    that was missed, for `lost` of the straps at least."""

    name: str
    text: str
    strike: Callable[[Chain], Awaitable[None]]
    within_s: float
    straps: int = 2
    adapters: int = 1
    adapter_faults: AdapterFaults | None = None
    gap: Reason = Reason.RADIO_LOST


def _after_a_drop(faults: Faults, lasts_s: float | None = None) -> Callable[[Chain], Awaitable[None]]:
    """The link breaks, and from then on the wearable is like this, for so long or for good."""

    async def strike(chain: Chain) -> None:
        await chain.bluez.set_faults(FIRST, faults)
        await chain.bluez.drop(FIRST)
        if lasts_s is not None:
            await chain.lasts(lasts_s)
            await chain.bluez.set_faults(FIRST, HEALTHY)

    return strike


async def _drop(chain: Chain) -> None:
    await chain.bluez.drop(FIRST)


async def _disconnect_hangs(chain: Chain) -> None:
    await chain.bluez.set_faults(FIRST, Faults(hangs=("Disconnect",), silent_after_s=0.0))
    await chain.until(lambda: chain.phase("w-1") is Phase.STALLED, PATIENCE_S)
    await chain.until(lambda: chain.phase("w-1") is not Phase.STALLED, PATIENCE_S)
    await chain.bluez.set_faults(FIRST, HEALTHY)


async def _silent(chain: Chain) -> None:
    await chain.bluez.set_faults(FIRST, Faults(silent_after_s=0.0))
    await chain.until(lambda: chain.phase("w-1") is Phase.STALLED, PATIENCE_S)
    await chain.bluez.set_faults(FIRST, HEALTHY)


async def _slow_discovery(chain: Chain) -> None:
    await chain.bluez.set_faults(FIRST, Faults(discovery_s=15.0 * chain.scale))
    await chain.bluez.drop(FIRST)


async def _handles_move(chain: Chain) -> None:
    await chain.bluez.move_handles(FIRST)
    await chain.bluez.drop(FIRST)


async def _power_cycle(chain: Chain) -> None:
    await chain.bluez.power("hci0", on=False)
    await chain.bluez.power("hci0", on=True)


async def _power_off(chain: Chain) -> None:
    await chain.bluez.power("hci0", on=False)


async def _adapter_pulled(chain: Chain) -> None:
    await chain.bluez.remove_adapter("hci0")
    await chain.lasts(5.0)
    await chain.bluez.add_adapter("hci0")


async def _daemon_killed(chain: Chain) -> None:
    await chain.bluez.kill_daemon()
    await chain.lasts(5.0)
    await chain.bluez.start_daemon()


async def _bus_restarted(chain: Chain) -> None:
    await chain.bluez.restart_bus()


async def _scanner_dies(chain: Chain) -> None:
    await chain.bluez.set_adapter_faults("hci0", AdapterFaults(scanner="dead", heals_on="power_cycle"))
    await chain.bluez.drop(FIRST)


async def _no_slot(chain: Chain) -> None:
    """The controller holds fewer links than the gateway believes."""
    await chain.bluez.set_adapter_faults("hci0", AdapterFaults(connection_slots=1))
    await chain.bluez.drop(FIRST)
    await chain.lasts(20.0)
    await chain.bluez.set_adapter_faults("hci0", AdapterFaults())


TABLE: Final = (
    Fault("drop", "the link breaks mid-stream", _drop, 20),
    Fault("connect-hangs", "Connect is never answered, for 10 s", _after_a_drop(CONNECT_HANGS, 10), 75),
    Fault("disconnect-hangs", "the wearable falls silent and Disconnect is never answered", _disconnect_hangs, 75),
    Fault("never-resolves", "services are never resolved, for 10 s", _after_a_drop(NEVER_RESOLVES, 10), 75),
    Fault(
        "discovery-fails",
        "services are not discovered at 30 % of connects",
        _after_a_drop(Faults(undiscovered_share=0.3)),
        75,
    ),
    Fault("connect-aborted", "le-connection-abort-by-local, twice", _after_a_drop(CONNECT_ABORTED), 45),
    Fault("power-cycle", "somebody switches the adapter off and on", _power_cycle, 20),
    Fault("power-off", "the adapter is off; the gateway switches it on", _power_off, 45),
    Fault("adapter-pulled", "the adapter is gone for 5 s", _adapter_pulled, 30),
    Fault("bluetoothd-killed", "bluetoothd is killed and started 5 s later", _daemon_killed, 30),
    Fault("dbus-restarted", "dbus-daemon and bluetoothd are killed and started", _bus_restarted, 30),
    Fault(
        "scanner-dead",
        "the link breaks and the scan hears nothing until the adapter is power-cycled",
        _scanner_dies,
        240,
        straps=1,
    ),
    Fault("silent", "connected, and no notification comes", _silent, 45),
    Fault(
        "stale-gatt", "GATT objects move while they are used, for 10 s", _after_a_drop(Faults(stale_gatt=True), 10), 75
    ),
    Fault("moved-handles", "another GATT table after a new firmware", _handles_move, 20),
    Fault(
        "twenty-at-once",
        "20 wearables on 3 adapters lose their links at once (bluetoothd killed, started 5 s later)",
        _daemon_killed,
        90,
        straps=20,
        adapters=3,
        adapter_faults=AdapterFaults(connection_slots=7),
    ),
    Fault("slots", "the controller refuses a further connection, for 20 s", _no_slot, 90),
    Fault("slow-discovery", "service discovery takes 15 s", _slow_discovery, 60),
)
