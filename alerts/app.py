"""The alert service: follows the ingest journal, keeps the alarm journal, and lets the channels tell people.

Everything happens on one event loop: an event is durable in the alarm journal before any screen or channel hears of it
(`alerts.alarm_writer`). When that cannot be written (disk full), nothing more is decided until it can.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

import structlog

from alerts.alarm_writer import AlarmWriter
from alerts.attention import Acknowledged, Paused
from alerts.duty import Duty
from alerts.engine import Arrival
from alerts.events import CHANNEL_DOWN, DATABASE_DOWN, HEARTBEAT_LOST, AlarmEvent, Key
from alerts.limit_keeper import LimitKeeper
from alerts.limits import Preset, Rules
from alerts.limits_in_force import InForce
from alerts.notify.caller import CALLER, Caller
from alerts.notify.outbox import Channel
from alerts.notify.worker import ChannelWorker, RetryDelay, cursor_name
from alerts.recovery import arrivals, recover
from alerts.self_test import SelfTest
from alerts.state_saver import StateSaver
from alerts.tiles import without_server
from alerts.view import OpenAlarm, Tile
from vitals.columns import RecordKind
from vitals.errors import JournalFullError
from vitals.follow import follow
from vitals.journal import Journal
from vitals.self_test import SELF_TEST
from vitals.ward import Ward

TICK_S: Final = 0.5  # how late a silence may be noticed
SNAPSHOT_NS: Final = 10_000_000_000  # how much is replayed after a restart
_PORTION: Final = 200  # ingest records judged at once: the event loop is not held up for long by a backlog
_PORTION_BYTES: Final = 4 << 20
_NOT_WATCHING: Final = (
    "The server takes nothing in: its disk is full, or it is overloaded. No alarm will come. "
    "Watch the patients directly, and call the operator."
)
STANDSTILL_NS: Final = 5_000_000_000  # ten ticks: a busy second is none, and every silence is given longer than this

_R = TypeVar("_R")
_log = structlog.get_logger(__name__)


class AlertService:
    """Use `run` as a task; the rest may be called on its event loop at any time.

    `ingest`: the ingest journal; `keep_cursor=False` when another process writes it. `alarms`: the alarm journal, which
    this service alone writes. `standstill_ns`: see `_after_standstill`. `deaf`: whether the server takes in nothing,
    such as with a full disk. `duty`: who is called, and who next; the channels of those people tell only that.
    `self_test`: what judges the synthetic patient; its alarms are told by the channel of that name alone.
    `limits`: the journal of changed limits (`alerts.limit_journal`), which need not exist yet.
    Raises `ConfigurationError` for limits that contradict each other.
    """

    def __init__(
        self,
        *,
        ingest: Journal,
        alarms: Journal,
        ward: Ward,
        preset: Preset,
        channels: Sequence[Channel] = (),
        now_ns: Callable[[], int] = time.time_ns,
        keep_cursor: bool = True,
        delay_s: RetryDelay | None = None,
        standstill_ns: int = STANDSTILL_NS,
        deaf: Callable[[], bool] = lambda: False,
        duty: Duty | None = None,
        limits: Path | None = None,
        self_test: SelfTest | None = None,
    ) -> None:
        self._ingest = ingest
        self._alarms = alarms
        self._now_ns = now_ns
        self._writer = AlarmWriter(alarms, now_ns)
        self._deciding = asyncio.Lock()
        self._judged = asyncio.Event()
        recovered = recover(ingest, alarms, ward, preset, now_ns())
        self._engine = recovered.engine
        self._stepped_ns = now_ns()
        self._standstill_ns = standstill_ns
        self._deaf = deaf
        self._self_test = self_test
        self.unreadable = recovered.unreadable  # ingest records that could not be decoded
        _log.info("alerts_recovered", position=self._engine.position, replayed=recovered.replayed)
        self._limits = LimitKeeper(limits, ward, preset)
        self._saver = StateSaver(self._engine, self._writer, alarms, ingest if keep_cursor else None, now_ns)
        self._saver.save(recovered.events + self._limits.bring_into_force(self._engine, now_ns()))
        self._forget_channels({channel.subscription.name for channel in channels})
        telling = [channel.subscription.name for channel in channels if channel.subscription.tells_delivery]
        self._caller = Caller(alarms, duty, now_ns=now_ns, telling=telling) if duty is not None else None
        if duty is None:
            alarms.forget(CALLER)
        self._workers = [
            ChannelWorker(
                alarms,
                channel,
                zone=ZoneInfo(ward.time_zone),
                ward=ward.site,
                now_ns=now_ns,
                report=self._report_channel,
                delay_s=delay_s,
                called=duty is not None and channel.subscription.name in duty.channels,
            )
            for channel in channels
        ]

    async def run(self) -> None:
        """Judge what arrives, let time pass, and run the channels, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow(), name="alerts-follow")
                group.create_task(self._tick(), name="alerts-tick")
                if self._caller is not None:
                    group.create_task(self._caller.run(), name="alerts-caller")
                for worker in self._workers:
                    group.create_task(worker.run(), name=f"alerts-channel-{worker.name}")
        finally:
            self._limits.close()
            if not self._writer.is_stuck:
                self._saver.try_to_save()

    # -- what screens ask --------------------------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """The ingest record through which everything was judged and what came of it is durable."""
        return self._engine.position

    async def reached(self, position: int) -> None:
        """Return once everything through ingest record `position` was judged and what came of it is durable."""
        while self._engine.position < position or self._writer.is_stuck:
            self._judged.clear()
            await self._judged.wait()

    async def told(self) -> None:
        """Return once every channel has dealt with every alarm event that is journalled now."""
        for worker in self._workers:
            await worker.caught_up()

    @property
    def messages(self) -> dict[str, dict[str, int]]:
        """Channel → what became of its messages since the start → how many."""
        return {worker.name: worker.counts for worker in self._workers}

    @property
    def caller(self) -> Caller | None:
        """Who calls the people on duty; `None` when none are configured."""
        return self._caller

    @property
    def late(self) -> int:
        """Samples that came after a newer one of their stream."""
        return self._engine.late

    def tiles(self) -> tuple[Tile, ...]:
        """One tile per patient of the ward, as of now."""
        return tuple(self.each_tile())

    def each_tile(self) -> Iterator[Tile]:
        """`tiles`, one after the other: others may run in between."""
        found = self._engine.each_tile(self._now_ns())
        return map(without_server, found) if self.trouble() else found

    def bed(self, patient: str) -> str | None:
        """The bed of a patient of the ward."""
        return next((p.bed for p in self._engine.ward.patients if p.patient == patient), None)

    def trouble(self) -> str:
        """What keeps the server from watching anybody, for people; empty when nothing does."""
        return _NOT_WATCHING if self._writer.is_stuck or self._deaf() else ""

    def alarms(self) -> tuple[OpenAlarm, ...]:
        """The open alarms, the worst first."""
        return self._engine.alarms()

    def rules(self, patient: str) -> Rules:
        """The limits in force for a patient of the ward."""
        return self._engine.rules.get(patient, {})

    def limits_in_force(self, patient: str) -> tuple[InForce, ...]:
        """Every limit in force for a patient of the ward: where it comes from, and of a changed one who and why."""
        return self._limits.in_force(self._engine, patient, self._now_ns())

    def acknowledge(self, alarm_id: str, actor: str) -> Acknowledged:
        """Let `actor` take notice of an open alarm. For this and the next three see `_command`."""
        return self._command(lambda now_ns: self._engine.acknowledge(alarm_id, actor, now_ns))

    def pause_audio(self, alarm_id: str, actor: str) -> Paused:
        """Pause the sound of one alarm."""
        return self._command(lambda now_ns: self._engine.pause_audio(alarm_id, actor, now_ns))

    def pause_alarms(self, patient: str, actor: str, reason: str, length_s: float | None = None) -> Paused:
        """Pause all alarms of a patient, for as long as permitted unless told shorter."""
        length = self._engine.preset.signals.alarm_pause_s if length_s is None else length_s
        return self._command(lambda now_ns: self._engine.pause_alarms(patient, actor, reason, length, now_ns))

    def resume_alarms(self, patient: str, actor: str) -> Paused:
        """End a pause of a patient's alarms before its time."""
        return self._command(lambda now_ns: self._engine.resume_alarms(patient, actor, now_ns))

    def _command(self, decide: Callable[[int], tuple[_R, tuple[AlarmEvent, ...]]]) -> _R:
        """What a person wants; durable on return.

        Raises `RetryableError` when that cannot be written down; then nothing was changed.
        """
        self._writer.require_room()
        before = self._engine.book.state()
        result, events = decide(self._now_ns())
        try:
            self._writer.commit(events)
        except JournalFullError:
            self._engine.book.put_back(before)
            raise
        return result

    def listen(self, changed: Callable[[Sequence[AlarmEvent]], None]) -> AbstractContextManager[None]:
        """Call `changed` with the events of each step that had any, once they are durable."""
        return self._writer.listen(changed)

    # -- inside ------------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        position = self._engine.position
        async for records in follow(self._ingest, position, limit=_PORTION, max_bytes=_PORTION_BYTES):
            found, unreadable = arrivals(records)
            self.unreadable += unreadable
            tests = [record.payload for record in records if record.kind == RecordKind.SELF_TEST]
            await self._step(found, records[-1].sequence, tests)
            await asyncio.sleep(0)  # a long backlog lets others run

    async def _tick(self) -> None:
        saved_ns = self._now_ns()
        while True:
            await asyncio.sleep(TICK_S)
            await self._heed_limits()
            await self._step((), self._engine.position)
            if abs(self._now_ns() - saved_ns) >= SNAPSHOT_NS and not self._writer.is_stuck:
                saved_ns = self._now_ns()
                await self._saver.save_aside()

    async def _step(self, found: Sequence[Arrival], position: int, tests: Sequence[bytes] = ()) -> None:
        async with self._deciding:
            now_ns = self._now_ns()
            events = self._after_standstill(now_ns)
            events += (self._engine.hear if found else self._engine.step)(found, position, now_ns)
            if tests and self._self_test is not None:
                events += self._self_test.step(tests, now_ns)
            await self._writer.commit_at_last(events)
        self._judged.set()

    async def _heed_limits(self) -> None:
        """Take changes of limits into force. What follows from them is durable together with the state it left."""
        async with self._saver.alone, self._deciding:
            events = self._limits.bring_into_force(self._engine, self._now_ns())
            if events:
                await self._writer.commit_at_last(events, self._saver.marks)

    def _after_standstill(self, now_ns: int) -> tuple[AlarmEvent, ...]:
        """Resume as after a restart when this process stood still (frozen, disk full) or the clock was set."""
        before_ns, self._stepped_ns = self._stepped_ns, now_ns
        if abs(now_ns - before_ns) <= self._standstill_ns:
            return ()
        seconds = abs(now_ns - before_ns) // 1_000_000_000
        what = "stood still or the clock was set ahead" if now_ns > before_ns else "saw the clock set back"
        _log.warning("alerts_stood_still", seconds=seconds, what=what)
        if self._self_test is not None:
            self._self_test.resume(now_ns)
        return self._engine.resume(min(before_ns, now_ns), now_ns, f"The alert engine {what}: {seconds} s")

    def _report_channel(self, channel: str, failing: bool) -> None:
        if channel != SELF_TEST:  # whoever watches the heartbeat tells of that one
            self._report_part(CHANNEL_DOWN, channel, failing)

    def report_database(self, name: str, failing: bool) -> None:
        """Take note that a database that readings are forwarded to needs a person, or no longer does."""
        self._report_part(DATABASE_DOWN, name, failing)

    @property
    def heartbeat_lost(self) -> bool:
        """Whether it was reported, in this life or before a restart, that alarms may not be getting through."""
        return self._engine.book.has(Key(HEARTBEAT_LOST, channel=SELF_TEST))

    def report_heartbeat(self, lost: bool) -> None:
        """Take note that the synthetic patient's alarm does not get through, or does again."""
        self._report_part(HEARTBEAT_LOST, SELF_TEST, lost)

    def _report_part(self, condition: str, name: str, failing: bool) -> None:
        events = self._engine.report_part(condition, name, failing=failing, now_ns=self._now_ns())
        self._writer.commit_soon(events)

    def _forget_channels(self, configured: set[str]) -> None:
        """A channel that is no longer configured must not keep the alarm journal from being trimmed."""
        for name in self._alarms.cursors():
            if name.startswith(cursor_name("")) and name.removeprefix(cursor_name("")) not in configured:
                self._alarms.forget(name)
