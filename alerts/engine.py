"""The alert engine: blocks of samples and gateway statuses in, alarm events out. Pure; time is an argument.

`step` takes what the ingest journal brought and lets time pass up to `now_ns`. Steps may be cut anywhere: events depend
on the samples, their own times, and the moments at which time was let pass, not on how records were grouped.

Several devices may measure one vital of a patient. Ingest makes one best value of them, and that is what the patient's
limits are held against; a pulse rate becomes part of the best heart rate. Where there is no best value (none of that
vital, of an older release, or because what makes it failed) each device is judged alone, and the patient's alarm is the
worst of their votes. A device that fell silent while another measures the same vital loses its vote.

Order: a sample that comes after a newer one of its stream is put in its place, and changes what follows from it
(`alerts.late`); what comes after an outage is annotated (`alerts.history`). Backlog: what samples older than
`LIVE_WINDOW_NS` decide is marked and not notified; if it still holds when live data come, it is notified then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import compress
from typing import Final, TypeAlias

import numpy as np

from alerts import attention
from alerts.alarms import AlarmBook, Finding
from alerts.attention import Acknowledged, Paused
from alerts.changed_rules import RuleChange
from alerts.course import Course
from alerts.events import (
    DATABASE_DOWN,
    ENGINE_DOWN,
    LIMITS_CHANGED,
    NO_DATA,
    AlarmEvent,
    Key,
    Kind,
    Priority,
    Transition,
)
from alerts.history import History
from alerts.judge import JudgeWatch
from alerts.late import LateSamples
from alerts.late_calm import LateCalm
from alerts.limits import Preset, Rules, rules_of
from alerts.limits_in_force import Difference, Overrides, limits_with
from alerts.links import MOST_UNCERTAIN_MS, Links
from alerts.recent import Recent
from alerts.screening import screen, take_note
from alerts.streams import Indices, StreamTable, is_untrusted
from alerts.tiles import open_alarm, tiles
from alerts.view import OpenAlarm, Tile
from alerts.walk import Walk
from vitals.columns import Rows, SampleBlock
from vitals.model import GatewayStatus, Reason
from vitals.ward import Ward

Arrival: TypeAlias = tuple[int, SampleBlock | GatewayStatus]
"""When a record was appended to the ingest journal, and what it holds."""

SHORT_GAP_NS: Final = 60_000_000_000  # a restart that took longer than this is told to people


class Engine:
    """The state of one ward.

    `screening=False` walks through every sample: slower, same events. `changed`: patient → what people changed of the
    limits, over the ward file's.
    """

    def __init__(
        self,
        ward: Ward,
        preset: Preset,
        now_ns: int,
        *,
        screening: bool = True,
        changed: Mapping[str, Overrides] | None = None,
    ) -> None:
        self.ward = ward
        self.preset = preset
        self.position = 0
        self.unassigned = 0  # samples of nobody who is on the ward
        self._screening = screening
        self._beds = {p.patient: p.bed for p in ward.patients}
        self.book = AlarmBook(lambda patient: self._beds.get(patient, ""), frozenset(preset.latching), preset.signals)
        self.changed = dict(changed or {})
        self.rules = _rules_of_patients(ward, preset, self.changed)
        self.table = StreamTable(self.rules)
        self.links = Links(self.table, self.book, preset, now_ns)
        self.judge = JudgeWatch(self.table, self.book, self._beds)
        self.walk = Walk(self.table, self.book)
        self.recent = Recent(self.table)
        self.history = History(self.table, self.book, self.walk, self.recent)
        self.late_samples = LateSamples(self.table, self.book, self.walk, self.recent, self.history)
        self.late_calm = LateCalm(self.table, self.recent, self.history, self.late_samples)
        self.walk.renewed = lambda stream: self.recent.begin_anew(stream, self.walk.trackers.get(stream))
        self.course = Course(ward, preset, self.table, self.book)
        self.book.earlier = self.course.earlier
        for patient in ward.patients:
            for device in patient.devices:
                self.links.silence.expected[self.table.slot(patient.patient, device)] = patient.bed

    @property
    def late(self) -> int:
        """Samples that came after a newer one of their stream."""
        return self.late_samples.count

    # -- what comes in -----------------------------------------------------------------------------------------------

    def step(self, arrivals: Sequence[Arrival], position: int, now_ns: int) -> tuple[AlarmEvent, ...]:
        """Take the ingest records through `position`, then let time pass up to `now_ns`."""
        self.feed(arrivals, position, now_ns)
        self.tick(now_ns)
        return self.book.take()

    def hear(self, arrivals: Sequence[Arrival], position: int, now_ns: int) -> tuple[AlarmEvent, ...]:
        """Take the ingest records through `position` as they come; `step` has to follow now and then.

        Looking at every stream for what time brings about is not done twenty times a second for nothing. But whatever
        decides something is a whole step, because that is what a replay repeats (`alerts.recovery`).
        """
        self.feed(arrivals, position, now_ns)
        decided = self.book.take()
        if not decided:
            return ()
        self.tick(now_ns)
        return decided + self.book.take()

    def feed(self, arrivals: Sequence[Arrival], position: int, now_ns: int) -> None:
        """Take records without letting time pass; the events come with the next `step`."""
        before, self.position = self.position, max(self.position, position)
        self.book.begin(self.position, now_ns)
        for arrived_at_ns, arrival in arrivals:
            if self.recent.is_due(arrived_at_ns):
                self.recent.mark(before, arrived_at_ns, self.walk.trackers)
            if isinstance(arrival, GatewayStatus):
                self.links.hear_status(arrival, arrived_at_ns)
            elif len(arrival.rows):
                self._feed_block(arrival, now_ns)

    def tick(self, now_ns: int) -> None:
        """Let time pass; the events come with the next `step`."""
        self.book.begin(self.position, now_ns)
        self.links.tick(now_ns)
        self.judge.tick(now_ns)
        self.history.tick(now_ns)
        self._withdraw_silent(now_ns)
        self.course.tick(now_ns)
        attention.let_pass(self.book)

    def acknowledge(self, alarm_id: str, actor: str, now_ns: int) -> tuple[Acknowledged, tuple[AlarmEvent, ...]]:
        """Let `actor` take notice of an alarm."""
        self.book.begin(self.position, now_ns)
        return attention.acknowledge(self.book, alarm_id, actor), self.book.take()

    def pause_audio(self, alarm_id: str, actor: str, now_ns: int) -> tuple[Paused, tuple[AlarmEvent, ...]]:
        """Pause the sound of one alarm for the preset's time."""
        self.book.begin(self.position, now_ns)
        return attention.pause_audio(self.book, alarm_id, actor), self.book.take()

    def pause_alarms(
        self, patient: str, actor: str, reason: str, length_s: float, now_ns: int
    ) -> tuple[Paused, tuple[AlarmEvent, ...]]:
        """Pause all alarms of a patient of the ward."""
        if patient not in self._beds:
            return Paused.UNKNOWN, ()
        self.book.begin(self.position, now_ns)
        return attention.pause_alarms(self.book, patient, actor, reason, length_s), self.book.take()

    def resume_alarms(self, patient: str, actor: str, now_ns: int) -> tuple[Paused, tuple[AlarmEvent, ...]]:
        """End a pause of a patient's alarms before its time."""
        self.book.begin(self.position, now_ns)
        return attention.resume_alarms(self.book, patient, actor), self.book.take()

    def report_part(self, condition: str, name: str, *, failing: bool, now_ns: int) -> tuple[AlarmEvent, ...]:
        """Take note that a part of the server does not work, or does again: `condition` is one of `REPORTED`."""
        self.book.begin(self.position, now_ns)
        worst = Priority.LOW if condition == DATABASE_DOWN else Priority.MEDIUM
        priority = worst if failing else 0
        self.book.vote(Key(condition, channel=name), name, priority, Finding(Kind.TECHNICAL, now_ns))
        return self.book.take()

    def change_limits(
        self, patient: str, changed: Overrides, told: Iterable[Difference], now_ns: int
    ) -> tuple[AlarmEvent, ...]:
        """Let `changed` be all that people changed of a patient's limits; `told` goes to the alarm journal.

        Raises `ConfigurationError` when the limits that follow are unsafe, and then changes nothing.
        """
        own = next(p for p in self.ward.patients if p.patient == patient)
        new = rules_of(self.preset, limits_with(self.preset, own, changed))
        old, self.rules[patient], self.changed[patient] = self.rules[patient], new, changed
        self.book.begin(self.position, now_ns)
        for change in told:
            limit = None if change.field.endswith("_s") else change.after
            finding = Finding(Kind.TECHNICAL, now_ns, limit=limit, detail=str(change))
            key = Key(LIMITS_CHANGED, patient)
            noted, until_ns = Transition.NOTED, change.until_ns
            self.book.emit("", key, noted, finding, Priority.LOW, notify=False, actor=change.actor, until_ns=until_ns)
        RuleChange(self.table, self.walk, self.book).apply(patient, old, new)
        return self.book.take()

    def resume(self, down_since_ns: int, now_ns: int, detail: str) -> tuple[AlarmEvent, ...]:
        """Carry on after a restart: note the gap; every source gets time to come back before it counts as silent.

        The clock may have been set back: nothing known is of later than `now_ns`, or all that comes would be late.
        """
        self.book.begin(self.position, now_ns)
        self.links.resume(now_ns)
        for stream in self.table.forget_after(now_ns):
            self.walk.renewed(stream)
        self.course.forget_after(now_ns)
        attention.shorten(self.book)
        finding = Finding(Kind.TECHNICAL, down_since_ns, detail=detail)
        self.book.note(ENGINE_DOWN, finding, notify=now_ns - down_since_ns > SHORT_GAP_NS)
        return self.book.take()

    # -- what a screen asks ------------------------------------------------------------------------------------------

    def tiles(self, now_ns: int, patients: frozenset[str] | None = None) -> tuple[Tile, ...]:
        """One tile per patient of the ward, or of `patients` only."""
        return tuple(self.each_tile(now_ns, patients))

    def each_tile(self, now_ns: int, patients: frozenset[str] | None = None) -> Iterator[Tile]:
        """`tiles`, one after the other: others may run in between."""
        chosen = [p for p in self.ward.patients if patients is None or p.patient in patients]
        still_open, pauses = self.book.open.values(), self.book.pauses
        return tiles(chosen, self.table, self.links, still_open, now_ns, pauses=pauses, score_of=self.course.score)

    def alarms(self) -> tuple[OpenAlarm, ...]:
        """The open alarms, the worst first, then the newest."""
        found = [open_alarm(alarm, self._beds.get(alarm.key.patient, "")) for alarm in self.book.open.values()]
        return tuple(sorted(found, key=lambda a: (-a.priority, -a.raised_at_ns, a.alarm_id)))

    # -- inside ------------------------------------------------------------------------------------------------------

    def _feed_block(self, block: SampleBlock, now_ns: int) -> None:
        slots = self.table.slots_of(block.patients, block.devices)
        device = block.rows["device"]
        streams = self.table.streams(slots[device], block.rows["vital"])
        known = slots[device] >= 0
        self.unassigned += len(known) - int(np.count_nonzero(known))
        if not known.any():
            return
        gateways = self._hear(block, slots, block.rows[known] if not known.all() else block.rows)
        kept = streams >= 0
        rows, streams = (block.rows, streams) if kept.all() else (block.rows[kept], streams[kept])
        if len(rows):
            self._judge(rows, streams, gateways, slots, now_ns)

    def _hear(self, block: SampleBlock, slots: Indices, rows: Rows) -> Indices:
        """Take note of the gateways that brought rows; their numbers, parallel to the block's devices."""
        real = (slots >= 0) & ~self.table.unreal[slots]
        gateways = np.full(len(slots), -1, np.int64)
        gateways[real] = self.links.indices(compress(block.gateways, real.tolist()))
        of_row = gateways[rows["device"]]
        heard = of_row >= 0
        if not heard.all():  # what the server made of it says nothing of a gateway
            rows, of_row = rows[heard], of_row[heard]
        if not len(rows):
            return gateways
        untrusted = is_untrusted(rows, MOST_UNCERTAIN_MS)
        doubted = _distinct(of_row[untrusted]) if untrusted.any() else ()
        self.links.hear(_distinct(of_row), doubted, int(rows["received_at_ns"].max()))
        return gateways

    def _judge(self, rows: Rows, streams: Indices, gateways: Indices, slots: Indices, now_ns: int) -> None:
        found = screen(self.table, rows, streams)
        screened = self.late_calm.rest(found) if self._screening else replace(found, calm=np.zeros_like(found.calm))
        if screened is None:
            return
        of_row = gateways[screened.rows["device"]]
        sources = np.where(self.table.best[screened.streams], slots[screened.rows["source"]], -1)
        self.course.take(screened)
        self.history.notice(screened)
        self.recent.remember(screened, screened.plain)
        take_note(self.table, screened, of_row, sources)
        if not screened.calm.all():
            self.walk.walk(screened, of_row, sources, now_ns, self.late_samples)
        self.course.tell(now_ns)

    def _withdraw_silent(self, now_ns: int) -> None:
        """Take the vote from what has no values any more while something else measures the same."""
        silence_ns = self.preset.technical[NO_DATA].delay_ns
        state, best = self.table.state, self.table.best
        for stream in list(self.walk.trackers):
            known_ns = int(state["valid_at_ns" if best[stream] else "fresh_at_ns"][stream])
            silent = now_ns - known_ns > silence_ns and self._has_vote(stream)
            if silent and self._is_measured_elsewhere(stream, now_ns - silence_ns):
                self.walk.withdraw(stream, now_ns)

    def _has_vote(self, stream: int) -> bool:
        trackers = zip(self.table.rules[stream], self.walk.trackers[stream], strict=True)
        return any(tracker.level and rule.kind is Kind.PHYSIOLOGICAL for rule, tracker in trackers)

    def _is_measured_elsewhere(self, stream: int, since_ns: int) -> bool:
        """Whether the vital, or of a best value what it is chosen from, has a value that is newer than `since_ns`."""
        state, best = self.table.state, self.table.best
        return any(
            int(state["valid_at_ns"][i]) >= since_ns and state["reason"][i] == Reason.PRESENT
            for i in self.table.family(stream)
            if i != stream and (best[i] or best[stream] or state["vital"][i] == state["vital"][stream])
        )


def _distinct(numbers: Indices) -> list[int]:
    """Each of these once; they are small, so that counting beats sorting."""
    found: list[int] = np.flatnonzero(np.bincount(numbers)).tolist()
    return found


def _rules_of_patients(ward: Ward, preset: Preset, changed: Mapping[str, Overrides]) -> dict[str, Rules]:
    """Rules per patient; all who differ in nothing share the preset's."""
    shared = rules_of(preset, preset.vitals)
    own = {p.patient: p for p in ward.patients if p.limits or changed.get(p.patient)}
    differing = {name: rules_of(preset, limits_with(preset, p, changed.get(name, {}))) for name, p in own.items()}
    return {p.patient: differing.get(p.patient, shared) for p in ward.patients}
