"""The server under test of `bench/influx_outage.py`: the real one, with station page and database, in its own process.

Reads one JSON line of settings from standard input, answers with its ports, works until the next line, and answers once
more when everything is stored, judged and told.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package `ingest` before its benchmark, `ingest.py`

import asyncio
import json
import logging
from typing import Any

import msgspec

from alerts.config import AlertConfig, read_preset
from alerts.notify.channels import RecordChannel
from alerts.notify.outbox import Subscription
from ingest.endpoint import EndpointConfig
from ingest.influx.config import decode_targets
from vitals.ward import Ward
from wardlight import logs
from wardlight.layout import DataFolder
from wardlight.server import ServerConfig, serving


async def work(settings: dict[str, Any]) -> None:
    """Serve as the lines of standard input say."""
    root = Path(settings["root"])
    config = ServerConfig(
        data=DataFolder(root / "data"),
        ward=msgspec.convert(settings["ward"], Ward),
        preset=read_preset(AlertConfig(), Path()),
        endpoint=EndpointConfig(port=0),
        station_port=0,
        channels=[RecordChannel(Subscription("bench"))],
        influx=decode_targets(settings["influx"].encode()),
        influx_folder=root,
    )
    loop = asyncio.get_running_loop()
    async with serving(config) as server:
        assert server.endpoint is not None
        await asyncio.sleep(4)  # what the start costs, the import of scipy among it, is not part of the figures
        print(json.dumps({"port": server.endpoint.port, "station": server.station_url}), flush=True)
        await loop.run_in_executor(None, sys.stdin.readline)
        await server.settled()
        await server.alerts.told()
        if settings["caught_up"]:
            await server.databases.reached(server.journal.newest)
        print(json.dumps({"journalled": server.journal.newest}), flush=True)


if __name__ == "__main__":
    logs.configure(level=logging.ERROR)
    asyncio.run(work(json.loads(sys.stdin.readline())))
