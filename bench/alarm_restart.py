"""How long alarms are away when their process was killed: from the journals on disk to an engine that reads on.

    python bench/alarm_restart.py --patients 10000

A day of alarms lies in the alarm journal (`--alarms-a-day` for each patient, each raised, acknowledged and ended). The
service then judges 75 s of the ward at 1 Hz, so that a snapshot and the last minute of readings are as at any other
time. The files are copied while it runs, as a kill leaves them, and a new service starts from each copy.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import structlog
from alarms import PRESET, T0, VITALS, S, block_of, ward_of

from alerts.app import AlertService
from alerts.events import AlarmEvent, AlarmRecordKind, Kind, Priority, Transition, encode_event
from vitals.columns import RecordKind, SampleBlock, encode_block
from vitals.journal import Journal
from vitals.ward import Ward

LIVED_S = 75
PATIENTS_OF_A_BLOCK = 500
DAY_S = 86_400
PAGE = 5_000


def day_of(patients: int, alarms: int) -> Iterator[AlarmEvent]:
    """The events of a day that ends at T0, evenly spread over patients and hours."""
    total = patients * alarms
    for index in range(total):
        raised_ns = T0 - DAY_S * S + index * (DAY_S - 600) * S // total
        event = AlarmEvent(
            number=3 * index + 1,
            alarm_id=f"day-{index:x}",
            patient=f"P-{index % patients}",
            bed=f"b-{index % patients}",
            kind=Kind.PHYSIOLOGICAL,
            condition="spo2_low",
            priority=Priority.MEDIUM,
            transition=Transition.RAISED,
            at_ns=raised_ns,
            decided_at_ns=raised_ns,
            position=0,
            value=86.0,
            limit=88.0,
        )
        yield event
        acknowledged = Transition.ACKNOWLEDGED
        yield replace(event, number=event.number + 1, transition=acknowledged, actor="AB", decided_at_ns=raised_ns + S)
        yield replace(event, number=event.number + 2, transition=Transition.ENDED, decided_at_ns=raised_ns + 60 * S)


def blocks_of(patients: int, at_s: int) -> Iterator[tuple[int, bytes]]:
    """A second of the ward, as ingest commits it; one patient in a thousand is below the limit."""
    whole = block_of(patients, at_s, patients // 1_000)
    for first in range(0, patients, PATIENTS_OF_A_BLOCK):
        size = min(PATIENTS_OF_A_BLOCK, patients - first)
        rows = whole.rows[first * len(VITALS) : (first + size) * len(VITALS)].copy()
        rows["device"] -= first
        rows["source"] -= first
        names = (part[first : first + size] for part in (whole.devices, whole.patients, whole.gateways))
        yield int(RecordKind.SAMPLES), encode_block(SampleBlock(*names, rows))


class Clock:
    """The ward's time, which the load tells."""

    now_ns = T0

    def __call__(self) -> int:
        return self.now_ns


def service(folder: Path, ward: Ward, clock: Clock) -> tuple[AlertService, Journal, Journal]:
    """A service on the journals of a folder, and the journals."""
    ingest, alarms = Journal(folder / "ingest.db"), Journal(folder / "alarms.db")
    return AlertService(ingest=ingest, alarms=alarms, ward=ward, preset=PRESET, now_ns=clock), ingest, alarms


async def live(folder: Path, ward: Ward, clock: Clock, copies: list[Path]) -> None:
    """Judge 75 s, and copy the files before the service ends in peace."""
    found, ingest, alarms = service(folder, ward, clock)
    running = asyncio.create_task(found.run())
    for at_s in range(1, LIVED_S):
        clock.now_ns = T0 + at_s * S + 20_000_000
        ingest.append(list(blocks_of(len(ward.patients), at_s)), now_ns=clock.now_ns)
        await found.reached(ingest.newest)
        await asyncio.sleep(0)
    for copy in copies:
        shutil.copytree(folder, copy)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    ingest.close()
    alarms.close()


async def restart(folder: Path, ward: Ward, clock: Clock) -> float:
    """Seconds until everything that was taken in is judged, and every tile has its values."""
    start = time.perf_counter()
    found, ingest, alarms = service(folder, ward, clock)
    running = asyncio.create_task(found.run())
    await found.reached(ingest.newest)
    spent_s = time.perf_counter() - start
    assert all(tile.vitals[0].sampled_at_ns == T0 + (LIVED_S - 1) * S for tile in found.tiles()), (
        "the state is not full"
    )
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    ingest.close()
    alarms.close()
    return spent_s


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--patients", type=int, default=10_000)
    options.add_argument("--alarms-a-day", type=int, default=10, help="of each patient")
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    structlog.configure(processors=[lambda *_: (_ for _ in ()).throw(structlog.DropEvent)])
    ward, clock = ward_of(chosen.patients), Clock()
    with tempfile.TemporaryDirectory(prefix="wardlight-bench-") as name:
        lived = Path(name) / "lived"
        lived.mkdir()
        written = 0
        with Journal(lived / "alarms.db") as alarms:
            page: list[tuple[int, bytes]] = []
            for event in day_of(chosen.patients, chosen.alarms_a_day):
                page.append((int(AlarmRecordKind.EVENT), encode_event(event)))
                written += 1
                if len(page) == PAGE:
                    alarms.append(page, now_ns=event.decided_at_ns)
                    page = []
            alarms.append(page, now_ns=T0)
        copies = [Path(name) / f"killed-{i}" for i in range(chosen.rounds)]
        asyncio.run(live(lived, ward, clock, copies))
        clock.now_ns += 2 * S
        spent = [asyncio.run(restart(copy, ward, clock)) for copy in copies]
    print(
        f"{platform.machine()} CPython {platform.python_version()}, {datetime.now(UTC):%F}: "
        f"{chosen.patients:,} patients, {written:,} events of a day"
    )
    print(f"restart to full state   {statistics.median(spent):.2f} s ({min(spent):.2f} to {max(spent):.2f})")


if __name__ == "__main__":
    main()
