"""What silence means: gateways that are down, radios that hear nobody, clocks that cannot be trusted.

A silent gateway is one alarm that lists its beds; the devices behind it raise none of their own (`alerts.causes`). So
is a radio that hears nobody, and so are all gateways that fell silent together. Any other silence is one alarm of the
bed that names its devices, with the reason that is known (`alerts.silence`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from alerts.alarms import AlarmBook, Finding
from alerts.behind import Behind
from alerts.causes import COUNTED_WITH, LEAST, TOGETHER_NS, cause_of, fell_together
from alerts.events import CLOCK_UNTRUSTED, GATEWAY_DOWN, INTAKE_DOWN, NO_DATA, RADIO_DOWN, Key, Kind
from alerts.limits import Preset
from alerts.silence import RECONNECT_NS, Listening, Silence
from alerts.streams import NEVER, Bools, StreamTable
from vitals.model import ClockSource, GatewayStatus, Presence, Reason

MOST_UNCERTAIN_MS: Final = 1_000.0  # a time less certain than this is not trusted
STATUS_NS: Final = 75_000_000_000  # two and a half status periods: so long a gateway is there, though it hears nobody


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
        self.silence = Silence(table, book, preset.technical[NO_DATA])

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
        expected = self.silence.expected
        slots = [slot for slot in behind.slots(gateway) if slot in expected]
        unheard = (s for s in slots if not behind.is_heard_elsewhere(self._table.slots[s][0], gateway))
        return tuple(sorted({expected[slot] for slot in unheard}))

    # -- devices -----------------------------------------------------------------------------------------------------

    def _judge_devices(self, behind: Behind, now_ns: int) -> None:
        technical = self.silence.technical
        stale = self.silence.stale(now_ns, technical.delay_ns)
        lasting = self.silence.stale(now_ns, technical.escalates_after_ns)
        quiet_ns = technical.delay_ns // 2  # less than the whole: its last samples were older than their arrival
        mute = [i for i, gateway in enumerate(self.gateways) if now_ns - gateway.data_ns > quiet_ns]
        waiting = self.silence.waiting(lasting, [i for i in mute if i not in self.down])
        due = self.silence.due(stale & ~waiting, self.since_ns, now_ns)
        self._judge_radios(due, lasting, behind, now_ns)
        state = self._table.state[: self._table.size]
        behind_down = stale & np.isin(state["gateway"], sorted(self.down))
        deaf = {slot for gateway in self.deaf for slot in behind.slots(gateway)}
        excused = dict.fromkeys(np.unique(state["slot"][behind_down]).tolist(), GATEWAY_DOWN)
        self.silence.judge(due, excused | dict.fromkeys(deaf, RADIO_DOWN), self._listening(now_ns))

    def _listening(self, now_ns: int) -> Listening:
        return Listening(now_ns, self.since_ns, self.down)

    def reason(self, slot: int) -> Reason:
        """Why nothing comes from a device, as far as that is known."""
        return self.silence.reason(slot, self.down)

    # -- radios ------------------------------------------------------------------------------------------------------

    def _judge_radios(self, due: Bools, lasting: Bools, behind: Behind, now_ns: int) -> None:
        """A gateway that is there and lost all its wearables at once, or says that its radio fails: one alarm.

        It calls for somebody once that lasts, as the silence of one wearable does.
        """
        silent = behind.wholly_in(due) if due.any() else []
        found = {i for i in silent if i not in self.down and self._is_deaf(i, behind)}
        long = set(behind.wholly_in(lasting)) if found else set()
        for index in sorted(found | self.deaf):
            gateway = self.gateways[index]
            key = Key(RADIO_DOWN, gateway=gateway.name)
            technical = self.silence.technical
            level = technical.escalated_level if index in long else technical.level
            if index not in found:
                detail = COUNTED_WITH[GATEWAY_DOWN] if index in self.down else ""
                self._book.vote(key, gateway.name, 0, Finding(Kind.TECHNICAL, now_ns, detail=detail))
            elif level > self._book.voted(key, gateway.name) and (beds := self._unmonitored_beds(index, behind)):
                detail = gateway.radio_problem.removeprefix("radio: ")
                finding = Finding(Kind.TECHNICAL, now_ns, reason=Reason.RADIO_LOST, detail=detail, beds=beds)
                self._book.vote(key, gateway.name, level, finding)
        self.deaf = {i for i in found if self._book.has(Key(RADIO_DOWN, gateway=self.gateways[i].name))}

    def _is_deaf(self, gateway: int, behind: Behind) -> bool:
        """Whether the radio of a gateway whose wearables are all silent is the cause."""
        if gateway in self.deaf or self.gateways[gateway].radio_problem:
            return True
        slots = behind.watched_slots(gateway) & self.silence.expected.keys()
        beds = {self.silence.expected[slot] for slot in slots}
        return len(beds) >= LEAST and fell_together([self.silence.heard_ns(slot) for slot in slots])

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
