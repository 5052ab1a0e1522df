"""What is told of gateways, wearables and beds as lines. Pure.

    gateway,gateway=gw-3-east,site=north presence=1.0,spooled=0.0,dropped=0.0,clock_source=0.0,uncertainty_ms=1.5,… 17…
    gateway,gateway=gw-3-east,site=north delay_s=1.2,least_delay_s=0.1 17…
    wearable,device=ox-17,gateway=gw-3-east,site=north rssi_dbm=-67.0,battery_pct=80.0,silent_s=0.4,… 17…
    bed,bed=3-01,patient=P-0001,site=north occupied=1.0,wearables=2.0,wearer="P-0001" 17…

`vitals` has no bed: a patient who moves would begin all series anew. `bed` tells who lies where, every few minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from ingest.influx.line_protocol import Precision, line
from vitals.columns import SampleBlock
from vitals.derived import is_virtual
from vitals.model import GatewayHealth, GatewayStatus, WearableHealth
from vitals.ward import Patient

GATEWAY_MEASUREMENT: Final = "gateway"
WEARABLE_MEASUREMENT: Final = "wearable"
BED_MEASUREMENT: Final = "bed"
DELAY_EVERY_S: Final = 15  # what came in one second of so many tells its gateway's delay: a chart needs no more
_SECOND_NS: Final = 10**9

Fields = dict[str, float | str | None]


def status_lines(status: GatewayStatus, site: str, precision: Precision) -> list[bytes]:
    """A gateway's account of itself, and of each wearable that it knows."""
    wearables = status.health.wearables if status.health else ()
    stamp = status.at_ns // precision.divisor
    told = (_wearable_line(wearable, status.gateway, site, stamp) for wearable in wearables)
    return [status_line(status, site, precision), *told]


def status_line(status: GatewayStatus, site: str, precision: Precision) -> bytes:
    """What a gateway says of itself, as numbers: `vitals.model.Presence` and `ClockSource` by their number."""
    fields: Fields = {
        "presence": float(status.presence),
        "spooled": float(status.spooled),
        "dropped": float(status.dropped),
        "clock_source": float(status.clock.source),
        "uncertainty_ms": status.clock.uncertainty_ms,
        "version": status.version or None,
    }
    if status.health is not None:
        fields |= _health(status.health)
    tags = {"gateway": status.gateway, "site": site}
    return line(GATEWAY_MEASUREMENT, tags, fields, status.at_ns // precision.divisor)


def _health(health: GatewayHealth) -> Fields:
    return {
        "held": float(health.held),
        "set_aside": float(health.set_aside),
        "uptime_s": health.uptime_s,
        "wearables": float(len(health.wearables)),
        "connections": float(sum(radio.connections for radio in health.radios)),
        "recoveries": float(sum(count for radio in health.radios for _, count in radio.recoveries)),
        "problems": float(len(health.problems)),
        "problem": health.problems[0] if health.problems else None,
    }


def _wearable_line(wearable: WearableHealth, gateway: str, site: str, stamp: int) -> bytes:
    fields: Fields = {
        "reconnects": float(wearable.reconnects),
        "rssi_dbm": _number(wearable.rssi_dbm),
        "battery_pct": _number(wearable.battery_pct),
        "silent_s": _number(wearable.silent_s),
        "phase": wearable.phase or None,
    }
    return line(WEARABLE_MEASUREMENT, {"device": wearable.device, "gateway": gateway, "site": site}, fields, stamp)


def delay_lines(block: SampleBlock, site: str, precision: Precision) -> Iterator[bytes]:
    """How old the readings of each gateway were when they came: the oldest, and the newest of them.

    Of one journal record in many, chosen by its time, so that the same records make the same lines again.
    """
    if not block.rows.size or int(block.rows["received_at_ns"][0]) // _SECOND_NS % DELAY_EVERY_S:
        return
    names = sorted({name for name in block.gateways if name})
    number = {name: index for index, name in enumerate(names)}
    of_device = np.array(
        [
            -1 if is_virtual(device) else number.get(gateway, -1)
            for device, gateway in zip(block.devices, block.gateways, strict=True)
        ]
    )
    gateways = of_device[block.rows["device"]]
    delays_s = (block.rows["received_at_ns"] - block.rows["sampled_at_ns"]) / _SECOND_NS
    for index in np.unique(gateways[gateways >= 0]).tolist():
        mine = gateways == index
        stamp = int(block.rows["received_at_ns"][mine].max()) // precision.divisor
        fields: Fields = {"delay_s": float(delays_s[mine].max()), "least_delay_s": float(delays_s[mine].min())}
        yield line(GATEWAY_MEASUREMENT, {"gateway": names[index], "site": site}, fields, stamp)


def bed_line(patient: Patient, site: str, now_ns: int, precision: Precision) -> bytes:
    """Who lies in a bed. One series for each pair that ever was; `wearer` is the patient again, as a field."""
    fields: Fields = {"occupied": 1.0, "wearables": float(len(patient.devices)), "wearer": patient.patient}
    tags = {"bed": patient.bed, "patient": patient.patient, "site": site}
    return line(BED_MEASUREMENT, tags, fields, now_ns // precision.divisor)


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)
