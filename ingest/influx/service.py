"""All targets together: their tasks, their cursors, their health.

ingest journal ─┬─▶ readings ──┐
                └─▶ rollups ───┼─▶ Sender ─▶ one target      (and the same again for every other one)
alarm journal ────▶ alarms ────┤
embedded store ───▶ what it owes
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from ingest.influx.ahead import Ahead
from ingest.influx.client import Client
from ingest.influx.config import Target
from ingest.influx.encoding import Encoded, encode_records
from ingest.influx.forwarder import Forwarder
from ingest.influx.line_protocol import Lines, Precision, in_bodies
from ingest.influx.owed import Owed, cursor_of
from ingest.influx.refill import HOUR_NS, Refill
from ingest.influx.rollups import Rollups
from ingest.influx.sender import Sender, Traffic
from ingest.influx.status_lines import bed_line
from ingest.influx.wave_lines import AFTER_NS, Moment
from ingest.poison import PoisonStore
from ingest.store.reader import StoreReader
from vitals.journal import Journal, Record
from vitals.ward import Patient

WATCH_S: Final = 5.0
BEDS_EVERY_S: Final = 300.0
ALARM_AFTER_S: Final = 300.0  # a database may be restarted or upgraded without anybody being called
ROLLUPS: Final = "rollups"
SNIPPETS: Final = "snippets"
ON_ITS_WAY_NS: Final = 2 * 10**9  # a pulse wave from the wearable to the journal

EncodeAlarms = Callable[[Sequence[Record], str, Precision, int], Encoded]


@dataclass(frozen=True, slots=True)
class Sources:
    """What is sent from. `stored`: waits until the embedded store has a position of the ingest journal.

    `encode_alarms`: records of the alarm journal, site, precision, lines per body → lines. `patients`: of the ward.
    `moments_of`: when records of the alarm journal raised alarms that a pulse wave may explain.
    """

    journal: Journal
    alarms: Journal
    poison: Journal
    reader: StoreReader
    stored: Callable[[int], Awaitable[None]]
    encode_alarms: EncodeAlarms
    site: str
    patients: Sequence[Patient] = ()
    moments_of: Callable[[Sequence[Record]], Sequence[Moment]] = lambda _records: ()


@dataclass(frozen=True, slots=True)
class TargetHealth:
    """How one target keeps up: see `ingest.influx.sender.Traffic`. `failing`: somebody has to look."""

    name: str
    kind: str
    traffic: Traffic
    position: int
    lag_records: int
    lag_s: float
    alarm_lag_records: int
    owed_hours: int
    restarts: int
    unreadable: int
    rollup_lines: int
    failing: bool


class TargetService:
    """One target's connections and tasks; close it at the end."""

    def __init__(
        self, target: Target, folder: Path, sources: Sources, *, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self.target = target
        self._sources = sources
        self._now_ns = now_ns
        self.client = Client(target, folder)
        journal, site = sources.journal, sources.site
        self.sender = Sender(self.client, site, PoisonStore(sources.poison), now_ns=now_ns)
        self.owed = Owed(journal, target.name)
        self.cursor = cursor_of(target.name)
        self._refill = Refill(sources.reader, target, site)
        self.readings = Forwarder(
            journal,
            self.cursor,
            self._encode,
            self.sender,
            life=self.client.life,
            crowded=partial(self.owed.crowded, self.cursor),
            let_go=partial(self.owed.let_go, self.cursor),
        )
        self.ahead = self._ahead()
        self.alarms = Forwarder(sources.alarms, self.cursor, self._encode_alarms, self.sender, life=self.client.life)
        self.snippets = self._snippets(cursor_of(target.name, SNIPPETS))
        self.rollups = Rollups(
            journal,
            cursor_of(target.name, ROLLUPS),
            self._refill,
            self.sender,
            self.owed,
            stored=sources.stored,
            restarts=lambda: self.readings.progress.restarts,
            now_ns=now_ns,
        )

    async def run(self) -> None:
        """Work for ever."""
        async with asyncio.TaskGroup() as group:
            for what, work in (
                ("readings", self.readings.run()),
                ("alarms", self.alarms.run()),
                ("rollups", self.rollups.run()),
                *((("snippets", self.snippets.run()),) if self.snippets else ()),
                *((("ahead", self.ahead.run()),) if self.ahead else ()),
                ("owed", self._pay_on()),
                ("beds", self._tell_beds()),
            ):
                group.create_task(work, name=f"influx {self.target.name}: {what}")

    def health(self) -> TargetHealth:
        """How the target keeps up, now."""
        lag_records, lag_s = self.readings.lag(self._now_ns())
        traffic, progress = self.sender.traffic, self.readings.progress
        since_s = traffic.failing_since_s
        late = since_s is not None and time.monotonic() - since_s > ALARM_AFTER_S
        return TargetHealth(
            name=self.target.name,
            kind=self.target.kind.value,
            traffic=traffic,
            position=progress.position,
            lag_records=lag_records,
            lag_s=lag_s,
            alarm_lag_records=self._sources.alarms.newest - self.alarms.progress.position,
            owed_hours=len(self.owed.hours),
            restarts=progress.restarts,
            unreadable=progress.unreadable,
            rollup_lines=self.rollups.sent,
            failing=bool(traffic.advice) or late,
        )

    def _encode(self, records: Sequence[Record], lines_per_body: int) -> Encoded:
        return encode_records(
            ((record.kind, record.payload) for record in records),
            self._sources.site,
            self.target.precision,
            oldest_ns=self.target.oldest_ns(self._now_ns()),
            lines_per_body=lines_per_body,
        )

    def _encode_alarms(self, records: Sequence[Record], lines_per_body: int) -> Encoded:
        return self._sources.encode_alarms(records, self._sources.site, self.target.precision, lines_per_body)

    def _ahead(self) -> Ahead | None:
        """What is new before what waited, unless the target would keep those lines twice."""
        if self.target.settle_s:
            return None
        return Ahead(self._sources.journal, self._encode, self.sender, lambda: self.readings.lag(self._now_ns())[1])

    def _snippets(self, cursor: str) -> Forwarder | None:
        """The pulse waves around alarms, when they are wanted."""
        alarms, life = self._sources.alarms, self.client.life
        if not self.target.snippets:
            alarms.forget(cursor)
            return None
        return Forwarder(alarms, cursor, self._encode_snippets, self.sender, ready=self._waves_are_stored, life=life)

    def _encode_snippets(self, records: Sequence[Record], _lines_per_body: int) -> Encoded:
        moments = self._sources.moments_of(records)
        oldest_ns = self.target.oldest_ns(self._now_ns())
        return Encoded(Lines(self._refill.snippets(moments, oldest_ns=oldest_ns), len(moments)))

    async def _waves_are_stored(self, records: Sequence[Record]) -> None:
        """Wait for what comes after an alarm, too."""
        waits_ns = records[-1].appended_at_ns + AFTER_NS + ON_ITS_WAY_NS - self._now_ns()
        await asyncio.sleep(min(max(waits_ns, 0), AFTER_NS + ON_ITS_WAY_NS) / 1e9)  # a clock may be set back
        await self._sources.stored(self._sources.journal.newest)

    async def _tell_beds(self) -> None:
        """Say again and again who lies where; a board asks for the newest."""
        while True:
            now_ns, precision = self._now_ns(), self.target.precision
            beds = [bed_line(patient, self._sources.site, now_ns, precision) for patient in self._sources.patients]
            await self.sender.send_all(in_bodies(beds))
            await asyncio.sleep(BEDS_EVERY_S)

    async def _pay_on(self) -> None:
        """Send the hours that are owed; while the target takes nothing, the sender waits."""
        while True:
            hours = self.owed.hours
            if hours:
                await self._sources.stored(self._sources.journal.newest)
                await self._pay(hours)
            await asyncio.sleep(WATCH_S)

    async def _pay(self, hours: Mapping[int, int]) -> None:
        """Send whole hours; where answers are not durable, an hour is paid when no restart came in the time after."""
        for hour, noted in hours.items():
            seen = self.readings.progress.restarts
            await self._send_hour(hour * HOUR_NS, (hour + 1) * HOUR_NS)
            await asyncio.sleep(2 * self.target.settle_s)
            if self.readings.progress.restarts == seen:
                await asyncio.to_thread(self.owed.paid, hour, noted, self.cursor)

    async def _send_hour(self, start_ns: int, end_ns: int) -> None:
        for patient in await asyncio.to_thread(self._sources.reader.patients):
            await send_from_store(self._refill, self.sender, patient, start_ns, end_ns, now_ns=self._now_ns())


async def send_from_store(
    refill: Refill, sender: Sender, patient: str, start_ns: int, end_ns: int, *, now_ns: int
) -> int:
    """Send the readings and rollups of one patient in the interval from the embedded store; lines accepted."""
    target = refill.target
    oldest_ns, oldest_rollup_ns = target.oldest_ns(now_ns), target.oldest_ns(now_ns, rollups=True)
    lines = await asyncio.to_thread(refill.readings, patient, start_ns, end_ns, oldest_ns=oldest_ns)
    bodies = await asyncio.to_thread(refill.rollups, patient, start_ns, end_ns, oldest_ns=oldest_rollup_ns)
    sent = await sender.send_all(lines.bodies)
    return sent + await sender.send_all(bodies, target.rollup_place)


class InfluxService:
    """All targets. `report`: called with a target's name whenever somebody has to look at it, or no longer has to.

    Raises `ConfigurationError` for a token or authority that cannot be read, before anything runs.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        folder: Path,
        sources: Sources,
        *,
        now_ns: Callable[[], int] = time.time_ns,
        report: Callable[[str, bool], None] = lambda _name, _failing: None,
    ) -> None:
        self._report = report
        self.targets = [TargetService(target, folder, sources, now_ns=now_ns) for target in targets]

    async def run(self) -> None:
        """Work for ever."""
        async with asyncio.TaskGroup() as group:
            for target in self.targets:
                group.create_task(target.run(), name=f"influx {target.target.name}")
            group.create_task(self._watch(), name="influx: watch")

    async def reached(self, position: int) -> None:
        """Return once every target that answers has everything through ingest journal record `position`."""
        for target in self.targets:
            if not target.sender.traffic.error:
                await target.readings.reached(position)

    def health(self) -> list[TargetHealth]:
        """How every target keeps up."""
        return [target.health() for target in self.targets]

    def close(self) -> None:
        """Close all connections."""
        for target in self.targets:
            target.client.close()

    async def _watch(self) -> None:
        """Report what changed, and once what is: an alarm may be open since before this start."""
        known: dict[str, bool] = {}
        while True:
            for target in self.targets:
                health = target.health()
                certain = health.failing or (health.traffic.lines and not health.traffic.error)
                if certain and health.failing != known.get(health.name):
                    known[health.name] = health.failing
                    self._report(health.name, health.failing)
            await asyncio.sleep(WATCH_S)
