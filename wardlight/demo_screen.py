"""The live terminal table of the demo: one row a bed, as the station page shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from alerts.events import Priority
from alerts.view import STALE_NS, OpenAlarm, Tile, TileVital
from vitals.model import VITALS, Quality, Reason, Vital
from wardlight.alarms import MARKERS

_SHOWN = (Vital.HEART_RATE, Vital.PULSE_RATE, Vital.SPO2, Vital.RESP_RATE)
_STYLES = {Priority.HIGH: "bold white on red", Priority.MEDIUM: "bold yellow", Priority.LOW: "cyan"}
FRESH_S: Final = 5.0  # older values are shown grey, with their age
_DOUBTFUL = frozenset({Quality.DOUBTFUL, Quality.UNUSABLE})


def screen(tiles: Sequence[Tile], alarms: Sequence[OpenAlarm], now_ns: int, headline: str) -> RenderableType:
    """Everything that is on the screen at one moment."""
    table = Table(expand=False, caption=headline, caption_justify="left")
    table.add_column("bed")
    for vital in _SHOWN:
        table.add_column(f"{VITALS[vital].label} {VITALS[vital].unit}", justify="right")
    table.add_column("age", justify="right")
    table.add_column("alarm")
    for tile in sorted(tiles, key=lambda t: (-(t.priority or 0), t.bed)):
        style = _STYLES[tile.priority] if tile.priority and not tile.acknowledged else ""
        mine = [a for a in alarms if tile.bed == a.bed or tile.bed in a.beds]
        words = " ".join(f"{MARKERS[a.priority]} {a.condition.replace('_', ' ')}" for a in mine)
        values = {v.vital: v for v in tile.vitals}
        cells = [_cell(values.get(vital), tile.reason, now_ns) for vital in _SHOWN]
        table.add_row(Text(tile.bed, style), *cells, _age(tile, now_ns), Text(words, style))
    return Group(table)


def _cell(vital: TileVital | None, why: Reason, now_ns: int) -> Text:
    """The value, marked `?` when doubtful and grey when it is not fresh; otherwise why there is none."""
    if vital is None:
        return Text("")
    if vital.value is None:
        reason = vital.reason if vital.reason is not Reason.PRESENT else why
        return Text(reason.name.lower().replace("_", " "), "dim")
    mark = "?" if vital.quality in _DOUBTFUL else ""
    fresh = (vital.age_s(now_ns) or 0.0) < FRESH_S
    return Text(f"{vital.value:.{VITALS[vital.vital].decimals}f}{mark}", "" if fresh else "dim")


def _age(tile: Tile, now_ns: int) -> Text:
    ages = [age for vital in tile.vitals if (age := vital.age_s(now_ns)) is not None]
    if not ages:
        return Text("never", "dim")
    return Text(f"{min(ages):.0f} s", "" if min(ages) < FRESH_S else "yellow" if min(ages) < STALE_NS / 1e9 else "red")
