"""Simulated gateways on the real uplink: `wardlight simulate`, and the ward of the demo.

The bodies, wearables and gateways are simulated; the spool, the uplink and the network are the real ones.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from gateway.config import UplinkConfig
from gateway.spool import Spool
from gateway.uplink import Uplink, UplinkStats
from simulators import gateway as simulated
from simulators.mqtt_wearables import WifiWard
from simulators.scenario import Scenario, load_scenario, shipped_scenario
from simulators.timeline import Network
from simulators.truth import Truth
from wardlight.cable import Cable
from wardlight.layout import now_ns

RECONNECT_MAX_S: Final = 2.0  # a demo is watched: the way back is short
DRAIN_S: Final = 30.0  # at the end, for the spools to be sent and receipted


@dataclass(slots=True)
class RunningGateway:
    """One simulated gateway and its real uplink."""

    state: simulated.GatewayState
    spool: Spool
    uplink: Uplink
    cable: Cable

    @property
    def name(self) -> str:
        """The gateway's identifier."""
        return self.state.gateway.gateway


class SimulatedWard:
    """All gateways of a scenario, connected to a server. `truth` notes every reading that was put into a spool."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        url: str,
        spools: Path,
        start_ns: int,
        seed: int,
        truth: Truth | None = None,
        drain_s: float = DRAIN_S,
    ) -> None:
        self._truth = truth
        self._scenario = scenario
        self._url = url
        self._spools = spools
        self._states = simulated.start(scenario, start_ns=start_ns, seed=seed)
        self.gateways: list[RunningGateway] = []
        self._drain_s = drain_s
        self.uplink_stats: list[UplinkStats] = []  # as of the end of `run`

    async def run(self, stop: asyncio.Event) -> None:
        """Live until `stop` is set, then plug everything in again and send what the spools still hold."""
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            for state in self._states:
                self.gateways.append(await self._connect(stack, state))
            uplinks = [tasks.create_task(g.uplink.run(), name=f"uplink {g.name}") for g in self.gateways]
            await asyncio.gather(*(self._live(g, stop) for g in self.gateways))
            for running in self.gateways:
                running.cable.follow(Network.UP)
            await asyncio.gather(*(g.uplink.drained(self._drain_s) for g in self.gateways))
            self.uplink_stats = [g.uplink.stats for g in self.gateways]
            for task in uplinks:
                task.cancel()

    def unconfirmed(self) -> tuple[int, str]:
        """After `run`: how many messages no receipt came for, and what stood in the way."""
        waiting = sum(stats.spooled for stats in self.uplink_stats)
        return waiting, "; ".join(sorted({stats.last_error for stats in self.uplink_stats if stats.spooled} - {""}))

    async def _connect(self, stack: AsyncExitStack, state: simulated.GatewayState) -> RunningGateway:
        name = state.gateway.gateway
        server = UplinkConfig(url=self._url, site=self._scenario.site, gateway=name)
        cable = await stack.enter_async_context(Cable(server.address.host, server.address.port))
        spool = stack.enter_context(Spool(self._spools / f"{name}.db", name))
        config = UplinkConfig(
            url=f"mqtt://127.0.0.1:{cable.port}",
            site=self._scenario.site,
            gateway=name,
            reconnect_max_s=RECONNECT_MAX_S,
        )
        return RunningGateway(state, spool, Uplink(config, spool, now_ns=now_ns, monotonic=time.monotonic), cable)

    async def _live(self, running: RunningGateway, stop: asyncio.Event) -> None:
        while True:
            running.state, second = simulated.step(running.state)
            running.cable.follow(second.network)
            if await _stopped_before(stop, second.due_ns):
                return
            batch = second.batch
            if self._truth is not None:
                self._truth.add(batch)
            await asyncio.to_thread(running.spool.append, batch.devices, clock=batch.clock, now_ns=batch.sent_at_ns)


async def _stopped_before(stop: asyncio.Event, due_ns: int) -> bool:
    """Wait for a moment; `True` when `stop` came first."""
    try:
        async with asyncio.timeout((due_ns - now_ns()) / 1e9):
            await stop.wait()
    except TimeoutError:
        return False
    return True


def choose_scenario(name: str) -> Scenario:
    """A shipped scenario by name, or one from a file; raises `ConfigurationError`."""
    return load_scenario(Path(name)) if name.endswith(".toml") else shipped_scenario(name)


@contextmanager
def folder_or_temporary(folder: Path | None, prefix: str) -> Iterator[Path]:
    """`folder`, made when it is missing, or a temporary one that goes with the context."""
    if folder is not None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix=prefix) as temporary:
        yield Path(temporary)


async def until_interrupted(work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `work(stop)`; Ctrl-C or SIGTERM sets `stop`, so that it ends in an orderly manner.

    A second one does not wait for that: it cancels, and `KeyboardInterrupt` is raised.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    working = asyncio.ensure_future(work(stop))

    def interrupt() -> None:
        if stop.is_set():
            working.cancel()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        await working
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def run_wifi(scenario: Scenario, *, url: str, seed: int) -> int:
    """Wi-Fi wearables until Ctrl-C or SIGTERM; how many messages were lost or never acknowledged."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with WifiWard(scenario, url=url, start_ns=now_ns(), seed=seed) as ward:
        typer.echo(f"{len(scenario.patients)} patients with Wi-Fi wearables → {url}   (Ctrl-C stops)")
        ward.run(lambda due_ns: stop.wait(max(0.0, (due_ns - now_ns()) / 1e9)))
    lost = ward.dropped + ward.unanswered
    if lost:
        typer.echo(f"{lost:,} messages were not acknowledged: a wearable without a gateway has no spool.", err=True)
    return lost


def simulate_command(
    ctx: typer.Context,
    url: Annotated[str, typer.Option(help="The server: ingest's endpoint or a broker.")] = "mqtt://127.0.0.1:1883",
    scenario: Annotated[str, typer.Option(help="A shipped scenario's name or a .toml file.")] = "demo",
    spools: Annotated[Path | None, typer.Option(help="Where spools live; a temporary folder if absent.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same bodies.")] = 1,
    wifi: Annotated[bool, typer.Option("--wifi", help="Wearables that publish JSON themselves: no gateway.")] = False,
) -> None:
    """Run simulated patients, wearables and gateways against a server, until Ctrl-C; a second one does not wait.

    At the end what is still spooled gets half a minute to arrive; exit code 1 when it did not.

    [bold]Examples[/]

    wardlight simulate --scenario demo --url mqtt://127.0.0.1:1883

    wardlight simulate --scenario calm --wifi

    wardlight simulate ble --wearables 20
    """
    if ctx.invoked_subcommand is not None:
        return
    story = choose_scenario(scenario)
    if wifi:
        unanswered = run_wifi(story, url=url, seed=seed)
        raise typer.Exit(1 if unanswered else 0)
    with folder_or_temporary(spools, "wardlight-spools-") as folder:
        ward = SimulatedWard(story, url=url, spools=folder, start_ns=now_ns(), seed=seed)
        typer.echo(f"{len(story.patients)} patients on {len(story.gateways)} gateways → {url}   (Ctrl-C stops)")
        asyncio.run(until_interrupted(ward.run))
        waiting, errors = ward.unconfirmed()
        if waiting:
            typer.echo(f"The server has not confirmed {waiting:,} messages ({errors or 'no receipt'}).", err=True)
            raise typer.Exit(1)
