"""What every device says of a patient's vitals, and which of it stands for the patient on a screen.

The rule is the engine's: the best value, unless a device is ahead of it; then each device's own, the trusted before the
doubtful, the freshest of them. Whatever stands there says what kind of device it comes from, and what is doubtful.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from alerts.events import Priority
from alerts.links import Links
from alerts.streams import BEHIND_NS, JUDGED, NEVER, StreamTable
from alerts.view import STALE_NS, Doubt, Origin, TileVital
from vitals.derived import is_best, is_virtual, source_of
from vitals.model import Quality, Reason, Vital

SHOWN: Final = (
    Vital.HEART_RATE,
    Vital.PULSE_RATE,
    Vital.SPO2,
    Vital.RESP_RATE,
    Vital.PERFUSION_INDEX,
    Vital.BODY_TEMPERATURE,
)
APART: Final = {Vital.HEART_RATE: 10.0, Vital.SPO2: 4.0, Vital.RESP_RATE: 5.0}  # a difference worth a word, in its unit
APART_SHARE: Final = 0.15  # of a heart rate, where that is more
LEAST_PERFUSION_PCT: Final = 0.3  # below it oximeters are known to be unreliable


class Row(NamedTuple):
    """One row of `STATE_DTYPE`."""

    newest_at_ns: int
    fresh_at_ns: int
    valid_at_ns: int
    gap_ns: int
    value: float
    reason: int
    quality: int
    gateway: int
    slot: int
    vital: int
    source: int


@dataclass(slots=True)
class Read:
    """A patient's readings: `vitals` stand for the patient, one each; `sources` are what each device says."""

    vitals: tuple[TileVital, ...] = ()
    sources: tuple[TileVital, ...] = ()
    battery_pct: float | None = None


@dataclass(slots=True)
class _Said:
    """What is known of one patient while it is being sorted out."""

    devices: dict[Vital, list[TileVital]] = field(default_factory=dict)
    best: dict[Vital, TileVital] = field(default_factory=dict)
    battery_pct: float | None = None


def read(
    slots: Mapping[int, list[Row]], table: StreamTable, links: Links, worst: Mapping[Vital, Priority], now_ns: int
) -> Read:
    """The readings of one patient. `slots`: slot → the rows of its streams; `worst`: open alarms by vital."""
    said = _collect(slots, table, links, now_ns)
    vitals = [
        shown if (priority := worst.get(shown.vital)) is None else replace(shown, priority=priority)
        for vital in SHOWN
        if (shown := _shown(vital, said)) is not None
    ]
    sources = tuple(reading for vital in SHOWN if vital in JUDGED for reading in said.devices.get(vital, ()))
    return Read(tuple(vitals), sources, said.battery_pct)


def _collect(slots: Mapping[int, list[Row]], table: StreamTable, links: Links, now_ns: int) -> _Said:
    said = _Said()
    origins = {slot: _origin(table.slots[slot][1], {row.vital for row in rows}) for slot, rows in slots.items()}
    lasts = {slot: _lasts_ns(slot, rows, links) for slot, rows in slots.items()}
    for slot, rows in slots.items():
        patient, device = table.slots[slot]
        best = is_best(device)
        wearable = table.slot(patient, source_of(device))
        since_ns = [now_ns - lasts.get(row.source if best else wearable, STALE_NS) for row in rows]
        stale = any(row.fresh_at_ns < since for row, since in zip(rows, since_ns, strict=True))
        silent = _silence(slot, slots, table, links, now_ns) if stale else Reason.RADIO_LOST
        for row, fresh_ns in zip(rows, since_ns, strict=True):
            if row.vital == Vital.BATTERY and row.valid_at_ns != NEVER:
                said.battery_pct = row.value if said.battery_pct is None else min(said.battery_pct, row.value)
            elif row.vital in SHOWN:
                source = row.source if best and row.source in slots else slot
                reading = _reading(row, table.slots[source][1], origins[source], silent, fresh_ns)
                if best:
                    said.best[reading.vital] = reading
                else:
                    said.devices.setdefault(reading.vital, []).append(reading)
    return said


def _lasts_ns(slot: int, rows: list[Row], links: Links) -> int:
    """How long a value is current: once a silence is announced, no longer than until that."""
    quiet = links.down | links.deaf
    announced = slot in links.silence.slots or any(row.gateway in quiet for row in rows)
    return min(STALE_NS, links.silence.technical.delay_ns) if announced else STALE_NS


