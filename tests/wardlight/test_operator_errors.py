"""What an operator gets wrong: one sentence that says what to do, the right exit code, no traceback."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.store.writer import StoreWriter
from vitals.errors import ConfigurationError, RetryableError
from wardlight.main import known_error

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


def test_a_wrong_address_of_the_server_is_named(folder: Path) -> None:
    done = wardlight(folder, "simulate", "--url", "ward-server:1883")
    assert done.returncode == 2
    assert "mqtt://" in sentence(done)


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
