"""The ward as one screen shows it: the words are chosen here, once, for every browser.

Pure. From the engine's tiles and open alarms to what `static/ward.js` puts on the screen without thinking: texts,
markers and ages in seconds. Ages count up in the browser from the event's own `up_s`, a monotonic time of the server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import Final

import msgspec

from alerts.events import Kind, Priority
from alerts.notify.message import MARKERS
from alerts.station import words
from alerts.station.scores import ShownScore, show_score
from alerts.view import STALE_NS, OpenAlarm, PausedAlarms, Tile, TileVital
from vitals.model import VITALS, Reason, Vital

PULSES: Final = (Vital.HEART_RATE, Vital.PULSE_RATE)  # one place on the tile: the ECG's if it is current
SHOWN: Final = (Vital.SPO2, *PULSES, Vital.RESP_RATE)
BATTERY_WORTH_A_WORD_PCT: Final = 20.0
BEDS_NAMED: Final = 24  # of a gateway's alarm; more are counted


class ShownVital(msgspec.Struct, frozen=True):
    """One number of a tile. `text` is empty when there is none, then `why` says so; `last` is the last there was.

    `source`: what kind of device measured it; `doubt`: what is doubtful about it.
    """

    vital: str
    label: str
    unit: str
    text: str
    why: str
    last: str
    age_s: float | None
    source: str
    doubt: str
    priority: str


class ShownSource(msgspec.Struct, frozen=True):
    """What one device says of one vital. `used`: whether that is what the tile shows."""

    key: str
    device: str
    kind: str
    used: bool
    reading: ShownVital


class ShownTile(msgspec.Struct, frozen=True):
    """One patient.

    `why` is empty while anything is current; `since` and `silent_s` tell when the last value was. `technical`: the
    headline is about the equipment.
    """

    patient: str
    bed: str
    priority: str
    marker: str
    headline: str
    technical: bool
    acknowledged: bool
    why: str
    since: str
    silent_s: float | None
    battery: str
    paused: str  # until when, by whom and why all alarms of the patient are paused; empty when they are not
    paused_s: float  # so long from now
    vitals: list[ShownVital]
    sources: list[ShownSource]
    score: ShownScore | None


class ShownAlarm(msgspec.Struct, frozen=True):
    """One row of the alarm list."""

    id: str
    patient: str
    bed: str
    kind: str
    priority: str
    marker: str
    title: str
    value: str
    limit: str
    detail: str
    since: str
    lasts_s: float
    audible: bool
    acknowledged: str
    beds: list[str]
    paused: str  # until when, and by whom


class Snapshot(msgspec.Struct, frozen=True):
    """Everything a screen shows. `boot` names one life of the server, `assets` its style and scripts."""

    boot: str
    assets: str
    token: str
    up_s: float
    clock: str
    stale_after_s: float
    trouble: str  # what keeps the server itself from watching; empty when nothing does
    warning: str  # why alarms may reach nobody but this page; empty when they do
    tiles: list[ShownTile]
    alarms: list[ShownAlarm]


def show_tiles(tiles: Sequence[Tile], alarms: Sequence[OpenAlarm], now_ns: int, zone: tzinfo) -> list[ShownTile]:
    """All tiles, worst first: priority, what calls before what is acknowledged, what is not monitored, then by bed."""
    return list(each_shown(tiles, alarms, now_ns, zone))


def each_shown(tiles: Sequence[Tile], alarms: Sequence[OpenAlarm], now_ns: int, zone: tzinfo) -> Iterator[ShownTile]:
    """`show_tiles`, one after the other: others may run in between."""
    headline = _headlines(alarms)
    return (_tile(tile, headline.get(tile.bed), now_ns, zone) for tile in sorted(tiles, key=_worst_first))


def show_alarms(alarms: Sequence[OpenAlarm], now_ns: int, zone: tzinfo) -> list[ShownAlarm]:
    """All open alarms: what calls first, by priority, the newest of each first."""
    ordered = sorted(alarms, key=lambda a: (not a.audible, -a.priority, -a.raised_at_ns, a.alarm_id))
    return [_alarm(alarm, now_ns, zone) for alarm in ordered]


def bed_order(bed: str) -> list[tuple[int, str]]:
    """A sort key under which bed 3-9 comes before bed 3-10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", bed) if part]


