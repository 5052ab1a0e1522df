"""Desaturation events as the page shows them: what ingest stored of each, put together. Pure; history, not alarms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from alerts.station import words
from alerts.station.chart import AlarmBand
from alerts.station.trace import Readings, present

MAX_EVENTS: Final = 50  # more than anybody reads on a page; the export has them all
EVENT: Final = "event"  # in the place of a priority


@dataclass(frozen=True, slots=True)
class Desaturation:
    """One event: how far below the baseline, for how long, and both together (percent times seconds)."""

    start_ns: int
    end_ns: int
    depth_pct: float
    area_pct_s: float | None


@dataclass(frozen=True, slots=True)
class ShownDesaturation:
    """One line of the list."""

    since: str
    until: str
    depth: str
    lasted: str
    area: str


def desaturations(depth: Readings, duration: Readings, area: Readings) -> list[Desaturation]:
    """The events, oldest first. The three readings of one event share the time of its end."""
    lasted_s, areas = _by_time(duration), _by_time(area)
    return [
        Desaturation(end_ns - round(lasted_s[end_ns] * words.NS), end_ns, depth_pct, areas.get(end_ns))
        for end_ns, depth_pct in _by_time(depth).items()
        if end_ns in lasted_s
    ]


def _by_time(readings: Readings) -> dict[int, float]:
    kept = present(readings)
    return dict(zip(readings.sampled_at_ns[kept].tolist(), readings.value[kept].tolist(), strict=True))


def event_bands(events: Sequence[Desaturation], zone: tzinfo) -> list[AlarmBand]:
    """The events on the chart of SpO₂."""
    return [AlarmBand(e.start_ns, e.end_ns, EVENT, _title(e, zone)) for e in events]


def shown(events: Sequence[Desaturation], zone: tzinfo, now_ns: int) -> list[ShownDesaturation]:
    """The list, newest first, at most `MAX_EVENTS`."""
    return [
        ShownDesaturation(
            words.clock(e.start_ns, zone, now_ns),
            words.clock(e.end_ns, zone, now_ns),
            f"{e.depth_pct:.0f} % below",
            words.duration((e.end_ns - e.start_ns) / words.NS),
            "" if e.area_pct_s is None else f"{e.area_pct_s:.0f} %·s",
        )
        for e in sorted(events, key=lambda e: -e.end_ns)[:MAX_EVENTS]
    ]


def _title(event: Desaturation, zone: tzinfo) -> str:
    lasted = words.duration((event.end_ns - event.start_ns) / words.NS)
    return f"Desaturation, {event.depth_pct:.0f} % below the baseline, {words.clock(event.start_ns, zone)}, {lasted}"
