"""The ward at a glance: everybody with value, age and validity, worst first, and the open alarms."""

from __future__ import annotations

from typing import Any

from alerts.events import Priority
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from frame import board, uid
from languages import BEST, M_BEST, M_PATIENT, M_SITE, PATIENT, SITE, Language, Place, Query
from meanings import PRIORITIES, REASONS, condition_words, narrow, number, words
from open_alarms import open_influxql, open_metricsql
from panels import GAP_S, Panel, Rows, bands, chart, grid, numbers

_VITALS = {"spo2": "SpO₂", "heart_rate": "Heart rate", "resp_rate": "Respiratory rate"}
_COLUMNS = {"spo2": "SpO₂", "heart_rate": "HR", "resp_rate": "Resp"}  # short: on a phone all three have to fit
_SHOWN = '"priority_level" AS "Priority", "value" AS "Value", "limit" AS "Limit", "bed" AS "Bed"'
_UNITS = {"spo2": "percent", "heart_rate": "/min", "resp_rate": "/min"}


def build(language: Language) -> dict[str, Any]:
    """The board `wardlight-ward`."""
    panels = [*_counts(language), _worst_first(language), _open_alarms(language), *_courses(language)]
    return board(
        "ward",
        "Everybody who is monitored: value, age and validity, worst first. It alarms nobody: the station page does.",
        language, panels, span="now-1h", refresh="10s", variables=("site", "bed", "patient"),
    )  # fmt: skip


def _counts(language: Language) -> list[Any]:
    heard = Query(
        'SELECT count("told") FROM (SELECT last("spo2_reason") AS "told" FROM "vitals" '
        f'WHERE time > now() - 1m AND {PATIENT} AND {BEST} GROUP BY "patient")',
        f"count(count(last_over_time(vitals_spo2_reason{{{M_PATIENT},{M_BEST}}}[1m])) by (patient))",
        "patients", table=True,
    )  # fmt: skip
    about = "Patients with any word of SpO₂ in the last minute, a missing value with its reason included."
    nothing = "none: nobody told anything for a minute"
    shown = [numbers(Panel("Heard within a minute", about, "short", (0, 0, 6, 4), [heard], nothing, 0), language)]
    for x, priority, color in ((6, Priority.HIGH, "red"), (12, Priority.MEDIUM, "yellow"), (18, Priority.LOW, "blue")):
        name = priority.name.lower()
        asked = Query(
            open_influxql('count("open")', PATIENT, f'AND "priority_level" = {int(priority)}'),
            f'count(label_match({open_metricsql(M_PATIENT)}, "priority", "{name}"))',
            name, table=True,
        )  # fmt: skip
        about = f"Open alarms of {name} priority that changed within seven days, acknowledged ones included."
        panel = Panel(f"Open, {name} priority", about, "short", (x, 0, 6, 4), [asked], "none", 0)
        shown.append(numbers(panel, language, color))
    return shown


def _last(vital: str) -> str:
    return (
        f'SELECT last("{vital}_reason") AS "{_COLUMNS[vital]}: why", "{vital}" AS "{_COLUMNS[vital]}" '
        f'FROM "vitals" WHERE time > now() - {GAP_S}s AND {PATIENT} AND {BEST} GROUP BY "patient"'
    )


def _worst_first(language: Language) -> Any:
    metrics: dict[str, tuple[str, Place]] = {}
    for vital, label in _COLUMNS.items():
        why = f"max(last_over_time(vitals_{vital}_reason{{{M_PATIENT},{M_BEST}}}[{GAP_S}s])) by (patient)"
        value = f"max(last_over_time(vitals_{vital}{{{M_PATIENT},{M_BEST}}}[{GAP_S}s])) by (patient)"
        metrics |= {f"{label}: why": (why, Place.READINGS)}
        metrics |= {label: (f"{value} if ({why} == 0)", Place.READINGS)}
    told = f"max(tlast_over_time(vitals_spo2_reason{{{M_PATIENT},{M_BEST}}}[1d])) by (patient) * 1000"
    level = f"max(last_over_time(alarm_priority_level{{{M_PATIENT}}}[7d]) if {open_metricsql(M_PATIENT)}) by (patient)"
    lies = f"max(last_over_time(bed_occupied{{{M_PATIENT}}}[11m])) by (patient, bed)"
    rows = Rows(
        ("patient",),
        [
            (
                f'SELECT last("occupied") AS "Here" FROM "bed" WHERE time > now() - 11m AND {PATIENT} '
                'GROUP BY "patient", "bed"',
                Place.READINGS,
            ),
            (
                f'SELECT last("spo2_reason") AS "Heard" FROM "vitals" WHERE time > now() - 1d AND {PATIENT} AND {BEST} '
                'GROUP BY "patient"',
                Place.READINGS,
            ),
            *((_last(vital), Place.READINGS) for vital in _VITALS),
            (
                'SELECT max("priority_level") AS "Worst alarm" FROM '
                f'({open_influxql(chr(34) + "priority_level" + chr(34), PATIENT)}) GROUP BY "patient"',
                Place.READINGS,
            ),
        ],
        {
            "Here": (lies, Place.READINGS),
            "Told": (told, Place.READINGS),
            **metrics,
            "Worst alarm": (level, Place.READINGS),
        },
        told="Told",
        answer=2,
        hidden=("Here", "Heard"),
        order=(
            "bed",
            "Worst alarm",
            *_COLUMNS.values(),
            "Told",
            "patient",
            *(f"{name}: why" for name in _COLUMNS.values()),
        ),
    )
    link = DynamicConfigValue("links", [_to_patient(language), _TO_STATION])
    overrides = {
        "bed": [link, narrow(56)],
        "patient": [link, narrow(100)],
        "Told": [DynamicConfigValue("unit", "dateTimeFromNow"), narrow(130)],
        "Worst alarm": words(PRIORITIES, 96),
    }
    for vital, label in _COLUMNS.items():
        overrides |= {label: [*number(_UNITS[vital], told=True), narrow(68)], f"{label}: why": words(REASONS, None)}
    about = (
        f"Best values of each patient, {GAP_S} s old at most; a missing value says why further right, and 'Told' is "
        "the age of the last word about SpO₂ within a day. Without a bed: not on the ward's list now. Sorted by the "
        "highest open alarm. A click on a bed opens the patient's board."
    )
    panel = Panel("Patients, worst first", about, "short", (0, 4, 24, 10), overrides=overrides)
    return grid(panel, rows, language, sort="Worst alarm", descending=True)


