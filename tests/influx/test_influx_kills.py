"""`kill -9` at random: nothing is lost, nothing doubled, every value is the same. `bench/influx.py` runs fifty."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest
from influx_kills import run_kills
from influx_processes import Influxd

KILLS = 5


@pytest.mark.slow
def test_killed_at_random_nothing_is_lost_or_doubled(influxd: Influxd, tmp_path: Path) -> None:
    seed = int(os.environ.get("WARDLIGHT_SEED", random.randrange(1 << 30)))
    sys.stdout.write(f"seed {seed}\n")  # pytest shows it when the test fails
    settings = (
        'name = "ward"',
        'kind = "influx1"',
        f'url = "{influxd.url}"',
        'database = "vitals"',
        "allow_http = true",
    )
    config = "\n".join(("[[influx]]", *settings))
    verdict = run_kills(influxd, config, tmp_path, kills=KILLS, lines=600, pace=5.0, seed=seed)
    assert verdict.differences == [], f"seed {seed}"
    assert verdict.compared == 600 * 5 * 2 * KILLS
    assert verdict.forwarder_kills + verdict.database_kills == KILLS
