"""`kill -9` at random moments, and readers in other processes: what was acknowledged is there, once, and readable."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from store_process import second

from ingest.store.queries import END_NS
from ingest.store.reader import StoreReader
from ingest.store.writer import StoreWriter
from vitals.model import Vital

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
KILLS = 20


def started(path: Path, seed: int, first: int) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}"}
    command = [sys.executable, str(HERE / "store_process.py"), str(path), str(seed), str(first)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def acknowledged(process: subprocess.Popen[str]) -> int:
    """The number of the next write that was acknowledged."""
    assert process.stdout is not None
    return int(process.stdout.readline())


def read_back(reader: StoreReader) -> dict[tuple[str, int, int], float]:
    """(device, vital, time) → value; fails on a key that is there twice and on times that go back."""
    found: dict[tuple[str, int, int], float] = {}
    for vital in (Vital.PULSE_RATE, Vital.SPO2):
        samples = reader.samples("P-0001", vital, 0, END_NS)
        assert (np.diff(samples.sampled_at_ns) >= 0).all()
        devices = [samples.devices[index] for index in samples.device.tolist()]
        keys = [(d, int(vital), at) for d, at in zip(devices, samples.sampled_at_ns.tolist(), strict=True)]
        assert len(set(keys)) == len(keys)
        found |= dict(zip(keys, samples.value.tolist(), strict=True))
    return found


@pytest.mark.slow
def test_killed_at_random_it_loses_and_doubles_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get("WARDLIGHT_SEED", random.randrange(1 << 30)))
    sys.stdout.write(f"seed {seed}\n")  # pytest shows it when the test fails
    choice = random.Random(seed)
    path = tmp_path / "store.db"
    position = 0
    for kill in range(KILLS):
        process = started(path, choice.randrange(1 << 30), position + 1)
        newest = position
        for _ in range(choice.randint(1, 10)):
            newest = acknowledged(process)
        try:
            process.wait(timeout=choice.uniform(0.0, 0.03))  # somewhere within the next write or seal
        except subprocess.TimeoutExpired:
            process.kill()
        said, _ = process.communicate()
        newest = max([newest, *(int(line) for line in said.split("\n")[:-1])])
        with StoreWriter(path) as writer:
            position = writer.position
        assert position >= newest, f"seed {seed}, kill {kill}: write {newest} was acknowledged, {position} is there"
    expected = {
        (r.device, r.vital, r.sampled_at_ns): r.value for number in range(1, position + 1) for r in second(number)
    }
    with StoreReader(path) as reader:
        assert read_back(reader) == expected, f"seed {seed}"
        assert reader.count().samples == len(expected)
    assert position > 400, "the writer got too little done for late data to be sealed"


@pytest.mark.slow
def test_readers_in_other_processes_see_whole_writes_in_growing_number(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    process = started(path, 1, 1)
    try:
        newest = acknowledged(process)
        with StoreReader(path) as reader:
            before = 0
            while newest < 900:
                newest = acknowledged(process)
                found = read_back(reader)
                whole = {(r.device, r.vital, r.sampled_at_ns) for r in second(newest)}
                assert whole <= found.keys()
                assert len(found) >= before
                before = len(found)
    finally:
        process.kill()
        process.communicate()