def _to_patient(language: Language) -> dict[str, object]:
    url = (
        f"/d/{uid('patient', language)}?var-patient=${{__data.fields.patient}}&${{site:queryparam}}&${{bed:queryparam}}"
    )
    return {"title": "Open this patient", "url": url}


_TO_STATION = {
    "title": "This patient, live",
    "url": "${station}/patients/${__data.fields.patient}",
    "targetBlank": True,
}


def _open_alarms(language: Language) -> Any:
    rows = Rows(
        ("patient", "condition", "device", "gateway"),
        [(
            open_influxql(_SHOWN, SITE)
            + ' GROUP BY "patient", "condition", "device", "gateway"',
            Place.READINGS,
        )],
        {"Since": (f"{open_metricsql(M_SITE)} * 1000", Place.READINGS)},
        told="Since", order=("Bed", "Priority", "condition", "Value", "Limit", "Since", "patient", "device", "gateway"),
    )  # fmt: skip
    overrides = {
        "condition": condition_words(),
        "Bed": [narrow(56)],
        "Priority": words(PRIORITIES, 86),
        "Since": [DynamicConfigValue("unit", "dateTimeFromNow")],
        "Value": [*number("short", 1), narrow(64)],
        "Limit": [*number("short", 1), narrow(64)],
    }
    about = (
        "Every alarm of the site that is open now, whichever beds are chosen, of patients and of equipment; 'Since' is "
        "its last change, within seven days. "
        "Acknowledge them on the station page."
    )
    panel = Panel("Open alarms", about, "short", (0, 14, 24, 8), (), "No open alarm.", overrides=overrides)
    by = "Priority" if language is Language.INFLUXQL else "Since"
    return grid(panel, rows, language, sort=by, descending=True, join=False)


def _courses(language: Language) -> list[Any]:
    shown = []
    for x, vital in ((0, "spo2"), (12, "heart_rate")):
        asked = Query(
            f'SELECT mean("{vital}") FROM "vitals" WHERE $timeFilter AND {PATIENT} AND {BEST} '
            'GROUP BY time($__interval), "patient" fill(null)',
            f"avg(avg_over_time(vitals_{vital}{{{M_PATIENT},{M_BEST}}}[$__interval])) by (patient)",
            "{patient}",
        )
        about = f"{_VITALS[vital]} of everybody, best values; a gap is a missing value."
        panel = Panel(f"{_VITALS[vital]} of everybody", about, _UNITS[vital], (x, 22, 12, 9), [asked], decimals=0)
        low, high = (85, 100) if vital == "spo2" else (40, 140)
        shown.append(chart(panel, language, low=low, high=high, spans_s=[GAP_S]))
    why = Query(
        f'SELECT last("spo2_reason") FROM "vitals" WHERE $timeFilter AND {PATIENT} AND {BEST} '
        'GROUP BY time($__interval), "patient" fill(null)',
        f"max(last_over_time(vitals_spo2_reason{{{M_PATIENT},{M_BEST}}}[$__interval])) by (patient)",
        "{patient}",
    )
    about = "Whether SpO₂ was valid, and why not. Where there is no band, nothing was told at all."
    panel = Panel("SpO₂: valid, or why not", about, "short", (0, 31, 24, 8), [why], mappings=REASONS)
    return [*shown, bands(panel, language, span_s=GAP_S)]
