"""Real databases, and doubles where a real one cannot be made to fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from influx_processes import INFLUXD, VICTORIA_METRICS, Influxd, VictoriaMetrics
from influx_world import Pauses
from scripted_database import ScriptedDatabase

from vitals.journal import Bounds, Journal, WhenFull


@pytest.fixture
def influxd(tmp_path: Path) -> Iterator[Influxd]:
    """A running InfluxDB 1.6.7; the test may kill and start it again."""
    if INFLUXD is None:
        pytest.skip("influxd is not installed: run `make test`, which installs it, or `apt-get install influxdb`")
    database = Influxd(tmp_path / "influxd")
    database.start()
    yield database
    database.stop()


@pytest.fixture
def victoria(tmp_path: Path) -> Iterator[VictoriaMetrics]:
    """A running VictoriaMetrics; the test may kill and start it again."""
    if VICTORIA_METRICS is None:
        pytest.skip("victoria-metrics is not installed: run `make test`, which installs it")
    database = VictoriaMetrics(tmp_path / "victoria")
    database.start()
    yield database
    database.stop()


@pytest.fixture
def double() -> Iterator[ScriptedDatabase]:
    """A scripted double of a write interface."""
    with ScriptedDatabase() as database:
        yield database


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.db", bounds=Bounds(64 << 20)) as found:
        yield found


@pytest.fixture
def poison(tmp_path: Path) -> Iterator[Journal]:
    bounds = Bounds(16 << 20, when_full=WhenFull.DROP_OLDEST)
    with Journal(tmp_path / "poison.db", bounds=bounds) as found:
        yield found
