"""Databases beside the server: opened, kept apart from the monitoring, and their trouble told.

Forwarding may fail in ways nobody thought of; the monitoring of patients must not end with it. So it runs behind a
guard: an error that escapes is logged, alarmed, and forwarding starts again from its cursors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

import structlog

from alerts.app import AlertService
from alerts.events import DATABASE_DOWN
from ingest.influx.config import Target, decode_targets
from ingest.influx.owed import forget_others
from ingest.store.consumer import StoreConsumer
from ingest.store.reader import StoreReader
from vitals.errors import ConfigurationError
from vitals.journal import Journal
from vitals.ward import Ward
from wardlight.influx_alarms import encode_alarms, moments_of
from wardlight.layout import now_ns

if TYPE_CHECKING:
    from ingest.influx.service import InfluxService, TargetHealth

AGAIN_S: Final = 30.0  # after an error that nobody foresaw

_log: Final = structlog.get_logger("databases")


def read_targets(path: Path) -> tuple[Target, ...]:
    """The databases of an `influx.toml`; raises `ConfigurationError` that says what to do."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error.strerror}): name your influx.toml, docs/influxdb.md shows one"
        ) from error
    targets = decode_targets(text)
    if not targets:
        raise ConfigurationError(f"{path} names no database: add [[influx]], docs/influxdb.md shows one")
    return targets


def library() -> ModuleType:
    """`ingest.influx.service`; raises `ConfigurationError` when the library it needs is not installed."""
    try:
        return import_module("ingest.influx.service")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"influx: {error.name} is not installed: `make setup`, or `pip install 'wardlight[influx]'`"
        ) from error


class Databases:
    """All databases of a server. With no targets it only forgets the cursors of earlier ones.

    Raises `ConfigurationError` for a missing library, token or authority, before anything runs.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        folder: Path,
        *,
        ward: Ward,
        journal: Journal,
        alarms: Journal,
        poison: Journal,
        reader: StoreReader,
        store: StoreConsumer,
        alerts: AlertService,
    ) -> None:
        for cursor in forget_others((journal, alarms), [target.name for target in targets]):
            _log.warning("a database is no longer configured: its cursor is forgotten", cursor=cursor)
        self._alerts = alerts
        self._names = [target.name for target in targets]
        self._service: InfluxService | None = None
        if targets:
            from_library = library()
            sources = from_library.Sources(
                journal=journal,
                alarms=alarms,
                poison=poison,
                reader=reader,
                stored=store.reached,
                encode_alarms=encode_alarms,
                moments_of=moments_of,
                site=ward.site,
                patients=ward.patients,
            )
            self._service = from_library.InfluxService(
                targets, folder, sources, now_ns=now_ns, report=alerts.report_database
            )

    async def run(self) -> None:
        """Work for ever, whatever happens."""
        self._end_stale_alarms()
        while self._service is not None:
            try:
                await self._service.run()
            except Exception as error:  # noqa: BLE001 - no error here may end the monitoring of patients
                _log.exception("forwarding failed and starts again: please report this", error=repr(error))
                for name in self._names:
                    self._alerts.report_database(name, failing=True)
            await asyncio.sleep(AGAIN_S)

    def health(self) -> list[TargetHealth]:
        """How every database keeps up."""
        return [] if self._service is None else self._service.health()

    async def reached(self, position: int) -> None:
        """Return once every database that answers has everything through ingest journal record `position`."""
        if self._service is not None:
            await self._service.reached(position)

    def close(self) -> None:
        """Close all connections."""
        if self._service is not None:
            self._service.close()

    def _end_stale_alarms(self) -> None:
        """Alarms about databases that are no longer configured would stay open for ever."""
        for alarm in self._alerts.alarms():
            if alarm.condition == DATABASE_DOWN and alarm.detail not in self._names:
                self._alerts.report_database(alarm.detail, failing=False)