def _shown(vital: Vital, said: _Said) -> TileVital | None:
    """What stands for the patient; a pulse rate is no number of its own beside a best heart rate."""
    judged = Vital(JUDGED.get(vital, vital))
    best = said.best.get(judged)
    if best is not None and _stands(best, said):
        if vital is not judged:
            return None
        return best if best.quality is not Quality.DOUBTFUL else replace(best, doubt=_doubt(best, said))
    own = max(said.devices.get(vital, ()), key=_rank, default=None)
    return best if own is None and vital is judged else own


def _stands(best: TileVital, said: _Said) -> bool:
    """Whether the best value is current and no device is ahead of it."""
    newest_ns = max((s.sampled_at_ns or NEVER for s in _family(best.vital, said)), default=NEVER)
    return best.value is not None and newest_ns - (best.sampled_at_ns or NEVER) <= BEHIND_NS


def _family(judged: Vital, said: _Said) -> Iterator[TileVital]:
    """What the devices say of what is judged together."""
    for vital, readings in said.devices.items():
        if JUDGED.get(vital, vital) == judged:
            yield from readings


def _doubt(best: TileVital, said: _Said) -> Doubt:
    """The most telling cause of the doubt that ingest has; it says only that there is one."""
    if any(_differ(best, other) for other in _family(best.vital, said)):
        return Doubt.SOURCES_DISAGREE
    if best.vital is Vital.SPO2:
        rate = said.best.get(Vital.HEART_RATE)
        own_pulse = [s for s in said.devices.get(Vital.PULSE_RATE, ()) if s.device == best.device]
        if rate is not None and any(_differ(rate, pulse) for pulse in own_pulse):
            return Doubt.PULSE_DISAGREES
    perfusion = [s.value for s in said.devices.get(Vital.PERFUSION_INDEX, ()) if s.device == best.device]
    if any(value is not None and value < LEAST_PERFUSION_PCT for value in perfusion):
        return Doubt.LOW_PERFUSION
    return Doubt.POOR_SIGNAL


def _differ(one: TileVital, other: TileVital) -> bool:
    if one.value is None or other.value is None:
        return False
    share = APART_SHARE * one.value if one.vital is Vital.HEART_RATE else 0.0
    return abs(one.value - other.value) > max(APART[one.vital], share)


def _origin(device: str, vitals: set[int]) -> Origin:
    if is_virtual(device):
        return Origin.UNKNOWN if is_best(device) else Origin.PULSE_WAVE
    if Vital.HEART_RATE in vitals:
        return Origin.COMBINED if Vital.SPO2 in vitals else Origin.STRAP
    if Vital.SPO2 in vitals:
        return Origin.OXIMETER
    return Origin.OPTICAL if Vital.PULSE_RATE in vitals else Origin.UNKNOWN


def _silence(slot: int, slots: Mapping[int, list[Row]], table: StreamTable, links: Links, now_ns: int) -> Reason:
    """Why nothing comes; a number that the server makes is missing for its wearable's reason, or for the signal."""
    patient, device = table.slots[slot]
    if not is_virtual(device):
        return links.reason(slot)
    source = table.slot(patient, source_of(device))
    sends = any(now_ns - row.fresh_at_ns <= STALE_NS for row in slots.get(source, ()))
    return Reason.POOR_SIGNAL if sends or is_best(device) else links.reason(source)


def _reading(row: Row, device: str, origin: Origin, silent: Reason, fresh_ns: int) -> TileVital:
    if row.fresh_at_ns < fresh_ns or row.reason >= Reason.RADIO_LOST:
        told = Reason(row.reason) if row.reason >= Reason.RADIO_LOST else silent
    elif row.reason != Reason.PRESENT:
        told = Reason(row.reason)
    elif row.quality == Quality.UNUSABLE or row.valid_at_ns != row.newest_at_ns:
        told = Reason.POOR_SIGNAL
    else:
        told = Reason.PRESENT
    seen = row.valid_at_ns != NEVER
    quality = Quality(row.quality)
    return TileVital(
        vital=Vital(row.vital),
        value=row.value if told is Reason.PRESENT else None,
        reason=told,
        quality=quality,
        sampled_at_ns=row.valid_at_ns if seen else None,
        last_value=row.value if seen else None,
        device=device,
        origin=origin,
        doubt=Doubt.POOR_SIGNAL if quality is Quality.DOUBTFUL else Doubt.NONE,
    )


def _rank(reading: TileVital) -> tuple[bool, bool, int]:
    """A current value before none, a trusted one before a doubtful one, then the freshest."""
    return reading.value is not None, reading.quality is not Quality.DOUBTFUL, reading.sampled_at_ns or 0
