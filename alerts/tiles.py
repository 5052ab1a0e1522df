"""From the engine's state to the tiles of a screen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from alerts.alarm_signals import is_audible
from alerts.alarms import Alarm, Pause
from alerts.events import Priority
from alerts.links import Links
from alerts.readings import Row, read
from alerts.streams import StreamTable
from alerts.view import OpenAlarm, PartialScore, PausedAlarms, Tile, TileVital
from vitals.columns import Rows
from vitals.model import VITAL_BY_NAME, Reason, Vital
from vitals.ward import Patient


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
    patients: Iterable[Patient],
    table: StreamTable,
    links: Links,
    alarms: Iterable[Alarm],
    now_ns: int,
    *,
    pauses: Mapping[str, Pause],
    score_of: Callable[[str, int], PartialScore | None] = lambda _patient, _now_ns: None,
) -> Iterator[Tile]:
    """One tile per patient, in the order given; whoever takes them in portions gets the values of the first moment."""
    by_patient, by_bed = _worst_alarms(alarms)
    chosen = list(patients)
    for patient, rows in zip(chosen, _rows_of(chosen, table), strict=True):
        worst = by_patient.get(patient.patient) or _Worst()
        for alarm in by_bed.get(patient.bed, ()):
            worst.add(alarm)
        said = read(_by_slot(rows), table, links, worst.of_vital, now_ns)
        yield Tile(
            patient=patient.patient,
            bed=patient.bed,
            reason=_overall(said.vitals),
            vitals=said.vitals,
            battery_pct=said.battery_pct,
            priority=worst.priority,
            acknowledged=worst.acknowledged,
            sources=said.sources,
            paused=_paused(pauses.get(patient.patient)),
            score=score_of(patient.patient, now_ns),
        )


def open_alarm(alarm: Alarm, bed: str) -> OpenAlarm:
    """The form of an alarm that a screen shows."""
    key, finding = alarm.key, alarm.finding
    return OpenAlarm(
        alarm_id=alarm.alarm_id,
        patient=key.patient,
        bed=bed,
        kind=finding.kind,
        condition=key.condition,
        priority=alarm.priority,
        raised_at_ns=alarm.raised_at_ns,
        value=finding.value,
        limit=finding.limit,
        reason=finding.reason,
        device=key.device or finding.device,
        gateway=key.gateway,
        detail=key.channel or finding.detail,
        beds=finding.beds,
        audible=is_audible(alarm.signal),
        announced=alarm.announced,
        acknowledged_by=alarm.acknowledged_by,
        acknowledged_at_ns=alarm.acknowledged_at_ns,
        paused_by=alarm.paused_by,
        paused_until_ns=alarm.paused_until_ns,
    )


def _paused(pause: Pause | None) -> PausedAlarms | None:
    return None if pause is None else PausedAlarms(pause.until_ns, pause.actor, pause.reason)


def without_server(tile: Tile) -> Tile:
    """The tile while the server itself takes nothing in: what went missing is not to be looked for at the bed."""
    if tile.reason < Reason.RADIO_LOST:
        return tile
    vitals, sources = (
        tuple(replace(v, reason=Reason.STORE_DOWN) if v.reason >= Reason.RADIO_LOST else v for v in readings)
        for readings in (tile.vitals, tile.sources)
    )
    return replace(tile, reason=Reason.STORE_DOWN, vitals=vitals, sources=sources)


def _worst_alarms(alarms: Iterable[Alarm]) -> tuple[dict[str, _Worst], dict[str, list[Alarm]]]:
    by_patient: defaultdict[str, _Worst] = defaultdict(_Worst)
    by_bed: defaultdict[str, list[Alarm]] = defaultdict(list)
    for alarm in alarms:
        if alarm.key.patient:
            by_patient[alarm.key.patient].add(alarm)
        for bed in alarm.finding.beds:
            by_bed[bed].append(alarm)
    return dict(by_patient), dict(by_bed)


def _rows_of(patients: Sequence[Patient], table: StreamTable) -> list[Rows]:
    """A copy of the rows of each patient's streams; one pass over the array, which for a ward is faster than look-ups.

    Made Python objects of patient by patient: that of a whole ward at once would hold the event loop up.
    """
    numbers = {patient.patient: number for number, patient in enumerate(patients)}
    of_slot = np.array([numbers.get(patient, -1) for patient, _ in table.slots], np.int64)
    state = table.state[: table.size]
    of_row = of_slot[state["slot"]]
    order = np.argsort(of_row, kind="stable")
    places = np.searchsorted(of_row[order], np.arange(len(patients) + 1)).tolist()
    rows = state[order]
    return [rows[start:end] for start, end in pairwise(places)]


def _by_slot(rows: Rows) -> dict[int, list[Row]]:
    """Slot → the rows of its streams."""
    found: dict[int, list[Row]] = {}
    for row in map(Row._make, rows.tolist()):
        found.setdefault(row.slot, []).append(row)
    return found


def _overall(vitals: tuple[TileVital, ...]) -> Reason:
    if any(v.value is not None for v in vitals):
        return Reason.PRESENT
    reasons = [v.reason for v in vitals]
    return max(reasons, default=Reason.NEVER_SEEN)
