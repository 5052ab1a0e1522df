"""Every question of every board, put to a real InfluxDB 1.6.7 and a real VictoriaMetrics that hold a ward's day."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from board_files import EVERYBODY, GRAFANA, Asked, Choice, asked, asked_by, read
from engines import answer, ask, fill
from influx_processes import INFLUXD, VICTORIA_METRICS, Database, Influxd, VictoriaMetrics
from ward_day import PATIENTS, bed_of, lines

from ingest.influx.line_protocol import Precision

ENGINES = {
    "influxql": (Influxd, INFLUXD, Precision.NANOSECONDS),
    "metricsql": (VictoriaMetrics, VICTORIA_METRICS, Precision.MILLISECONDS),
}
QUIET = ("Radio lost", "Open, low priority")  # of this day nothing is to be shown there
COURSES = ("Heart rate", "SpO₂", "Respiratory rate", "Pulse rate")
HOUR_S, DAY_S = 3_600, 86_400
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
    older = question.panel in COURSES and question.ref_id == "C"
    return question.panel in QUIET or older


def test_every_question_is_answered(engine: tuple[str, Database]) -> None:
    language, database = engine
    rows = {str(each): ask(database, each)[0] for each in asked(language) if not _quiet(each)}
    assert len(rows) > 60
    assert {name: count for name, count in rows.items() if count == 0} == {}


def test_quiet_questions_are_understood(engine: tuple[str, Database]) -> None:
    language, database = engine
    rows = {str(each): ask(database, each)[0] for each in asked(language) if _quiet(each)}
    assert len(rows) >= 6
    if language == "influxql":  # VictoriaMetrics counts to nought and says so
        assert {name: count for name, count in rows.items() if count} == {}


@pytest.mark.parametrize("elsewhere", [Choice(site="south"), Choice(patient="P-9999"), Choice(bed="9-99")], ids=str)
def test_what_was_not_chosen_is_not_shown(engine: tuple[str, Database], elsewhere: Choice) -> None:
    language, database = engine
    seen = {str(each): ask(database, each)[0] for each in asked(language, elsewhere) if _follows(each, elsewhere)}
    assert seen
    assert {name: count for name, count in seen.items() if count} == {}


def _follows(question: Asked, choice: Choice) -> bool:
    """Whether the choice is in the question at all: what is of the whole site does not follow a patient."""
    return any(value in question.text for value in (choice.site, choice.patient, choice.bed) if value not in _USUAL)


_USUAL = (EVERYBODY.site, EVERYBODY.patient, EVERYBODY.bed)


def test_a_bed_leads_to_its_patient(engine: tuple[str, Database]) -> None:
    language, database = engine
    questions = asked_by(_patient_board(language), Choice(bed="(3-02|3-05)"))
    (question,) = (each for each in questions if (each.panel, each.ref_id) == ("variable", "patient"))
    told = [row[1] for series in answer(database, question) for row in series["values"]]
    assert sorted(told) == ["P-0002", "P-0005"]


def _patient_board(language: str) -> dict[str, Any]:
    name = "wardlight-patient" if language == "influxql" else "wardlight-patient-vm"
    return read(GRAFANA / "boards" / language / f"{name}.json")


@pytest.mark.parametrize("range_s", [HOUR_S, 6 * HOUR_S, 2 * DAY_S, 7 * DAY_S, 30 * DAY_S])
def test_a_course_is_as_fine_as_its_time_allows(engine: tuple[str, Database], range_s: int) -> None:
    """From an hour to a month: no more points than a chart is wide, no time told twice, and none left out."""
    language, database = engine
    times: list[int] = []
    step_s = 0
    for question in asked_by(_patient_board(language), Choice(patient=PATIENTS[0], range_s=range_s)):
        if question.panel == "Heart rate":
            step_s = max(step_s, question.step_s)
            found = [int(row[0]) for each in answer(database, question) for row in each["values"] if row[1] is not None]
            times += [at // 1_000 if language == "influxql" else at for at in found]
    widest_s = max(step_s, 60 if range_s <= 2 * DAY_S else 900)
    joined = sorted(times)
    assert 50 < len(joined) <= 1_700
    assert max(late - early for early, late in pairwise(joined)) <= 2 * widest_s
    assert joined[-1] - joined[0] > range_s - 3 * widest_s


def test_who_lies_in_a_bed_is_named(engine: tuple[str, Database]) -> None:
    language, database = engine
    (question,) = (
        each for each in asked_by(_patient_board(language), Choice(patient=PATIENTS[2])) if each.panel == "Bed"
    )
    (series,) = answer(database, question)
    assert (series.get("tags") or series["metric"])["bed"] == bed_of(PATIENTS[2])


def test_no_answer_takes_half_a_second(engine: tuple[str, Database]) -> None:
    """The best of three, so that a busy machine is no slow board."""
    language, database = engine
    taken = {str(each): min(ask(database, each)[1] for _ in range(3)) for each in asked(language)}
    assert {name: seconds for name, seconds in taken.items() if seconds > 0.5} == {}
