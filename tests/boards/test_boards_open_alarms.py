"""Which alarms the boards call open, for every transition there is, and the heartbeat's age: of real databases."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from board_files import EVERYBODY, GRAFANA, Asked, asked_by, read
from engines import answer, fill
from influx_processes import INFLUXD, VICTORIA_METRICS, Database, Influxd, VictoriaMetrics

from alerts.events import AlarmEvent, Kind, Priority, Transition
from ingest.influx.line_protocol import Precision
from wardlight.boards_rule import BEAT_AGE
from wardlight.influx_alarms import alarm_lines

OPEN = frozenset(
    (
        *(Transition.RAISED, Transition.CONFIRMED, Transition.ESCALATED, Transition.DE_ESCALATED),
        *(Transition.ACKNOWLEDGED, Transition.WIDENED, Transition.PAUSED, Transition.RESUMED, Transition.REMINDED),
    )
)
OVER = frozenset((Transition.ENDED,))
BESIDE = frozenset((Transition.ANNOTATED, Transition.DISPROVED, Transition.NOTED))  # about no alarm: no identifier
_NS = 10**9
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("boards")]


def test_every_transition_is_classified() -> None:
    assert set(Transition) == OPEN | OVER | BESIDE
    assert len(OPEN) + len(OVER) + len(BESIDE) == len(Transition)


@pytest.fixture(scope="module", params=["influxql", "metricsql"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Database]]:
    """The language, and a database that holds an alarm before and after each transition."""
    is_influx = request.param == "influxql"
    if (INFLUXD if is_influx else VICTORIA_METRICS) is None:
        pytest.skip("the database is not installed: run `make test`, which installs it")
    database = (Influxd if is_influx else VictoriaMetrics)(tmp_path_factory.mktemp("open"))
    database.start()
    try:
        fill(database, _lines(int(time.time()), Precision.NANOSECONDS if is_influx else Precision.MILLISECONDS))
        yield request.param, database
    finally:
        database.stop()


def _lines(now_s: int, precision: Precision) -> Iterator[bytes]:
    """Of each transition: one patient whose alarm was open before it, and one whose alarm was over."""
    number = 0
    for transition in Transition:
        for before in (Transition.RAISED, Transition.ENDED):
            for ago_s, what in ((600, before), (300, transition)):
                number += 1
                alarm_id = "" if what in BESIDE else f"alarm-{transition}-{before}"
                priority = Priority.HIGH if ago_s == 300 else Priority.MEDIUM
                event = AlarmEvent(
                    number, alarm_id, f"{transition}-{before}", "3-01", Kind.PHYSIOLOGICAL, "spo2_low", priority, what,
                    (now_s - ago_s) * _NS, now_s * _NS, number,
                )  # fmt: skip
                yield from alarm_lines(event, "north", precision)
    if precision is Precision.MILLISECONDS:  # as it was scraped, until the server was gone two minutes ago
        for ago_s, age_s in ((180, 30), (120, 90)):
            yield f"wardlight heartbeat_age_seconds={age_s} {(now_s - ago_s) * 1_000}\n".encode()


def test_an_alarm_is_open_until_it_ends_whatever_happens_to_it(engine: tuple[str, Database]) -> None:
    language, database = engine
    name = "wardlight-ward" if language == "influxql" else "wardlight-ward-vm"
    board = read(GRAFANA / "boards" / language / f"{name}.json")
    (question,) = (each for each in asked_by(board, EVERYBODY) if each.panel == "Open alarms")
    shown = [(series.get("tags") or series["metric"])["patient"] for series in answer(database, question)]
    opened = [f"{each}-{before}" for each in OPEN for before in ("raised", "ended")]
    assert sorted(shown) == sorted([*opened, *(f"{each}-raised" for each in BESIDE)])


@pytest.mark.parametrize("engine", ["metricsql"], indirect=True)  # it stands on /metrics: no InfluxDB holds it
def test_a_heartbeat_goes_on_ageing_when_its_server_is_gone(engine: tuple[str, Database]) -> None:
    _, database = engine
    (series,) = answer(database, Asked("rule", "heartbeat", "A", BEAT_AGE, 0, 60, instant=True))
    assert 210 <= float(series["value"][1]) < 300
