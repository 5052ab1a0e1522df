"""What the tests of forwarding share: readings in a journal, targets, and a sender that never really waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ingest.influx.client import Client
from ingest.influx.comparison import Difference
from ingest.influx.config import Kind, Target
from ingest.influx.sender import Sender
from ingest.influx.service import InfluxService, Sources
from ingest.poison import PoisonStore
from ingest.store.consumer import StoreConsumer
from ingest.store.reader import StoreReader
from ingest.store.writer import StoreWriter
from vitals.columns import SAMPLE_DTYPE, RecordKind, SampleBlock, encode_block
from vitals.journal import Bounds, Journal, WhenFull
from vitals.model import Reason, Vital
from vitals.ward import Patient
from wardlight.influx_alarms import encode_alarms, moments_of
from wardlight.influx_work import verify
from wardlight.layout import DataFolder

SECOND_NS = 10**9
START_NS = 1_767_225_600 * SECOND_NS  # 2026-01-01, the beginning of an hour
SITE = "north"
VITALS = (Vital.PULSE_RATE, Vital.SPO2, Vital.RESP_RATE)


def target(url: str, kind: Kind = Kind.INFLUX2, **others: object) -> Target:
    """A target without TLS; `name` and places as the tests like them."""
    places = {
        Kind.INFLUX1: {"database": "vitals"},
        Kind.INFLUX2: {"org": "hospital", "bucket": "vitals", "token_file": "token"},
        Kind.INFLUX3: {"database": "vitals", "token_file": "token"},
        Kind.VICTORIAMETRICS: {},
    }
    settings = {"name": "ward", "kind": kind, "url": url, "allow_http": True, **places[kind], **others}
    return Target(**settings)  # type: ignore[arg-type]  # chosen by the test


def second(at_s: int, devices: int = 10) -> SampleBlock:
    """One second of some wearables: every value follows from its key; now and then one is missing."""
    rows = np.zeros(devices * len(VITALS), SAMPLE_DTYPE)
    rows["device"] = np.repeat(np.arange(devices), len(VITALS))
    rows["source"] = rows["device"]
    rows["vital"] = np.tile(np.array(VITALS, np.uint8), devices)
    rows["sampled_at_ns"] = START_NS + at_s * SECOND_NS + rows["device"].astype(np.int64) * 1_000_000
    rows["received_at_ns"] = rows["sampled_at_ns"] + 5_000_000
    value = 60.0 + (at_s * 7 + rows["device"] * 3 + rows["vital"]) % 40 + 0.1
    gone = (at_s + rows["device"]) % 11 == 0
    rows["raw"] = rows["value"] = np.where(gone, np.nan, value)
    rows["reason"] = np.where(gone, int(Reason.PROBE_OFF), 0)
    rows["quality"] = 1
    names = tuple(f"ox-{n:02}" for n in range(devices))
    return SampleBlock(names, tuple(f"P-{n:04}" for n in range(devices)), ("gw-1",) * devices, rows)


def append(journal: Journal, seconds: Sequence[int], devices: int = 10, *, late_s: float = 0.1) -> None:
    """Journal some seconds, one record each, as taken in `late_s` after they were measured."""
    for at_s in seconds:
        now_ns = START_NS + at_s * SECOND_NS + int(late_s * SECOND_NS)
        journal.append([(RecordKind.SAMPLES, encode_block(second(at_s, devices)))], now_ns=now_ns)


class Pauses:
    """Stands for waiting: remembers how long, and takes no time."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def client_of(found: Target, folder: Path, **others: int) -> Client:
    """A client with a token."""
    (folder / "token").write_text("shim-token\n")
    return Client(found, folder, **others)


def sender_of(client: Client, poison: Journal | None, pauses: Pauses, **others: bool) -> Sender:
    """A sender that never really waits."""
    store = None if poison is None else PoisonStore(poison)
    return Sender(client, SITE, store, pause=pauses, now_ns=lambda: START_NS, **others)


def numbered(count: int) -> list[bytes]:
    """That many lines."""
    return [f"vitals,patient=P-0001 spo2={90 + n % 10}.0 {START_NS + n}\n".encode() for n in range(count)]


@dataclass
class Site:
    """A server's files without a server: journals, the embedded store, and what forwards from them."""

    data: DataFolder
    journal: Journal
    alarms: Journal
    poison: Journal
    writer: StoreWriter
    reader: StoreReader
    store: StoreConsumer
    now_ns: int = START_NS + 3_600 * SECOND_NS
    patients: tuple[Patient, ...] = ()

    def service(self, *targets: Target) -> InfluxService:
        """What forwards to these targets."""
        (self.data.root / "token").write_text("shim-token")
        stored, patients = self.store.reached, self.patients
        sources = Sources(
            self.journal,
            self.alarms,
            self.poison,
            self.reader,
            stored,
            encode_alarms,
            SITE,
            patients=patients,
            moments_of=moments_of,
        )
        return InfluxService(targets, self.data.root, sources, now_ns=lambda: self.now_ns)

    @asynccontextmanager
    async def forwarding(self, service: InfluxService) -> AsyncIterator[InfluxService]:
        """`service` and the store's consumer at work."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.store.run()), group.create_task(service.run())]
            try:
                yield service
            finally:
                for task in tasks:
                    task.cancel()
        service.close()


@contextmanager
def site_at(root: Path, *, journal_bytes: int = 64 << 20) -> Iterator[Site]:
    """Open the files in `root`."""
    data = DataFolder(root)
    data.create()
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(data.journal, bounds=Bounds(journal_bytes)))
        alarms, poison = (
            stack.enter_context(Journal(path, bounds=Bounds(16 << 20, when_full=WhenFull.DROP_OLDEST)))
            for path in (data.alarms, data.poison)
        )
        writer = stack.enter_context(StoreWriter(data.store))
        reader = stack.enter_context(StoreReader(data.store))
        yield Site(data, journal, alarms, poison, writer, reader, StoreConsumer(journal, writer))


def differing(site: Site, found: Target, span: tuple[int, int] | None = None) -> tuple[int, list[Difference]]:
    """How many readings `wardlight influx verify` compares, and what differs."""
    whole = (START_NS, START_NS + 86_400 * SECOND_NS)
    compared, differences = 0, list[Difference]()
    for _, count, several in verify(found, site.data.root, site.data, SITE, span or whole):
        compared += count
        differences += several
    return compared, differences
