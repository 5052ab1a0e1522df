"""A scripted ward day on which the alert service is killed again and again, by `kill -9`, at random moments.

The patients are low in turn, through two lives of the service each. Somebody in the service's own process acknowledges
what P-1 has, and pauses the alarms of P-2. What the journal holds in the end must be what one life without a kill would
have left behind.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from alert_desk import running, until
from alert_world import T0, S, block, preset, second, single_device_ward
from msgspec import structs

from alerts.app import AlertService
from alerts.events import ALARMS_PAUSED, ENGINE_DOWN, AlarmEvent, AlarmRecordKind, Transition, decode_event
from alerts.limits import Preset
from alerts.signal_settings import Signals
from vitals.columns import RecordKind, encode_block
from vitals.journal import Journal, Record

PATIENTS = 4
SECONDS = 18  # of each life
LOW_S = 2 * SECONDS  # of each low value; the delay is 15, for it is no fall that calls at once
PACE_S = 0.03  # for a second of the ward: the service is to be killed at work, not before it read anything
_LIFE = """
import asyncio, sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {root!r}]
from alert_world import single_device_ward
from kill_day import day_preset
from alerts.app import AlertService
from vitals.journal import Journal

folder = Path({folder!r})
service = AlertService(
    ingest=Journal(folder / "ingest.db", read_only=True), alarms=Journal(folder / "alarms.db"),
    ward=single_device_ward({patients}), preset=day_preset(), keep_cursor=False,
    now_ns=lambda: int((folder / "now").read_text()),
    standstill_ns=10**18,  # this clock is told, not lived: a busy machine may miss many of its seconds
)

async def nurse():
    while True:
        await asyncio.sleep(0.002)
        for alarm in service.alarms():
            if alarm.patient == "P-1" and alarm.audible and alarm.condition == "spo2_low":
                service.acknowledge(alarm.alarm_id, "AB")
        if any(alarm.patient == "P-2" for alarm in service.alarms()):
            if service.tiles()[2].paused is None:
                service.pause_alarms("P-2", "CD", "nursing care")

async def live():
    async with asyncio.TaskGroup() as group:
        group.create_task(service.run())
        group.create_task(nurse())

print("up", flush=True)
asyncio.run(live())
"""


def day_preset() -> Preset:
    """The adult preset; who is low every 72 s does not come and go here, so that every alarm is one of its own."""
    return structs.replace(preset(), signals=Signals(chatter_within_s=60))


class _Ingest:
    """Writes one block a second."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self._clock, self._new = folder / "now", folder / "now.new"
        self._journal = journal
        self.tell(0)

    def tell(self, at_s: int) -> None:
        self._new.write_text(str(T0 + at_s * S))
        self._new.replace(self._clock)

    def write(self, at_s: int) -> None:
        low = (at_s - 1) // LOW_S % PATIENTS
        rows = [r for i in range(PATIENTS) for r in second(at_s, f"d-{i}", spo2=86.0 if i == low else 94.0)]
        self.tell(at_s)
        self._journal.append([(int(RecordKind.SAMPLES), encode_block(block(rows)))], now_ns=T0 + at_s * S)


@contextmanager
def _life(folder: Path) -> Iterator[None]:
    """The service in a process of its own, killed at the end."""
    with subprocess.Popen([sys.executable, str(folder / "life.py")], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert any(line == b"up\n" for line in process.stdout), "it did not start"
            yield
        finally:
            os.kill(process.pid, signal.SIGKILL)


async def ward_day(folder: Path, lives: int, chosen: random.Random) -> list[AlarmEvent]:
    """Live through `lives` lives of the service, each killed, and return what the alarm journal then holds."""
    here = Path(__file__)
    script = _LIFE.format(tests=str(here.parent), root=str(here.parents[2]), folder=str(folder), patients=PATIENTS)
    (folder / "life.py").write_text(script)
    with Journal(folder / "ingest.db") as journal:
        ingest = _Ingest(folder, journal)
        for number in range(lives):
            seconds = range(number * SECONDS + 1, (number + 1) * SECONDS + 1)
            dies_after = chosen.choice(seconds)
            with _life(folder):
                for at_s in range(seconds.start, dies_after + 1):
                    ingest.write(at_s)
                    await asyncio.sleep(PACE_S)
            for at_s in range(dies_after + 1, seconds.stop):
                ingest.write(at_s)
        now_ns = T0 + (lives * SECONDS + 1) * S
        with Journal(folder / "alarms.db") as alarms:
            service = AlertService(
                ingest=journal,
                alarms=alarms,
                ward=single_device_ward(PATIENTS),
                preset=day_preset(),
                now_ns=lambda: now_ns,
            )
            async with running(service):
                await until(lambda: service.position == journal.newest)
            return [decode_event(r.payload) for r in _all(alarms) if r.kind == AlarmRecordKind.EVENT]


def _all(journal: Journal) -> Iterator[Record]:
    after = 0
    while records := journal.read(after):
        yield from records
        after = records[-1].sequence


def check(events: list[AlarmEvent], lives: int) -> Counter[str]:
    """Nothing lost, nothing twice, acknowledgements and pauses kept; returns how many transitions there were."""
    raised, ended = (
        [(e.patient, (e.at_ns - T0) // S) for e in events if e.condition == "spo2_low" and e.transition is which]
        for which in (Transition.RAISED, Transition.ENDED)
    )
    lows = -(-lives * SECONDS // LOW_S)
    begun = [n * LOW_S for n in range(lows)]
    assert raised == [(f"P-{n % PATIENTS}", at + (16 if n == 0 else 15)) for n, at in enumerate(begun)]
    assert ended == [(f"P-{n % PATIENTS}", at) for n, at in enumerate(at + 1 for at in begun[1:])]
    acknowledged = Counter(e.alarm_id for e in events if e.transition is Transition.ACKNOWLEDGED)
    assert set(acknowledged.values()) <= {1}, "an acknowledgement was forgotten, and given again"
    pauses = [e for e in events if e.condition == ALARMS_PAUSED]
    assert all(a.transition is not b.transition for a, b in pairwise(pauses)), "a pause was forgotten, or lost its end"
    for begun, over in zip(pauses[::2], pauses[1::2], strict=False):
        assert over.decided_at_ns >= begun.until_ns
    assert [e.number for e in events] == list(range(1, len(events) + 1))
    assert sum(e.condition == ENGINE_DOWN for e in events) == lives
    return Counter(e.transition.value for e in events)
