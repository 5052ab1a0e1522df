"""`wardlight influx` and `wardlight serve --influx`, as an operator calls them, against a real InfluxDB 1.6.7."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from influx_processes import Influxd
from influx_world import SITE, Site, append, site_at, target
from typer.testing import CliRunner

from alerts.config import AlertConfig, read_preset
from alerts.events import DATABASE_DOWN
from ingest.influx.config import Kind
from vitals.ward import Ward
from wardlight.influx import app
from wardlight.layout import DataFolder
from wardlight.server import ServerConfig, serving

pytestmark = pytest.mark.slow
RUN = CliRunner()


@pytest.fixture
def files(tmp_path: Path, influxd: Influxd) -> list[str]:
    """The options that every command takes."""
    (tmp_path / "ward.toml").write_text(f'site = "{SITE}"\n')
    settings = (
        'name = "ward"',
        'kind = "influx1"',
        f'url = "{influxd.url}"',
        'database = "vitals"',
        "allow_http = true",
    )
    (tmp_path / "influx.toml").write_text("\n".join(("[[influx]]", *settings)))
    return ["--config", str(tmp_path / "influx.toml"), "--ward", str(tmp_path / "ward.toml")]


def test_setup_backfill_verify_and_status(tmp_path: Path, files: list[str]) -> None:
    with site_at(tmp_path / "data") as site:
        append(site.journal, range(10))
        asyncio.run(_store(site))
    data = ["--data", str(tmp_path / "data")]
    would = RUN.invoke(app, ["setup", *files, "--dry-run"])
    assert (would.exit_code, "needed" in would.output) == (0, True)
    assert RUN.invoke(app, ["setup", *files]).exit_code == 0
    differs = RUN.invoke(app, ["verify", *files, *data])
    assert (differs.exit_code, "missing" in differs.output) == (1, True)
    assert RUN.invoke(app, ["backfill", *files, *data]).exit_code == 0
    same = RUN.invoke(app, ["verify", *files, *data, "--json"])
    assert (same.exit_code, "0 streams differ" in same.output) == (0, True)
    told = RUN.invoke(app, ["status", *files[:2], *data])
    assert (told.exit_code, "forwarded" in told.output) == (0, True)


async def _store(site: Site) -> None:
    async with site.forwarding(site.service()):
        await site.store.reached(10)


async def test_a_database_that_is_missing_raises_a_technical_alarm_and_stops_nothing(
    tmp_path: Path, influxd: Influxd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.influx.service.WATCH_S", 0.05)
    config = ServerConfig(
        data=DataFolder(tmp_path / "server"),
        ward=Ward(SITE),
        preset=read_preset(AlertConfig(), Path()),
        endpoint=None,
        influx=(target(influxd.url, Kind.INFLUX1),),
        influx_folder=tmp_path,
    )
    async with serving(config) as server:
        append(server.journal, [0], devices=1)
        told = asyncio.Event()
        with server.alerts.listen(lambda events: told.set() if events[0].condition == DATABASE_DOWN else None):
            await told.wait()
        (alarm,) = (alarm for alarm in server.alerts.alarms() if alarm.condition == DATABASE_DOWN)
        assert alarm.detail == "ward"
        await server.store.reached(1)
        (health,) = server.databases.health()
        assert "influx setup" in health.traffic.advice
