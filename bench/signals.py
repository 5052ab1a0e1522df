"""Pulse rate under motion alone: CPU per second of a ward, and memory per wearable, from one wearable to thousands.

    python bench/signals.py --wearables 2000 --seconds 10

Every wearable sends two PPG channels and three axes of acceleration at 50 Hz; a round is one second of all of them,
analysed in full. Below 1,000 ms a round one core keeps up.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package `ingest` before its benchmark, `ingest.py`
os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core; read when numpy is loaded
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import platform
import statistics
import time
from datetime import UTC, datetime

import numpy as np

from ingest.signals.pulse import PulseState, advance
from ingest.signals.pulse_spectra import WINDOW_S
from ingest.signals.smoothing import Floats

CHANNELS, RATE_HZ = 2, 50
SIZES = (1, 10, 100, 500, 1_000, 2_000, 5_000)
WARM_UP_S = WINDOW_S + 1  # until every window is whole


def ward(wearables: int, at_s: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """A second of pulses of 60 to 120 /min, and of running at 160 steps a minute."""
    t = at_s + np.arange(RATE_HZ) / RATE_HZ
    pulse = np.sin(2 * np.pi * np.linspace(1.0, 2.0, wearables)[:, None] * t)
    steps = np.sin(2 * np.pi * 160 / 60 * t)
    acc = rng.normal(scale=0.1, size=(wearables, 3, RATE_HZ)) + steps
    ppg = rng.normal(scale=0.1, size=(wearables, CHANNELS, RATE_HZ)) + pulse[:, None] + steps
    return ppg, acc


def rounds(wearables: int, seconds: int) -> tuple[list[float], int]:
    """CPU seconds of each round, and bytes of state."""
    rng, state, spent = np.random.default_rng(1), PulseState(wearables, CHANNELS), []
    for at_s in range(WARM_UP_S + seconds):
        ppg, acc = ward(wearables, at_s, rng)
        start = time.process_time()
        advance(state, ppg, acc)
        spent.append(time.process_time() - start)
    return spent[WARM_UP_S:], sum(array.nbytes for array in vars(state).values())


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--wearables", type=int, action="append", help=f"may be repeated; otherwise {SIZES}")
    options.add_argument("--seconds", type=int, default=5, help="rounds of each size")
    chosen = options.parse_args()
    print(
        f"{platform.machine()} {platform.python_implementation()} {platform.python_version()}, {datetime.now(UTC):%F}"
    )
    print(f"{'wearables':>9}  {'ms a round (best to worst)':>28}  {'µs per wearable-second':>22}  {'kB each':>8}")
    for wearables in chosen.wearables or SIZES:
        spent, size = rounds(wearables, chosen.seconds)
        middle = statistics.median(spent)
        spread = f"{middle * 1e3:.1f} ({min(spent) * 1e3:.1f} to {max(spent) * 1e3:.1f})"
        print(f"{wearables:>9,}  {spread:>28}  {middle / wearables * 1e6:>22.0f}  {size / wearables / 1e3:>8.1f}")


if __name__ == "__main__":
    main()
