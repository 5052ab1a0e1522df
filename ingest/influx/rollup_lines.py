"""Minutes and quarters of an hour as line protocol. Pure.

    vitals_1m,device=ox-17,patient=P-0001,site=north spo2_mean=96.4,spo2_min=95.0,spo2_max=98.0,spo2_count=58.0,… 17…

`count`: values; `missing`: readings without one; `covered_s`: seconds with a value; `reason`: why most of the missing
ones are, present when any is. The time is the beginning. A recomputed minute has the same key, so it replaces the old
one (not in VictoriaMetrics, see docs/influxdb.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ingest.influx.line_protocol import UNASSIGNED, Precision, line, vital_name
from ingest.store.answers import Minutes
from vitals.model import Reason

MINUTES: Final = "vitals_1m"
QUARTERS: Final = "vitals_15m"
QUARTER_NS: Final = 900 * 10**9


@dataclass(frozen=True, slots=True)
class Rollup:
    """What is known of one vital of one device over one interval."""

    device: str
    vital: int
    start_ns: int
    count: int
    missing: int
    covered_s: int
    minimum: float
    maximum: float
    mean: float
    reason: int

    def joined(self, later: Rollup) -> Rollup:
        """Both as one; the reason is that of the part that misses more."""
        count = self.count + later.count
        parts = [part for part in (self, later) if part.count]
        return replace(
            self,
            count=count,
            missing=self.missing + later.missing,
            covered_s=self.covered_s + later.covered_s,
            minimum=min((part.minimum for part in parts), default=np.nan),
            maximum=max((part.maximum for part in parts), default=np.nan),
            mean=sum(part.mean * part.count for part in parts) / count if count else np.nan,
            reason=(later if later.missing > self.missing else self).reason,
        )


def rollups_of(minutes: Mapping[int, Minutes]) -> Iterator[Rollup]:
    """The minutes of every vital, by vital, time and device."""
    for vital, found in minutes.items():
        names = ("minute_ns", "count", "missing", "covered_s", "minimum", "maximum", "mean", "reason")
        columns = [getattr(found, name).tolist() for name in names]
        devices = [found.devices[index] for index in found.device.tolist()]
        for device, row in zip(devices, zip(*columns, strict=True), strict=True):
            yield Rollup(device, vital, *row)


def quarters_of(rollups: Iterator[Rollup]) -> list[Rollup]:
    """The quarters of an hour that these minutes make; whole only when all of their minutes are there."""
    found: dict[tuple[str, int, int], Rollup] = {}
    for minute in rollups:
        start_ns = minute.start_ns // QUARTER_NS * QUARTER_NS
        key = (minute.device, minute.vital, start_ns)
        found[key] = found[key].joined(minute) if key in found else replace(minute, start_ns=start_ns)
    return list(found.values())


def rollup_line(measurement: str, rollup: Rollup, patient: str, site: str, precision: Precision) -> bytes:
    """One rollup as a line."""
    name = vital_name(rollup.vital)
    fields: dict[str, float | str | None] = {
        f"{name}_mean": rollup.mean if rollup.count else None,
        f"{name}_min": rollup.minimum if rollup.count else None,
        f"{name}_max": rollup.maximum if rollup.count else None,
        f"{name}_count": rollup.count,
        f"{name}_missing": rollup.missing,
        f"{name}_covered_s": rollup.covered_s,
        f"{name}_reason": rollup.reason if rollup.reason != Reason.PRESENT else None,
    }
    tags = {"device": rollup.device, "patient": patient or UNASSIGNED, "site": site}
    return line(measurement, tags, fields, rollup.start_ns // precision.divisor)
