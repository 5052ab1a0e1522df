"""Forwarding to a real InfluxDB 1.6.7: client cost per line, how fast a backlog drains, and what kills lose.

    python bench/influx.py
    python bench/influx.py --lines 600000 --rounds 7 --kills 50

Cost: CPU of this process, all threads, from the ingest journal to the acknowledged write, divided by lines; beside it
`Point` with the library's batching WriteApi, which gets the same readings already decoded. Drain: lines a second of a
forwarder that begins with a backlog. Kills: `kill -9` of forwarder and database during 2,000 lines/s, then compared
value by value with the embedded store. Everything runs on this one machine, the database included.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "influx"))  # its readings and kills
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # and its real database
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package `ingest` before its benchmark, `ingest.py`

import argparse
import asyncio
import json
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import influx2_shim
import influx_kills
from influx2_shim import TOKEN
from influx_processes import INFLUXD, Influxd
from influx_world import SITE, append, second, site_at, target
from influxdb_client import InfluxDBClient, Point, WriteOptions, WritePrecision

from ingest.influx.client import Client
from ingest.influx.config import Kind
from ingest.influx.setup import setup

LINES_PER_RECORD = 2_001  # one second of 667 wearables
BOUND_US = 3.0
BOUND_DRAIN = 50_000


def main() -> None:
    """Print one JSON object; exit code 1 when a bound is missed."""
    options = _options()
    if INFLUXD is None:
        sys.exit("influxd is not installed: `apt-get install influxdb`")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        root = Path(folder)
        with _database(root / "influxd") as database:
            found = [_forwarded(root / f"{n}", database, options.lines, gzip=False) for n in range(options.rounds)]
            packed = [_forwarded(root / f"z{n}", database, options.lines, gzip=True) for n in range(options.rounds)]
            points = [_points(database, min(options.lines, 40_000)) for _ in range(options.rounds)]
        killed = _kills(root / "kills", options.kills, options.seed) if options.kills else None
    report = {
        "machine": f"{platform.processor() or platform.machine()}, {platform.system()} {platform.release()}",
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "lines": options.lines,
        "cpu_us_per_line_median_min_max": _spread([cpu for cpu, _ in found]),
        "cpu_us_per_line_gzip_median_min_max": _spread([cpu for cpu, _ in packed]),
        "cpu_us_per_line_point_and_batching_median_min_max": _spread(points),
        "drained_lines_per_s_median_min_max": _spread([rate for _, rate in found], digits=0),
        "kills": killed,
    }
    json.dump(report, sys.stdout, indent=2)
    print()
    good = statistics.median(cpu for cpu, _ in found) <= BOUND_US
    good &= statistics.median(rate for _, rate in found) >= BOUND_DRAIN
    sys.exit(0 if good and (killed is None or not killed["streams_that_differ"]) else 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=200_000, help="in the backlog of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kills", type=int, default=0, help="the long form: 50, a second and a half each")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where journal and database lie; its disk is part of the figures")
    return parser.parse_args()


@contextmanager
def _database(folder: Path) -> Iterator[Influxd]:
    database = Influxd(folder)
    database.start()
    try:
        yield database
    finally:
        database.stop()


def _forwarded(root: Path, database: Influxd, lines: int, *, gzip: bool) -> tuple[float, float]:
    """CPU microseconds per line and lines per second, from a backlog in the journal to the last acknowledged write."""
    found = target(database.url, Kind.INFLUX1, database=root.name, gzip=gzip)
    seconds = max(1, lines // LINES_PER_RECORD)
    with site_at(root, journal_bytes=1 << 30) as site:
        append(site.journal, range(seconds), devices=LINES_PER_RECORD // 3)
        with Client(found, site.data.root) as client:
            list(setup(client, SITE, time.time_ns()))
        return asyncio.run(_drain(site.service(found), seconds))


async def _drain(service: Any, seconds: int) -> tuple[float, float]:
    readings = service.targets[0].readings
    cpu, wall = time.process_time(), time.perf_counter()
    task = asyncio.create_task(readings.run())
    await readings.reached(seconds)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    service.close()
    return 1e6 * cpu / (seconds * LINES_PER_RECORD), seconds * LINES_PER_RECORD / wall


def _points(database: Influxd, lines: int) -> float:
    """CPU microseconds per line of `Point` and the batching WriteApi, for readings that are decoded already."""
    rows = [second(at_s, LINES_PER_RECORD // 3) for at_s in range(max(1, lines // LINES_PER_RECORD))]
    with _shim(database) as url, InfluxDBClient(url, TOKEN, org="hospital") as client:
        with Client(target(database.url, Kind.INFLUX1, database="points")) as own:
            list(setup(own, SITE, time.time_ns()))
        cpu = time.process_time()
        with client.write_api(WriteOptions(batch_size=5_000, flush_interval=1_000)) as api:
            for block in rows:
                for row in block.rows.tolist():
                    api.write("points", record=_point(block, row))
        cpu = time.process_time() - cpu
    return 1e6 * cpu / (len(rows) * LINES_PER_RECORD)


@contextmanager
def _shim(database: Influxd) -> Iterator[str]:
    """What InfluxDB 1 needs to understand the WriteApi, in a process of its own so that its CPU is not counted."""
    command = [sys.executable, influx2_shim.__file__, str(database.port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


def _point(block: Any, row: tuple[Any, ...]) -> Point:
    named = dict(zip(block.rows.dtype.names, row, strict=True))
    device = named["device"]
    point = Point("vitals").tag("device", block.devices[device]).tag("patient", block.patients[device])
    point = point.tag("site", SITE).time(named["sampled_at_ns"], WritePrecision.NS)
    return point.field("spo2", named["value"]).field("spo2_reason", float(named["reason"])).field("spo2_quality", 1.0)


def _kills(root: Path, kills: int, seed: int) -> dict[str, Any]:
    """In a database of its own: one that held the lines of all rounds would start for longer than it lives."""
    root.mkdir()
    with _database(root / "influxd") as database:
        return _killed(root, database, kills, seed)


def _killed(root: Path, database: Influxd, kills: int, seed: int) -> dict[str, Any]:
    settings = ('name = "ward"', 'kind = "influx1"', f'url = "{database.url}"', 'database = "kills"')
    config = "\n".join(("[[influx]]", *settings, "allow_http = true"))
    found = influx_kills.run_kills(database, config, root, kills=kills, lines=2_001, pace=1.0, seed=seed)
    return {
        "forwarder": found.forwarder_kills,
        "database": found.database_kills,
        "readings_compared": found.compared,
        "streams_that_differ": len(found.differences),
        "missing": sum(d.missing for d in found.differences),
        "doubled_or_foreign": sum(d.extra for d in found.differences),
    }


def _spread(values: list[float], digits: int = 2) -> list[float]:
    return [round(value, digits) for value in (statistics.median(values), min(values), max(values))]


if __name__ == "__main__":
    main()
