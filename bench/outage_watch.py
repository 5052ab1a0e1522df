"""What `bench/influx_outage.py` sees of a server from outside, phase by phase."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from publisher import Tally

from alerts.events import Transition
from alerts.log import read_events
from vitals.journal import Journal
from wardlight.verify import handed_over

VISIT_S = 1.0  # between two looks at the station: a nurse looks less often, ten screens as often
LOOK_S = 0.5  # between two looks at metrics and memory
_METRIC = re.compile(r"^wardlight_influx_(\w+)\{[^}]*\} (\S+)$", re.MULTILINE)
_MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the forwarder says of its one target, at one moment."""

    at_s: float = 0.0
    lines: float = 0.0
    rollup_lines: float = 0.0
    lag_s: float = 0.0


@dataclass(slots=True)
class Phase:
    """One stretch of time, and what was seen in it. `acknowledged`: indices into the tally."""

    name: str
    begin_ns: int
    acknowledged: tuple[int, int]
    end_ns: int = 0
    acknowledge_s: list[float] = field(default_factory=list)
    tiles_s: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    traffic: list[Traffic] = field(default_factory=list)
    boards_s: list[float] = field(default_factory=list)

    def figures(self, alarms: Path) -> dict[str, Any]:
        """Delays in milliseconds; `alarms`: the server's alarm journal."""
        with Journal(alarms, read_only=True) as journal:
            told = handed_over(journal)
            opened = (Transition.RAISED, Transition.ESCALATED)
            delays = [
                (told[e.number] - e.at_ns) / 1e9
                for e in read_events(journal)
                if e.number in told and e.transition in opened and self.begin_ns <= e.at_ns < self.end_ns
            ]
        seconds = (self.end_ns - self.begin_ns) / 1e9
        return {
            "seconds": round(seconds, 1),
            "alarms": len(delays),
            "alarm_ms": _percentiles(delays),
            "puback_ms": _percentiles(self.acknowledge_s),
            "tiles_ms": _percentiles(self.tiles_s),
            "boards_behind_ms": _percentiles(self.boards_s),
            "cpu_share": round(self.cpu_s / seconds, 2),
            "memory_mb": round(max(self.memory_mb)),
        }

    def drained(self) -> dict[str, float]:
        """How fast the target took what waited."""
        first, last = self.traffic[0], self.traffic[-1]
        seconds = last.at_s - first.at_s
        lines, rollups = last.lines - first.lines, last.rollup_lines - first.rollup_lines
        return {
            "seconds": round(seconds, 1),
            "lines": lines,
            "lines_per_s": round(lines / seconds) if seconds else 0,
            "rollup_lines": rollups,
        }


def _percentiles(values_s: list[float]) -> dict[str, float]:
    if not values_s:
        return {}
    found = np.percentile(np.array(values_s) * 1e3, [50, 99, 100])
    return dict(zip(("p50", "p99", "worst"), (round(float(value), 1) for value in found), strict=True))


class Watch:
    """Visits the station and looks at the process `pid` until it is closed.

    `board`: what a board asks of the database for one live value, as a whole address.
    """

    def __init__(self, pid: int, station: str, tally: Tally, board: str) -> None:
        self._pid = pid
        self._address = urlsplit(station).netloc
        self._tally = tally
        self._board = urlsplit(board)
        self._phase: Phase | None = None
        self._latest = Traffic()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._visit, self._look)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Visit no more."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def traffic(self) -> Traffic:
        """The newest that was seen."""
        return self._latest

    def begin(self, name: str) -> Phase:
        """A new phase, from now on."""
        at = len(self._tally.acknowledge_delays_s)
        phase = Phase(name, time.time_ns(), (at, at), cpu_s=-self._cpu_s(), traffic=[self._latest])
        phase.memory_mb.append(self._memory_mb())
        self._phase = phase
        return phase

    def end(self, phase: Phase) -> Phase:
        """It ends here."""
        self._require_life()
        self._phase = None
        phase.end_ns = time.time_ns()
        phase.cpu_s += self._cpu_s()
        phase.acknowledge_s = self._tally.acknowledge_delays_s[phase.acknowledged[0] :]
        phase.traffic.append(self._latest)
        return phase

    async def until(self, condition: Callable[[], bool], longest_s: float) -> None:
        """Wait for what the metrics will say."""
        async with asyncio.timeout(longest_s):
            while not condition():
                self._require_life()
                await asyncio.sleep(LOOK_S / 5)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _require_life(self) -> None:
        if not all(thread.is_alive() for thread in self._threads):
            raise RuntimeError("the server answers no more: its error is above or below")

    def _visit(self) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=30)
        while not self._ended.wait(VISIT_S):
            began_s = time.perf_counter()
            connection.request("GET", "/api/tiles")
            connection.getresponse().read()
            if (phase := self._phase) is not None:
                phase.tiles_s.append(time.perf_counter() - began_s)
        connection.close()

    def _look(self) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=30)
        while not self._ended.wait(LOOK_S):
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
            found = {name: float(value) for name, value in _METRIC.findall(text)}
            self._latest = Traffic(
                time.monotonic(), found["lines_total"], found["rollup_lines_total"], found["lag_seconds"]
            )
            if (phase := self._phase) is not None:
                phase.traffic.append(self._latest)
                phase.memory_mb.append(self._memory_mb())
                phase.boards_s += self._behind_s()
        connection.close()

    def _behind_s(self) -> list[float]:
        """How old the newest value is that a board would show; nothing while the database does not say."""
        connection = http.client.HTTPConnection(self._board.netloc, timeout=5)
        try:
            connection.request("GET", f"{self._board.path}?{self._board.query}")
            answer = json.loads(connection.getresponse().read())
        except OSError:
            return []
        finally:
            connection.close()
        series = answer["results"][0].get("series", [])
        return [(time.time_ns() - series[0]["values"][0][0]) / 1e9] if series else []

    def _memory_mb(self) -> float:
        resident = int(Path(f"/proc/{self._pid}/statm").read_text().split()[1])
        return resident * 4_096 / _MB

    def _cpu_s(self) -> float:
        columns = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(columns[11]) + int(columns[12])) / 100
