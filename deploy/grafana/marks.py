"""What is marked in the charts of a patient: alarms from begin to end, pauses, and what late data told afterwards.

A stretch is drawn once its end is known (`alarm_episode`). An alarm that is still open is drawn as the line of its
raising, and as the band in the panel "Alarms". VictoriaMetrics knows what was open at each moment, so there it is a
stretch from the beginning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from alerts.events import Priority
from grafana_foundation_sdk.builders import dashboard

from languages import M_PATIENT, PATIENT, Language, Place, Target, source
from open_alarms import open_metricsql

_COLORS: Final = {Priority.HIGH: "red", Priority.MEDIUM: "yellow", Priority.LOW: "super-light-blue"}


@dataclass(frozen=True, slots=True)
class _Mark:
    """`end`: the InfluxQL column with the end of a stretch; "" for what is a moment. `name` stands in its tooltip."""

    name: str
    color: str
    influxql: str
    metricsql: str
    end: str = ""


def annotations(language: Language) -> Iterator[Any]:
    """Each kind of mark, with its own switch above the board."""
    for mark in _marks():
        payload: dict[str, object] = {"refId": "Anno", "datasource": source(Place.READINGS, language)}
        payload |= _influxql(mark) if language is Language.INFLUXQL else _metricsql(mark)
        yield (
            dashboard.AnnotationQuery().name(mark.name).datasource(source(Place.READINGS, language)).enable(True)
            .icon_color(mark.color).target(Target(payload))
        )  # fmt: skip


def _marks() -> Iterator[_Mark]:
    for priority, color in _COLORS.items():
        word = priority.name.lower()
        opened = f'label_match({open_metricsql(M_PATIENT)}, "priority", "{word}")'
        yield _Mark(f"Alarm, {word}", color, _episodes(f'"late" = 0 AND "priority" = \'{word}\''), opened, "ended_ms")
    raised = _moments("raised", M_PATIENT)
    yield _Mark("Raised", "orange", _transitions("raised"), raised)
    yield _Mark("Paused", "purple", _transitions("paused"), _moments("paused", M_PATIENT))
    yield _Mark("Resumed", "light-purple", _transitions("resumed"), _moments("resumed", M_PATIENT))
    yield _Mark("Found afterwards", "blue", _episodes('"late" = 1'), _LATE, "ended_ms")
    disproved = _moments("disproved", M_PATIENT)
    yield _Mark("Disproved afterwards", "text", _transitions("disproved"), disproved, "until_ms")


_LATE: Final = (
    f"(last_over_time(alarm_episode_ended_ms{{{M_PATIENT}}}[7d]) / 1000 > time()) "
    f"if (last_over_time(alarm_episode_late{{{M_PATIENT}}}[7d]) == 1)"
)


def _episodes(which: str) -> str:
    fields = '"condition", "priority", "bed", "duration_s", "ended_ms"'
    # A tag alone is no answer in InfluxQL: `duration_s` makes the row.
    return f'SELECT {fields} FROM "alarm_episode" WHERE $timeFilter AND {PATIENT} AND {which}'


def _transitions(transition: str) -> str:
    fields = '"condition", "priority", "bed", "actor", "number", "until_ms"'
    return f'SELECT {fields} FROM "alarm" WHERE $timeFilter AND {PATIENT} AND "transition" = \'{transition}\''


def _moments(transition: str, selector: str) -> str:
    return f'count_over_time(alarm_number{{{selector},transition="{transition}"}}[$__interval])'


def _influxql(mark: _Mark) -> dict[str, object]:
    columns = {"textColumn": "condition", "tagsColumn": "priority,bed"}
    if mark.end:
        columns["timeEndColumn"] = mark.end
    told = {"query": mark.influxql, "rawQuery": True, "resultFormat": "table", "fromAnnotations": True}
    return {**told, "name": mark.name, **columns}


def _metricsql(mark: _Mark) -> dict[str, object]:
    legend = f"{mark.name}: {{{{condition}}}}, {{{{priority}}}}"
    return {"expr": mark.metricsql, "range": True, "instant": False, "legendFormat": legend, "interval": "1m"}
