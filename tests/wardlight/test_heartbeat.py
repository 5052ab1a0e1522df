"""The heartbeat of a real server: it comes through, it is part of no ward, and whoever should hears when it stops."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from mosquitto_process import Mosquitto

from alerts.config import AlertConfig, read_preset
from alerts.events import HEARTBEAT_LOST, AlarmEvent, AlarmRecordKind, Priority
from alerts.heartbeat import Happening, Pace, Step
from alerts.log import read_events
from alerts.notify.channels import RecordChannel
from alerts.notify.message import Message
from alerts.notify.outbox import Delivered, Outcome, Permanent, Retry, Subscription
from ingest.broker import BrokerConfig
from vitals.journal import Bounds, Journal
from vitals.self_test import SELF_TEST
from vitals.ward import Patient, Ward
from wardlight.heartbeat import HeartbeatConfig
from wardlight.heartbeat_watch import Watch
from wardlight.layout import DataFolder
from wardlight.server import Server, ServerConfig, serving

PATIENCE_S = 30.0
WARD = Ward("north", "UTC", (Patient("P-0001", "1", ("ox-1",)),))
LOST = "*** Wardlight north: alarms may not be getting through"
BACK = "Wardlight north: alarms get through again"


class Told:
    """A channel that answers as it is told, then takes everything."""

    def __init__(self, name: str, *answers: Outcome) -> None:
        self.subscription = Subscription(name)
        self.answers = list(answers)
        self.titles: list[str] = []
        self.bodies: list[str] = []
        self.took_one = threading.Event()

    async def send(self, message: Message) -> Outcome:
        outcome = self.answers.pop(0) if self.answers else Delivered()
        if isinstance(outcome, Delivered):
            self.titles.append(message.title)
            self.bodies.append(message.body)
            self.took_one.set()
        return outcome


class Site:
    """A server with a watch whose clock is told, and the two channels of its heartbeat."""

    def __init__(self, folder: Path, *, first_s: float = 0.0, **settings: Any) -> None:
        self.folder = folder
        self.second = Told("second")
        self.proof = Told("proof")
        self.ward_channel = RecordChannel(Subscription("book"))
        self.pace = Pace(every_s=120, within_s=30, first_s=first_s)
        self.settings = settings
        self.monotonic_s = 1_000.0
        self.server: Server

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Watch]:
        heartbeat = HeartbeatConfig(self.pace, self.proof, self.second, lambda: self.monotonic_s, tick_s=0.01)
        config = ServerConfig(
            data=DataFolder(self.folder),
            ward=WARD,
            preset=read_preset(AlertConfig(), Path()),
            endpoint=None,
            channels=(self.ward_channel,),
            heartbeat=heartbeat,
            **self.settings,
        )
        async with serving(config) as self.server:
            assert self.server.heartbeat.watch is not None
            yield self.server.heartbeat.watch

    async def until(self, condition: Callable[[], object], passing_s: float = 0.0) -> None:
        """Come back once `condition` holds, while `passing_s` of the watch's time go by between two looks at it."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self.monotonic_s += passing_s
                await asyncio.sleep(0.02)

    async def goes_wrong(self) -> None:
        await self.until(lambda: self.second.titles, passing_s=4)

    async def comes_back(self) -> None:
        """Slowly: a round needs time to come through."""
        await self.until(lambda: len(self.second.titles) > 1, passing_s=0.5)

    def open_alarms(self) -> list[str]:
        return [alarm.condition for alarm in self.server.alerts.alarms()]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


async def has_come_through(site: Site, watch: Watch, times: int = 1) -> None:
    await site.until(lambda: watch.beat.counts[Happening.THROUGH] >= times)


async def test_a_round_comes_through_and_is_part_of_no_ward(site: Site) -> None:
    heard: list[Sequence[AlarmEvent]] = []
    async with site.running() as watch:
        with site.server.alerts.listen(heard.append):
            await has_come_through(site, watch)
            await site.until(lambda: watch.beat.counts[Happening.THROUGH] == 2, passing_s=1)
        server = site.server
        assert [tile.patient for tile in server.alerts.tiles()] == ["P-0001"]
        assert SELF_TEST not in {alarm.patient for alarm in server.alerts.alarms()}
        assert SELF_TEST not in {e.patient for e in read_events(server.alarms)} | {e.patient for s in heard for e in s}
        await server.settled()
        assert server.reader.patients() == ()
        kinds = [record.kind for record in server.alarms.read(0)]
        assert kinds.count(AlarmRecordKind.SELF_TEST) == 4, "raised and ended, twice"
    assert site.proof.titles == ["Wardlight north: alarms get through"] * 2
    assert (site.second.titles, site.ward_channel.handed_over) == ([], [])


async def test_metrics_tell_of_it(tmp_path: Path) -> None:
    site = Site(tmp_path, station_port=0)
    async with site.running() as watch, httpx.AsyncClient(base_url=site.server.station_url) as client:
        await has_come_through(site, watch)
        site.monotonic_s += 7
        text = (await client.get("/metrics")).text
        assert "wardlight_heartbeat_age_seconds 7.0" in text
        assert 'wardlight_heartbeats_total{result="through"} 1.0' in text
        assert "wardlight_heartbeat_seconds " in text


