"""`wardlight simulate` in both forms, stopped as an operator stops it, against a real server process."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingest.store.reader import StoreReader
from simulators.story import demo_ward
from wardlight.replay import ward_file
from wardlight.simulate import choose_scenario

PATIENCE_S = 40


@contextmanager
def process(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command of ours in `folder`, interrupted at the end."""
    command = [sys.executable, "-m", "wardlight", *arguments]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        try:
            yield running
        finally:
            running.send_signal(signal.SIGINT)
            running.wait(PATIENCE_S)


def line_with(running: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """The first line of the output that matches."""
    assert running.stdout is not None
    for line in running.stdout:
        if found := re.search(pattern, line):
            return found
    raise AssertionError(f"ended without {pattern!r}")


@pytest.mark.slow
@pytest.mark.parametrize("way", [(), ("--wifi",)], ids=["gateways", "wifi"])
def test_readings_arrive_until_it_is_interrupted(tmp_path: Path, way: tuple[str, ...]) -> None:
    ward = demo_ward(choose_scenario("calm"))
    (tmp_path / "ward.toml").write_text(ward_file(ward))
    anywhere = ("--insecure-loopback", "--port", "0", "--station-port", "0")
    with process(tmp_path, "serve", "--ward", "ward.toml", "--data", "data", *anywhere) as server:
        url = line_with(server, r"mqtt://127\.0\.0\.1:\d+").group()
        with process(tmp_path, "simulate", "--scenario", "calm", "--url", url, *way) as wearables:
            line_with(wearables, r"Ctrl-C stops")
            deadline = time.monotonic() + PATIENCE_S
            with StoreReader(tmp_path / "data" / "vitals.db") as reader:
                while len(reader.patients()) < len(ward.patients):
                    assert time.monotonic() < deadline, "not every patient's readings arrived"
        assert wearables.returncode == 0, "everything was acknowledged"
    assert server.returncode == 0
