"""The demo: a server and simulated gateways in one process, watched on a terminal, judged at the end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.live import Live

from alerts.config import AlertConfig, read_preset
from alerts.log import read_events
from alerts.notify.channels import RecordChannel
from alerts.notify.outbox import Subscription
from ingest.broker import BrokerConfig
from ingest.endpoint import EndpointConfig
from simulators.scenario import Scenario, demo_ward
from simulators.timeline import expectations
from simulators.truth import Truth
from wardlight.demo_report import DemoReport, Messages, compile_report
from wardlight.demo_screen import screen
from wardlight.layout import DataFolder, now_ns
from wardlight.server import Server, ServerConfig, serving
from wardlight.simulate import SimulatedWard
from wardlight.verify import compare_with_store, handed_over

REFRESH_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What a demo runs. `duration_s`: `None` until interrupted. `broker`: a URL, or the endpoint without one."""

    scenario: Scenario
    folder: Path
    duration_s: float | None
    broker: str | None
    station_port: int
    seed: int
    headless: bool


async def run_demo(options: DemoOptions, stop: asyncio.Event) -> DemoReport:
    """Run the ward until `stop` or the duration is over, let everything arrive, and judge the run."""

    config = _server_config(options)
    async with serving(config) as server:
        url = options.broker or f"mqtt://127.0.0.1:{server.endpoint.port if server.endpoint else 0}"
        start_ns, truth = now_ns(), Truth()
        spools = options.folder / "spools"
        spools.mkdir(exist_ok=True)
        ward = SimulatedWard(
            options.scenario, url=url, spools=spools, start_ns=start_ns, seed=options.seed, truth=truth
        )
        async with asyncio.TaskGroup() as tasks:
            screen = tasks.create_task(_show(options, server, start_ns))
            timer = tasks.create_task(_stop_after(options.duration_s, stop))
            await ward.run(stop)
            screen.cancel()
            timer.cancel()
        duration_s = (now_ns() - start_ns) / 1e9
        await server.settled()
        await server.alerts.told()
        return _judge(options, server, ward, truth, start_ns, duration_s)


def _server_config(options: DemoOptions) -> ServerConfig:

    return ServerConfig(
        data=DataFolder(options.folder),
        ward=demo_ward(options.scenario),
        preset=read_preset(AlertConfig(), Path()),
        endpoint=None if options.broker else EndpointConfig(port=0),
        broker=BrokerConfig(url=options.broker, site=options.scenario.site) if options.broker else None,
        station_port=options.station_port,
        channels=[RecordChannel(Subscription("demo"), path=options.folder / "notifications.jsonl")],
        simulated=True,
    )


async def _stop_after(duration_s: float | None, stop: asyncio.Event) -> None:
    if duration_s is not None:
        await asyncio.sleep(duration_s)
        stop.set()


async def _show(options: DemoOptions, server: Server, start_ns: int) -> None:

    if options.headless:
        return
    headline = f"station page: {server.station_url}    simulated data    Ctrl-C stops"
    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        while True:
            since = f"{(now_ns() - start_ns) / 1e9:.0f} s    {headline}"
            live.update(screen(server.alerts.tiles(), server.alerts.alarms(), now_ns(), since), refresh=True)
            await asyncio.sleep(REFRESH_S)


def _judge(
    options: DemoOptions, server: Server, ward: SimulatedWard, truth: Truth, start_ns: int, duration_s: float
) -> DemoReport:

    until_s = duration_s if options.duration_s is None else min(duration_s, options.duration_s)
    expected = [e for e in expectations(options.scenario, start_ns, until_s) if e.until_ns <= start_ns + until_s * 1e9]
    return compile_report(
        scenario=options.scenario.name,
        transport="broker" if options.broker else "endpoint",
        duration_s=duration_s,
        difference=compare_with_store(truth, server.reader),
        messages=_messages(server, ward),
        gaps=server.ingest.stats.counts["gaps"] + len(server.journal.gaps()),
        expected=expected,
        alarm_events=list(read_events(server.alarms)),
        handed_over_ns=handed_over(server.alarms),
    )


def _messages(server: Server, ward: SimulatedWard) -> Messages:

    counts, uplinks = server.ingest.stats.counts, ward.uplink_stats
    return Messages(
        sent=sum(u.sent for u in uplinks),
        resent=sum(u.resent for u in uplinks),
        received=counts["messages"],
        duplicates_refused=counts["duplicates"],
        rejected=sum(server.ingest.stats.rejected.values()),
        given_up_by_spools=sum(u.dropped for u in uplinks),
    )
