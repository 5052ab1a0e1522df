"""A database that was down for an hour comes back: does anybody but its boards notice?

    python bench/influx_outage.py
    python bench/influx_outage.py --backlog-s 60 --phase-s 10        # the short form, which the tests run

The real server (endpoint, store, alarms, station page, forwarder) runs in a process of its own under a live load,
beside a real InfluxDB 1.6.7. Four phases are measured: `before`, the database up, in a folder of its own; `outage`, it
is down and an hour of readings waits for it (piled up by volume: journalled and stored with the times of the past hour
before the server starts); `drain`, from its first answer until it is less than five seconds behind; `after`. In each:
publish → PUBACK, event → alarm handed to a channel, the station's /api/tiles, how old the newest value is that a board
would show, and the server's memory. At the end all readings in the database are compared with the embedded store.

A wearable makes six lines a second: three vitals, and the best values of them. The server has one core; load, station
visitor and database share the other.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "influx"))  # its readings
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # and its real database
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package `ingest` before its benchmark, `ingest.py`

import argparse
import asyncio
import json
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
import numpy as np
from influx_processes import INFLUXD, Influxd
from influx_world import SECOND_NS, START_NS, second, site_at
from outage_watch import Phase, Watch
from publisher import GatewayConnection, Tally, all_acknowledged, connect_fleet, run_seconds

from alerts.recovery import CURSOR as ALERTS
from ingest.derive import CURSOR as SIGNALS
from ingest.influx.client import Client
from ingest.influx.config import decode_targets
from ingest.influx.owed import cursor_of
from ingest.influx.service import ROLLUPS
from ingest.influx.setup import setup
from simulators.fleet import Fleet
from vitals.columns import RecordKind, SampleBlock, encode_block
from wardlight.influx_work import verify
from wardlight.layout import DataFolder

WARM_UP_S = 8  # a server that meets its fleet for the first time
CAUGHT_UP_S = 5.0
LONGEST_DRAIN_S = 1_800.0
BEDS = 2  # lines of a patient that are no readings and come by themselves: more are of the backlog
SLOTS = 100  # the fleet's gateways speak at 100 different moments of a second
ABNORMAL_S = 15  # of a patient that alarms, one a second; then the next one, so that the ward stays the same


def main() -> None:
    """Print one JSON object; exit code 1 when the database differs from the store."""
    options = _options()
    if INFLUXD is None:
        sys.exit("influxd is not installed: `apt-get install influxdb`")
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="wardlight-outage-") as folder:
        report = {
            "machine": f"{os.cpu_count()} × {platform.machine()}, {platform.system()} {platform.release()}",
            "date": datetime.now(UTC).date().isoformat(),
            "wearables": options.wearables,
            "phases": {},
        }
        for name, run in (("calm", calm), ("outage", outage)):
            (root := Path(folder) / name).mkdir()
            with _database(root, options.database_folder) as database:
                asyncio.run(run(root, database, options, report))
    json.dump(report, sys.stdout, indent=2)
    print()
    sys.exit(1 if report["verified"]["streams_that_differ"] else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wearables", type=int, default=334, help="each with six lines a second")
    parser.add_argument("--backlog-s", type=int, default=3_600, help="seconds of readings that wait")
    parser.add_argument("--phase-s", type=int, default=60)
    parser.add_argument("--folder", type=Path, help="where journal and store lie, and the database unless told")
    parser.add_argument("--database-folder", type=Path, help="such as /dev/shm: a disk that the server does not share")
    return parser.parse_args()


@contextmanager
def _database(root: Path, elsewhere: Path | None) -> Iterator[Influxd]:
    with tempfile.TemporaryDirectory(dir=elsewhere or root, prefix="influxd-") as folder:
        database = Influxd(Path(folder))
        database.start()
        try:
            yield _prepared(root, database)
        finally:
            database.stop()


def _prepared(root: Path, database: Influxd) -> Influxd:
    config = _config(database)
    (root / "influx.toml").write_text(config)
    with Client(decode_targets(config.encode())[0]) as client:
        list(setup(client, "bench", time.time_ns()))
    return database


def _board(database: Influxd) -> str:
    """The newest saturation of one wearable."""
    ask = "SELECT last(spo2) FROM vitals WHERE device = 'w-000000'"
    return f"{database.url}/query?{urlencode({'db': 'vitals', 'epoch': 'ns', 'q': ask})}"


def _config(database: Influxd) -> str:
    settings = ('name = "ward"', 'kind = "influx1"', f'url = "{database.url}"', 'database = "vitals"')
    return "\n".join(("[[influx]]", *settings, "allow_http = true"))


# -- the two runs ----------------------------------------------------------------------------------------------------


async def calm(root: Path, database: Influxd, options: argparse.Namespace, report: dict[str, Any]) -> None:
    """The database is up, and nothing waits."""
    async with asyncio.TaskGroup() as group:
        with _server(root, database, options) as (server, ready):
            _beside(database)
            load, tally = await _load(group, options, ready["port"])
            with closing(Watch(server.pid, ready["station"], tally, _board(database))) as watch:
                await asyncio.sleep(WARM_UP_S)
                before = await _phase(watch, "before", options.phase_s)
            load.cancel()
            await asyncio.wait([load])
            _tell(server, "stop")
            await asyncio.to_thread(_answer, server)
    report["phases"]["before"] = before.figures(root / "data" / "alarms.db")


async def outage(root: Path, database: Influxd, options: argparse.Namespace, report: dict[str, Any]) -> None:
    """The database is down and an hour waits; it comes back, and takes what waited."""
    waiting = await pile(root, options)
    database.kill()
    async with asyncio.TaskGroup() as group:
        with _server(root, database, options) as (server, ready):
            load, tally = await _load(group, options, ready["port"])
            with closing(Watch(server.pid, ready["station"], tally, _board(database))) as watch:
                await asyncio.sleep(WARM_UP_S)
                phases = [await _phase(watch, "outage", options.phase_s)]
                await asyncio.to_thread(database.start)
                _beside(database)
                await watch.until(lambda: watch.traffic().lines > BEDS * options.wearables, LONGEST_DRAIN_S)
                drain = watch.begin("drain")
                await watch.until(lambda: watch.traffic().lag_s < CAUGHT_UP_S, LONGEST_DRAIN_S)
                phases += [watch.end(drain), await _phase(watch, "after", options.phase_s)]
            load.cancel()
            await asyncio.wait([load])
            _tell(server, "stop")
            await asyncio.to_thread(_answer, server)
            unacknowledged = tally.published - tally.acknowledged
    report["lines_waiting"] = waiting
    report["drain"] = drain.drained()
    report |= {"published": tally.published, "refused": tally.refused, "unacknowledged": unacknowledged}
    for phase in phases:
        report["phases"][phase.name] = phase.figures(root / "data" / "alarms.db")
    report["verified"] = compared(root, database)


async def pile(root: Path, options: argparse.Namespace) -> int:
    """Journal and store readings of the past seconds as if all but the database had taken them; how many."""
    with site_at(root / "data", journal_bytes=4 << 30) as site:
        begin_ns = time.time_ns() - options.backlog_s * SECOND_NS
        for at_s in range(options.backlog_s):
            block = _second(at_s, options.wearables, begin_ns)
            site.journal.append([(RecordKind.SAMPLES, encode_block(block))], now_ns=begin_ns + at_s * SECOND_NS)
        async with site.forwarding(site.service()):
            await site.store.reached(site.journal.newest)
        for cursor in (ALERTS, SIGNALS):
            site.journal.move(cursor, site.journal.newest)
        for cursor in (cursor_of("ward"), cursor_of("ward", ROLLUPS)):
            site.journal.move(cursor, 0)
    return 6 * options.backlog_s * options.wearables


def _second(at_s: int, wearables: int, begin_ns: int) -> SampleBlock:
    """A second of the fleet's patients, some time ago, with their best values."""
    names = [f"w-{number:06}" for number in range(wearables)]
    patients = [f"P-{name[2:]}" for name in names]
    rows = np.tile(second(at_s, wearables).rows, 2)
    rows["device"][rows.size // 2 :] += wearables
    for column in ("sampled_at_ns", "received_at_ns"):
        rows[column] += begin_ns - START_NS
    devices = (*names, *(f"{patient}:best" for patient in patients))
    return SampleBlock(devices, (*patients, *patients), ("",) * len(devices), rows)


def compared(root: Path, database: Influxd) -> dict[str, int]:
    """What `wardlight influx verify` says of all that was forwarded; the newest seconds may not have been."""
    (target,) = decode_targets(_config(database).encode())
    points, different, missing, extra = 0, 0, 0, 0
    for _, count, several in verify(target, root, DataFolder(root / "data"), "bench", (0, time.time_ns())):
        points += count
        different += len(several)
        missing += sum(found.missing for found in several)
        extra += sum(found.extra + found.changed for found in several)
    return {"readings_compared": points, "streams_that_differ": different, "missing": missing, "wrong": extra}


# -- load and server -------------------------------------------------------------------------------------------------


async def _load(group: asyncio.TaskGroup, options: argparse.Namespace, port: int) -> tuple[asyncio.Task[None], Tally]:
    """Publish in a task until it is cancelled."""
    fleet, tally, start_ns = Fleet(wearables=options.wearables, per_message=20), Tally(), time.time_ns()
    connections = await connect_fleet("127.0.0.1", port, list(fleet.gateways), tally)
    turns = np.random.default_rng(1).permutation(options.wearables)
    return group.create_task(_publish(fleet, connections, turns, start_ns, tally)), tally


async def _publish(fleet: Fleet, connections: list[GatewayConnection], turns: Any, start_ns: int, tally: Tally) -> None:
    offsets_ns = (np.arange(len(fleet.gateways)) % SLOTS) * (SECOND_NS // SLOTS)
    payloads: list[bytes] = []

    def message(gateway: int, at_s: int) -> tuple[str, bytes]:
        nonlocal payloads
        if gateway == 0:
            fleet.make_abnormal(turns[[at_s % turns.size]])
            fleet.make_normal(turns[[(at_s - ABNORMAL_S) % turns.size]])
            payloads = fleet.second(sampled_at_ns=start_ns + at_s * SECOND_NS + offsets_ns, sequence=at_s + 1)
        return fleet.topics[gateway], payloads[gateway]

    try:
        await run_seconds(connections, message, int(2 * LONGEST_DRAIN_S))
    finally:
        await all_acknowledged(tally, 30.0)
        for connection in connections:
            connection.close()


async def _phase(watch: Watch, name: str, seconds: float) -> Phase:
    phase = watch.begin(name)
    await asyncio.sleep(seconds)
    return watch.end(phase)


@contextmanager
def _server(
    root: Path, database: Influxd, options: argparse.Namespace
) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    script = Path(__file__).with_name("influx_server.py")
    pipe = subprocess.PIPE
    server = subprocess.Popen([sys.executable, str(script)], stdin=pipe, stdout=pipe, text=True)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(server.pid, {cores[0]})
        os.sched_setaffinity(0, set(cores[1:]))
    ward = msgspec.to_builtins(Fleet(wearables=options.wearables, per_message=20).ward())
    try:
        _tell(server, json.dumps({"root": str(root), "ward": ward, "influx": _config(database), "caught_up": True}))
        yield server, _answer(server)
    finally:
        with suppress(BrokenPipeError):
            server.communicate(timeout=60)
        os.sched_setaffinity(0, set(cores))


def _beside(database: Influxd) -> None:
    """On the load's core."""
    for thread in Path(f"/proc/{database.pid}/task").iterdir():
        with suppress(OSError):
            os.sched_setaffinity(int(thread.name), os.sched_getaffinity(0))


def _tell(server: subprocess.Popen[str], word: str) -> None:
    assert server.stdin is not None
    server.stdin.write(word + "\n")
    server.stdin.flush()


def _answer(server: subprocess.Popen[str]) -> dict[str, Any]:
    assert server.stdout is not None
    line = server.stdout.readline()
    if not line:
        raise SystemExit("the server ended early; its error is above")
    found: dict[str, Any] = json.loads(line)
    return found


if __name__ == "__main__":
    main()
