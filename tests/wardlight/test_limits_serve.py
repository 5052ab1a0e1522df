"""`wardlight limits` beside a real `wardlight serve` that is killed: every change is in force once, and told once."""

from __future__ import annotations

import itertools
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alerts.events import LIMITS_CHANGED, AlarmEvent
from alerts.log import read_events
from alerts.recovery import SNAPSHOT_MARK
from alerts.snapshot import decode_snapshot
from vitals.journal import Journal
from wardlight.layout import DataFolder
from wardlight.main import app

KILLS = 4
WAIT_S = 30.0
WARD = 'site = "north"\n[[patients]]\npatient = "P-1"\nbed = "3-01"\ndevices = ["ox-1"]\n'


@contextmanager
def serving(ward: Path, data: DataFolder) -> Iterator[subprocess.Popen[str]]:
    """A server process that is ready; killed at the end."""
    options = ["--insecure-loopback", "--port", "0", "--station-port", "0"]
    command = [sys.executable, "-m", "wardlight", "serve", "--ward", str(ward), "--data", str(data.root), *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            said = []
            for line in process.stderr:
                said.append(line)
                if "station" in line:
                    break
            else:
                pytest.fail("the server did not start: " + "".join(said))
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


def noted(data: DataFolder) -> list[AlarmEvent]:
    with Journal(data.alarms, read_only=True) as journal:
        return [event for event in read_events(journal) if event.condition == LIMITS_CHANGED]


def set_low(ward: Path, data: DataFolder, low: float) -> None:
    arguments = ["limits", "set", "3-01", f"spo2.low={low:g}", "--by", "AB", "--why", "a test"]
    result = CliRunner().invoke(app, [*arguments, "--ward", str(ward), "--data", str(data.root)])
    assert result.exit_code == 0, result.output


def wait_for(data: DataFolder, count: int) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while len(noted(data)) < count:
        assert time.monotonic() < deadline_s, f"{len(noted(data))} of {count} changes were taken into force"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_change_is_in_force_once_whenever_the_server_is_killed(tmp_path: Path) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")  # noqa: T201  shown when the test fails, to repeat it
    chance, ward, data = random.Random(seed), tmp_path / "ward.toml", DataFolder(tmp_path / "data")
    ward.write_text(WARD)
    lows = [88.0 - number / 2 for number in range(KILLS + 2)]
    with serving(ward, data):
        set_low(ward, data, lows[1])
        wait_for(data, 1)
    for number, low in enumerate(lows[2:], start=2):
        with serving(ward, data):
            wait_for(data, number - 1)
            set_low(ward, data, low)
            time.sleep(chance.uniform(0, 0.7))  # a tick is half a second: killed before, amid and after it
    with serving(ward, data):
        wait_for(data, len(lows) - 1)
    told = [f"SpO₂ low changed from {was:g} % to {low:g} %: a test" for was, low in itertools.pairwise(lows)]
    assert [event.detail for event in noted(data)] == told
    with Journal(data.alarms, read_only=True) as journal:
        kept = journal.mark(SNAPSHOT_MARK)
    assert kept is not None
    assert decode_snapshot(kept).changed == {"P-1": {"spo2": {"low": lows[-1]}}}
