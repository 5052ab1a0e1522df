"""Gateways and the way of the readings: who is there, what waits, what was lost, whose clock is trusted."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from frame import board
from languages import M_SITE, SITE, Language, Place, Query
from meanings import CLOCKS, PRESENCES, narrow, number, words
from panels import Panel, Rows, bands, chart, grid, numbers

_COLUMNS = {
    "presence": "Presence",
    "spooled": "Waiting",
    "dropped": "Lost",
    "clock_source": "Clock",
    "uncertainty_ms": "Clock error",
    "held": "Held",
    "wearables": "Wearables",
    "problems": "Problems",
}
_REAL = '"device" !~ /:(best|ppg|rr)$/'  # what the server makes itself has no radio and no battery
_M_REAL = 'device!~".*:(best|ppg|rr)"'

_STATUS_GAP_S = 180  # gateways tell once a minute; what is further apart is a gap


def build(language: Language) -> dict[str, Any]:
    """The board `wardlight-gateways`."""
    panels = [
        *_heads(language), _state(language),
        _of_gateways(language, "spooled", "Waiting for a receipt", "Messages in each gateway's spool. It grows while "
                     "the server or the network is away, and nothing is lost meanwhile.", (0, 12, 12, 8)),
        _of_gateways(language, "dropped", "Lost by a full spool", "Messages a gateway had to give up, since its spool "
                     "began. Any rise is lost readings.", (12, 12, 12, 8)),
        _delay(language), _arrived(language), _presence(language), _wearables(language),
        _signal(language), _radio(language), _battery(language), _clock(language),
    ]  # fmt: skip
    about = (
        "The way from the wearable to the database. How far each database lags stands on the station's /metrics, which "
        "answers while a database is down; this board cannot."
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
    delay = Query(
        f'SELECT max("delay_s") FROM "gateway" WHERE time > now() - 5m AND {SITE}',
        f"max(max_over_time(gateway_delay_s{{{M_SITE}}}[5m]))",
        "oldest", table=True,
    )  # fmt: skip
    asked = (
        ("SpO₂ readings in a minute", "short", readings, 0,
         "none: look at the station page, then at `wardlight influx status`",
         "Readings of SpO₂ that arrived in the last minute. None: no wearable is heard, or the pipeline stands still."),
        ("Gateways online", "short", online, 0, "none told anything for a day",
         "Gateways whose last word, of the last day, is that they are online."),
        ("Oldest reading on arrival", "s", delay, 1, "nothing arrived for five minutes",
         "From the moment of measurement to the journal, the longest of five minutes. After an outage it is the age of "
         "what was spooled. The database's own lag comes on top."),
    )  # fmt: skip
    return [
        numbers(Panel(title, about, unit, (8 * index, 0, 8, 4), [query], nothing, decimals), language)
        for index, (title, unit, query, decimals, nothing, about) in enumerate(asked)
    ]


def _state(language: Language) -> Any:
    selected = ", ".join(f'"{field}" AS "{name}"' for field, name in list(_COLUMNS.items())[1:])
    text = (
        f'SELECT last("presence") AS "Presence", {selected}, "problem" AS "What to do" '
        f'FROM "gateway" WHERE time > now() - 1d AND {SITE} '
        'GROUP BY "gateway"'
    )
    asked = {
        name: (f"max(last_over_time(gateway_{field}{{{M_SITE}}}[1d])) by (gateway)", Place.READINGS)
        for field, name in _COLUMNS.items()
    }
    told = f"max(tlast_over_time(gateway_presence{{{M_SITE}}}[1d])) by (gateway) * 1000"
    rows = Rows(("gateway",), [(text, Place.READINGS)], {"Told": (told, Place.READINGS), **asked}, told="Told",
                order=("gateway", "Presence", "What to do", "Problems", "Waiting", "Lost", "Clock", "Clock error",
                       "Held", "Wearables", "Told"))  # fmt: skip
    overrides = {
        "gateway": [narrow(95)],
        "Told": [DynamicConfigValue("unit", "dateTimeFromNow"), narrow(120)],
        "Presence": words(PRESENCES, 165),
        "Clock": words(CLOCKS),
        "Clock error": [*number("ms", 1), narrow(105)],
        **{name: [*number("short"), narrow(68)] for name in ("Waiting", "Lost", "Held")},
        **{name: [*number("short"), narrow(85)] for name in ("Wearables", "Problems")},
    }
    about = (
        "Each gateway's own last word of the last day. 'Waiting': messages without a receipt; 'Lost': given up by a "
        "full spool; 'Held': batches that wait for the time to be known. A gateway that is lost said nothing of its "
        "parts. VictoriaMetrics keeps no text, so there 'Problems' only counts."
    )
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
    return bands(Panel("Presence", about, "short", (0, 28, 24, 6), [query], mappings=PRESENCES), language,
                 span_s=_STATUS_GAP_S)  # fmt: skip


def _wearables(language: Language) -> Any:
    fields = {"rssi_dbm": "Signal", "battery_pct": "Battery", "silent_s": "Silent", "reconnects": "Reconnects"}
    named = ", ".join(f'"{field}" AS "{name}"' for field, name in fields.items() if field != "reconnects")
    text = (
        f'SELECT last("reconnects") AS "Reconnects", {named}, "phase" AS "Connection" FROM "wearable" '
        f'WHERE time > now() - 1d AND {SITE} GROUP BY "device", "gateway"'
    )
    told = f"max(tlast_over_time(wearable_reconnects{{{M_SITE}}}[1d])) by (device, gateway) * 1000"
    asked = {
        name: (f"max(last_over_time(wearable_{field}{{{M_SITE}}}[1d])) by (device, gateway)", Place.READINGS)
        for field, name in fields.items()
    }
    rows = Rows(("device", "gateway"), [(text, Place.READINGS)], {"Told": (told, Place.READINGS), **asked},
                told="Told", order=("device", "gateway", "Connection", "Signal", "Battery", "Silent", "Reconnects",
                                    "Told"))  # fmt: skip
    overrides = {
        "Told": [DynamicConfigValue("unit", "dateTimeFromNow")],
        "Signal": number("dBm"),
        "Battery": number("percent"),
        "Silent": number("s"),
        "Reconnects": number("short"),
    }
    about = (
        "Each wearable as each gateway that knows it sees it, in its last word of the last day. 'Silent': for how long "
        "it was not heard then. '–': the gateway does not know. Signal strength near -90 dBm is too far away."
    )
    panel = Panel("Wearables", about, "short", (0, 34, 24, 9), (), "No gateway told of a wearable for a day.",
                  overrides=overrides)  # fmt: skip
    return grid(panel, rows, language, sort="Signal", descending=False, join=False)


def _signal(language: Language) -> Any:
    query = Query(
        f'SELECT mean("rssi_dbm") FROM "wearable" WHERE $timeFilter AND {SITE} '
        'GROUP BY time($__interval), "device", "gateway" fill(null)',
        f"avg(avg_over_time(wearable_rssi_dbm{{{M_SITE}}}[$__interval])) by (device, gateway)",
        "{device} at {gateway}",
    )  # fmt: skip
    about = "How strong each gateway hears each wearable; higher is nearer. A gap: it was not heard."
    nothing = "No gateway told of a signal in this time; wearables over Wi-Fi have none."
    panel = Panel("Signal strength", about, "dBm", (0, 43, 12, 8), [query], nothing, 0)
    return chart(panel, language, low=-95, spans_s=[_STATUS_GAP_S])


def _radio(language: Language) -> Any:
    query = Query(
        f'SELECT count("spo2_reason") FROM "vitals" WHERE $timeFilter AND {SITE} AND {_REAL} AND "spo2_reason" = 16 '
        'GROUP BY time($__interval), "device" fill(none)',
        f"sum(count_eq_over_time(vitals_spo2_reason{{{M_SITE},{_M_REAL}}}[$__interval], 16)) by (device)",
        "{device}",
    )
    about = "Readings marked 'radio lost', by wearable: far from its gateway, or switched off."
    nothing = "No wearable's radio was lost in this time."
    panel = Panel("Radio lost", about, "short", (12, 43, 12, 8), [query], nothing, 0)
    return chart(panel, language, low=0, points=True)


def _battery(language: Language) -> Any:
    query = Query(
        f'SELECT last("battery_pct") FROM "wearable" WHERE $timeFilter AND {SITE} '
        'GROUP BY time($__interval), "device" fill(none)',
        f"min(last_over_time(wearable_battery_pct{{{M_SITE}}}[$__interval])) by (device)",
        "{device}",
    )
    about = "What each wearable says of its battery."
    nothing = "No wearable told its battery in this time."
    return chart(Panel("Batteries", about, "percent", (0, 51, 12, 8), [query], nothing, 0), language, low=0)


def _clock(language: Language) -> Any:
    about = "The bound that each gateway gives for the error of its times."
    return _of_gateways(language, "uncertainty_ms", "Error of the clock", about, (12, 51, 12, 8))


def _delay(language: Language) -> Any:
    queries = [
        Query(
            f'SELECT {how}("{field}") FROM "gateway" WHERE $timeFilter AND {SITE} '
            'GROUP BY time($__interval), "gateway" fill(null)',
            f"{how}({how}_over_time(gateway_{field}{{{M_SITE}}}[$__interval])) by (gateway)",
            f"{word} {{gateway}}",
        )
        for how, field, word in (("max", "delay_s", "oldest"), ("min", "least_delay_s", "newest"))
    ]
    about = (
        "How old the readings of each gateway were when the server had them, the oldest and the newest of what came "
        "together; told every quarter of a minute. 'Newest' that stays high: a slow way, or a clock that is behind. "
        "Only 'oldest' high: an outage's spool is coming in."
    )
    panel = Panel("Delay of readings", about, "s", (0, 20, 12, 8), queries)
    return chart(panel, language, low=0, spans_s=[_STATUS_GAP_S, _STATUS_GAP_S])


def _arrived(language: Language) -> Any:
    query = Query(
        f'SELECT count("spo2_reason") FROM "vitals" WHERE $timeFilter AND {SITE} AND {_REAL} '
        "GROUP BY time($__interval) fill(0)",
        f"sum(count_over_time(vitals_spo2_reason{{{M_SITE},{_M_REAL}}}[$__interval]))",
        "readings",
    )
    about = "SpO₂ readings in the database, by the time they were measured: a dent that fills later was an outage."
    made = chart(Panel("Readings in the database", about, "short", (12, 20, 12, 8), [query]), language, low=0)
    return made.interval("1m")  # or wearables that tell once a minute would seem to stop in between
