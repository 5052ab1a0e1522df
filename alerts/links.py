"""What silence means: gateways that are down, devices that send nothing, clocks that cannot be trusted.

A silent gateway is one alarm that lists its beds; the devices behind it raise none of their own (`alerts.causes`). So
is a radio that hears nobody, and so are all gateways that fell silent together. Any other silence is one alarm of the
bed that names its devices, with the reason that is known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from alerts.alarms import AlarmBook, Finding
from alerts.behind import Behind
from alerts.causes import COUNTED_WITH, LEAST, TOGETHER_NS, cause_of, fell_together
from alerts.events import CLOCK_UNTRUSTED, GATEWAY_DOWN, INTAKE_DOWN, NO_DATA, RADIO_DOWN, Key, Kind, Priority
from alerts.limits import Preset
from alerts.streams import NEVER, Bools, StreamTable
from vitals.model import ClockSource, GatewayStatus, Presence, Reason, Vital

MOST_UNCERTAIN_MS: Final = 1_000.0  # a time less certain than this is not trusted
RECONNECT_NS: Final = 30_000_000_000  # for gateways after our restart, and for the wearables of one that is back
STATUS_NS: Final = 75_000_000_000  # two and a half status periods: so long a gateway is there, though it hears nobody
_EMPTY_PCT: Final = 5.0  # a device that fell silent with less is taken to be empty


@dataclass(slots=True)
class Gateway:
    """What is known of one gateway; times are of arrival, 0 for never."""

    name: str
    data_ns: int = NEVER
    status_ns: int = NEVER
    online_since_ns: int = NEVER
    presence: int = Presence.ONLINE
    untrusted_since_ns: int = NEVER
    radio_problem: str = ""  # as it tells itself


class Links:
    """`since_ns`: since when this engine has been listening; nothing is called silent that could not be heard."""

    def __init__(self, table: StreamTable, book: AlarmBook, preset: Preset, since_ns: int) -> None:
        self._table = table
        self._book = book
        self._preset = preset
        self.since_ns = since_ns
        self.gateways: list[Gateway] = []
        self._index: dict[str, int] = {}
        self.down: set[int] = set()
        self.deaf: set[int] = set()  # gateways whose radio hears nobody
        self.all_down = False
        self.silent_slots: set[int] = set()
        self.expected: dict[int, str] = {}  # slot → bed: the devices that the ward assigns

    def index(self, name: str) -> int:
        """The number of a gateway, made when new."""
        found = self._index.get(name)
        if found is None:
            found = self._index[name] = len(self.gateways)
            self.gateways.append(Gateway(name))
        return found

    def indices(self, names: Iterable[str]) -> list[int]:
        """The number of each of these gateways."""
        known = self._index
        return [known[name] if name in known else self.index(name) for name in names]

    def hear(self, indices: Iterable[int], untrusted: Iterable[int], received_at_ns: int) -> None:
        """Data of these gateways arrived; those of `untrusted` with a time that cannot be trusted."""
        doubted = set(untrusted)
        for index in indices:
            gateway = self.gateways[index]
            gateway.data_ns = max(gateway.data_ns, received_at_ns)
            self._trust(gateway, received_at_ns, trusted=index not in doubted)

    def hear_status(self, status: GatewayStatus, arrived_at_ns: int) -> None:
        """A gateway's status arrived. One that never brought data of a patient is of no concern here."""
        found = self._index.get(status.gateway)
        if found is None:
            return
        gateway = self.gateways[found]
        if status.presence is Presence.ONLINE:
            gateway.status_ns = arrived_at_ns
            if gateway.presence != Presence.ONLINE or found in self.down:
                gateway.online_since_ns = arrived_at_ns
            clock = status.clock
            trusted = clock.source is ClockSource.SYNCHRONISED and clock.uncertainty_ms <= MOST_UNCERTAIN_MS
            self._trust(gateway, arrived_at_ns, trusted=trusted)
            problems = status.health.problems if status.health is not None else ()
            gateway.radio_problem = next((p for p in problems if p.startswith("radio: ")), "")
        gateway.presence = status.presence

    @staticmethod
    def _trust(gateway: Gateway, at_ns: int, *, trusted: bool) -> None:
        if trusted:
            gateway.untrusted_since_ns = NEVER
        elif gateway.untrusted_since_ns == NEVER:
            gateway.untrusted_since_ns = at_ns

    def resume(self, now_ns: int) -> None:
        """Listen afresh from `now_ns` on; what was heard later than that was told by a clock that is set back now."""
        self.since_ns = now_ns
        for gateway in self.gateways:
            gateway.data_ns = min(gateway.data_ns, now_ns)
            gateway.status_ns = min(gateway.status_ns, now_ns)
            gateway.online_since_ns = min(gateway.online_since_ns, now_ns)
            gateway.untrusted_since_ns = min(gateway.untrusted_since_ns, now_ns)

    def tick(self, now_ns: int) -> None:
        """Raise and end what time alone brings about."""
        behind = Behind(self._table, now_ns - self._preset.technical[NO_DATA].delay_ns)
        self._judge_gateways(behind, now_ns)
        self._judge_devices(behind, now_ns)
        self._judge_clocks(now_ns)

    # -- gateways ----------------------------------------------------------------------------------------------------

    def _judge_gateways(self, behind: Behind, now_ns: int) -> None:
        technical = self._preset.technical[GATEWAY_DOWN]
        silent = [i for i, gateway in enumerate(self.gateways) if now_ns - gateway.data_ns > technical.delay_ns]
        down = {i for i in silent if self._is_down(i, behind, now_ns)}
        down |= {i for i in self.down if self._is_catching_up(i, behind, now_ns)}
        self._judge_intake(down, behind, now_ns)
        for index in sorted(down | self.down):
            gateway = self.gateways[index]
            key = Key(GATEWAY_DOWN, gateway=gateway.name)
            if index not in down:
                self._book.vote(key, gateway.name, 0, Finding(Kind.TECHNICAL, max(gateway.data_ns, gateway.status_ns)))
            elif cause := cause_of(GATEWAY_DOWN, (INTAKE_DOWN,) if self.all_down else ()):
                finding = Finding(Kind.TECHNICAL, now_ns, detail=COUNTED_WITH[cause])
                self._book.vote(key, gateway.name, 0, finding)
            elif not self._book.has(key) and (beds := self._unmonitored_beds(index, behind)):
                at_ns = max(gateway.data_ns, self.since_ns) + technical.delay_ns
                finding = Finding(Kind.TECHNICAL, at_ns, reason=Reason.GATEWAY_DOWN, beds=beds)
                self._book.vote(key, gateway.name, technical.level, finding)
        self.down = down

    def _judge_intake(self, down: set[int], behind: Behind, now_ns: int) -> None:
        """All gateways silent since the same moment: one alarm of what is above them."""
        if not self.all_down and not down:
            return
        technical = self._preset.technical[GATEWAY_DOWN]
        key = Key(INTAKE_DOWN)
        known = {i for i in behind.gateways() if i >= 0 and self.gateways[i].data_ns != NEVER}
        if self.all_down:
            self.all_down = known <= down
            if not self.all_down:
                self._book.vote(key, INTAKE_DOWN, 0, Finding(Kind.TECHNICAL, now_ns))
        elif self._all_fell(known, down, behind, now_ns):
            beds = sorted({bed for i in known for bed in self._unmonitored_beds(i, behind)})
            self.all_down = bool(beds)
            if self.all_down:
                down |= known
                finding = Finding(Kind.TECHNICAL, now_ns, reason=Reason.GATEWAY_DOWN, beds=tuple(beds))
                self._book.vote(key, INTAKE_DOWN, technical.level, finding)

    def _all_fell(self, known: set[int], down: set[int], behind: Behind, now_ns: int) -> bool:
        """Whether all of `known` are down, or will be at once, and fell silent together."""
        almost_ns = max(self._preset.technical[GATEWAY_DOWN].delay_ns - TOGETHER_NS, 0)
        nearly = {i for i in known - down if now_ns - self.gateways[i].data_ns > almost_ns}
        fallen = down | {i for i in nearly if self._is_down(i, behind, now_ns)}
        return known <= fallen and fell_together([self.gateways[i].data_ns for i in known])

    def _is_down(self, index: int, behind: Behind, now_ns: int) -> bool:
        """Whether a gateway that brings no data is to be called down."""
        gateway = self.gateways[index]
        if index in self.down and gateway.presence == Presence.ONLINE and gateway.online_since_ns > gateway.data_ns:
            return now_ns - gateway.online_since_ns <= RECONNECT_NS
        if gateway.data_ns <= self.since_ns and now_ns - self.since_ns <= RECONNECT_NS:
            return index in self.down  # it may still be on its way back to us
        if gateway.presence != Presence.ONLINE:
            return True
        quiet = now_ns - gateway.status_ns > STATUS_NS
        if not quiet or index in self.down:
            return quiet
        return len(behind.slots(index)) >= 2  # one device alone may just be out of reach

    def _is_catching_up(self, index: int, behind: Behind, now_ns: int) -> bool:
        """Whether a gateway that was down brings only what is of long ago: its beds are not monitored yet."""
        if now_ns - self.gateways[index].data_ns > self._preset.technical[GATEWAY_DOWN].delay_ns:
            return False
        return now_ns - behind.newest_ns(index) > self._preset.technical[NO_DATA].delay_ns

    def _unmonitored_beds(self, gateway: int, behind: Behind) -> tuple[str, ...]:
        """Beds that were last heard through `gateway` and that no other gateway hears now."""
        slots = [slot for slot in behind.slots(gateway) if slot in self.expected]
        unheard = (s for s in slots if not behind.is_heard_elsewhere(self._table.slots[s][0], gateway))
        return tuple(sorted({self.expected[slot] for slot in unheard}))

    # -- devices -----------------------------------------------------------------------------------------------------

    def _judge_devices(self, behind: Behind, now_ns: int) -> None:
        technical = self._preset.technical[NO_DATA]
        state = self._table.state[: self._table.size]
        fresh = state["fresh_at_ns"]
        watched = self._table.watched[: self._table.size] & (fresh != NEVER)
        stale: Bools = watched & (now_ns - fresh > technical.delay_ns)
        due = stale & (now_ns - self.since_ns > technical.delay_ns)
        behind_down = np.isin(state["gateway"], sorted(self.down)) if self.down else np.zeros(len(state), np.bool_)
        silent = {int(s) for s in np.unique(state["slot"][due & ~behind_down])} | self._never_seen(now_ns)
        counted = {int(s) for s in np.unique(state["slot"][stale & behind_down])}
        still = {int(s) for s in np.unique(state["slot"][stale])}
        self._judge_radios(due, behind, now_ns)
        deaf = {slot for gateway in self.deaf for slot in behind.slots(gateway)}
        excused = dict.fromkeys(counted, GATEWAY_DOWN) | dict.fromkeys(deaf, RADIO_DOWN)
        kept = {s for s in self.silent_slots if s in still}  # after a restart: silent before, and not heard since
        self._state_silence(((silent | kept) & self.expected.keys()) - excused.keys(), excused, now_ns)

    def _state_silence(self, silent: set[int], excused: Mapping[int, str], now_ns: int) -> None:
        """One alarm for each bed that has silent devices."""
        if silent == self.silent_slots:
            return
        by_patient: defaultdict[str, set[int]] = defaultdict(set)
        for slot in silent:
            by_patient[self._table.slots[slot][0]].add(slot)
        changed = {self._table.slots[slot][0] for slot in silent ^ self.silent_slots}
        for patient in sorted(changed):
            key, slots = Key(NO_DATA, patient), sorted(by_patient[patient])
            if slots:
                self._book.restate(key, self._votes(slots), self._silence(slots, now_ns))
            else:
                before = [s for s in sorted(self.silent_slots) if self._table.slots[s][0] == patient]
                cause = next((excused[s] for s in before if s in excused), "")
                devices = ", ".join(self._table.slots[s][1] for s in before)
                finding = Finding(Kind.TECHNICAL, now_ns, device=devices, detail=COUNTED_WITH.get(cause, ""))
                self._book.restate(key, {}, finding)
        self.silent_slots = silent

    def _votes(self, slots: list[int]) -> dict[str, int]:
        level = self._preset.technical[NO_DATA].level
        reasons = {self._table.slots[slot][1]: self.reason(slot) for slot in slots}
        return {d: Priority.LOW if reason is Reason.NEVER_SEEN else level for d, reason in reasons.items()}

    def _silence(self, slots: list[int], now_ns: int) -> Finding:
        """Of a bed: its silent devices, since when the first of them is silent, and why the worst one is."""
        delay_ns = self._preset.technical[NO_DATA].delay_ns
        at_ns = min(min(now_ns, max(self._heard_ns(slot), self.since_ns) + delay_ns) for slot in slots)
        reasons = {self.reason(slot) for slot in slots}
        seen = reasons - {Reason.NEVER_SEEN}
        devices = ", ".join(self._table.slots[slot][1] for slot in slots)
        return Finding(Kind.TECHNICAL, at_ns, reason=max(seen or reasons), device=devices)

    def _heard_ns(self, slot: int) -> int:
        """When the first of a device's signals fell silent."""
        watched = [i for i in self._table.of_slot(slot) if self._table.watched[i]]
        return min((at for i in watched if (at := int(self._table.state["fresh_at_ns"][i])) != NEVER), default=0)

    # -- radios ------------------------------------------------------------------------------------------------------

    def _judge_radios(self, due: Bools, behind: Behind, now_ns: int) -> None:
        """A gateway that is there and lost all its wearables at once, or says that its radio fails: one alarm."""
        silent = behind.wholly_in(due) if due.any() else []
        found = {i for i in silent if i not in self.down and self._is_deaf(i, behind)}
        for index in sorted(found ^ self.deaf):
            gateway = self.gateways[index]
            key = Key(RADIO_DOWN, gateway=gateway.name)
            if index not in found:
                detail = COUNTED_WITH[GATEWAY_DOWN] if index in self.down else ""
                self._book.vote(key, gateway.name, 0, Finding(Kind.TECHNICAL, now_ns, detail=detail))
            elif beds := self._unmonitored_beds(index, behind):
                level = self._preset.technical[GATEWAY_DOWN].level
                detail = gateway.radio_problem.removeprefix("radio: ")
                finding = Finding(Kind.TECHNICAL, now_ns, reason=Reason.RADIO_LOST, detail=detail, beds=beds)
                self._book.vote(key, gateway.name, level, finding)
        self.deaf = {i for i in found if self._book.has(Key(RADIO_DOWN, gateway=self.gateways[i].name))}

    def _is_deaf(self, gateway: int, behind: Behind) -> bool:
        """Whether the radio of a gateway whose wearables are all silent is the cause."""
        if gateway in self.deaf or self.gateways[gateway].radio_problem:
            return True
        slots = behind.watched_slots(gateway) & self.expected.keys()
        beds = {self.expected[slot] for slot in slots}
        return len(beds) >= LEAST and fell_together([self._heard_ns(slot) for slot in slots])

    def _never_seen(self, now_ns: int) -> set[int]:
        if now_ns - self.since_ns <= self._preset.technical[NO_DATA].delay_ns:
            return {slot for slot in self.silent_slots if not self._was_seen(slot)}
        state = self._table.state[: self._table.size]
        unseen = np.ones(len(self._table.slots), np.bool_)
        unseen[state["slot"][state["fresh_at_ns"] != NEVER]] = False
        return {int(slot) for slot in np.flatnonzero(unseen)}

    def _was_seen(self, slot: int) -> bool:
        return any(self._table.state["fresh_at_ns"][i] != NEVER for i in self._table.of_slot(slot))

    def reason(self, slot: int) -> Reason:
        """Why nothing comes from a device, as far as that is known."""
        state = self._table.state
        streams = [int(i) for i in self._table.of_slot(slot) if state["newest_at_ns"][i] != NEVER]
        if not streams:
            return Reason.NEVER_SEEN
        newest = max(streams, key=lambda i: int(state["newest_at_ns"][i]))
        if int(state["gateway"][newest]) in self.down:
            return Reason.GATEWAY_DOWN
        told = int(state["reason"][newest])
        if told >= Reason.RADIO_LOST:
            return Reason(told)
        empty = any(state["vital"][i] == Vital.BATTERY and state["value"][i] <= _EMPTY_PCT for i in streams)
        return Reason.BATTERY_EMPTY if empty else Reason.RADIO_LOST

    # -- clocks ------------------------------------------------------------------------------------------------------

    def _judge_clocks(self, now_ns: int) -> None:
        technical = self._preset.technical[CLOCK_UNTRUSTED]
        alarming = {key.gateway for key in self._book.open if key.condition == CLOCK_UNTRUSTED}
        for gateway in [g for g in self.gateways if g.untrusted_since_ns != NEVER or g.name in alarming]:
            key = Key(CLOCK_UNTRUSTED, gateway=gateway.name)
            since_ns = gateway.untrusted_since_ns
            if since_ns == NEVER:
                if self._book.has(key):
                    self._book.vote(key, gateway.name, 0, Finding(Kind.TECHNICAL, now_ns))
            elif now_ns - since_ns >= technical.delay_ns and not self._book.has(key):
                at_ns = since_ns + technical.delay_ns
                finding = Finding(Kind.TECHNICAL, at_ns, reason=Reason.CLOCK_UNTRUSTED)
                self._book.vote(key, gateway.name, technical.level, finding)
