"""Kills the server, the broker and the gateways at random moments, and then counts every reading.

    python bench/chaos.py --kills 50 --seed 7               the endpoint: `wardlight serve` is killed
    python bench/chaos.py --kills 50 --seed 7 --broker      mosquitto as well
    python bench/chaos.py --kills 50 --seed 7 --gateway     the gateways as well, with their spools
    python bench/chaos.py --kills 50 --seed 7 --in-order    gateways that send nothing before what is older

Three gateways with real spools publish a story at many times its speed while processes get SIGKILL and are started
again. At the end everything drains, and every reading that a gateway produced has to be in the embedded store exactly
once and unchanged; with `--in-order` it also has to have arrived in order. Prints a table and, as the last line, JSON.

Exit code 0: exact; 1: not; 2: the run could not be made.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package `ingest` before its benchmark, `ingest.py`

import argparse
import json
import random
import statistics
import tempfile
import time
from dataclasses import asdict

from chaos_processes import Victim, free_port, gateways, listens, mosquitto, server
from chaos_story import SITE, Story
from chaos_verdict import Verdict, judge
from rich.console import Console
from rich.table import Table

from vitals.errors import WardlightError
from vitals.journal import Journal

START_S = 30.0  # a server that has not receipted anything by then will not
DRAIN_S = 180.0  # on a busy machine
BACK_DATED_NS = 2 * 86_400 * 10**9  # the story begins two days ago, so that at any speed it stays in the past
_CALM = 0.75  # the share of kills that wait for progress first; the others hit a process while it starts


class ChaosError(Exception):
    """The run could not be made; says which process failed, and how."""


class Chaos:
    """One run: its processes, its random moments and its verdict."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.story = Story(options.seed, time.time_ns() - BACK_DATED_NS)
        self._options = options
        self._random = random.Random(options.seed)
        self.recoveries_s: list[float] = []  # from a start after a kill to the next receipt
        self._folder = folder
        self._broker_port, self._port = free_port(), free_port()
        broker_url = f"mqtt://127.0.0.1:{self._broker_port}" if options.broker else None
        self.broker = mosquitto(folder / "broker", self._broker_port) if options.broker else None
        forked = options.forked
        self.server = server(folder / "data", self._write_ward(), self._port, broker_url, forked=forked)
        url = broker_url or f"mqtt://127.0.0.1:{self._port}"
        spools, in_order = folder / "spools", options.in_order
        self.gateways = gateways(spools, url, self.story, options.rate, forked=forked, in_order=in_order)

    def _write_ward(self) -> Path:
        ward = self._folder / "ward.toml"
        text = f'site = "{SITE}"\n'
        for number, (_, device, patient) in enumerate(self.story.worn()):
            text += f'\n[[patients]]\npatient = "{patient}"\nbed = "{number}"\ndevices = ["{device}"]\n'
        ward.write_text(text)
        return ward

    @property
    def processes(self) -> list[Victim]:
        """All of them, in the order they start."""
        return [p for p in (self.broker, self.server, self.gateways) if p is not None]

    def run(self) -> Verdict:
        """Kill, drain, judge; raises `ChaosError`."""
        try:
            for process in self.processes:
                process.start()
            if self.broker is not None and not listens(self._broker_port, START_S):
                raise ChaosError(f"the broker does not listen\n{self.broker.complain()}")
            self._await_progress(beyond=0)
            targets = [p for p in self.processes if p is not self.gateways or self._options.gateway]
            for number in range(self._options.kills):
                self._kill(targets[number % len(targets)])
            return self._drain_and_judge()
        finally:
            for process in reversed(self.processes):
                process.stop()

    def _kill(self, victim: Victim) -> None:
        time.sleep(self._random.uniform(0.0, 0.4))
        self._check(victim)
        victim.kill()
        time.sleep(self._random.uniform(0.0, 0.2))
        began_s = time.monotonic()
        victim.start()
        if self._random.random() < _CALM:
            self._await_progress(beyond=self.gateways.receipted)
            self.recoveries_s.append(time.monotonic() - began_s)

    def _await_progress(self, *, beyond: int) -> None:
        deadline = time.monotonic() + START_S
        while self.gateways.receipted <= beyond:
            for process in self.processes:
                self._check(process)
            if time.monotonic() > deadline:
                what = self.gateways.latest.get("last_error", "")
                raise ChaosError(f"no receipt for {START_S:g} s ({what})\n{self.server.complain()}")
            time.sleep(0.01)

    @staticmethod
    def _check(process: Victim) -> None:
        if not process.alive:
            raise ChaosError(f"the {process.name} ended by itself\n{process.complain()}")

    def _drain_and_judge(self) -> Verdict:
        self._await_progress(beyond=self.gateways.receipted)  # what is asked to stop has to be there
        if self.gateways.stop(DRAIN_S) != 0:
            raise ChaosError(f"the gateways did not drain: {self.gateways.latest}\n{self.server.complain()}")
        newest = self.gateways.latest["newest"]
        store = self._folder / "data" / "vitals.db"
        self._await_store()
        self.server.stop()
        return judge(store, self.story, newest, in_order=self._options.in_order)

    def _await_store(self) -> None:
        """Until the store's consumer has read the journal to its end, or makes no progress any more."""
        before, changed_s = -1, time.monotonic()
        with Journal(self._folder / "data" / "journal.db", read_only=True) as journal:
            while time.monotonic() - changed_s < 5.0 and (position := journal.cursor("store")) < journal.newest:
                if position != before:
                    before, changed_s = position, time.monotonic()
                time.sleep(0.05)


