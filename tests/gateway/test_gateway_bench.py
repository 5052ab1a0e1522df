"""Short forms of the gateway's long runs: kills while wearables stream, and an hour without a server.

A seed that fails is tried again with the command that is printed here.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bluez_world import needs_dbus
from mosquitto_process import MOSQUITTO

ROOT = Path(__file__).resolve().parents[2]

needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed: run `make test`")


def run(*command: str) -> dict[str, Any]:
    """The counts of a benchmark that succeeded."""
    print("$", *command)  # noqa: T201  the seed, shown when the test fails
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-1000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


@needs_dbus
@needs_mosquitto
@pytest.mark.slow
@pytest.mark.timeout(240)  # about a minute on two idle cores; a loaded machine starts processes more slowly
def test_kills_cost_at_most_the_last_group_commit() -> None:
    seed = str(random.SystemRandom().randrange(1 << 31))
    kills = ["--gateway-kills", "4", "--broker-kills", "2", "--wearables", "6", "--calm-s", "6", "--seed", seed]
    counts = run("bench/chaos_ble.py", *kills)
    assert (counts["gateway_kills"], counts["broker_kills"]) == (4, 2)
    assert (counts["twice"], counts["invented"], counts["lost"]) == (0, 0, 0)
    assert counts["stored"] + counts["uncommitted"] == counts["delivered"] > 0


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_an_hour_without_a_server() -> None:
    counts = run("bench/gateway_day.py", "--hours", "1")
    assert (counts["missing"], counts["twice"], counts["altered"], counts["dropped"]) == (0, 0, 0, {})
    assert counts["live_first"]
    assert 24 * counts["mb_per_hour"] < counts["bound_mb"], "a day fits into the spool that is configured by default"
