"""How good the alarms are: how many, of what, how fast they are answered, how many were answered at all."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.models.dashboard import DataTransformerConfig

from frame import board
from languages import M_PATIENT, PATIENT, Language, Place, Query
from meanings import condition_words, narrow, number
from panels import Panel, Rows, bars, columns, grid, numbers

_RAISED = "\"kind\" = 'physiological' AND \"transition\" = 'raised'"
_M_RAISED = 'kind="physiological",transition="raised"'
_NONE = "No alarm in this time."


def build(language: Language) -> dict[str, Any]:
    """The board `wardlight-alarms`."""
    panels = [*_totals(language), _per_day(language), _noisiest(language), _conditions(language), _answered(language)]
    about = (
        "Physiological alarms per patient and day, what they were of, and how fast somebody took notice. For reviews "
        "of limits."
    )
    return board("alarms", about, language, panels, span="now-7d", refresh="5m", variables=("site", "bed", "patient"))


def _totals(language: Language) -> list[Any]:
    shown = []
    asked = (
        ("Raised", "Physiological alarms that were raised.", _RAISED, _M_RAISED),
        ("Acknowledged", "How often somebody acknowledged one. Beside 'Raised' it stands in for the share of alarms "
         "that meant work; what was really needed only the team knows.",
         _RAISED.replace("'raised'", "'acknowledged'"), _M_RAISED.replace('"raised"', '"acknowledged"')),
        ("Escalated", "How often an open alarm's priority rose.",
         _RAISED.replace("'raised'", "'escalated'"), _M_RAISED.replace('"raised"', '"escalated"')),
    )  # fmt: skip
    for index, (title, about, where, selector) in enumerate(asked):
        query = Query(
            f'SELECT count("number") FROM "alarm" WHERE $timeFilter AND {PATIENT} AND {where}',
            f"sum(count_over_time(alarm_number{{{M_PATIENT},{selector}}}[$__range]))",
            title, table=True,
        )  # fmt: skip
        shown.append(numbers(Panel(title, about, "short", (index * 8, 0, 8, 4), [query], "none", 0), language))
    return shown


def _per_day(language: Language) -> Any:
    query = Query(
        f'SELECT count("number") FROM "alarm" WHERE $timeFilter AND {PATIENT} AND {_RAISED} '
        'GROUP BY time(1d), "patient" fill(0)',
        f"sum(count_over_time(alarm_number{{{M_PATIENT},{_M_RAISED}}}[1d])) by (patient)",
        "{patient}",
    )
    about = "Physiological alarms raised per patient, that is per bed, and day (days of UTC)."
    return columns(Panel("Alarms per patient and day", about, "short", (0, 4, 24, 9), [query], _NONE, 0), language)


def _noisiest(language: Language) -> Any:
    query = Query(
        f'SELECT count("number") FROM "alarm" WHERE $timeFilter AND {PATIENT} AND {_RAISED} GROUP BY "patient"',
        f"sort_desc(sum(count_over_time(alarm_number{{{M_PATIENT},{_M_RAISED}}}[$__range])) by (patient))",
        "{patient}",
    )
    if language is Language.METRICSQL:
        query = Query("", query.metricsql, query.legend, table=False)
    about = "Who had most physiological alarms; the beds are in the table below."
    return bars(Panel("Noisiest patients", about, "short", (0, 13, 12, 9), [query], _NONE, 0), language)


def _conditions(language: Language) -> Any:
    where = f"$timeFilter AND {PATIENT}"
    rows = Rows(
        ("condition", "priority"),
        [(
            f'SELECT count("number") AS "Raised" FROM "alarm" WHERE {where} AND "transition" = \'raised\' '
            'GROUP BY "condition", "priority"',
            Place.READINGS,
        )],
        {"Raised": (
            f'sum(count_over_time(alarm_number{{{M_PATIENT},transition="raised"}}[$__range])) by (condition, priority)',
            Place.READINGS,
        )},
    )  # fmt: skip
    about = "How often each condition was raised, technical ones of patients included, by its first priority."
    panel = Panel(
        "Conditions",
        about,
        "short",
        (12, 13, 12, 9),
        (),
        _NONE,
        overrides={"Raised": [*number("short"), narrow(90)], "condition": condition_words(), "priority": [narrow(110)]},
    )
    return grid(panel, rows, language, sort="Raised", descending=True, join=False)


def _answered(language: Language) -> Any:
    about = (
        "How long it took from the raising of an alarm to its acknowledgement, the last one if there were several. "
        "Alarms that nobody acknowledged are not in it. With VictoriaMetrics: of the latest alarm of each patient and "
        "condition."
    )
    panel = Panel(
        "Time to acknowledge", about, "s", (0, 22, 24, 10), (), "No alarm was acknowledged in this time.",
        overrides={"bed": [narrow(56)], "Taken": [*number("s"), narrow(100)], "condition": condition_words()},
        transformations=_taken() if language is Language.INFLUXQL else (),
    )  # fmt: skip
    text = (
        'SELECT "alarm_id", "bed", "condition", "patient", "decided_s" FROM "alarm" WHERE $timeFilter AND '
        f'{PATIENT} AND "kind" = \'physiological\' AND "transition" =~ /^(raised|acknowledged)$/ '
        "ORDER BY time DESC LIMIT 20000"
    )
    of = f'{M_PATIENT},kind="physiological"'
    taken = (
        f'max(last_over_time(alarm_decided_s{{{of},transition="acknowledged"}}[$__range])) by (patient, condition) - '
        f'max(last_over_time(alarm_decided_s{{{of},transition="raised"}}[$__range])) by (patient, condition) >= 0'
    )
    rows = Rows(("patient", "condition"), [(text, Place.READINGS)], {"Taken": (taken, Place.READINGS)},
                order=("condition", "Taken", "patient"))  # fmt: skip
    return grid(panel, rows, language, sort="Taken", descending=True, join=False)


def _taken() -> list[DataTransformerConfig]:
    """First and last word of each alarm, and what lies between; an alarm with one word was not acknowledged."""
    by = {"operation": "groupby", "aggregations": []}
    numbers_of = {"operation": "aggregate", "aggregations": ["min", "max", "count"]}
    fields = {**dict.fromkeys(("alarm_id", "bed", "condition", "patient"), by), "decided_s": numbers_of}
    more_than_one = {"fieldName": "decided_s (count)", "config": {"id": "greater", "options": {"value": 1}}}
    binary = {"left": "decided_s (max)", "operator": "-", "right": "decided_s (min)"}
    spare = ("decided_s (max)", "decided_s (min)", "decided_s (count)", "alarm_id")
    places = {name: place for place, name in enumerate(("bed", "condition", "Taken", "patient"))}
    return [
        DataTransformerConfig("groupBy", options={"fields": fields}),
        DataTransformerConfig("filterByValue", options={"type": "include", "match": "all", "filters": [more_than_one]}),
        DataTransformerConfig("calculateField", options={"mode": "binary", "binary": binary, "alias": "Taken"}),
        DataTransformerConfig("organize", options={"excludeByName": dict.fromkeys(spare, True), "indexByName": places}),
    ]
