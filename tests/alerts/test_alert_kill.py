"""`kill -9` of the alert service at random moments: no alarm is lost and none happens twice."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from kill_day import check, ward_day

LIVES = 5  # a hundred of them: bench/alarm_kills.py


@pytest.mark.slow
async def test_kill_9_at_any_moment_leaves_the_same_alarm_history(tmp_path: Path) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")  # noqa: T201  shown when the test fails, to repeat it
    check(await ward_day(tmp_path, LIVES, random.Random(seed)), LIVES)
