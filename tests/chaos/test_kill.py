"""`kill -9` at random moments costs no reading: `bench/chaos.py` with a printed seed, in every mode.

A seed that fails is tried again with `python bench/chaos.py --seed SEED` and the mode printed here.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
_SEEDS = random.SystemRandom()

needs_mosquitto = pytest.mark.skipif(
    shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin") is None,
    reason="mosquitto is not installed: run `make test`, which installs it",
)


def chaos(kills: int, *mode: str) -> dict[str, Any]:
    """Run the harness and return its counts; fails with all it said when it could not run or the counts are wrong."""
    seed = _SEEDS.randrange(1 << 31)
    command = [sys.executable, "bench/chaos.py", "--kills", str(kills), "--seed", str(seed), "--forked", *mode]
    print("$", *command[1:])  # noqa: T201  the seed, shown when the test fails
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    counts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert sum(counts["kills"].values()) == kills
    return counts


@pytest.mark.slow
@pytest.mark.timeout(480)  # about 70 s on two idle cores; a loaded machine starts processes more slowly
@pytest.mark.parametrize(
    "mode",
    [
        pytest.param(("--in-order",), id="endpoint"),
        pytest.param(("--broker",), id="broker", marks=needs_mosquitto),
        pytest.param(("--gateway", "--in-order"), id="gateway"),
        pytest.param(("--gateway",), id="live-first"),
    ],
)
def test_every_reading_is_stored_exactly_once(mode: tuple[str, ...]) -> None:
    counts = chaos(20, *mode)
    assert counts["stored"] == counts["readings"] > 1_000
    assert counts["resent"] > 0, "nothing was in flight at any kill: the run proves nothing"
