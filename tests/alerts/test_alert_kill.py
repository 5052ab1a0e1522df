"""`kill -9` of the alert service at random moments: no alarm is lost and none happens twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alert_desk import running, until
from alert_world import T0, S, block, preset, second, single_device_ward, told

from alerts.app import AlertService
from alerts.events import AlarmRecordKind, decode_event
from vitals.columns import RecordKind, encode_block
from vitals.journal import Journal

LIVES = 4
SECONDS = 18  # of each life
PATIENTS = 4
_LIFE = """
import asyncio, sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {root!r}]
from alert_world import preset, single_device_ward
from alerts.app import AlertService
from vitals.journal import Journal

folder = Path({folder!r})
service = AlertService(
    ingest=Journal(folder / "ingest.db", read_only=True), alarms=Journal(folder / "alarms.db"),
    ward=single_device_ward({patients}), preset=preset(), keep_cursor=False,
    now_ns=lambda: int((folder / "now").read_text()),
    standstill_ns=10**18,  # this clock is told, not lived: a busy machine may miss many of its seconds
)
print("up", flush=True)
asyncio.run(service.run())
"""


class Ingest:
    """Writes one block a second; the patients are low in turn, each for 18 s."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self._clock, self._new = folder / "now", folder / "now.new"
        self.journal = journal
        self.tell(0)

    def tell(self, at_s: int) -> None:
        self._new.write_text(str(T0 + at_s * S))
        self._new.replace(self._clock)

    def write(self, at_s: int) -> None:
        low = (at_s - 1) // 18
        rows = [r for i in range(PATIENTS) for r in second(at_s, f"d-{i}", spo2=85.0 if i == low else 97.0)]
        self.tell(at_s)
        self.journal.append([(int(RecordKind.SAMPLES), encode_block(block(rows)))], now_ns=T0 + at_s * S)


@contextmanager
def life(folder: Path) -> Iterator[None]:
    """The service in a process of its own, killed at the end."""
    with subprocess.Popen([sys.executable, str(folder / "life.py")], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert any(line == b"up\n" for line in process.stdout), "it did not start"
            yield
        finally:
            os.kill(process.pid, signal.SIGKILL)


@pytest.mark.slow
async def test_kill_9_at_any_moment_leaves_the_same_alarm_history(tmp_path: Path) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")  # noqa: T201  shown when the test fails, to repeat it
    chosen = random.Random(seed)
    here = Path(__file__)
    script = _LIFE.format(tests=str(here.parent), root=str(here.parents[2]), folder=str(tmp_path), patients=PATIENTS)
    (tmp_path / "life.py").write_text(script)
    with Journal(tmp_path / "ingest.db") as journal:
        ingest = Ingest(tmp_path, journal)
        for number in range(LIVES):
            seconds = range(number * SECONDS + 1, (number + 1) * SECONDS + 1)
            dies_after = chosen.choice(seconds)
            with life(tmp_path):
                for at_s in range(seconds.start, dies_after + 1):
                    ingest.write(at_s)
            for at_s in range(dies_after + 1, seconds.stop):
                ingest.write(at_s)
        now_ns = T0 + (LIVES * SECONDS + 1) * S
        with Journal(tmp_path / "alarms.db") as alarms:
            service = AlertService(
                ingest=journal, alarms=alarms, ward=single_device_ward(PATIENTS), preset=preset(), now_ns=lambda: now_ns
            )
            async with running(service):
                await until(lambda: service.position == journal.newest)
            events = [decode_event(r.payload) for r in alarms.read(0) if r.kind == AlarmRecordKind.EVENT]
    history = {
        what: [(e.patient, (e.at_ns - T0) // S) for e in events if told([e]) == [("spo2_low", what)]]
        for what in ("raised", "ended")
    }
    assert history == {
        "raised": [("P-0", 16), ("P-1", 33), ("P-2", 51), ("P-3", 69)],
        "ended": [("P-0", 19), ("P-1", 37), ("P-2", 55)],
    }
    assert [e.number for e in events] == list(range(1, len(events) + 1))
    assert sum(e.condition == "engine_down" for e in events) == LIVES
