"""kill -9 of the whole gateway and of the broker, again and again: what was said to be stored arrives."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from scripted_ingest import ScriptedIngest

_GATEWAY = """
import asyncio, os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_gateway_app import FakeRadio, settings_for, synchronised
from gateway.app import Gateway, Surroundings
from gateway.config import config_of
from gateway.devices.driver import Heard, HeardSample
from vitals.model import Vital
async def main():
    radio = FakeRadio()
    around = Surroundings(radio.make, synchronised, lambda: "boot", lambda _: None)
    gateway = Gateway(config_of(settings_for(Path(sys.argv[2]), sys.argv[3])), around, None)
    running = asyncio.create_task(gateway.run(asyncio.Event()))
    while radio.lives == 0:
        await asyncio.sleep(0.01)
    number = int(sys.argv[4])
    while True:  # outside of the calm band: each is stored at once
        number += 1
        at_ns = time.monotonic_ns()
        radio.on_heard("ox-1", Heard((HeardSample(Vital.RR_INTERVAL, at_ns, float(number)),
                                      HeardSample(Vital.SPO2, at_ns, 60.0 + number % 30))), None, at_ns)
        await gateway._recorder.store()
        print(number, flush=True)
asyncio.run(main())
"""


@pytest.mark.slow
def test_what_was_stored_before_a_kill_arrives(mosquitto: Any, tmp_path: Path) -> None:
    said = 0
    with ScriptedIngest(mosquitto.port) as ingest:
        for round_ in range(6):
            command = [
                sys.executable,
                "-c",
                _GATEWAY,
                str(Path(__file__).parent),
                str(tmp_path),
                mosquitto.url,
                str(said),
            ]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
                assert process.stdout is not None
                lines = [process.stdout.readline() for _ in range(20 + 15 * round_)]
                process.kill()
                lines += process.stdout.readlines()
            said = max(int(line) for line in lines if line.endswith("\n") and line.strip().isdigit())
            if round_ % 2:
                mosquitto.kill()
                mosquitto.start()
        with subprocess.Popen([*command[:-1], str(said)], stdout=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 30
            while len(_numbers(ingest)) < said and time.monotonic() < deadline:
                time.sleep(0.05)
            process.kill()
    found = _numbers(ingest)
    assert set(range(1, said + 1)) <= found.keys()
    twice = sum(len(times) - 1 for times in found.values())
    assert twice <= 6, "only what was stored but not yet said at a kill is said again by the next process"


def _numbers(ingest: ScriptedIngest) -> dict[int, set[int]]:
    """Each reading's number and the times under which it came; the killed process may have stored one more."""
    found: dict[int, set[int]] = {}
    for batch in list(ingest.batches):
        for device in batch.devices:
            for sample in device.samples:
                if sample.vital == 5 and sample.value is not None:
                    found.setdefault(int(sample.value), set()).add(sample.sampled_at_ns)
    return found
