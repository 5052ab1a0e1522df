"""What a target holds of one patient, asked in its own language: InfluxQL for InfluxDB 1, 2 and 3, else an export."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
import numpy as np

from ingest.influx.client import Client
from ingest.influx.comparison import Points, Stream
from ingest.influx.config import Kind
from ingest.influx.line_protocol import UNASSIGNED, fields_of
from vitals.errors import PermanentError

_NS_PER_MS: Final = 10**6


@dataclass(frozen=True, slots=True)
class Question:
    """The points of `vitals` of one patient with `start_ns` <= time < `end_ns`, readings without a value included."""

    patient: str
    site: str
    vitals: tuple[int, ...]
    start_ns: int
    end_ns: int


def points_at(client: Client, asked: Question) -> dict[Stream, Points]:
    """The answer; raises `RetryableError` or `PermanentError`, with what to check."""
    asked = replace(asked, patient=asked.patient or UNASSIGNED)
    return _from_export(client, asked) if client.target.kind is Kind.VICTORIAMETRICS else _from_influxql(client, asked)


def _from_influxql(client: Client, asked: Question) -> dict[Stream, Points]:
    found: dict[Stream, Points] = {}
    by_measurement: dict[str, list[int]] = {}
    for vital in asked.vitals:
        by_measurement.setdefault(fields_of(vital).measurement, []).append(vital)
    for measurement, several in by_measurement.items():
        text = client.text(
            "/query",
            [("db", client.target.place), ("epoch", "ns"), ("q", _influxql(measurement, several, asked))],
        )
        for series in _series(text):
            rows = series["values"]
            stamps = np.array([row[0] for row in rows], np.int64)
            for index, vital in enumerate(several):
                value = np.array([row[1 + 2 * index] for row in rows], np.float64)  # null becomes NaN
                there = ~np.isnan(value) | np.array([row[2 + 2 * index] is not None for row in rows])
                if there.any():
                    found[series["tags"]["device"], vital] = Points.of(stamps[there], value[there])
    return found


def _influxql(measurement: str, vitals: list[int], asked: Question) -> str:
    names = [_identifier(name) for vital in vitals for name in (fields_of(vital).value, fields_of(vital).reason)]
    return (
        f"SELECT {', '.join(names)} FROM {_identifier(measurement)} "  # noqa: S608 - names and texts are quoted below
        f'WHERE "patient" = {_literal(asked.patient)} AND "site" = {_literal(asked.site)} '
        f'AND time >= {asked.start_ns} AND time < {asked.end_ns} GROUP BY "device"'
    )


def _series(text: str) -> list[dict[str, Any]]:
    result = msgspec.json.decode(text)["results"][0]
    if "error" in result:
        raise PermanentError(f"the database refuses a query: {result['error']}")
    series: list[dict[str, Any]] = result.get("series", [])
    if result.get("partial") or any(each.get("partial") for each in series):
        raise PermanentError("the database cut its answer short: raise its max-row-limit, or ask for fewer hours")
    return series


def _from_export(client: Client, asked: Question) -> dict[Stream, Points]:
    places = {
        f"{name.measurement}_{field}": (vital, field == name.value)
        for vital in asked.vitals
        for name in [fields_of(vital)]
        for field in (name.value, name.reason)
    }
    patient, site = _literal(asked.patient, '"'), _literal(asked.site, '"')
    match = f'{{__name__=~"{"|".join(places)}",patient={patient},site={site}}}'
    first, last = asked.start_ns // _NS_PER_MS, asked.end_ns // _NS_PER_MS - 1
    window = [("start", f"{first / 1_000:.3f}"), ("end", f"{last / 1_000:.3f}")]
    values: dict[Stream, dict[int, float]] = {}
    for row in client.text("/api/v1/export", [("match[]", match), *window]).splitlines():
        series = msgspec.json.decode(row)
        vital, is_value = places[series["metric"]["__name__"]]
        points = values.setdefault((series["metric"]["device"], vital), {})
        for at, value in zip(series["timestamps"], series["values"], strict=True):
            if first <= at <= last:
                points[at] = value if is_value else points.get(at, np.nan)
    return {
        stream: Points.of(np.array(list(points), np.int64), np.array(list(points.values()), np.float64))
        for stream, points in values.items()
    }


def _identifier(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _literal(text: str, quote: str = "'") -> str:
    return quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote).replace("\n", "\\n") + quote
