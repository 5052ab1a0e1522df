"""The alert engine: samples a second, screened and one by one, its state, its restart, and alarms of a live ward.

    python bench/alarms.py --patients 20000 --seconds 10

Every patient wears an oximeter with SpO2, pulse rate and respiratory rate at 1 Hz. A round is one second of the whole
ward in one block; with "1 % low" one patient in a hundred is below the SpO2 limit and stays out of the fast path. The
live ward is `bench/ingest.py` with `--live` patients: the real server, from the reading that completes a condition to
the message handed to a channel.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from alerts.config import AlertConfig, read_preset
from alerts.engine import Engine
from alerts.snapshot import decode_snapshot, encode_snapshot, restore
from vitals.columns import SAMPLE_DTYPE, SampleBlock
from vitals.model import Vital
from vitals.ward import Patient, Ward

S = 1_000_000_000
T0 = 1_750_000_000 * S
VITALS = (Vital.PULSE_RATE, Vital.SPO2, Vital.RESP_RATE)
DEVICES_PER_GATEWAY = 20
PRESET = read_preset(AlertConfig(), Path())


def ward_of(patients: int) -> Ward:
    return Ward("bench", "UTC", tuple(Patient(f"P-{i}", f"b-{i}", (f"d-{i}",)) for i in range(patients)))


def block_of(patients: int, at_s: int, low: int) -> SampleBlock:
    rows = np.zeros(patients * len(VITALS), SAMPLE_DTYPE)
    rows["sampled_at_ns"], rows["received_at_ns"] = T0 + at_s * S, T0 + at_s * S + 10_000_000
    rows["device"] = rows["source"] = np.repeat(np.arange(patients), len(VITALS))
    rows["vital"] = np.tile(VITALS, patients)
    rows["value"] = np.tile([80.0, 97.0, 15.0], patients)
    rows["value"][1 : low * len(VITALS) : len(VITALS)] = 85.0
    return SampleBlock(
        tuple(f"d-{i}" for i in range(patients)),
        tuple(f"P-{i}" for i in range(patients)),
        tuple(f"gw-{i // DEVICES_PER_GATEWAY}" for i in range(patients)),
        rows,
    )


def with_best(block: SampleBlock) -> SampleBlock:
    """The block with a best value beside each reading."""
    best = block.rows.copy()
    best["device"] += len(block.devices)
    best["vital"][best["vital"] == Vital.PULSE_RATE] = Vital.HEART_RATE
    names = tuple(f"{patient}:best" for patient in block.patients)
    gateways = block.gateways + ("",) * len(names)
    return SampleBlock(
        block.devices + names, block.patients + block.patients, gateways, np.concatenate([block.rows, best])
    )


def rounds(engine: Engine, patients: int, seconds: int, low: int, *, best: bool = False) -> list[float]:
    """CPU seconds of each round after the first, which makes the streams."""
    spent = []
    for at_s in range(1, seconds + 2):
        found = with_best(block_of(patients, at_s, low)) if best else block_of(patients, at_s, low)
        now_ns = T0 + at_s * S + 20_000_000
        start = time.process_time()
        engine.step([(now_ns, found)], at_s, now_ns)
        spent.append(time.process_time() - start)
    return spent[1:]


def timed(action: Callable[[], object], times: int = 3) -> str:
    spent = []
    for _ in range(times):
        start = time.process_time()
        action()
        spent.append((time.process_time() - start) * 1000)
    return f"{statistics.median(spent):8.1f} ms ({min(spent):.1f} to {max(spent):.1f})"


def report(name: str, spent: list[float], samples: int) -> None:
    rate, worst, best = (samples / s for s in (statistics.median(spent), max(spent), min(spent)))
    print(f"{name:<24}{rate:>12,.0f} samples/s of CPU ({worst:,.0f} to {best:,.0f}, {len(spent)} rounds)")


def live(patients: int, seconds: int) -> str:
    """The real server with so many patients, of whom ten more alarm each second."""
    load = ["--wearables", str(patients), "--seconds", str(seconds), "--abnormal", "10"]
    script = Path(__file__).with_name("ingest.py")
    said = subprocess.run([sys.executable, str(script), *load], capture_output=True, text=True, check=True)
    (found,) = json.loads(said.stdout.splitlines()[-1])["rounds"]
    delay = found["alarm_ms"]
    return f"p50 {delay['p50']} ms, p99 {delay['p99']} ms, worst {delay['worst']} ms ({found['alarms']} alarms)"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--patients", type=int, default=20_000)
    options.add_argument("--seconds", type=int, default=5, help="rounds of each kind")
    options.add_argument("--live", type=int, default=1_000, help="patients of the live ward; 0 leaves it out")
    options.add_argument("--live-seconds", type=int, default=30)
    chosen = options.parse_args()
    patients, samples = chosen.patients, chosen.patients * len(VITALS)
    print(
        f"{platform.machine()} {platform.python_implementation()} {platform.python_version()}, {datetime.now(UTC):%F}"
    )
    print(f"{patients:,} patients, {samples:,} samples a round")
    ward = ward_of(patients)
    tracemalloc.start()
    engine = Engine(ward, PRESET, T0)
    engine.step([(T0 + S, block_of(patients, 1, 0))], 1, T0 + S)
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    print(f"state                   {size / 2**20:12.1f} MiB")
    report("screened, all normal", rounds(Engine(ward, PRESET, T0), patients, chosen.seconds, 0), samples)
    engine = Engine(ward, PRESET, T0)
    report("screened, 1 % low", rounds(engine, patients, chosen.seconds, patients // 100), samples)
    judged = Engine(ward, PRESET, T0)
    spent = rounds(judged, patients, chosen.seconds, patients // 100, best=True)
    report("the same, best values", spent, 2 * samples)
    few = max(1, patients // 10)
    alone = Engine(ward_of(few), PRESET, T0, screening=False)
    report("one by one", rounds(alone, few, chosen.seconds, few // 100), few * len(VITALS))
    now_ns = T0 + (chosen.seconds + 2) * S
    payload = encode_snapshot(engine, now_ns)
    print(f"snapshot                {len(payload) / 2**20:12.1f} MiB")
    print(f"take a snapshot         {timed(lambda: encode_snapshot(engine, now_ns))}")
    print(f"restart from it         {timed(lambda: restore(decode_snapshot(payload), ward, PRESET))}")
    print(f"an idle tick            {timed(lambda: engine.tick(now_ns))}")
    print(f"tiles of the ward       {timed(lambda: engine.tiles(now_ns))}")
    if chosen.live:
        print(f"{chosen.live:,} patients live, from the reading to the channel")
        print(f"                        {live(chosen.live, chosen.live_seconds)}")


if __name__ == "__main__":
    main()
