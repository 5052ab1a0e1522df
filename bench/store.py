"""How fast the embedded store writes, seals and answers on this machine.

    python bench/store.py --devices 20000 --seconds 900

Every device sends three vitals at 1 Hz, in commits of `--commit-ms` of recording time. Time runs in the recording, not
on the wall: the figures are CPU seconds (this process, all threads) per second of recording, and file bytes per sample.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package `ingest` before its benchmark, `ingest.py`

import argparse
import itertools
import json
import platform
import statistics
import tempfile
import time
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ingest.store.reader import StoreReader
from ingest.store.writer import SEAL_UNITS, StoreWriter
from vitals.columns import SAMPLE_DTYPE, SampleBlock
from vitals.model import Vital

START_NS = 1_767_225_600_000_000_000  # 2026-01-01, the beginning of a bucket
SECOND_NS = 10**9
VITALS = (Vital.PULSE_RATE, Vital.SPO2, Vital.RESP_RATE)
CENTRES = np.array([78.0, 96.0, 16.0])


class Fleet:
    """Devices whose vitals wander by whole units."""

    def __init__(self, devices: int, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.devices = tuple(f"ox-{number:05}" for number in range(devices))
        self.patients = tuple(f"P-{number:05}" for number in range(devices))
        self.values = np.repeat(CENTRES[None, :], devices, axis=0)
        self.lag_ns = self.random.integers(20, 400, devices) * 10**6

    def second(self, at_ns: int, commits: int) -> list[list[SampleBlock]]:
        """One second of everything, cut into commits of one block each."""
        self.values += self.random.integers(-1, 2, self.values.shape) * (self.random.random(self.values.shape) < 0.3)
        missing = self.random.random(self.values.shape) < 0.01
        edges = np.linspace(0, len(self.devices), commits + 1).astype(int)
        return [[self._block(at_ns, start, end, missing)] for start, end in itertools.pairwise(edges) if end > start]

    def _block(self, at_ns: int, start: int, end: int, missing: Any) -> SampleBlock:
        count = end - start
        rows = np.zeros(count * len(VITALS), SAMPLE_DTYPE)
        rows["device"] = np.repeat(np.arange(count), len(VITALS))
        rows["vital"] = np.tile(np.array(VITALS, np.uint8), count)
        rows["sampled_at_ns"] = at_ns + np.repeat(np.arange(start, end), len(VITALS)) * 1_000
        late_ns = self.lag_ns[start:end] + self.random.integers(0, 20, count) * 10**6
        rows["received_at_ns"] = rows["sampled_at_ns"] + np.repeat(late_ns, len(VITALS))
        rows["raw"] = rows["value"] = np.where(missing[start:end], np.nan, self.values[start:end]).ravel()
        rows["reason"] = np.where(np.isnan(rows["raw"]), 2, 0)
        rows["uncertainty_ms"] = 50.0
        return SampleBlock(self.devices[start:end], self.patients[start:end], ("gw-1",) * count, rows)


def main() -> None:
    """Print one JSON object."""
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "store.db"
        fleet = Fleet(options.devices, options.seed)
        written = _write(path, fleet, options)
        read = _read(path, options.seconds)
        size = path.stat().st_size
    samples = options.devices * len(VITALS) * options.seconds
    report = {
        "machine": f"{platform.processor() or platform.machine()}, {platform.system()} {platform.release()}",
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "devices": options.devices,
        "samples": samples,
        **written,
        "file_bytes_per_sample": round(size / samples, 2),
        **read,
    }
    json.dump(report, sys.stdout, indent=2)
    print()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=400, help="of recording; sealing begins after 330")
    parser.add_argument("--commit-ms", type=int, default=250)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the store is made; its disk is part of the figures")
    return parser.parse_args()


def _write(path: Path, fleet: Fleet, options: argparse.Namespace) -> dict[str, Any]:
    """Write and seal everything; CPU per second of recording, and how long single calls took."""
    cpu: dict[str, float] = {"write": 0.0, "seal": 0.0}
    wall: dict[str, list[float]] = {"write": [], "seal": []}
    late_half: list[float] = []
    commits = max(1, 1_000 // options.commit_ms)
    with StoreWriter(path) as writer:
        for second in range(options.seconds):
            at_ns = START_NS + second * SECOND_NS
            spent = 0.0
            for blocks in fleet.second(at_ns, commits):
                for name, call in (
                    ("write", lambda blocks=blocks, second=second: writer.write(blocks, position=second)),
                    ("seal", lambda at_ns=at_ns: writer.seal(at_ns, units=SEAL_UNITS)),
                ):
                    began_cpu, began = time.process_time(), time.perf_counter()
                    call()
                    took = time.process_time() - began_cpu
                    cpu[name] += took
                    spent += took
                    wall[name].append(time.perf_counter() - began)
            if second >= options.seconds // 2:
                late_half.append(spent)
            if sys.stderr.isatty():
                print(f"\r{second + 1}/{options.seconds} s", end="", file=sys.stderr)
    return {
        "cpu_s_per_s": round(sum(cpu.values()) / options.seconds, 4),
        "cpu_s_per_s_second_half": round(statistics.mean(late_half), 4),
        "cpu_s_per_s_write": round(cpu["write"] / options.seconds, 4),
        "cpu_s_per_s_seal": round(cpu["seal"] / options.seconds, 4),
        "write_ms_p50_p99_max": _spread(wall["write"]),
        "seal_ms_p50_p99_max": _spread(wall["seal"]),
    }


def _read(path: Path, seconds: int) -> dict[str, Any]:
    """What a patient page asks for, of 50 patients one after the other."""
    end_ns = START_NS + seconds * SECOND_NS
    with StoreReader(path) as reader:
        patients = reader.patients()
        chosen = [patients[number * len(patients) // 50] for number in range(min(50, len(patients)))]
        asked = {
            "last_hour_one_vital": lambda patient: reader.samples(
                patient, Vital.SPO2, end_ns - 3_600 * SECOND_NS, end_ns
            ),
            "last_hour_all_vitals": lambda patient: reader.samples(patient, None, end_ns - 3_600 * SECOND_NS, end_ns),
            "day_in_minutes": lambda patient: reader.minutes(patient, Vital.SPO2, end_ns - 86_400 * SECOND_NS, end_ns),
            "last": reader.last,
        }
        found = {}
        for name, ask in asked.items():
            took = []
            for patient in chosen:
                began = time.perf_counter()
                ask(patient)
                took.append(time.perf_counter() - began)
            found[f"{name}_ms_p50_p99_max"] = _spread(took)
    return found


def _spread(seconds: list[float]) -> list[float]:
    ordered = sorted(seconds)
    return [
        round(1_000 * value, 2)
        for value in (statistics.median(ordered), ordered[int(0.99 * (len(ordered) - 1))], ordered[-1])
    ]


if __name__ == "__main__":
    main()
