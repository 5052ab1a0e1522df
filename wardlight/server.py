"""One server: ingest, store, alert engine and station page in one process. The composition root.

    endpoint or broker ─▶ ingest ─▶ journal ─┬─▶ store
                                       ▲     ├─▶ alerts ─▶ channels, station page
                                       └─────┴── signals: numbers derived from pulse waves

`serving` opens the files, starts one named task per service, and stops them in order. The command, the demo, the tests
and the benchmarks all use it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import structlog
from starlette.applications import Starlette

from alerts.app import AlertService
from alerts.duty import Duty
from alerts.limits import Preset
from alerts.log import AlarmLogReader
from alerts.notify.outbox import Channel
from alerts.station.app import create_app, serve_station
from alerts.station.push import PhoneSide
from ingest.app import IngestService
from ingest.best import BestValues
from ingest.broker import BrokerConfig, BrokerSource
from ingest.derive import SignalConsumer
from ingest.endpoint import Endpoint, EndpointConfig
from ingest.influx.config import Target
from ingest.poison import PoisonStore
from ingest.store.consumer import StoreConsumer
from ingest.store.reader import StoreReader
from ingest.store.writer import StoreWriter
from vitals.journal import Bounds, Journal, WhenFull
from vitals.ward import Ward
from wardlight.collector import collecting_rarely
from wardlight.config_folder import ConfigFolder
from wardlight.databases import Databases
from wardlight.heartbeat import HeartbeatConfig, HeartbeatService
from wardlight.layout import DataFolder, now_ns
from wardlight.metrics import Metrics
from wardlight.phones import phone_hosts, phone_side
from wardlight.sources import Sources

JOURNAL_BYTES: Final = 4 << 30  # about a day of 500 wearables with PPG, for a store that cannot be written
POISON_BYTES: Final = 256 << 20  # 4,000 messages at their largest, millions of ordinary findings
BEST_FOR_ALL: Final = 5_000  # patients; with more, best values that repeat a lone source are spared (0010)
ALARM_BYTES: Final = 1 << 30  # years of alarms
_FOR_EVER_S: Final = 10 * 365 * 86_400.0
DRAIN_S: Final = 5.0  # at the end, for the consumers to catch up with what was acknowledged

_log: Final = structlog.get_logger("server")


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What one server runs.

    `endpoint`, `broker`: where gateways come in. `tls`: of the endpoint, demanding client certificates; `None` lets
    everybody in and is for loopback. `station_port`: of the station page, `None` for no page. `influx`: databases that
    everything is forwarded to; their secrets lie beside `influx_folder`. `receipts_url`: the station's address for
    phones and pagers.
    """

    data: DataFolder
    ward: Ward
    preset: Preset
    endpoint: EndpointConfig | None
    tls: ssl.SSLContext | None = None
    broker: BrokerConfig | None = None
    station_port: int | None = None
    channels: Sequence[Channel] = ()
    duty: Duty | None = None
    simulated: bool = False
    influx: Sequence[Target] = ()
    influx_folder: Path = Path()
    heartbeat: HeartbeatConfig = field(default_factory=HeartbeatConfig)
    receipts_url: str = ""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server's parts, for whoever runs it in its own process."""

    ingest: IngestService
    alerts: AlertService
    store: StoreConsumer
    signals: SignalConsumer
    reader: StoreReader
    journal: Journal
    alarms: Journal
    endpoint: Endpoint | None
    broker: BrokerSource | None
    databases: Databases
    heartbeat: HeartbeatService
    station_url: str

    async def settled(self) -> None:
        """Wait until everything that was acknowledged, and all that derives from it, is stored and judged."""
        await self.ingest.intake.drained()
        await self.signals.reached(self.journal.newest)
        newest = self.journal.newest
        await self.store.reached(newest)
        await self.alerts.reached(newest)