async def test_an_engine_that_judges_nothing_is_told_once_and_its_return_once(site: Site) -> None:
    async with site.running() as watch:
        await has_come_through(site, watch)
        async with site.server.alerts._deciding:  # whatever keeps the engine from deciding
            await site.goes_wrong()
            assert site.server.heartbeat.warning().startswith("The self-test fails.")
            assert watch.beat.stuck_at is Step.COMMITTED
        await site.comes_back()
        assert site.server.heartbeat.warning() == ""
        await site.until(lambda: HEARTBEAT_LOST not in site.open_alarms())
        noted = [(e.transition, e.priority) for e in read_events(site.server.alarms) if e.condition == HEARTBEAT_LOST]
    assert site.second.titles == [LOST, BACK]
    assert "Readings are written down but not judged." in site.second.bodies[0]
    assert noted == [("raised", Priority.MEDIUM), ("ended", Priority.MEDIUM)]


async def test_an_engine_whose_task_is_gone_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wardlight.server.DRAIN_S", 0.1)  # what is not judged will not be
    async with site.running() as watch:
        await has_come_through(site, watch)
        (follow,) = (task for task in asyncio.all_tasks() if task.get_name() == "alerts-follow")
        follow.cancel()
        await site.goes_wrong()
        await site.until(lambda: HEARTBEAT_LOST in site.open_alarms())
    assert site.second.titles == [LOST]


async def test_a_server_that_is_stuck_as_a_whole_does_not_take_the_watch_along(site: Site) -> None:
    async with site.running() as watch:
        await has_come_through(site, watch)
        while not site.second.took_one.wait(0.01):  # the event loop does nothing else meanwhile
            site.monotonic_s += 4
        assert watch.beat.stuck_at is Step.BEGUN
        await site.comes_back()
    assert site.second.titles == [LOST, BACK]


async def test_a_heartbeat_channel_that_fails_is_told(site: Site) -> None:
    async with site.running() as watch:
        await has_come_through(site, watch)
        site.proof.answers = [Retry("down")] * 1_000_000
        await site.goes_wrong()
        assert watch.beat.stuck_at is Step.JOURNALLED
        site.proof.answers.clear()
        await site.comes_back()
        assert "channel_down" not in site.open_alarms(), "once is enough"
    assert site.second.titles == [LOST, BACK]


@pytest.mark.parametrize(("journal", "stuck_at"), [("journal", Step.ACCEPTED), ("alarms", Step.JUDGED)])
async def test_a_full_disk_is_told_because_no_alarm_gets_through(site: Site, journal: str, stuck_at: Step) -> None:
    async with site.running() as watch:
        await has_come_through(site, watch)
        full: Journal = getattr(site.server, journal)
        bounds, full.bounds = full.bounds, Bounds(max_bytes=1)
        await site.goes_wrong()
        assert watch.beat.stuck_at is stuck_at
        full.bounds = bounds
        await site.comes_back()
    assert site.second.titles == [LOST, BACK]
    assert "Look at the disk." in site.second.bodies[0]


async def test_a_second_channel_that_fails_is_tried_until_it_takes_the_message(site: Site) -> None:
    site.second.answers = [Retry("busy"), Permanent("no"), Retry("busy")]
    async with site.running() as watch:
        await has_come_through(site, watch)
        async with site.server.alerts._deciding:
            await site.goes_wrong()
        await site.comes_back()
    assert site.second.titles == [LOST, BACK]


async def test_a_restart_neither_pages_nor_forgets_to_tell_that_it_works_again(site: Site) -> None:
    down: list[Outcome] = [Retry("down")] * 1_000_000
    site.proof.answers = list(down)
    async with site.running() as watch:
        await site.until(lambda: watch.beat.furthest is Step.JOURNALLED)  # and cut off
    site.proof.answers.clear()
    async with site.running() as watch:
        await has_come_through(site, watch)
        assert site.second.titles == []
        site.proof.answers = list(down)
        await site.goes_wrong()
        await site.until(lambda: HEARTBEAT_LOST in site.open_alarms())
    site.proof.answers.clear()
    async with site.running() as watch:
        await site.comes_back()
        await site.until(lambda: HEARTBEAT_LOST not in site.open_alarms())
    assert site.second.titles == [LOST, BACK]


async def test_a_watch_that_ended_is_seen_on_the_page(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_watch: Watch) -> None:
        raise RuntimeError("a fault of the program")

    async with site.running() as watch:
        await has_come_through(site, watch)
        monkeypatch.setattr(Watch, "_look", broken)
        await site.until(lambda: watch.lost)
        assert site.server.heartbeat.warning() != ""


@pytest.mark.slow
async def test_a_broker_that_is_down_is_told(tmp_path: Path, mosquitto: Mosquitto) -> None:
    broker = BrokerConfig(mosquitto.url, site="north", reconnect_min_s=0.05, reconnect_max_s=0.2)
    site = Site(tmp_path / "data", first_s=5.0, broker=broker)
    async with site.running() as watch:
        await site.until(lambda: site.server.broker is not None and site.server.broker.health.connected)
        await site.until(lambda: watch.beat.counts[Happening.THROUGH], passing_s=0.5)
        mosquitto.kill()
        await site.goes_wrong()
        assert watch.beat.stuck_at is Step.BEGUN
        mosquitto.start()
        await site.comes_back()
    assert site.second.titles == [LOST, BACK]
    assert "the broker with its access list" in site.second.bodies[0]
