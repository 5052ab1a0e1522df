"""The server under test of `bench/ingest.py`: the real one, in a process of its own, with its delays noted.

Reads one JSON line of settings from standard input, answers with its port, begins to measure at the next line, works
until the one after it, and prints one JSON line of figures.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package `ingest` before its benchmark, `ingest.py`

import asyncio
import json
import logging
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from alerts.config import AlertConfig, read_preset
from alerts.events import Transition
from alerts.log import read_events
from alerts.notify.channels import RecordChannel
from alerts.notify.outbox import Subscription
from ingest.broker import BrokerConfig
from ingest.endpoint import EndpointConfig
from ingest.store.writer import StoreWriter
from vitals.columns import SampleBlock
from vitals.ward import Ward
from wardlight import logs
from wardlight.layout import DataFolder
from wardlight.server import Server, ServerConfig, serving
from wardlight.verify import handed_over

stored_delays_ms: list[np.ndarray[Any, Any]] = []


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the figures begin."""

    at_ns: int
    cpu_s: float
    messages: int
    readings: int
    commits: int

    @classmethod
    def now(cls, server: Server) -> Mark:
        """The counters as they stand."""
        counts = server.ingest.stats.counts
        return cls(
            time.time_ns(),
            time.process_time(),
            counts["messages"],
            counts["readings"],
            server.ingest.stats.commits,
        )


class NotingWriter(StoreWriter):
    """A store writer that notes how long each reading took from its publication to the disk."""

    def write(self, blocks: Sequence[SampleBlock], *, position: int) -> int:
        taken = super().write(blocks, position=position)
        now_ns = time.time_ns()
        stored_delays_ms.extend(((now_ns - b.rows["sampled_at_ns"]) / 1e6).astype(np.float32) for b in blocks)
        return taken


def percentiles(values_ms: Sequence[float] | np.ndarray[Any, Any]) -> dict[str, float | None]:
    """p50, p99 and the worst, in milliseconds."""
    if len(values_ms) == 0:
        return {"p50": None, "p99": None, "worst": None}
    p50, p99 = np.percentile(values_ms, [50, 99])
    return {"p50": round(float(p50), 1), "p99": round(float(p99), 1), "worst": round(float(np.max(values_ms)), 1)}


def figures(server: Server, since: Mark, until: Mark) -> dict[str, Any]:
    """What this process measured between the marks, once everything is stored, judged and told."""
    told = handed_over(server.alarms)
    opened = (Transition.RAISED, Transition.ESCALATED)
    alarms = [
        (told[e.number] - e.at_ns) / 1e6
        for e in read_events(server.alarms)
        if e.number in told and e.transition in opened and e.at_ns > since.at_ns
    ]
    return {
        "cpu_s": round(until.cpu_s - since.cpu_s, 2),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "messages": until.messages - since.messages,
        "readings": until.readings - since.readings,
        "commits": until.commits - since.commits,
        "rejected": sum(server.ingest.stats.rejected.values()),
        "stored_ms": percentiles(np.concatenate(stored_delays_ms) if stored_delays_ms else []),
        "alarm_ms": percentiles(alarms),
        "alarms": len(alarms),
    }


async def work(settings: dict[str, Any]) -> None:
    """Serve as the lines of standard input say."""
    broker = settings["broker"]
    config = ServerConfig(
        data=DataFolder(Path(settings["data"])),
        ward=msgspec.convert(settings["ward"], Ward),
        preset=read_preset(AlertConfig(), Path()),
        endpoint=None if broker else EndpointConfig(port=0),
        broker=BrokerConfig(url=broker) if broker else None,
        channels=[RecordChannel(Subscription("bench"))],
    )
    loop = asyncio.get_running_loop()
    async with serving(config) as server:
        await asyncio.sleep(4)  # what the start costs, the import of scipy among it, is not part of the figures
        print(json.dumps({"port": server.endpoint.port if server.endpoint else 0}), flush=True)
        await loop.run_in_executor(None, sys.stdin.readline)
        since = Mark.now(server)
        stored_delays_ms.clear()
        await loop.run_in_executor(None, sys.stdin.readline)
        await server.settled()
        until = Mark.now(server)
        await server.alerts.told()
        print(json.dumps(figures(server, since, until)), flush=True)


if __name__ == "__main__":
    import wardlight.server

    logs.configure(level=logging.WARNING)
    wardlight.server.StoreWriter = NotingWriter  # type: ignore[misc]  # the one seam that the figures need
    asyncio.run(work(json.loads(sys.stdin.readline())))
