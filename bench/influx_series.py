"""How many series a site makes in a real database, and what they cost it: InfluxDB 1.6.7 and VictoriaMetrics.

    python bench/influx_series.py --patients 1000 10000 --seconds 120

For each size and engine, freshly started: so many patients with one wearable of three vitals each, `--seconds` of
their readings through the real forwarder, then one line of each rollup, bed, wearable and (for one patient in ten)
alarm. The series as the engine counts them, its resident memory when it answers, after the writes and `--settle-s`
later, its disk, and by how much forwarding raised the memory of this process. Memory is that of a few minutes: an
engine also keeps blocks of data and compacts them, so give it twice as much.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "influx"))  # its readings
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # and its real databases
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package `ingest` before its benchmark, `ingest.py`

import argparse
import asyncio
import gc
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from influx_processes import INFLUXD, VICTORIA_METRICS, Database, Influxd, VictoriaMetrics
from influx_world import SECOND_NS, SITE, START_NS, Kind, Site, site_at, target
from influx_world import VITALS as SENT
from influx_world import second as made

from alerts.events import AlarmEvent, Priority, Transition
from alerts.events import Kind as AlarmKind
from ingest.influx.client import Client
from ingest.influx.config import Target
from ingest.influx.line_protocol import Precision, in_bodies
from ingest.influx.rollup_lines import MINUTES, QUARTERS, Rollup, rollup_line
from ingest.influx.setup import setup
from ingest.influx.status_lines import bed_line, status_lines
from vitals.columns import RecordKind, SampleBlock, encode_block
from vitals.model import GatewayHealth, GatewayStatus, Presence, WearableHealth
from vitals.ward import Patient
from wardlight.influx_alarms import alarm_lines

PER_GATEWAY = 20
_MB = 1 << 20


def main() -> None:
    """Print one JSON object."""
    options = _options()
    found = []
    for patients in options.patients:
        for kind, program in ((Kind.INFLUX1, INFLUXD), (Kind.VICTORIAMETRICS, VICTORIA_METRICS)):
            if program is None:
                sys.exit(f"{kind} is not installed: `apt-get install influxdb victoria-metrics`")
            with tempfile.TemporaryDirectory(dir=options.folder, prefix="wardlight-series-") as folder:
                found.append(measure(Path(folder), kind, patients, options))
    machine = f"{os.cpu_count()} × {platform.machine()}, {platform.system()} {platform.release()}"
    json.dump({"machine": machine, "date": datetime.now(UTC).date().isoformat(), "found": found}, sys.stdout, indent=2)
    print()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, nargs="+", default=[1_000])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--settle-s", type=float, default=15.0)
    parser.add_argument("--folder", type=Path, help="where the databases lie")
    return parser.parse_args()


def measure(root: Path, kind: Kind, patients: int, options: argparse.Namespace) -> dict[str, Any]:
    """One engine, one size."""
    engine: Database = (Influxd if kind is Kind.INFLUX1 else VictoriaMetrics)(root / "engine")
    engine.start()
    try:
        empty_mb = resident_mb(engine.pid)
        chosen = target(engine.url, kind)
        with site_at(root / "data", journal_bytes=4 << 30) as site, Client(chosen, site.data.root) as client:
            list(setup(client, SITE, START_NS))
            raised_mb = asyncio.run(_forward(site, chosen, patients, options.seconds))
            for body in in_bodies(list(_others(patients, chosen.precision))):
                if (answer := client.write(body)).status != 204:
                    raise SystemExit(f"{kind}: {answer}")
            written_mb = resident_mb(engine.pid)
            time.sleep(options.settle_s)
            return {
                "engine": kind.value,
                "patients": patients,
                "lines": 3 * patients * options.seconds,
                "series": series(client),
                "engine_mb_empty_written_settled": [empty_mb, written_mb, resident_mb(engine.pid)],
                "engine_disk_mb": disk_mb(root / "engine"),
                "forwarder_mb": raised_mb,
            }
    finally:
        engine.stop()


async def _forward(site: Site, chosen: Target, patients: int, seconds: int) -> int:
    """Forward a backlog; by how much this process grew at most, in MB."""
    for at_s in range(seconds):
        payload = encode_block(second(at_s, patients))
        site.journal.append([(RecordKind.SAMPLES, payload)], now_ns=START_NS + at_s * SECOND_NS)
    gc.collect()
    before_mb = most_mb = resident_mb(os.getpid())
    service = site.service(chosen)
    async with site.forwarding(service):
        reached = asyncio.create_task(service.targets[0].readings.reached(seconds))
        while not reached.done():
            await asyncio.wait([reached], timeout=0.2)
            most_mb = max(most_mb, resident_mb(os.getpid()))
    return most_mb - before_mb


def second(at_s: int, patients: int) -> SampleBlock:
    """A second of everybody."""
    block = made(at_s, patients)
    devices = tuple(f"ox-{number:05}" for number in range(patients))
    gateways = tuple(f"gw-{number // PER_GATEWAY:04}" for number in range(patients))
    return SampleBlock(devices, tuple(f"P-{device[3:]}" for device in devices), gateways, block.rows)


def _others(patients: int, precision: Precision) -> Iterator[bytes]:
    """Everything but readings, once."""
    end_ns = START_NS + 900 * SECOND_NS
    for number in range(patients):
        name, device = f"P-{number:05}", f"ox-{number:05}"
        yield bed_line(Patient(name, f"B-{number:05}", (device,)), SITE, end_ns, precision)
        for vital in SENT:
            rollup = Rollup(device, int(vital), START_NS, 60, 0, 60, 60.0, 99.0, 80.0, 0)
            for measurement in (MINUTES, QUARTERS):
                yield rollup_line(measurement, rollup, name, SITE, precision)
        if number % PER_GATEWAY == 0:
            wearables = tuple(
                WearableHealth(f"ox-{n:05}", "streaming", -60, 80, 0.5) for n in range(number, number + PER_GATEWAY)
            )
            health = GatewayHealth(wearables=wearables)
            gateway = f"gw-{number // PER_GATEWAY:04}"
            yield from status_lines(GatewayStatus(gateway, Presence.ONLINE, end_ns, health=health), SITE, precision)
        if number % 10 == 0:
            yield from _alarm(number, name, precision)


def _alarm(number: int, name: str, precision: Precision) -> Iterator[bytes]:
    for transition in (Transition.RAISED, Transition.ACKNOWLEDGED, Transition.ENDED):
        at_ns = START_NS + number * 1_000_000
        event = AlarmEvent(
            number=number,
            alarm_id=f"a-{number}",
            patient=name,
            bed=f"B-{number:05}",
            kind=AlarmKind.PHYSIOLOGICAL,
            condition="spo2_low",
            priority=Priority.MEDIUM,
            transition=transition,
            at_ns=at_ns,
            decided_at_ns=at_ns,
            position=number,
            value=84.0,
            limit=88.0,
            raised_at_ns=at_ns - SECOND_NS,
        )
        yield from alarm_lines(event, SITE, precision)


def series(client: Client) -> int:
    """As the engine itself counts them."""
    if client.target.kind is Kind.VICTORIAMETRICS:
        client.text("/internal/force_flush")
        found = msgspec.json.decode(client.text("/api/v1/status/tsdb", [("date", "2026-01-01")]))
        return int(found["data"]["totalSeries"])
    asked = f"SHOW SERIES EXACT CARDINALITY ON {client.target.place}"
    rows = msgspec.json.decode(client.text("/query", [("q", asked)]))["results"][0]["series"]
    return sum(int(row["values"][0][0]) for row in rows)


def resident_mb(pid: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // _MB


def disk_mb(folder: Path) -> int:
    """What the files in a folder take."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file()) // _MB


if __name__ == "__main__":
    main()
