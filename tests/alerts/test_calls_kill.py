"""`kill -9` in the middle of an escalation: it goes on at the step that was reached, and nobody is left out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alert_desk import until
from alert_world import T0, S, block, second

from alerts.escalation import Call, decode_call
from alerts.events import AlarmRecordKind
from vitals.columns import RecordKind, encode_block
from vitals.journal import Journal

_LIFE = """
import asyncio, sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {root!r}]
from alert_world import preset, single_device_ward
from alerts.app import AlertService
from alerts.duty import Duty
from alerts.notify.channels import RecordChannel
from alerts.notify.outbox import Subscription
from duty_world import CHANNELS, WARD, rota
from vitals.journal import Journal

folder = Path({folder!r})
service = AlertService(
    ingest=Journal(folder / "ingest.db", read_only=True), alarms=Journal(folder / "alarms.db"),
    ward=single_device_ward(1), preset=preset(), keep_cursor=False,
    now_ns=lambda: int((folder / "now").read_text()), standstill_ns=10**18,
    channels=[RecordChannel(Subscription(name), path=folder / name) for name in CHANNELS],
    duty=Duty(rota(), (WARD,)),
)
print("up", flush=True)
asyncio.run(service.run())
"""


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


def tell(folder: Path, at_s: int) -> None:
    (folder / "now.new").write_text(str(T0 + at_s * S))
    (folder / "now.new").replace(folder / "now")


def calls(folder: Path) -> list[Call]:
    with Journal(folder / "alarms.db", read_only=True) as journal:
        found = [decode_call(r.payload) for r in journal.read(0) if r.kind == AlarmRecordKind.CALL]
    return [call for call in found if call.event.condition == "spo2_low"]


@pytest.mark.slow
async def test_killed_between_any_two_steps_the_chain_is_walked_once_and_to_its_end(tmp_path: Path) -> None:
    here = Path(__file__)
    script = _LIFE.format(tests=str(here.parent), root=str(here.parents[2]), folder=str(tmp_path))
    (tmp_path / "life.py").write_text(script)
    with Journal(tmp_path / "ingest.db") as ingest:
        for at_s in range(21):
            rows = second(at_s, "d-0", spo2=85.0)
            ingest.append([(int(RecordKind.SAMPLES), encode_block(block(rows)))], now_ns=T0 + at_s * S)
        for step, at_s in enumerate((20, 141, 202)):
            tell(tmp_path, at_s)
            with life(tmp_path):
                await until(lambda step=step: any(call.step == step for call in calls(tmp_path)))
        tell(tmp_path, 203)
        with life(tmp_path):
            await until(lambda: (tmp_path / "charge-mail").exists() and (tmp_path / "charge-phone").exists())
    assert [call.step for call in calls(tmp_path)] == [0, 1, 2, 2]
    people = {call.channel for call in calls(tmp_path)}
    assert all("Bed 3-00" in (tmp_path / name).read_text() for name in people)
