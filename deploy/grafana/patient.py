"""One patient, from an hour to a month: readings of two hours, minutes of two days, quarters of an hour before that.

The three meet without overlap, so a month costs as little as an hour. InfluxQL has one width of points for a whole
panel, so what is stored in steps wider than that is joined across the empty points (`span_s`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from alerts.station.words import SHORT_LABELS
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue
from vitals.model import VITAL_BY_NAME, VITALS

from frame import board
from languages import BEST, M_BEST, M_PATIENT, PATIENT, Language, Place, Query
from meanings import (
    OPEN,
    PRIORITIES,
    QUALITIES,
    REASONS,
    TRANSITIONS,
    condition_names,
    condition_words,
    narrow,
    number,
    words,
)
from open_alarms import open_by_priority
from panels import GAP_S, Panel, Rows, bands, chart, grid, names, numbers

_UNITS = {"%": "percent", "°C": "celsius", "ms": "ms", "/min": "/min", "s": "s"}


@dataclass(frozen=True, slots=True)
class _Part:
    """One resolution: where it stands, its time in both languages, its step, and how far apart points are joined."""

    name: str
    measurement: str
    field: str
    influxql: str
    metricsql: str
    place: Place
    step: str
    span_s: float


_TO_MINUTES, _TO_QUARTERS = "time() >= now() - 7200", "time() >= now() - 172800"
_PARTS = (
    _Part("readings", "vitals", "", " AND time >= now() - 2h", _TO_MINUTES, Place.READINGS, "", 90),
    _Part(
        "minutes", "vitals_1m", "_mean", " AND time >= now() - 2d AND time < now() - 2h",
        f"{_TO_QUARTERS} and time() < now() - 7200", Place.ROLLUPS, "1m", 180,
    ),
    _Part(
        "quarters", "vitals_15m", "_mean", " AND time < now() - 2d",
        "time() < now() - 172800", Place.ROLLUPS, "15m", 2_700,
    ),
)  # fmt: skip


def build(language: Language) -> dict[str, Any]:
    """The board `wardlight-patient`."""
    panels = [
        _lies(language),
        *_now(language),
        _course(language, "heart_rate", (0, 5, 12, 8), (40, 140)),
        _course(language, "spo2", (12, 5, 12, 8), (85, 100)),
        _course(language, "resp_rate", (0, 13, 12, 8), (0, 30)),
        _course(language, "pulse_rate", (12, 13, 12, 8), (40, 140), of_best=False),
        _alarm_bands(language),
        _states(
            language, "spo2_quality", "Quality of SpO₂", "How far each source may be trusted.", mappings=QUALITIES, y=27
        ),
        _states(
            language,
            "spo2_reason",
            "SpO₂: valid, or why not",
            "Of each source; no band: no word.",
            mappings=REASONS,
            y=33,
        ),
        _beats(language),
        _variability(language),
        _alarms(language),
    ]
    about = "One patient: vitals with quality and alarms, from one hour to thirty days with resolution to match."
    return board("patient", about, language, panels, span="now-6h", refresh="30s", variables=("site", "bed", "patient"),
                 one_patient=True, alarms=True)  # fmt: skip


def _label(vital: str) -> str:
    return VITALS[VITAL_BY_NAME[vital]].label


def _short(vital: str) -> str:
    """The label where there is little room."""
    return SHORT_LABELS[VITAL_BY_NAME[vital]]


def _unit(vital: str) -> str:
    return _UNITS[VITALS[VITAL_BY_NAME[vital]].unit]


def _now(language: Language) -> list[Any]:
    shown = []
    for index, vital in enumerate(("heart_rate", "spo2", "resp_rate")):
        value = Query(
            f'SELECT last("{vital}") FROM "vitals" WHERE time > now() - {GAP_S}s AND {PATIENT} AND {BEST}',
            f"max(last_over_time(vitals_{vital}{{{M_PATIENT},{M_BEST}}}[{GAP_S}s]))",
            _label(vital), table=True,
        )  # fmt: skip
        about = f"{_label(vital)}, the best value, {GAP_S} s old at most, whatever time the board shows."
        panel = Panel(f"{_short(vital)} now", about, _unit(vital), (3 + index * 7, 0, 3, 5), [value], "– see why →", 0)
        shown.append(numbers(panel, language))
        why = Query(
            f'SELECT last("{vital}_reason") FROM "vitals" WHERE time > now() - {GAP_S}s AND {PATIENT} AND {BEST}',
            f"max(last_over_time(vitals_{vital}_reason{{{M_PATIENT},{M_BEST}}}[{GAP_S}s]))",
            "why", table=True,
        )  # fmt: skip
        about = f"Whether the last word about {_label(vital)} was a value, and if not, why; {GAP_S} s old at most."
        nothing = "nothing told now"
        panel = Panel(f"{_short(vital)}: valid?", about, "short", (6 + index * 7, 0, 4, 5), [why], nothing, 0, REASONS)
        shown.append(numbers(panel, language))
    return shown


def _lies(language: Language) -> Any:
    asked = Query(
        f'SELECT last("occupied") FROM "bed" WHERE time > now() - 11m AND {PATIENT} GROUP BY "bed"',
        f"topk(1, tlast_over_time(bed_occupied{{{M_PATIENT}}}[11m]))",
        "{bed}",
    )
    about = (
        "Where the patient lies now, as the ward's list says; told every five minutes, so for some minutes after a "
        "move both beds are named. Compare it with the wristband before you act on what stands here."
    )
    nothing = "no bed: not on the ward's list now"
    return names(Panel("Bed", about, "short", (0, 0, 3, 5), [asked], nothing), language)


def _course(
    language: Language, vital: str, at: tuple[int, int, int, int], axis: tuple[float, float], *, of_best: bool = True
) -> Any:
    of = f"{PATIENT} AND {BEST}" if of_best else PATIENT
    m_of = f"{M_PATIENT},{M_BEST}" if of_best else M_PATIENT
    by, m_by = ("", "") if of_best else (', "device"', " by (device)")
    source = "" if of_best else " {device}"
    queries = []
    for part in _PARTS:
        what = f'mean("{vital}{part.field}")'
        queries.append(
            Query(
                f'SELECT {what} FROM "{part.measurement}" WHERE $timeFilter{part.influxql} AND {of} '
                f"GROUP BY time($__interval){by} fill(null)",
                f"avg(avg_over_time({part.measurement}_{vital}{part.field}{{{m_of}}}[$__interval])){m_by} "
                f"if ({part.metricsql})",
                f"{part.name}{source}",
                part.place,
                step=part.step,
            )
        )
    about = (
        f"{_label(vital)}{', best value' if of_best else ' of each device'}: readings of the last two hours, means of "
        "minutes up to two days ago, of quarters of an hour before."
    )
    spans_s = [part.span_s for part in _PARTS]
    return chart(
        Panel(_label(vital), about, _unit(vital), at, queries),
        language,
        low=axis[0],
        high=axis[1],
        spans_s=spans_s,
        one_line=of_best,
    )


def _alarm_bands(language: Language) -> Any:
    level = f'SELECT "open" * "priority_level" AS "level" FROM "alarm" WHERE $timeFilter AND {PATIENT}'
    asked = Query(
        f'SELECT last("level") FROM ({level}) WHERE $timeFilter GROUP BY time($__interval), "condition" fill(previous)',
        open_by_priority(M_PATIENT, "condition"),
        "{condition}",
    )
    about = (
        "When which alarm was open, from its raising to its end, by its priority. What was raised before the time that "
        "is shown begins later here."
    )
    panel = Panel("Alarms", about, "short", (0, 21, 24, 6), [asked], "No alarm in this time.", mappings=OPEN,
                  overrides=condition_names())  # fmt: skip
    return bands(panel, language)


def _states(language: Language, field: str, title: str, about: str, *, mappings: Any, y: int) -> Any:
    asked = Query(
        f'SELECT max("{field}") FROM "vitals" WHERE $timeFilter AND time >= now() - 2d AND {PATIENT} '
        'GROUP BY time($__interval), "device" fill(null)',
        f"max(max_over_time(vitals_{field}{{{M_PATIENT}}}[$__interval])) by (device)",
        "{device}",
    )
    panel = Panel(title, f"{about} The last two days.", "short", (0, y, 24, 6), [asked], mappings=mappings)
    return bands(panel, language, span_s=GAP_S)


def _beats(language: Language) -> Any:
    asked = Query(
        f'SELECT mean("ms") FROM "rr_interval" WHERE $timeFilter AND {PATIENT} '
        'GROUP BY time($__interval), "device" fill(none)',
        f"avg(avg_over_time(rr_interval_ms{{{M_PATIENT}}}[$__interval])) by (device)",
        "{device}",
    )
    about = "Time between beats, averaged over each point's width; needs a wearable that sends it, such as a strap."
    nothing = "No wearable of this patient sent RR intervals in this time."
    return chart(Panel("RR intervals", about, "ms", (0, 39, 12, 8), [asked], nothing), language, points=True)


def _variability(language: Language) -> Any:
    queries = [
        Query(
            f'SELECT mean("{vital}") FROM "vitals" WHERE $timeFilter AND {PATIENT} '
            "GROUP BY time($__interval) fill(none)",
            f"avg(avg_over_time(vitals_{vital}{{{M_PATIENT}}}[$__interval]))",
            _label(vital),
        )
        for vital in ("hrv_sdnn", "hrv_rmssd")
    ]
    about = "Heart rate variability of the server, from RR intervals with their artefacts corrected (docs/signals.md)."
    nothing = "No variability in this time: it needs RR intervals."
    return chart(Panel("HRV", about, "ms", (12, 39, 12, 8), queries, nothing), language)


def _alarms(language: Language) -> Any:
    text = (
        'SELECT "condition", "transition", "priority_level" AS "Priority", "value" AS "Value", "limit" AS "Limit", '
        f'"bed" AS "Bed", "actor" AS "By" FROM "alarm" WHERE $timeFilter AND {PATIENT} ORDER BY time DESC LIMIT 200'
    )
    metrics = f"sum(count_over_time(alarm_open{{{M_PATIENT}}}[$__range])) by (condition, priority, transition)"
    rows = Rows(
        ("condition", "transition"),
        [(text, Place.READINGS)],
        {"Times": (metrics, Place.READINGS)},
        told="When",
        order=("When", "condition", "transition", "Priority", "Value", "Limit", "Bed", "By"),
    )
    overrides = {
        "condition": condition_words(),
        "transition": [DynamicConfigValue("mappings", TRANSITIONS)],
        "Priority": words(PRIORITIES),
        "When": [DynamicConfigValue("unit", "dateTimeAsLocal"), narrow(185)],
        "Value": number("short", 1),
        "Limit": number("short", 1),
    }
    about = "What happened to each alarm, the newest 200; with VictoriaMetrics how often, since it keeps no text."
    panel = Panel("Alarm log", about, "short", (0, 47, 24, 9), (), "No alarm in this time.", overrides=overrides)
    return grid(
        panel, rows, language, sort="When" if language is Language.INFLUXQL else "Times", descending=True, join=False
    )
