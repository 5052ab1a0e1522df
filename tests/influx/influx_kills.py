"""`kill -9` of the forwarder and of the database at random moments, during a load. Shared by test and benchmark."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from influx_processes import Database
from influx_world import SITE, differing, site_at

from ingest.influx.client import Client
from ingest.influx.comparison import Difference
from ingest.influx.config import decode_targets
from ingest.influx.setup import setup

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


@dataclass(frozen=True)
class Verdict:
    """What came of it: readings compared between the embedded store and the database, and streams that differ."""

    compared: int
    differences: list[Difference]
    forwarder_kills: int
    database_kills: int


def forwarder(folder: Path, config: Path, seconds: int, lines: int, pace: float) -> subprocess.Popen[bytes]:
    """A forwarder at work."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, HERE, HERE.parent)))}
    arguments = [str(argument) for argument in (folder, config, seconds, lines, pace)]
    with (folder.parent / "forwarder.log").open("ab") as log:
        program = [sys.executable, str(HERE / "forwarding_process.py"), *arguments]
        return subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, stderr=log)


def run_kills(
    database: Database, config_text: str, folder: Path, *, kills: int, lines: int, pace: float, seed: int
) -> Verdict:
    """Load and kill, then let it finish and compare. The load lasts as long as the kills do."""
    choice = random.Random(seed)
    config = folder / "influx.toml"
    config.write_text(config_text)
    (folder / "data").mkdir()
    (folder / "data" / "token").write_text("shim-token")
    (target,) = decode_targets(config.read_bytes())
    with Client(target, folder / "data") as client:
        list(setup(client, SITE, time.time_ns()))
    seconds = int(pace * 2 * kills)
    begin = lambda: forwarder(folder / "data", config, seconds, lines, pace)  # noqa: E731
    process, killed = begin(), [0, 0]
    try:
        for _ in range(kills):
            time.sleep(choice.uniform(0.7, 1.6))  # somewhere in its start, a commit, a POST or a cursor move
            which = choice.randrange(2)
            killed[which] += 1
            if which:
                database.kill()
                time.sleep(choice.uniform(0.0, 1.0))
                database.start()
            else:
                process.kill()
                process.communicate()
                process = begin()
        assert process.stdout is not None
        if process.stdout.readline() != b"end\n":
            raise RuntimeError(f"the forwarder ended:\n{(folder / 'forwarder.log').read_text()[-3_000:]}")
    finally:
        process.kill()
        process.communicate()
    with site_at(folder / "data", journal_bytes=1 << 30) as site:
        return Verdict(*differing(site, target), *killed)
