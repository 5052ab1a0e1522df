"""The alert service on real journals in a folder, with a clock that is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from alert_world import T0, S, block, preset, second, single_device_ward

from alerts.app import AlertService
from alerts.events import AlarmEvent, AlarmRecordKind, decode_event
from alerts.notify.outbox import Channel, Delivery, decode_delivery
from vitals.columns import RecordKind, SampleBlock, encode_block
from vitals.journal import Bounds, Journal

WAIT_S = 20.0


class Desk:
    """Both journals in a folder, a clock that is told, and a service that can be started again."""

    def __init__(self, folder: Path, bounds: Bounds | None = None) -> None:
        self.ingest = Journal(folder / "ingest.db")
        self.alarms = Journal(folder / "alarms.db", bounds=bounds)
        self.now_ns = T0

    def add(self, found: SampleBlock, at_s: float) -> None:
        self.now_ns = T0 + round(at_s * S)
        self.ingest.append([(int(RecordKind.SAMPLES), encode_block(found))], now_ns=self.now_ns)

    def seconds(self, start: int, stop: int, *devices: str, spo2: float = 97.0) -> None:
        for at_s in range(start, stop):
            self.add(block(second(at_s, *devices, spo2=spo2)), at_s + 0.1)

    def service(
        self, *channels: Channel, standstill_s: int = 1_000_000, deaf: Callable[[], bool] = lambda: False
    ) -> AlertService:
        """Time leaps here; only who tests standing still lets the service mind that."""
        return AlertService(
            ingest=self.ingest,
            alarms=self.alarms,
            ward=single_device_ward(),
            preset=preset(),
            channels=channels,
            now_ns=lambda: self.now_ns,
            delay_s=lambda attempt, asked: 0.01,
            standstill_ns=standstill_s * S,
            deaf=deaf,
        )

    def events(self) -> list[AlarmEvent]:
        kind = AlarmRecordKind.EVENT
        return [decode_event(r.payload) for r in self.alarms.read(0) if r.kind == kind]

    def deliveries(self) -> list[Delivery]:
        kind = AlarmRecordKind.DELIVERY
        return [decode_delivery(r.payload) for r in self.alarms.read(0) if r.kind == kind]


class running:  # noqa: N801  reads as a phrase: `async with running(service)`
    def __init__(self, service: AlertService) -> None:
        self._service = service

    async def __aenter__(self) -> AlertService:
        self._task = asyncio.create_task(self._service.run())
        return self._service

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def until(condition: Callable[[], object]) -> None:
    """Come back once `condition` holds; fails after `WAIT_S`."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110  any condition at all, of journals and of other threads
            await asyncio.sleep(0.01)
