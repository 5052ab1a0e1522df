"""Against real engines: InfluxDB 1.6.7 itself, the same behind a v2 shim, and VictoriaMetrics, all unmodified."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from influx2_shim import Influx2Shim
from influx_processes import Influxd, VictoriaMetrics
from influx_world import SECOND_NS, SITE, START_NS, Site, append, differing, second, site_at, target

from alerts.events import AlarmEvent, AlarmRecordKind, Priority, Transition, encode_event
from alerts.events import Kind as AlarmKind
from ingest.influx.client import Client
from ingest.influx.config import Kind, Target
from ingest.influx.owed import Owed
from ingest.influx.questions import Question, points_at
from ingest.influx.setup import Outcome, setup
from ingest.poison import newest_first
from vitals.columns import RecordKind, SampleBlock, WaveformRow, encode_block
from vitals.control import encode_status
from vitals.errors import PermanentError
from vitals.model import GatewayStatus, Presence, Vital, Waveform
from vitals.ward import Patient
from wardlight.influx_work import backfill, status

pytestmark = pytest.mark.slow
DAY_NS = 86_400 * SECOND_NS
SPAN = (START_NS, START_NS + DAY_NS)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with site_at(tmp_path / "data") as found:
        (found.data.root / "token").write_text("shim-token")
        yield found


@pytest.fixture(params=[Kind.INFLUX1, Kind.INFLUX2, Kind.VICTORIAMETRICS])
def real(request: pytest.FixtureRequest, site: Site) -> Iterator[Target]:
    """One of the real engines, set up."""
    with ExitStack() as stack:
        if request.param is Kind.VICTORIAMETRICS:
            url = request.getfixturevalue("victoria").url
        else:
            database: Influxd = request.getfixturevalue("influxd")
            url = database.url
            if request.param is Kind.INFLUX2:
                url = stack.enter_context(Influx2Shim(database.port)).url
        found = target(url, request.param, tail_s=5)
        with Client(found, site.data.root) as client:
            list(setup(client, SITE, START_NS))
        yield found


def rows(found: Target, folder: Path, query: str) -> list[dict[str, Any]]:
    """The rows of an InfluxQL query, by column."""
    with Client(found, folder) as client:
        text = client.text("/query", [("db", found.place), ("epoch", "ns"), ("q", query)])
    series = json.loads(text)["results"][0].get("series", [])
    return [dict(zip(s["columns"], row, strict=True)) | s.get("tags", {}) for s in series for row in s["values"]]


def flushed(found: Target, url: str) -> None:
    """VictoriaMetrics shows new points only after a flush."""
    if found.kind is Kind.VICTORIAMETRICS:
        with Client(found) as client:
            client.text("/internal/force_flush")


async def test_everything_arrives_and_is_verified(site: Site, real: Target) -> None:
    append(site.journal, range(40))
    async with site.forwarding(site.service(real)) as service:
        await service.reached(40)
        await site.store.reached(40)
        flushed(real, real.url)
        assert service.health()[0].traffic.lines == 1_200 + 3, "and of every fifteenth second its delay"
        assert service.health()[0].lag_records == 0
    assert differing(site, real) == (1_200, [])
    assert status(real, site.data.root, site.data).trouble == ""


async def test_sending_again_changes_nothing_and_fills_what_is_missing(site: Site, real: Target) -> None:
    append(site.journal, range(20))
    async with site.forwarding(site.service()):
        await site.store.reached(20)
    assert sum(d.missing for d in differing(site, real)[1]) == 600
    for _ in range(2):
        sent = await backfill(real, site.data.root, site.data, SITE, SPAN, lambda done: None)
        flushed(real, real.url)
        assert sent > 600
        assert differing(site, real) == (600, [])


async def test_verify_finds_what_is_missing_too_many_or_changed(site: Site, real: Target) -> None:
    append(site.journal, range(20))
    async with site.forwarding(site.service(real)) as service:
        await service.reached(20)
        await site.store.reached(20)
    head, at_ns = "vitals,device=ox-01,patient=P-0001,site=north", START_NS + 1_000_000
    divisor = real.precision.divisor
    with Client(real, site.data.root) as client:
        foreign = f"{head} spo2=1.0,spo2_reason=0.0 {(at_ns + 77 * SECOND_NS) // divisor}\n"
        changed = f"{head} pulse_rate=99.0,pulse_rate_reason=0.0 {(at_ns + 10 * SECOND_NS) // divisor}\n"
        assert client.write((foreign + changed).encode()).status == 204
    append(site.journal, [20])
    async with site.forwarding(site.service()):
        await site.store.reached(21)
    flushed(real, real.url)
    found = {(d.device, d.vital): d for d in differing(site, real)[1]}
    assert found["ox-01", Vital.SPO2].extra == 1
    assert found["ox-01", Vital.PULSE_RATE].changed == 1
    assert sum(d.missing for d in found.values()) == 30


async def test_setup_says_what_it_would_do_does_it_and_has_nothing_more_to_do(influxd: Influxd, site: Site) -> None:
    with Influx2Shim(influxd.port) as shim:
        for kind, url in ((Kind.INFLUX1, influxd.url), (Kind.INFLUX2, shim.url)):
            place = "database" if kind is Kind.INFLUX1 else "bucket"
            found = target(url, kind, keep_days=30, keep_rollup_days=400, **{place: f"ward-{kind}"})
            with Client(found, site.data.root) as client:
                would = list(setup(client, SITE, time.time_ns(), dry_run=True))
                assert {step.outcome for step in would} == {Outcome.NEEDED}
                done = list(setup(client, SITE, time.time_ns()))
                assert Outcome.DONE in {step.outcome for step in done}
                again = list(setup(client, SITE, time.time_ns()))
                assert {step.outcome for step in again} == {Outcome.OK}
            shorter = target(url, kind, keep_days=7, keep_rollup_days=400, **{place: f"ward-{kind}"})
            with Client(shorter, site.data.root) as client:
                told = [step for step in setup(client, SITE, time.time_ns()) if step.outcome is Outcome.NOTE]
                assert ["--shorten" in step.detail for step in told] == [True]
                list(setup(client, SITE, time.time_ns(), shorten=True))
                assert {step.outcome for step in setup(client, SITE, time.time_ns())} == {Outcome.OK}
        assert len(shim.mappings) == 2
        assert all(agent.startswith("influxdb-client-python/") for agent in shim.agents)


def test_setup_tells_a_wrong_token_and_a_wrong_address(influxd: Influxd, site: Site) -> None:
    with Influx2Shim(influxd.port) as shim:
        (site.data.root / "token").write_text("wrong")
        with Client(target(shim.url), site.data.root) as client, pytest.raises(PermanentError, match="token_file"):
            list(setup(client, SITE, START_NS))
        (site.data.root / "token").write_text("shim-token")
        foreign = target(shim.url, org="elsewhere")
        with Client(foreign, site.data.root) as client, pytest.raises(PermanentError, match="organisation"):
            list(setup(client, SITE, START_NS))


def test_setup_of_victoriametrics_reads_its_flags(victoria: VictoriaMetrics, site: Site) -> None:
    with Client(target(victoria.url, Kind.VICTORIAMETRICS)) as client:
        steps = {step.what: step for step in setup(client, SITE, START_NS)}
    assert "duplicates" not in steps
    assert "10y" in steps["retention"].detail


async def test_a_real_type_conflict_is_poison_and_the_rest_is_there(influxd: Influxd, site: Site) -> None:
    found = target(influxd.url, Kind.INFLUX1)
    with Client(found, site.data.root) as client:
        list(setup(client, SITE, START_NS))
        assert client.write(f"vitals,site=north spo2=97i {START_NS}\n".encode()).status == 204
    append(site.journal, range(3), devices=4)
    async with site.forwarding(site.service(found)) as service:
        await service.reached(3)
        health = service.health()[0]
    spo2 = [round(v) for at in range(3) for v in second(at, 4).rows["value"][1::3] if np.isfinite(v)]
    assert health.traffic.poison == len(spo2)
    assert health.traffic.lines == 36 + 1 - len(spo2)
    kept = list(newest_first(site.poison, gateway="influx:ward"))
    assert len(kept) == len(spo2)
    assert all("spo2" in entry.message and entry.excerpt.startswith(b"vitals,device=") for entry in kept)
    assert status(found, site.data.root, site.data).refused == len(spo2)


async def test_a_field_of_another_type_is_set_aside_at_once(influxd: Influxd, site: Site) -> None:
    found = target(influxd.url, Kind.INFLUX1)
    with Client(found, site.data.root) as client:
        list(setup(client, SITE, START_NS))
        assert client.write(f"vitals,site=north spo2=97i {START_NS}\n".encode()).status == 204
    append(site.journal, range(2), devices=300)
    async with site.forwarding(site.service(found)) as service:
        await service.reached(2)
        traffic = service.health()[0].traffic
    spo2 = [v for at in range(2) for v in second(at, 300).rows["value"][1::3] if np.isfinite(v)]
    assert (traffic.poison, traffic.lines) == (len(spo2), 1_800 + 1 - len(spo2))
    assert traffic.posts < 40, "as many requests as fields, not as lines"


def alarm(number: int, transition: Transition, at_ns: int) -> tuple[int, bytes]:
    event = AlarmEvent(
        number=number,
        alarm_id="a-1",
        patient="P-0001",
        bed="3-01",
        kind=AlarmKind.PHYSIOLOGICAL,
        condition="spo2_low",
        priority=Priority.HIGH,
        transition=transition,
        at_ns=at_ns,
        decided_at_ns=at_ns,
        position=1,
        value=84.0,
        limit=88.0,
        actor='a "b"',
    )
    return int(AlarmRecordKind.EVENT), encode_event(event)


async def test_alarms_and_gateways_are_told(influxd: Influxd, site: Site) -> None:
    found = target(influxd.url, Kind.INFLUX1)
    with Client(found, site.data.root) as client:
        list(setup(client, SITE, START_NS))
    gateway = GatewayStatus("gw-1", Presence.LOST, START_NS, spooled=7)
    site.journal.append([(RecordKind.STATUS, encode_status(gateway))], now_ns=START_NS)
    events = [alarm(1, Transition.RAISED, START_NS), alarm(2, Transition.ENDED, START_NS), (2, b"a delivery")]
    site.alarms.append(events, now_ns=START_NS)
    service = site.service(found)
    async with site.forwarding(service):
        await service.targets[0].alarms.reached(3)
        await service.reached(1)
    told = rows(found, site.data.root, 'SELECT * FROM "alarm"')
    assert [(row["transition"], row["open"], row["value"], row["bed"]) for row in told] == [
        ("raised", 1.0, 84.0, "3-01"),
        ("ended", 0.0, 84.0, "3-01"),
    ]
    assert told[0]["actor"] == 'a "b"'
    assert rows(found, site.data.root, 'SELECT presence, spooled FROM "gateway"')[0]["spooled"] == 7.0


async def test_an_alarm_brings_the_pulse_wave_around_it(
    site: Site, real: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.influx.service.ON_ITS_WAY_NS", -(60 * SECOND_NS))
    counts = np.arange(100, dtype="<i4") * 1_000
    waves = tuple(
        WaveformRow(
            0, int(wave), START_NS + at_s * SECOND_NS, START_NS, 100.0, 4, 1, counts.tobytes(), _filtered(counts)
        )
        for at_s in range(60)
        for wave in (Waveform.PPG_INFRARED, Waveform.ACCELERATION_X)
    )
    block = second(0, 1)
    site.journal.append(
        [(RecordKind.SAMPLES, encode_block(SampleBlock(block.devices, ("P-0001",), ("gw",), block.rows, waves)))],
        now_ns=START_NS,
    )
    site.alarms.append([alarm(1, Transition.RAISED, START_NS + 30 * SECOND_NS)], now_ns=START_NS)
    service = site.service(real)
    snippets = service.targets[0].snippets
    assert snippets is not None
    async with site.forwarding(service):
        await snippets.reached(1)
        await service.reached(1)
    flushed(real, real.url)
    assert snippets_at(real, site.data.root) == [1_000.0 * n for _ in range(20) for n in range(100)]
    await backfill(real, site.data.root, site.data, SITE, SPAN, lambda done: None)
    flushed(real, real.url)
    assert len(snippets_at(real, site.data.root)) == 2_000


def _filtered(counts: np.ndarray[Any, Any]) -> bytes:
    return (counts / 2).astype("<f4").tobytes()


def snippets_at(found: Target, folder: Path) -> list[float]:
    """The counts of all snippets, by time."""
    if found.kind is not Kind.VICTORIAMETRICS:
        return [row["count"] for row in rows(found, folder, 'SELECT "count", "wave" FROM "ppg"')]
    with Client(found, folder) as client:
        text = client.text("/api/v1/export", [("match[]", "ppg_count"), ("start", "1767000000")])
    return [value for row in text.splitlines() for value in json.loads(row)["values"]]


async def test_who_wants_no_snippets_gets_none(influxd: Influxd, site: Site) -> None:
    site.alarms.move("influx:ward:snippets", 0)
    service = site.service(target(influxd.url, Kind.INFLUX1, snippets=False))
    assert service.targets[0].snippets is None
    assert "influx:ward:snippets" not in site.alarms.cursors(), "or it would hold the alarm journal for ever"
    service.close()


async def test_a_bed_leads_to_who_lies_there_now(influxd: Influxd, site: Site) -> None:
    found = target(influxd.url, Kind.INFLUX1)
    with Client(found, site.data.root) as client:
        list(setup(client, SITE, START_NS))
    wards = (Patient("P-0001", "3-01"), Patient("P-0002", "3-02")), (Patient("P-0003", "3-01"),)
    for minutes, patients in enumerate(wards):
        site.patients, site.now_ns = patients, START_NS + minutes * 600 * SECOND_NS
        async with site.forwarding(site.service(found)) as service:
            await until(lambda: service.targets[0].sender.traffic.lines == len(patients))  # noqa: B023
    now = f"{site.now_ns - 300 * SECOND_NS} AND time <= {site.now_ns}"
    ask = f'SELECT last("wearer") FROM "bed" WHERE time > {now} AND "bed" = \'3-01\' GROUP BY "patient"'
    assert [row["last"] for row in rows(found, site.data.root, ask)] == ["P-0003"]


async def test_rollups_are_sent_when_due_and_again_for_late_readings(influxd: Influxd, site: Site) -> None:
    found = target(influxd.url, Kind.INFLUX1, keep_rollup_days=400)
    site.now_ns = START_NS + 900 * SECOND_NS
    with Client(found, site.data.root) as client:
        list(setup(client, SITE, START_NS))
    append(site.journal, [*range(200), *range(300, 330)], devices=2)
    service = site.service(found)
    rollups = service.targets[0].rollups
    async with site.forwarding(site.service()):
        await site.store.reached(230)
        await rollups.note(site.journal.read(0))
        await rollups.flush(site.now_ns)
        assert rollups.sent == 0, "noted a moment ago: more may be coming"
        await rollups.flush(site.now_ns + 60 * SECOND_NS)
        ask = "SELECT spo2_count, spo2_mean FROM \"vitals_1m\" WHERE device='ox-01'"
        minutes = {row["time"]: row for row in rows(found_rollups(found), site.data.root, ask)}
        assert sorted((at - START_NS) // (60 * SECOND_NS) for at in minutes) == [0, 1, 2, 3, 5]
        stored = site.reader.minutes("P-0001", Vital.SPO2, *SPAN)
        assert [row["spo2_count"] for row in minutes.values()] == stored.count.tolist()
        assert [row["spo2_mean"] for row in minutes.values()] == pytest.approx(stored.mean.tolist())
        assert site.journal.cursor("influx:ward:rollups") == 230
        append(site.journal, range(200, 220), devices=2, late_s=700)
        await site.store.reached(250)
        await rollups.note(site.journal.read(230))
        await rollups.flush(site.now_ns + 120 * SECOND_NS)
        again = rows(found_rollups(found), site.data.root, ask)
        assert again[3]["spo2_count"] > minutes[again[3]["time"]]["spo2_count"]
        quarters = rows(found_rollups(found), site.data.root, ask.replace("vitals_1m", "vitals_15m"))
        assert [row["spo2_count"] for row in quarters] == [sum(row["spo2_count"] for row in again)]
    service.close()


def found_rollups(found: Target) -> Target:
    """The same database, where its rollups are."""
    return target(found.url, found.kind, database=found.rollup_place)


async def test_a_database_that_comes_back_gets_everything(influxd: Influxd, site: Site) -> None:
    found = target(influxd.url, Kind.INFLUX1)
    with Client(found, site.data.root) as client:
        list(setup(client, SITE, START_NS))
    append(site.journal, range(5))
    async with site.forwarding(site.service(found)) as service:
        await service.reached(5)
        influxd.kill()
        append(site.journal, range(5, 15))
        await site.store.reached(15)
        assert service.health()[0].lag_records == 10
        influxd.start()
        await service.targets[0].readings.reached(15)
    assert differing(site, found) == (450, [])


async def test_a_restart_of_victoriametrics_is_noticed_and_its_tail_sent_again(
    victoria: VictoriaMetrics, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.influx.forwarder.LIFE_EVERY_S", 0.1)
    found = target(victoria.url, Kind.VICTORIAMETRICS, tail_s=240)
    append(site.journal, range(10))
    async with site.forwarding(site.service(found)) as service:
        await service.reached(10)
        assert site.journal.cursor("influx:ward") == 0, "answered, and not yet safe"
        first_life = service.targets[0].client.life()
        await until(lambda: int(time.time()) > int(first_life))  # it names its life by the second
        victoria.kill()
        victoria.start()
        progress = service.targets[0].readings.progress
        async with progress.moved:
            await progress.moved.wait_for(lambda: progress.restarts >= 1 and progress.position == 10)
        await site.store.reached(10)
    flushed(found, victoria.url)
    assert differing(site, found) == (300, [])


async def test_a_crowded_journal_lets_the_database_go_and_fills_it_from_the_store_later(
    influxd: Influxd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.influx.service.WATCH_S", 0.05)
    monkeypatch.setattr("ingest.influx.rollups.LOOK_S", 0.05)
    monkeypatch.setattr("ingest.influx.verdicts.LONGEST_RETRY_S", 0.5)
    found = target(influxd.url, Kind.INFLUX1)
    with site_at(tmp_path / "crowded", journal_bytes=400_000) as site:
        with Client(found, site.data.root) as client:
            list(setup(client, SITE, START_NS))
        influxd.kill()
        service = site.service(found)
        readings, owed = service.targets[0].readings, service.targets[0].owed
        async with site.forwarding(service):
            for start in range(0, 240, 60):
                append(site.journal, range(start, start + 60), devices=30)
                await site.store.reached(start + 60)
                await until(lambda: not crowded(site, owed))
            assert list(owed.hours) == [START_NS // (3_600 * SECOND_NS)]
            influxd.start()
            await readings.reached(240)
            await until(lambda: not owed.hours)
        assert readings.progress.let_go >= 1
        assert differing(site, found) == (240 * 90, [])


def crowded(site: Site, owed: Owed) -> bool:
    """Whether any cursor crowds the journal; time passes with each look, so that rollups become due."""
    site.now_ns += 10 * SECOND_NS
    return any(map(owed.crowded, site.journal.cursors()))


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what nothing announces."""
    while not condition():  # noqa: ASYNC110 - cursors and lists, of which no event tells
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("name", ["a b", "a,b", "a=b", "ü", "P-0001' OR '1'='1"])
async def test_names_come_back_as_they_were(influxd: Influxd, victoria: VictoriaMetrics, site: Site, name: str) -> None:
    block = second(1, 1)
    site.journal.append(
        [(RecordKind.SAMPLES, encode_block(SampleBlock((name,), (name,), ("gw",), block.rows)))], now_ns=START_NS
    )
    for found in (target(influxd.url, Kind.INFLUX1), target(victoria.url, Kind.VICTORIAMETRICS, name="vm")):
        with Client(found, site.data.root) as client:
            list(setup(client, SITE, START_NS))
        service = site.service(found)
        async with site.forwarding(service):
            await service.reached(1)
        flushed(found, found.url)
        with Client(found, site.data.root) as client:
            asked = Question(name, SITE, (Vital.SPO2,), START_NS, START_NS + DAY_NS)
            assert list(points_at(client, asked)) == [(name, Vital.SPO2)]
