"""What an operator gets wrong: one sentence that says what to do, the right exit code, no traceback."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.spool import Spool
from ingest.store.writer import StoreWriter
from simulators.scenario import Scenario, shipped_scenario
from vitals.errors import ConfigurationError, RetryableError
from vitals.model import ClockSource, ClockTrust, DeviceBatch, Sample, Vital
from wardlight.layout import now_ns
from wardlight.main import known_error
from wardlight.simulate import SimulatedWard

WARD = 'site = "north"\n\n[[patients]]\npatient = "P-0001"\nbed = "3-01"\ndevices = ["ox-17"]\n'


def wardlight(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as an operator calls it, in `folder`."""
    command = [sys.executable, "-m", "wardlight", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=50, check=False)


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """What the command said as its last line; there is no traceback."""
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr.strip().splitlines()[-1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ward.toml").write_text(WARD)
    return tmp_path


@pytest.mark.parametrize("which", ["--port", "--station-port"])
def test_a_taken_port_is_named(folder: Path, which: str) -> None:
    other = {"--port": "--station-port", "--station-port": "--port"}[which]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = wardlight(
            folder, "serve", "--ward", "ward.toml", "--data", "data", "--insecure-loopback", which, port, other, "0"
        )
    assert done.returncode == 2
    assert port in sentence(done)
    assert "choose another" in sentence(done)


def test_a_disk_that_is_full_at_the_start(folder: Path) -> None:
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))"
    script = f"import resource; from wardlight.main import main; {limit}; main()"
    arguments = ["serve", "--ward", "ward.toml", "--insecure-loopback", "--port", "0", "--station-port", "0"]
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 3
    assert "free disk space" in sentence(done)


def test_a_wrong_address_of_the_server_is_named(folder: Path) -> None:
    done = wardlight(folder, "simulate", "--url", "ward-server:1883")
    assert done.returncode == 2
    assert "mqtt://" in sentence(done)


def spooled(folder: Path) -> Scenario:
    """The calm ward, each of its gateways with a message of before in its spool in `folder`."""
    scenario = shipped_scenario("calm")
    for each in scenario.gateways:
        with Spool(folder / f"{each.gateway}.db", each.gateway) as spool:
            devices = (DeviceBatch("ox-1", (Sample(Vital.SPO2, now_ns(), 97.0),)),)
            spool.append(devices, clock=ClockTrust(ClockSource.SYNCHRONISED, 1.0), now_ns=now_ns())
    return scenario


def test_a_second_interrupt_does_not_wait_for_the_server(folder: Path) -> None:
    spooled(folder)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"mqtt://127.0.0.1:{silent.getsockname()[1]}"
        command = [sys.executable, "-m", "wardlight", "simulate", "--scenario", "calm", "--url", url, "--spools", "."]
        with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as running:
            silent.accept()[0].close()
            while running.poll() is None:
                running.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    running.wait(0.5)
            assert running.stderr is not None
            assert "Traceback" not in running.stderr.read()
    assert running.returncode == 130


async def test_what_was_not_confirmed_is_counted(tmp_path: Path) -> None:
    scenario, stop = spooled(tmp_path), asyncio.Event()
    stop.set()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"mqtt://127.0.0.1:{silent.getsockname()[1]}"
        ward = SimulatedWard(scenario, url=url, spools=tmp_path, start_ns=now_ns(), seed=1, drain_s=0.1)
        await ward.run(stop)
    waiting, _ = ward.unconfirmed()
    assert waiting >= len(scenario.gateways)


def test_a_recording_that_is_not_there(folder: Path) -> None:
    assert "nosuch: no such file" in sentence(wardlight(folder, "replay", "nosuch"))


def test_exporting_an_unknown_patient_leaves_files_alone(folder: Path) -> None:
    data, kept = folder / "data", folder / "P-0009-vitals.csv"
    data.mkdir()
    StoreWriter(data / "vitals.db").close()
    kept.write_text("exported last week")
    done = wardlight(folder, "export", "P-0009", "--data", "data", "--out", ".")
    assert done.returncode == 2
    assert "no readings at all" in sentence(done)
    assert kept.read_text() == "exported last week"


def test_a_group_of_known_errors_is_known_and_one_unknown_is_not() -> None:
    wrong, full = ConfigurationError("write a port"), RetryableError("disk full")
    assert known_error(ExceptionGroup("tasks", [ExceptionGroup("inner", [wrong]), full])) is wrong
    assert known_error(ExceptionGroup("tasks", [wrong, KeyError("a bug")])) is None
    assert known_error(KeyError("a bug")) is None
