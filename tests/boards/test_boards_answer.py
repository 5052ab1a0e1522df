"""Every question of every board, put to a real InfluxDB 1.6.7 and a real VictoriaMetrics that hold a ward's day."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from board_files import Asked, asked
from engines import ask, fill
from influx_processes import INFLUXD, VICTORIA_METRICS, Database, Influxd, VictoriaMetrics
from ward_day import lines

from ingest.influx.line_protocol import Precision

ENGINES = {
    "influxql": (Influxd, INFLUXD, Precision.NANOSECONDS),
    "metricsql": (VictoriaMetrics, VICTORIA_METRICS, Precision.MILLISECONDS),
}
QUIET = ("Radio lost", "Open, low priority")  # of this day nothing is to be shown there
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("boards")]


@pytest.fixture(scope="module", params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Database]]:
    """The language, and a database that holds the day."""
    server, program, precision = ENGINES[request.param]
    if program is None:
        pytest.skip("the database is not installed: run `make test`, which installs it")
    database = server(tmp_path_factory.mktemp("boards"))
    database.start()
    try:
        fill(database, lines(int(time.time()), precision))
        yield request.param, database
    finally:
        database.stop()


def _quiet(question: Asked) -> bool:
    older = question.panel in ("Heart rate", "SpO₂", "Respiratory rate", "Pulse rate") and question.ref_id == "C"
    return question.panel in QUIET or older


def test_every_question_is_answered(engine: tuple[str, Database]) -> None:
    language, database = engine
    rows = {str(each): ask(database, each)[0] for each in asked(language) if not _quiet(each)}
    assert len(rows) > 40
    assert {name: count for name, count in rows.items() if count == 0} == {}


def test_quiet_questions_are_understood(engine: tuple[str, Database]) -> None:
    language, database = engine
    rows = {str(each): ask(database, each)[0] for each in asked(language) if _quiet(each)}
    assert len(rows) >= 6
    if language == "influxql":  # VictoriaMetrics counts to nought and says so
        assert {name: count for name, count in rows.items() if count} == {}


def test_another_site_sees_nothing(engine: tuple[str, Database]) -> None:
    language, database = engine
    seen = {
        str(each): ask(database, each)[0]
        for each in asked(language, site="south")
        if (each.panel, each.ref_id) != ("variable", "site")
    }
    assert {name: count for name, count in seen.items() if count} == {}