@asynccontextmanager
async def serving(config: ServerConfig) -> AsyncIterator[Server]:
    """Run a server while the context lasts, then stop reading, catch up and close.

    A service that fails ends the context with its error. Raises `ConfigurationError` before anything runs.
    """
    config.data.create()
    async with AsyncExitStack() as stack:
        stack.enter_context(collecting_rarely())
        journal = stack.enter_context(Journal(config.data.journal, bounds=Bounds(JOURNAL_BYTES)))
        poison = stack.enter_context(Journal(config.data.poison, bounds=_dropping(POISON_BYTES)))
        alarms = stack.enter_context(Journal(config.data.alarms, bounds=_dropping(ALARM_BYTES), chained=True))
        writer = stack.enter_context(StoreWriter(config.data.store))
        reader = stack.enter_context(StoreReader(config.data.store))
        heartbeat = HeartbeatService(config.heartbeat, config.ward, now_ns)
        alerts = AlertService(
            ingest=journal,
            alarms=alarms,
            ward=config.ward,
            preset=config.preset,
            channels=(*config.channels, heartbeat),
            self_test=heartbeat.self_test,
            now_ns=now_ns,
            duty=config.duty,
            limits=config.data.limits,
            deaf=lambda: ingest.intake.congested,
        )
        sources = Sources()
        ingest = IngestService(
            journal=journal,
            poison=PoisonStore(poison),
            patient_of=config.ward.patient_of(),
            now_ns=now_ns,
            publish_receipt=sources.publish,
            site=config.ward.site,
            best=BestValues(every=len(config.ward.patients) <= BEST_FOR_ALL),
        )
        store = StoreConsumer(journal, writer, now_ns=now_ns)
        signals = SignalConsumer(journal, best=ingest.best, now_ns=now_ns)
        databases = Databases(
            config.influx,
            config.influx_folder,
            ward=config.ward,
            journal=journal,
            alarms=alarms,
            poison=poison,
            reader=reader,
            store=store,
            alerts=alerts,
        )
        stack.callback(databases.close)
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(ingest.run(), name="ingest"),
                tasks.create_task(store.run(), name="store"),
                tasks.create_task(alerts.run(), name="alerts"),
                tasks.create_task(signals.run(), name="signals"),
            ]
            if config.endpoint is not None:
                await sources.listen(stack, config.endpoint, config.tls, ingest)
            if config.broker is not None:
                await sources.connect(stack, config.broker, ingest, partial(heartbeat.hear, ingest.offer))
            ingest.announce(config.ward.site)
            asyncio.get_running_loop().run_in_executor(None, import_module, "scipy.signal")  # before the first wave
            running.append(tasks.create_task(sources.heed(ingest), name="back-pressure"))
            running.append(tasks.create_task(databases.run(), name="databases"))
            configs = ConfigFolder(config.data.configs, config.ward.site, sources.publish)
            running.append(tasks.create_task(configs.run(), name="configs"))
            phones = phone_side(config, alerts, alarms)
            metrics = Metrics(
                receipts=phones.desk,
                databases=databases,
                ingest=ingest,
                store=store,
                alerts=alerts,
                journal=journal,
                endpoint=sources.endpoint,
                broker=sources.broker,
                heartbeat=heartbeat,
            )
            url = ""
            if config.station_port is not None:
                app = _station(config, alerts, reader, alarms, metrics, phones, heartbeat.warning)
                opened: asyncio.Future[str] = asyncio.get_running_loop().create_future()
                station = serve_station(app, port=config.station_port, ready=opened.set_result)
                running.append(tasks.create_task(station, name="station"))
                url = await opened
            server = Server(
                ingest=ingest,
                alerts=alerts,
                store=store,
                signals=signals,
                reader=reader,
                journal=journal,
                alarms=alarms,
                endpoint=sources.endpoint,
                broker=sources.broker,
                databases=databases,
                heartbeat=heartbeat,
                station_url=url,
            )
            async with heartbeat.beating(ingest, alerts, sources.broker):
                yield server
            await sources.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_S):
                    await server.settled()
                    await databases.reached(journal.newest)
            for task in running:
                task.cancel()


def _dropping(max_bytes: int) -> Bounds:
    """Bounded by size alone: an age would let one leap of the clock to 2100 empty the journal."""
    return Bounds(max_bytes, keep_read_s=_FOR_EVER_S, when_full=WhenFull.DROP_OLDEST)


def _station(
    config: ServerConfig,
    alerts: AlertService,
    reader: StoreReader,
    alarms: Journal,
    metrics: Metrics,
    phones: PhoneSide,
    warning: Callable[[], str],
) -> Starlette:
    return create_app(
        alerts,
        reader,
        AlarmLogReader(alarms),
        ward=config.ward.site,
        zone=ZoneInfo(config.ward.time_zone),
        limits=alerts.rules,
        in_force=alerts.limits_in_force,
        now_ns=now_ns,
        metrics=metrics,
        simulated=config.simulated,
        phones=phones.routes(),
        phone_hosts=phone_hosts(config.receipts_url),
        warning=warning,
    )
