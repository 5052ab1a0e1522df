"""Gateways and the way of the readings: who is there, what waits, what was lost, whose clock is trusted."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from frame import board
from languages import M_SITE, SITE, Language, Place, Query
from meanings import CLOCKS, PRESENCES, number, words
from panels import Panel, Rows, bands, chart, grid, numbers

_COLUMNS = {
    "presence": "Presence",
    "spooled": "Waiting",
    "dropped": "Lost",
    "clock_source": "Clock",
    "uncertainty_ms": "Clock error",
}
_REAL = '"device" !~ /:(best|ppg|rr)$/'  # what the server makes itself has no radio and no battery
_M_REAL = 'device!~".*:(best|ppg|rr)"'


def build(language: Language) -> dict[str, Any]:
    """The board `wardlight-gateways`."""
    panels = [
        *_heads(language), _state(language),
        _of_gateways(language, "spooled", "Waiting for a receipt", "Messages in each gateway's spool. It grows while "
                     "the server or the network is away, and nothing is lost meanwhile.", (0, 12, 12, 8)),
        _of_gateways(language, "dropped", "Lost by a full spool", "Messages a gateway had to give up, since its spool "
                     "began. Any rise is lost readings.", (12, 12, 12, 8)),
        _presence(language), _clock(language), _radio(language), _battery(language), _delay(language),
    ]  # fmt: skip
    about = (
        "The way from the wearable to the database. Signal strength is not forwarded to databases: the radio is judged "
        "here by what it lost. How far each database lags stands on the station's /metrics."
    )
    return board("gateways", about, language, panels, span="now-6h", refresh="30s")


def _heads(language: Language) -> list[Any]:
    readings = Query(
        f'SELECT count("spo2_reason") FROM "vitals" WHERE time > now() - 1m AND {SITE} AND {_REAL}',
        f"sum(count_over_time(vitals_spo2_reason{{{M_SITE},{_M_REAL}}}[1m]))",
        "readings", table=True,
    )  # fmt: skip
    online = Query(
        'SELECT count("presence") FROM (SELECT last("presence") AS "presence" FROM "gateway" '
        f'WHERE time > now() - 1d AND {SITE} GROUP BY "gateway") WHERE "presence" = 1',
        f"count(last_over_time(gateway_presence{{{M_SITE}}}[1d]) == 1)",
        "gateways", table=True,
    )  # fmt: skip
    about = (
        "Readings of SpO₂ that arrived in the last minute. None: no wearable is heard, or the pipeline stands still."
    )
    first = Panel("SpO₂ readings in a minute", about, "short", (0, 0, 12, 4), [readings],
                  "none: look at the station page, then at `wardlight influx status`", 0)  # fmt: skip
    about = "Gateways whose last word, of the last day, is that they are online."
    second = Panel("Gateways online", about, "short", (12, 0, 12, 4), [online], "none told anything for a day", 0)
    return [numbers(first, language), numbers(second, language)]


def _state(language: Language) -> Any:
    selected = ", ".join(f'"{field}" AS "{name}"' for field, name in list(_COLUMNS.items())[1:])
    text = (
        f'SELECT last("presence") AS "Presence", {selected} FROM "gateway" WHERE time > now() - 1d AND {SITE} '
        'GROUP BY "gateway"'
    )
    asked = {
        name: (f"max(last_over_time(gateway_{field}{{{M_SITE}}}[1d])) by (gateway)", Place.READINGS)
        for field, name in _COLUMNS.items()
    }
    told = f"max(tlast_over_time(gateway_presence{{{M_SITE}}}[1d])) by (gateway) * 1000"
    rows = Rows(("gateway",), [(text, Place.READINGS)], {"Told": (told, Place.READINGS), **asked}, told="Told")
    overrides = {
        "Told": [DynamicConfigValue("unit", "dateTimeFromNow")],
        "Presence": words(PRESENCES),
        "Clock": words(CLOCKS),
        "Clock error": number("ms", 1),
        "Waiting": number("short"),
        "Lost": number("short"),
    }
    about = "Each gateway's own last word of the last day. 'Lost' by broken connection is its last will."
    panel = Panel(
        "Gateways", about, "short", (0, 4, 24, 8), (), "No gateway told anything for a day.", overrides=overrides
    )
    return grid(panel, rows, language, sort="Told", descending=False, join=language is Language.METRICSQL)


def _of_gateways(language: Language, field: str, title: str, about: str, at: tuple[int, int, int, int]) -> Any:
    query = Query(
        f'SELECT max("{field}") FROM "gateway" WHERE $timeFilter AND {SITE} '
        'GROUP BY time($__interval), "gateway" fill(none)',
        f"max(max_over_time(gateway_{field}{{{M_SITE}}}[$__interval])) by (gateway)",
        "{gateway}",
    )
    unit = "ms" if field.endswith("_ms") else "short"
    return chart(Panel(title, about, unit, at, [query], "No gateway told anything in this time."), language, low=0)


def _presence(language: Language) -> Any:
    query = Query(
        f'SELECT max("presence") FROM "gateway" WHERE $timeFilter AND {SITE} '
        'GROUP BY time($__interval), "gateway" fill(null)',
        f"max(max_over_time(gateway_presence{{{M_SITE}}}[$__interval])) by (gateway)",
        "{gateway}",
    )
    about = "When each gateway was there. No band: it told nothing."
    return bands(Panel("Presence", about, "short", (0, 20, 24, 6), [query], mappings=PRESENCES), language)


def _clock(language: Language) -> Any:
    about = "The bound that each gateway gives for the error of its times."
    return _of_gateways(language, "uncertainty_ms", "Error of the clock", about, (0, 26, 12, 8))


def _radio(language: Language) -> Any:
    query = Query(
        f'SELECT count("spo2_reason") FROM "vitals" WHERE $timeFilter AND {SITE} AND {_REAL} AND "spo2_reason" = 16 '
        'GROUP BY time($__interval), "device" fill(none)',
        f"sum(count_eq_over_time(vitals_spo2_reason{{{M_SITE},{_M_REAL}}}[$__interval], 16)) by (device)",
        "{device}",
    )
    about = "Readings marked 'radio lost', by wearable: far from its gateway, or switched off."
    panel = Panel(
        "Radio lost", about, "short", (12, 26, 12, 8), [query], "No wearable's radio was lost in this time.", 0
    )
    return chart(panel, language, low=0)


def _battery(language: Language) -> Any:
    query = Query(
        f'SELECT last("battery") FROM "vitals" WHERE $timeFilter AND {SITE} '
        'GROUP BY time($__interval), "device" fill(none)',
        f"min(last_over_time(vitals_battery{{{M_SITE}}}[$__interval])) by (device)",
        "{device}",
    )
    about = "What each wearable says of its battery."
    nothing = "No wearable told its battery in this time."
    return chart(Panel("Batteries", about, "percent", (0, 34, 12, 8), [query], nothing, 0), language, low=0)


def _delay(language: Language) -> Any:
    query = Query(
        f'SELECT count("spo2_reason") FROM "vitals" WHERE $timeFilter AND {SITE} AND {_REAL} '
        "GROUP BY time($__interval) fill(0)",
        f"sum(count_over_time(vitals_spo2_reason{{{M_SITE},{_M_REAL}}}[$__interval]))",
        "readings",
    )
    about = "SpO₂ readings in the database, by the time they were measured: a dent that fills later was an outage."
    return chart(Panel("Readings in the database", about, "short", (12, 34, 12, 8), [query]), language, low=0)