def report(chaos: Chaos, verdict: Verdict, wall_s: float) -> dict[str, object]:
    """Everything that was counted."""
    return {
        "seed": chaos.story.seed,
        "mode": "broker" if chaos.broker else "endpoint",
        "exact": verdict.exact,
        "kills": {p.name: p.kills for p in chaos.processes},
        "messages": sum(chaos.gateways.latest["newest"].values()),
        **{name: chaos.gateways.totals[name] for name in ("sent", "resent", "reconnects", "refused")},
        "duplicates_refused": chaos.server.duplicates,
        "dropped": chaos.gateways.latest["dropped"],
        **asdict(verdict),
        "recovery_s": round(statistics.median(chaos.recoveries_s or [0.0]), 2),
        "wall_s": round(wall_s, 1),
    }


def print_table(console: Console, counts: dict[str, object]) -> None:
    table = Table("count", "", title="after the killing")
    for name, value in counts.items():
        table.add_row(name.replace("_", " "), f"{value:,}" if type(value) is int else str(value))
    console.print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--broker", action="store_true", help="through mosquitto, which is killed as well")
    parser.add_argument("--gateway", action="store_true", help="kill the gateways as well")
    parser.add_argument("--in-order", action="store_true", help="oldest first: nothing may arrive after a younger one")
    parser.add_argument("--forked", action="store_true", help="start processes without importing all each time")
    parser.add_argument("--rate", type=float, default=50.0, help="messages per second and gateway")
    options = parser.parse_args()
    if options.broker and options.in_order:
        parser.error("a broker that was killed hands out in its own order: leave --broker or --in-order away")
    console = Console(stderr=True)
    console.print(f"seed {options.seed}")
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wardlight-chaos-") as folder:
        try:
            chaos = Chaos(options, Path(folder))
            verdict = chaos.run()
        except (ChaosError, WardlightError) as error:
            console.print(f"chaos: {error}", markup=False, highlight=False)
            return 2
        counts = report(chaos, verdict, time.monotonic() - began_s)
    print_table(console, counts)
    print(json.dumps(counts))
    return 0 if verdict.exact else 1


if __name__ == "__main__":
    sys.exit(main())