def _worst_first(tile: Tile) -> tuple[int, bool, bool, list[tuple[int, str]]]:
    missing = tile.reason is not Reason.PRESENT
    return -(tile.priority or 0), tile.acknowledged, not missing, bed_order(tile.bed)


def _headlines(alarms: Sequence[OpenAlarm]) -> dict[str, OpenAlarm]:
    """Bed → its worst open alarm, one that calls before one that is acknowledged."""
    worst: dict[str, OpenAlarm] = {}
    for alarm in sorted(alarms, key=lambda a: (a.priority, a.audible, a.raised_at_ns)):
        for bed in (alarm.bed, *alarm.beds):
            worst[bed] = alarm
    return worst


def _tile(tile: Tile, alarm: OpenAlarm | None, now_ns: int, zone: tzinfo) -> ShownTile:
    seen_ns = max((v.sampled_at_ns for v in tile.vitals if v.sampled_at_ns is not None), default=None)
    return ShownTile(
        patient=tile.patient,
        bed=tile.bed,
        priority=_priority(tile.priority),
        marker=MARKERS.get(tile.priority, "") if tile.priority else "",
        headline=_headline(alarm) if alarm and tile.priority else "",
        technical=alarm is not None and alarm.kind is Kind.TECHNICAL,
        acknowledged=tile.acknowledged,
        why=words.reason(tile.reason, _worn(tile)),
        since="" if seen_ns is None else words.clock(seen_ns, zone, now_ns),
        silent_s=None if seen_ns is None else max(0.0, (now_ns - seen_ns) / words.NS),
        battery=_battery(tile.battery_pct),
        paused=_paused(tile.paused, zone),
        paused_s=0.0 if tile.paused is None else max(0.0, (tile.paused.until_ns - now_ns) / words.NS),
        vitals=[_vital(vital, now_ns) for vital in _shown(tile.vitals)],
        sources=[_source(source, tile, now_ns) for source in tile.sources],
        score=show_score(tile.score, now_ns),
    )


def _paused(paused: PausedAlarms | None, zone: tzinfo) -> str:
    if paused is None:
        return ""
    until = f"until {words.clock_with_seconds(paused.until_ns, zone)} by {paused.actor}"
    return f"{until} · {paused.reason}" if paused.reason else until


def _worn(tile: Tile) -> Vital | None:
    """A vital that tells what the patient wears: one of the finger's, if there is any."""
    return min(
        (v.vital for v in tile.vitals), key=lambda vital: vital not in (Vital.SPO2, Vital.PULSE_RATE), default=None
    )


def _headline(alarm: OpenAlarm) -> str:
    limit = words.of_condition(alarm.condition, alarm.limit)
    return f"{words.condition(alarm.condition)} (limit {limit})" if limit else words.condition(alarm.condition)


def _shown(vitals: Sequence[TileVital]) -> list[TileVital]:
    """The tile's three places, in their order; of the two pulses the current one, ECG first."""
    by_vital = {v.vital: v for v in vitals}
    pulses = [by_vital[p] for p in PULSES if p in by_vital]
    pulse = next((p for p in pulses if p.value is not None), pulses[0] if pulses else None)
    places = (by_vital.get(Vital.SPO2), pulse, by_vital.get(Vital.RESP_RATE))
    return [place for place in places if place is not None]


