"""How a gateway is, for its status on the server and for `status.json` next to it."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.radio_status import RadioStatus
from gateway.recovery import Condition
from gateway.uplink import UplinkStats
from vitals.model import ClockSource, ClockTrust, GatewayHealth, RadioHealth, WearableHealth


@dataclass(frozen=True, slots=True)
class Facts:
    """What the parts of a gateway say of themselves. `heard_ago_s`: by wearable. `faults`: sentences."""

    uptime_s: float
    clock: ClockTrust
    held: int
    drops: dict[str, int]
    radio: RadioStatus | None
    heard_ago_s: dict[str, float]
    wifi: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    set_aside: int = 0
    config_version: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """`status.json`. `connected`: to the server; `waiting`: messages without a receipt."""

    gateway: str
    site: str
    version: str
    at_ns: int
    connected: bool
    server: str
    waiting: int
    last_error: str
    clock_source: str
    clock_uncertainty_ms: float
    uplink: dict[str, object]
    health: GatewayHealth


def health_of(facts: Facts) -> GatewayHealth:
    """What goes into the status."""
    wearables = [*_bluetooth(facts), *_wifi(facts)]
    radios = tuple(
        RadioHealth(
            adapter.name,
            adapter.condition.value,
            adapter.slots_used,
            tuple((step.name.lower(), count) for step, count in adapter.steps.items() if count),
        )
        for adapter in (facts.radio.adapters if facts.radio else ())
    )
    return GatewayHealth(
        wearables=tuple(wearables),
        radios=radios,
        problems=(*facts.faults, *_problems(facts)),
        drops=tuple(sorted(facts.drops.items())),
        held=facts.held,
        set_aside=facts.set_aside,
        config_version=facts.config_version,
        uptime_s=round(facts.uptime_s),
    )


def report(
    site: str, gateway: str, *, server: str, version: str, at_ns: int, stats: UplinkStats, facts: Facts
) -> Report:
    """What a person at the gateway is shown."""
    return Report(
        gateway,
        site,
        version,
        at_ns,
        stats.phase.name == "ONLINE",
        server,
        stats.spooled,
        stats.last_error,
        facts.clock.source.name.lower(),
        facts.clock.uncertainty_ms,
        {
            "sent": stats.sent,
            "resent": stats.resent,
            "connections": stats.reconnects,
            "dropped": stats.dropped,
            "refused": stats.refused,
        },
        health_of(facts),
    )


def _bluetooth(facts: Facts) -> list[WearableHealth]:
    return [
        WearableHealth(
            device.name,
            device.phase.value,
            device.rssi_dbm,
            None if device.battery_pct is None else round(device.battery_pct),
            _rounded(facts.heard_ago_s.get(device.name)),
            device.reconnects,
        )
        for device in (facts.radio.devices if facts.radio else ())
    ]


def _wifi(facts: Facts) -> list[WearableHealth]:
    return [
        WearableHealth(device, "over Wi-Fi", silent_s=_rounded(facts.heard_ago_s.get(device))) for device in facts.wifi
    ]


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _problems(facts: Facts) -> list[str]:
    found = []
    if facts.clock.source is ClockSource.UNSYNCHRONISED:
        found.append(f"clock: the time is not known, {facts.held:,} batches wait: let this gateway reach a time server")
    elif facts.clock.source is ClockSource.HOLDOVER:
        found.append("clock: no longer synchronised, carried on by itself: let this gateway reach a time server")
    if facts.set_aside:
        found.append(f"uplink: the server could not read {facts.set_aside} messages: see the folder *.aside")
    if facts.radio is not None:
        if not facts.radio.bluez:
            found.append("radio: bluetoothd is not running")
        found += [
            f"radio: {adapter.name} is {adapter.condition.value}"
            for adapter in facts.radio.adapters
            if adapter.condition in {Condition.OFF, Condition.MISSING, Condition.IDLE}
        ]
    return found
