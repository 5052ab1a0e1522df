"""A process that journals readings, stores them and forwards them, until it is killed.

    python forwarding_process.py FOLDER CONFIG SECONDS LINES_PER_SECOND PACE

It goes on where the journal ends: second `n` of the readings is record `n` + 1, so that every value follows from its
key. `PACE`: seconds of readings per second of time. It prints "end" when the target has everything.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from influx_world import START_NS, VITALS, append, site_at

from ingest.influx.config import decode_targets
from wardlight import logs


async def main(folder: Path, config: bytes, seconds: int, lines_per_second: int, pace: float) -> None:
    """Work through second number `seconds`."""
    with site_at(folder, journal_bytes=1 << 30) as site:
        service = site.service(*decode_targets(config))
        site.now_ns = START_NS + 86_400 * 10**9
        async with site.forwarding(service):
            for at_s in range(site.journal.newest, seconds):
                append(site.journal, [at_s], devices=lines_per_second // len(VITALS))
                await asyncio.sleep(1.0 / pace)
            await site.store.reached(seconds)
            await service.targets[0].readings.reached(seconds)
            sys.stdout.write("end\n")
            sys.stdout.flush()
            await asyncio.Event().wait()


if __name__ == "__main__":
    logs.configure()  # to standard error: standard output is for the end alone
    folder, config, seconds, lines, pace = sys.argv[1:]
    asyncio.run(main(Path(folder), Path(config).read_bytes(), int(seconds), int(lines), float(pace)))
