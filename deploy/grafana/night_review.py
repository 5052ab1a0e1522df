"""The night of everybody: desaturations, the lowest value, and for how long there was a value at all."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from frame import board
from languages import BEST, M_BEST, M_PATIENT, PATIENT, Language, Place, Query
from meanings import narrow, number
from panels import Panel, Rows, chart, grid

_REAL = '"device" !~ /:best$/'


def build(language: Language) -> dict[str, Any]:
    """The board `wardlight-night`."""
    panels = [_nights(language), _events(language), _lowest(language), _covered(language)]
    about = "Oxygen overnight: desaturation index, lowest value, coverage. A screening aid: it diagnoses nothing."
    return board("night", about, language, panels, span="now-12h", refresh="5m", variables=("site", "bed", "patient"))


def _nights(language: Language) -> Any:
    spo2 = (
        'SELECT min("spo2_min") AS "Lowest", mean("spo2_mean") AS "Mean", sum("spo2_covered_s") AS "Covered" '
        f'FROM "vitals_1m" WHERE $timeFilter AND {PATIENT} AND {BEST} GROUP BY "patient"'
    )
    index = (
        'SELECT max("events") AS "Events", max("index") AS "Per hour", max("longest") AS "Longest", '
        'max("deepest") AS "Deepest" FROM '
        '(SELECT sum("desaturation_depth_count") AS "events", '
        'sum("desaturation_depth_count") / sum("spo2_covered_s") * 3600 AS "index", '
        'max("desaturation_duration_max") AS "longest", max("desaturation_depth_max") AS "deepest" '
        f'FROM "vitals_1m" WHERE $timeFilter AND {PATIENT} AND {_REAL} GROUP BY "patient", "device") GROUP BY "patient"'
    )
    best, real = f"{M_PATIENT},{M_BEST}", f'{M_PATIENT},device!~".*:best"'

    def events(of: str) -> str:
        return f"sum(sum_over_time(vitals_1m_desaturation_depth_count{{{of}}}[$__range])) by (patient, device)"

    hours = f"sum(sum_over_time(vitals_1m_spo2_covered_s{{{real}}}[$__range])) by (patient, device)"
    asked = {
        "Lowest": f"min(min_over_time(vitals_1m_spo2_min{{{best}}}[$__range])) by (patient)",
        "Mean": f"avg(avg_over_time(vitals_1m_spo2_mean{{{best}}}[$__range])) by (patient)",
        "Covered": f"sum(sum_over_time(vitals_1m_spo2_covered_s{{{best}}}[$__range])) by (patient)",
        "Events": f"max({events(real)}) by (patient)",
        "Per hour": f"max({events(real)} / {hours} * 3600) by (patient)",
        "Longest": f"max(max_over_time(vitals_1m_desaturation_duration_max{{{real}}}[$__range])) by (patient)",
        "Deepest": f"max(max_over_time(vitals_1m_desaturation_depth_max{{{real}}}[$__range])) by (patient)",
    }
    rows = Rows(
        ("patient",),
        [(spo2, Place.ROLLUPS), (index, Place.ROLLUPS)],
        {name: (text, Place.ROLLUPS) for name, text in asked.items()},
        order=("patient", "Lowest", "Per hour", "Covered", "Events", "Longest", "Deepest", "Mean"),
    )
    none = DynamicConfigValue("noValue", "none")
    overrides = {
        "patient": [narrow(90)], "Lowest": [*number("percent"), narrow(75)], "Mean": number("percent", 1),
        "Covered": [*number("s"), narrow(95)], "Events": [*number("short"), none],
        "Per hour": [*number("short", 1), none, narrow(80)], "Longest": [*number("s"), none],
        "Deepest": [*number("percent", 1), none],
    }  # fmt: skip
    about = (
        "Desaturation: 3 points below the baseline of two minutes for 10 s (docs/signals.md). 'Per hour' counts hours "
        "with a value; of several devices the one with most. 'Covered' is the time with a valid SpO₂: with little of "
        "it the rest means little."
    )
    nothing = "No minutes in this time. They are written five minutes at a time, 45 seconds after their end."
    panel = Panel("Nights", about, "short", (0, 0, 24, 11), (), nothing, overrides=overrides)
    return grid(panel, rows, language, sort="Per hour", descending=True)


def _events(language: Language) -> Any:
    query = Query(
        f'SELECT max("desaturation_depth") FROM "vitals" WHERE $timeFilter AND {PATIENT} '
        'GROUP BY time($__interval), "patient" fill(none)',
        f"max(max_over_time(vitals_desaturation_depth{{{M_PATIENT}}}[$__interval])) by (patient)",
        "{patient}",
    )
    about = "Each desaturation at its end, by its depth."
    nothing = "No desaturation in this time. Is there a value? See coverage below."
    return chart(Panel("Desaturations", about, "percent", (0, 11, 24, 8), [query], nothing), language, points=True)


def _lowest(language: Language) -> Any:
    query = Query(
        f'SELECT min("spo2_min") FROM "vitals_1m" WHERE $timeFilter AND {PATIENT} AND {BEST} '
        'GROUP BY time($__interval), "patient" fill(none)',
        f"min(min_over_time(vitals_1m_spo2_min{{{M_PATIENT},{M_BEST}}}[2m])) by (patient)",
        "{patient}", Place.ROLLUPS,
    )  # fmt: skip
    about = "The lowest SpO₂ in each interval, best values."
    return chart(
        Panel("Lowest SpO₂", about, "percent", (0, 19, 12, 8), [query], decimals=0), language, low=80, high=100
    )


def _covered(language: Language) -> Any:
    query = Query(
        f'SELECT mean("spo2_covered_s") / 60 FROM "vitals_1m" WHERE $timeFilter AND {PATIENT} AND {BEST} '
        'GROUP BY time($__interval), "patient" fill(none)',
        f"avg(avg_over_time(vitals_1m_spo2_covered_s{{{M_PATIENT},{M_BEST}}}[2m])) by (patient) / 60",
        "{patient}", Place.ROLLUPS,
    )  # fmt: skip
    about = "Share of each minute with a valid SpO₂. A gap: not even a missing value was told."
    return chart(Panel("Coverage", about, "percentunit", (12, 19, 12, 8), [query]), language, low=0, high=1)
