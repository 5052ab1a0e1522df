"""From the engine's state to the tiles of a screen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final, TypeAlias

import numpy as np

from alerts.alarm_signals import is_audible
from alerts.alarms import Alarm
from alerts.events import Priority
from alerts.links import Links
from alerts.streams import NEVER, StreamTable
from alerts.view import STALE_NS, Tile, TileVital
from vitals.derived import is_derived, source_of
from vitals.model import VITAL_BY_NAME, Quality, Reason, Vital
from vitals.ward import Patient

_Row: TypeAlias = tuple[int, int, int, int, float, int, int, int, int, int]  # of `STATE_DTYPE`
_SHOWN: Final = tuple(vital for vital in Vital if vital not in (Vital.BATTERY, Vital.RR_INTERVAL))


class _Worst:
    """The worst open alarm of a patient, and of each of the patient's vitals."""

    def __init__(self) -> None:
        self.priority: Priority | None = None
        self.acknowledged = False
        self.of_vital: dict[Vital, Priority] = {}

    def add(self, alarm: Alarm) -> None:
        calm = not is_audible(alarm.signal)
        if self.priority is None or alarm.priority > self.priority:
            self.priority, self.acknowledged = alarm.priority, calm
        elif alarm.priority == self.priority:
            self.acknowledged &= calm
        vital = VITAL_BY_NAME.get(alarm.key.condition.rpartition("_")[0])
        if vital is not None:
            self.of_vital[vital] = max(self.of_vital.get(vital, Priority.LOW), alarm.priority)


def tiles(
    patients: Iterable[Patient], table: StreamTable, links: Links, alarms: Iterable[Alarm], now_ns: int
) -> Iterator[Tile]:
    """One tile per patient, in the order given."""
    by_patient, by_bed = _worst_alarms(alarms)
    chosen = list(patients)
    rows_of = _rows_of({patient.patient for patient in chosen}, table)
    for patient in chosen:
        worst = by_patient.get(patient.patient) or _Worst()
        for alarm in by_bed.get(patient.bed, ()):
            worst.add(alarm)
        shown, battery_pct = _vitals(rows_of.get(patient.patient, {}), table, links, worst, now_ns)
        yield Tile(
            patient=patient.patient,
            bed=patient.bed,
            reason=_overall(shown),
            vitals=shown,
            battery_pct=battery_pct,
            priority=worst.priority,
            acknowledged=worst.acknowledged,
        )


def without_server(tile: Tile) -> Tile:
    """The tile while the server itself takes nothing in: what went missing is not to be looked for at the bed."""
    if tile.reason < Reason.RADIO_LOST:
        return tile
    vitals = tuple(replace(v, reason=Reason.STORE_DOWN) if v.reason >= Reason.RADIO_LOST else v for v in tile.vitals)
    return replace(tile, reason=Reason.STORE_DOWN, vitals=vitals)


def _worst_alarms(alarms: Iterable[Alarm]) -> tuple[dict[str, _Worst], dict[str, list[Alarm]]]:
    by_patient: defaultdict[str, _Worst] = defaultdict(_Worst)
    by_bed: defaultdict[str, list[Alarm]] = defaultdict(list)
    for alarm in alarms:
        if alarm.key.patient:
            by_patient[alarm.key.patient].add(alarm)
        for bed in alarm.finding.beds:
            by_bed[bed].append(alarm)
    return dict(by_patient), dict(by_bed)


def _rows_of(patients: set[str], table: StreamTable) -> dict[str, dict[int, list[_Row]]]:
    """Patient → slot → the rows of its streams; one pass over the array, which for a ward is faster than look-ups."""
    wanted = np.array([patient in patients for patient, _ in table.slots], np.bool_)
    found: dict[str, dict[int, list[_Row]]] = {}
    if not wanted.any():
        return found
    state = table.state[: table.size]
    for row in state[wanted[state["slot"]]].tolist():
        found.setdefault(table.slots[row[8]][0], {}).setdefault(row[8], []).append(row)
    return found


def _vitals(
    slots: dict[int, list[_Row]], table: StreamTable, links: Links, worst: _Worst, now_ns: int
) -> tuple[tuple[TileVital, ...], float | None]:
    """The best reading of each vital, and the lowest battery in percent."""
    best: dict[Vital, TileVital] = {}
    battery_pct: float | None = None
    for slot, rows in slots.items():
        stale = any(now_ns - row[1] > STALE_NS for row in rows)
        silent = _silence(slot, slots, table, links, now_ns) if stale else Reason.RADIO_LOST
        for row in rows:
            vital = row[-1]
            if vital == Vital.BATTERY and row[2] != NEVER:
                battery_pct = row[4] if battery_pct is None else min(battery_pct, row[4])
            if vital in _SHOWN:
                shown = _vital(row, table.slots[slot][1], silent, worst.of_vital.get(Vital(vital)), now_ns)
                if shown.vital not in best or _rank(shown) > _rank(best[shown.vital]):
                    best[shown.vital] = shown
    return tuple(best[vital] for vital in _SHOWN if vital in best), battery_pct


def _silence(slot: int, slots: dict[int, list[_Row]], table: StreamTable, links: Links, now_ns: int) -> Reason:
    """Why nothing comes; a derived number is missing for its wearable's reason, or for the signal when that sends."""
    patient, device = table.slots[slot]
    if not is_derived(device):
        return links.reason(slot)
    source = table.slot(patient, source_of(device))
    sends = any(now_ns - row[1] <= STALE_NS for row in slots.get(source, ()))
    return Reason.POOR_SIGNAL if sends else links.reason(source)


def _vital(
    row: _Row,
    device: str,
    silent: Reason,
    priority: Priority | None,
    now_ns: int,
) -> TileVital:
    newest_ns, fresh_ns, valid_ns, _, value, reason, quality, _, _, vital = row
    if now_ns - fresh_ns > STALE_NS or reason >= Reason.RADIO_LOST:
        told = Reason(reason) if reason >= Reason.RADIO_LOST else silent
    elif reason != Reason.PRESENT:
        told = Reason(reason)
    elif quality == Quality.UNUSABLE or valid_ns != newest_ns:
        told = Reason.POOR_SIGNAL
    else:
        told = Reason.PRESENT
    seen = valid_ns != NEVER
    return TileVital(
        vital=Vital(vital),
        value=value if told is Reason.PRESENT else None,
        reason=told,
        quality=Quality(quality),
        sampled_at_ns=valid_ns if seen else None,
        last_value=value if seen else None,
        device=device,
        priority=priority,
    )


def _rank(shown: TileVital) -> tuple[bool, bool, int]:
    """A current value before none, a trusted one before a doubtful one, then the freshest."""
    return shown.value is not None, shown.quality is not Quality.DOUBTFUL, shown.sampled_at_ns or 0


def _overall(vitals: tuple[TileVital, ...]) -> Reason:
    if any(v.value is not None for v in vitals):
        return Reason.PRESENT
    reasons = [v.reason for v in vitals]
    return max(reasons, default=Reason.NEVER_SEEN)
