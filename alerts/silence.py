"""Wearables that send nothing: since when, why, and one alarm of each bed that names them. Pure.

Announced after the first delay of `no_data`, because a number without a wearable behind it must not look current; it
calls for somebody once it lasts, because most radios are back by then. What a silent gateway or radio explains is no
alarm of a bed (`alerts.causes`), and while a gateway brings nothing at all, its wearables wait for the word about it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from alerts.alarms import AlarmBook, Finding
from alerts.causes import COUNTED_WITH
from alerts.events import NO_DATA, Key, Kind, Priority
from alerts.limits import Technical
from alerts.streams import NEVER, Bools, Indices, StreamTable
from vitals.model import Reason, Vital

RECONNECT_NS: Final = 30_000_000_000  # for gateways after our restart, and for the wearables of one that is back
_EMPTY_PCT: Final = 5.0  # a device that fell silent with less is taken to be empty


@dataclass(frozen=True, slots=True)
class Listening:
    """What silence is judged by. `since_ns`: since when the engine listens. `down`: the gateways that are."""

    now_ns: int
    since_ns: int
    down: Collection[int]


class Silence:
    """Which wearables are silent. A *slot* is a wearable of a patient, see `StreamTable`."""

    def __init__(self, table: StreamTable, book: AlarmBook, technical: Technical) -> None:
        self._table = table
        self._book = book
        self.technical = technical
        self.expected: dict[int, str] = {}  # slot → bed: the devices that the ward assigns
        self.slots: set[int] = set()  # those of an alarm
        self._lasting: set[int] = set()  # of these, those who are silent for long

    def stale(self, now_ns: int, for_ns: int) -> Bools:
        """The watched streams, as a mask, that were heard once and now bring nothing for longer than `for_ns`."""
        fresh = self._table.state["fresh_at_ns"][: self._table.size]
        found: Bools = self._table.watched[: self._table.size] & (fresh != NEVER) & (now_ns - fresh > for_ns)
        return found

    def waiting(self, lasting: Bools, silent_gateways: Collection[int]) -> Bools:
        """The streams that wait for the word about their gateway: it brings nothing, and did not tell that they left.

        Those of `lasting` waited long enough.
        """
        state = self._table.state[: self._table.size]
        untold = state["reason"] < Reason.RADIO_LOST
        found: Bools = np.isin(state["gateway"], sorted(silent_gateways)) & untold & ~lasting
        return found

    def due(self, stale: Bools, since_ns: int, now_ns: int) -> Bools:
        """Of `stale` what is to be called silent: after our restart, what was not heard since has time to come back."""
        if self._is_settled(since_ns, now_ns):
            return stale
        found: Bools = stale & (self._table.state["fresh_at_ns"][: self._table.size] > since_ns)
        return found

    def _is_settled(self, since_ns: int, now_ns: int) -> bool:
        return now_ns - since_ns > max(RECONNECT_NS, self.technical.delay_ns)

    def judge(self, due: Bools, excused: Mapping[int, str], listening: Listening) -> None:
        """Raise, change and end the alarms of beds.

        `due`: streams to be called silent. `excused`: slot → the condition that explains its silence.
        """
        slot_of = self._table.state["slot"][: self._table.size]
        stale = self.stale(listening.now_ns, self.technical.delay_ns)
        silent = _distinct(slot_of[due]) | self._never_seen(listening)
        silent |= self.slots & _distinct(slot_of[stale])  # after a restart: silent before, and not heard since
        silent = (silent & self.expected.keys()) - excused.keys()
        lasting = silent & self._long_silent(listening)
        before, changed = self.slots, (silent ^ self.slots) | (lasting ^ self._lasting)
        self.slots, self._lasting = silent, lasting
        patients = {self._table.slots[slot][0] for slot in changed}
        now, earlier = self._by_patient(silent, patients), self._by_patient(before, patients)
        for patient in sorted(patients):
            self._state(patient, now[patient], earlier[patient], excused, listening)

    def _long_silent(self, listening: Listening) -> set[int]:
        for_ns = self.technical.escalates_after_ns
        if listening.now_ns - listening.since_ns <= for_ns:
            return set()
        return _distinct(self._table.state["slot"][: self._table.size][self.stale(listening.now_ns, for_ns)])

    def _by_patient(self, slots: set[int], patients: set[str]) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {patient: [] for patient in patients}
        for slot in sorted(slots):
            if (patient := self._table.slots[slot][0]) in found:
                found[patient].append(slot)
        return found

    def _state(
        self, patient: str, slots: list[int], before: list[int], excused: Mapping[int, str], listening: Listening
    ) -> None:
        """One alarm for a bed that has silent wearables. `before`: those of the last time."""
        key = Key(NO_DATA, patient)
        if slots:
            reasons = {slot: self.reason(slot, listening.down) for slot in slots}
            self._book.restate(key, self._votes(reasons), self._finding(reasons, listening))
        else:
            detail = COUNTED_WITH.get(next((excused[s] for s in before if s in excused), ""), "")
            finding = Finding(Kind.TECHNICAL, listening.now_ns, device=self._names(before), detail=detail)
            self._book.restate(key, {}, finding)

    def _votes(self, reasons: Mapping[int, Reason]) -> dict[str, int]:
        return {self._table.slots[slot][1]: self._level(slot, reason) for slot, reason in reasons.items()}

    def _level(self, slot: int, reason: Reason) -> Priority:
        if reason is Reason.NEVER_SEEN:
            return Priority.LOW
        return self.technical.escalated_level if slot in self._lasting else self.technical.level

    def _finding(self, reasons: Mapping[int, Reason], listening: Listening) -> Finding:
        """Of a bed: its silent wearables, since when the first of them is to be told, and why the worst one is."""
        due_ns = (self._due_ns(slot, listening.since_ns) for slot in reasons)
        seen = set(reasons.values()) - {Reason.NEVER_SEEN}
        return Finding(
            Kind.TECHNICAL,
            min(listening.now_ns, *due_ns),
            reason=max(seen or reasons.values()),
            device=self._names(reasons),
        )

    def _due_ns(self, slot: int, since_ns: int) -> int:
        heard_ns = self.heard_ns(slot)
        least_ns = 0 if heard_ns > since_ns else since_ns + max(RECONNECT_NS, self.technical.delay_ns)
        return max(heard_ns + self._delay_ns(slot), least_ns)

    def _delay_ns(self, slot: int) -> int:
        return self.technical.escalates_after_ns if slot in self._lasting else self.technical.delay_ns

    def _names(self, slots: Iterable[int]) -> str:
        return ", ".join(self._table.slots[slot][1] for slot in slots)

    def heard_ns(self, slot: int) -> int:
        """When the first of a device's signals fell silent."""
        watched = [i for i in self._table.of_slot(slot) if self._table.watched[i]]
        return min((at for i in watched if (at := int(self._table.state["fresh_at_ns"][i])) != NEVER), default=0)

    def _never_seen(self, listening: Listening) -> set[int]:
        if not self._is_settled(listening.since_ns, listening.now_ns):
            return {slot for slot in self.slots if not self._was_seen(slot)}
        state = self._table.state[: self._table.size]
        unseen = np.ones(len(self._table.slots), np.bool_)
        unseen[state["slot"][state["fresh_at_ns"] != NEVER]] = False
        return {int(slot) for slot in np.flatnonzero(unseen)}

    def _was_seen(self, slot: int) -> bool:
        return any(self._table.state["fresh_at_ns"][i] != NEVER for i in self._table.of_slot(slot))

    def reason(self, slot: int, down: Collection[int]) -> Reason:
        """Why nothing comes from a device, as far as that is known. `down`: the gateways that are."""
        state = self._table.state
        streams = [int(i) for i in self._table.of_slot(slot) if state["newest_at_ns"][i] != NEVER]
        if not streams:
            return Reason.NEVER_SEEN
        newest = max(streams, key=lambda i: int(state["newest_at_ns"][i]))
        if int(state["gateway"][newest]) in down:
            return Reason.GATEWAY_DOWN
        told = int(state["reason"][newest])
        if told >= Reason.RADIO_LOST:
            return Reason(told)
        empty = any(state["vital"][i] == Vital.BATTERY and state["value"][i] <= _EMPTY_PCT for i in streams)
        return Reason.BATTERY_EMPTY if empty else Reason.RADIO_LOST


def _distinct(slots: Indices) -> set[int]:
    return set(np.unique(slots).tolist())
