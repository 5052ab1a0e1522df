"""A database that was down while readings piled up for it: nothing is lost, nothing doubled, and the alarms came.

`bench/influx_outage.py` with an hour of readings measures what this does with a minute of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from influx_processes import INFLUXD

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(180)  # three starts of a server, with half a minute of live load in all
@pytest.mark.skipif(INFLUXD is None, reason="influxd is not installed: run `make test`, which installs it")
def test_an_outage_costs_no_reading_and_no_alarm(tmp_path: Path) -> None:
    sizes = ("--wearables", "40", "--backlog-s", "120", "--phase-s", "6")
    command = [sys.executable, "bench/influx_outage.py", *sizes, "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    report = json.loads(done.stdout)
    assert report["refused"] == 0
    assert report["lines_waiting"] == 40 * 6 * 120
    assert report["verified"]["streams_that_differ"] == 0
    assert report["verified"]["readings_compared"] > report["lines_waiting"], "what was live meanwhile is there as well"
    assert [report["phases"][name]["alarms"] > 0 for name in ("before", "outage", "after")] == [True] * 3
    assert report["unacknowledged"] == 0
