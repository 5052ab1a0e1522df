"""The gateways of `chaos.py`, a process of its own so that it can be killed: real spools, real uplinks.

Prints a JSON line several times a second, and after SIGTERM, when it has drained, a last one. Exit code 0: drained.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from chaos_story import SITE, Story

from gateway.config import UplinkConfig
from gateway.spool import Spool
from gateway.uplink import Uplink
from vitals.model import ClockSource, ClockTrust

REPORT_EVERY_S = 0.05
CLOCK = ClockTrust(ClockSource.SYNCHRONISED, 5.0)


@dataclass(slots=True)
class Gateway:
    """One gateway of the story."""

    name: str
    spool: Spool
    uplink: Uplink

    async def live(self, story: Story, rate_hz: float, stop: asyncio.Event) -> None:
        """Append second after second, `rate_hz` of them per real second, until `stop`."""
        due_s = time.monotonic()
        while not stop.is_set():
            heard = story.second(self.name, self.spool.newest + 1)
            await asyncio.to_thread(self.spool.append, heard, clock=CLOCK, now_ns=time.time_ns())
            due_s = max(due_s + 1 / rate_hz, time.monotonic() - 1.0)
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))


def report(gateways: list[Gateway], *, drained: bool = False) -> None:
    stats = {g.name: g.uplink.stats for g in gateways}
    line = {
        "newest": {g.name: g.spool.newest for g in gateways},
        "receipted": sum(s.receipted for s in stats.values()),
        "sent": sum(s.sent for s in stats.values()),
        "resent": sum(s.resent for s in stats.values()),
        "reconnects": sum(s.reconnects for s in stats.values()),
        "dropped": sum(s.dropped for s in stats.values()),
        "refused": sum(s.refused + s.receipts_ahead for s in stats.values()),
        "last_error": next((s.last_error for s in stats.values() if s.last_error), ""),
        "drained": drained,
    }
    print(json.dumps(line), flush=True)


async def report_for_ever(gateways: list[Gateway]) -> None:
    while True:
        report(gateways)
        await asyncio.sleep(REPORT_EVERY_S)


async def run(options: argparse.Namespace, gateways: list[Gateway], story: Story) -> bool:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with asyncio.TaskGroup() as tasks:
        lasting = [tasks.create_task(g.uplink.run(), name=f"uplink {g.name}") for g in gateways]
        lasting.append(tasks.create_task(report_for_ever(gateways), name="report"))
        await asyncio.gather(*(g.live(story, options.rate, stop) for g in gateways))
        drained = all(await asyncio.gather(*(g.uplink.drained(options.drain) for g in gateways)))
        for task in lasting:
            task.cancel()
    report(gateways, drained=drained)
    return drained


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--spools", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--start-ns", type=int, required=True)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--oldest-first", action="store_true")
    parser.add_argument("--drain", type=float, default=30.0)
    options = parser.parse_args()
    story = Story(options.seed, options.start_ns)
    with ExitStack() as stack:
        gateways = []
        for name in story.gateway_names():
            spool = stack.enter_context(Spool(options.spools / f"{name}.db", name))
            config = UplinkConfig(
                url=options.url,
                site=SITE,
                gateway=name,
                reconnect_min_s=0.05,
                reconnect_max_s=0.3,
                receipt_timeout_s=1.0,
                oldest_first=options.oldest_first,
                backlog_per_s=10_000,  # what the kills left behind goes as fast as the server takes it
            )
            gateways.append(Gateway(name, spool, Uplink(config, spool, now_ns=time.time_ns, monotonic=time.monotonic)))
        return 0 if asyncio.run(run(options, gateways, story)) else 1


if __name__ == "__main__":
    sys.exit(main())