def _vital(vital: TileVital, now_ns: int) -> ShownVital:
    return ShownVital(
        vital=vital.vital.name.lower(),
        label=words.SHORT_LABELS[vital.vital],
        unit=VITALS[vital.vital].unit,
        text="" if vital.value is None else words.number(vital.vital, vital.value),
        why=words.reason(vital.reason, vital.vital),
        last="" if vital.last_value is None else words.number(vital.vital, vital.last_value),
        age_s=vital.age_s(now_ns),
        source=words.ORIGINS[vital.origin],
        doubt=words.doubt(vital),
        priority=_priority(vital.priority),
    )


def _source(source: TileVital, tile: Tile, now_ns: int) -> ShownSource:
    return ShownSource(
        key=f"{source.device}/{source.vital.name.lower()}",
        device=source.device,
        kind=words.ORIGINS[source.origin],
        used=_is_used(source, tile),
        reading=_vital(source, now_ns),
    )


def _is_used(source: TileVital, tile: Tile) -> bool:
    """Whether the tile shows this; of a device that tells both pulses the heart rate is taken."""
    own = {s.vital for s in tile.sources if s.device == source.device and s.value is not None}
    if source.vital is Vital.PULSE_RATE and Vital.HEART_RATE in own:
        return False
    alike = PULSES if source.vital in PULSES else (source.vital,)
    return any(v.device == source.device and v.vital in alike for v in _shown(tile.vitals))


def _alarm(alarm: OpenAlarm, now_ns: int, zone: tzinfo) -> ShownAlarm:
    return ShownAlarm(
        id=alarm.alarm_id,
        patient=alarm.patient,
        bed=alarm.bed or (_beds(len(alarm.beds)) if alarm.beds else "Ward"),
        kind=alarm.kind.value,
        priority=_priority(alarm.priority),
        marker=MARKERS[alarm.priority],
        title=words.condition(alarm.condition),
        value=words.of_condition(alarm.condition, alarm.value),
        limit=words.of_condition(alarm.condition, alarm.limit),
        detail=_detail(alarm),
        since=words.clock(alarm.raised_at_ns, zone, now_ns),
        lasts_s=max(0.0, (now_ns - alarm.raised_at_ns) / words.NS),
        audible=alarm.audible,
        acknowledged=_acknowledged(alarm, now_ns, zone),
        beds=list(alarm.beds),
        paused=_alarm_paused(alarm, zone),
    )


def _detail(alarm: OpenAlarm) -> str:
    parts = [words.caution(alarm.condition), alarm.detail, alarm.gateway if not alarm.patient else ""]
    if alarm.beds:
        named = ", ".join(sorted(alarm.beds, key=bed_order)[:BEDS_NAMED])
        more = f" and {len(alarm.beds) - BEDS_NAMED} more" if len(alarm.beds) > BEDS_NAMED else ""
        parts.append(f"not monitored: {named}{more}".replace("-", "\u2011"))  # a bed's name is not broken in two
    if not alarm.announced:
        parts.append("from old data, not confirmed yet")
    return " · ".join(part for part in parts if part)


def _beds(count: int) -> str:
    return "1 bed" if count == 1 else f"{count} beds"


def _acknowledged(alarm: OpenAlarm, now_ns: int, zone: tzinfo) -> str:
    if alarm.acknowledged_at_ns is None:
        return ""
    at = words.clock(alarm.acknowledged_at_ns, zone, now_ns)
    return f"{alarm.acknowledged_by or 'somebody'} at {at}"


def _alarm_paused(alarm: OpenAlarm, zone: tzinfo) -> str:
    if not alarm.paused_until_ns:
        return ""
    return f"paused until {words.clock_with_seconds(alarm.paused_until_ns, zone)} by {alarm.paused_by}"


def _battery(percent: float | None) -> str:
    return "" if percent is None or percent > BATTERY_WORTH_A_WORD_PCT else f"Battery {percent:.0f} %"


def _priority(priority: Priority | None) -> str:
    return "" if priority is None else priority.name.lower()


STALE_AFTER_S: Final = STALE_NS / words.NS
