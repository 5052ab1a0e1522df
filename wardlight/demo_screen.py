"""The live terminal table of the demo: one row a bed, in the words of the station page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from alerts.station import words
from alerts.station.snapshot import STALE_AFTER_S, ShownTile, show_tiles
from alerts.view import OpenAlarm, Tile
from wardlight.alarms import MARKERS

_PLACES: Final = {"SpO₂ %": ("spo2",), "HR /min": ("heart_rate", "pulse_rate"), "Resp /min": ("resp_rate",)}
_STYLES = {"high": "bold white on red", "medium": "bold yellow", "low": "cyan", "": ""}
FRESH_S: Final = 5.0  # older values are shown grey, with their age


def screen(tiles: Sequence[Tile], alarms: Sequence[OpenAlarm], now_ns: int, headline: str) -> RenderableType:
    """Everything that is on the screen at one moment."""

    def told(tile: ShownTile) -> str:
        mine = [a for a in alarms if tile.bed == a.bed or tile.bed in a.beds]
        return " ".join(f"{MARKERS[a.priority]} {words.condition(a.condition)}" for a in mine)

    return Group(ward_table([(tile, told(tile)) for tile in show_tiles(tiles, alarms, now_ns, UTC)], headline))


def ward_table(rows: Sequence[tuple[ShownTile, str]], headline: str) -> Table:
    """Tiles as rows of a table, each with what its alarms are."""
    table = Table(expand=False, caption=headline, caption_justify="left")
    table.add_column("bed")
    for place in _PLACES:
        table.add_column(place)
    table.add_column("age", justify="right")
    table.add_column("signal")
    table.add_column("alarm")
    for tile, told in rows:
        style = "" if tile.acknowledged else _STYLES[tile.priority]
        cells = [_cell(tile, place) for place in _PLACES.values()]
        table.add_row(Text(tile.bed, style), *cells, _age(tile), Text(_doubts(tile), "dim"), Text(told, style))
    return table


def _cell(tile: ShownTile, place: tuple[str, ...]) -> Text:
    """The value with where it comes from, `~` before a doubtful one, grey when not fresh; otherwise why none is."""
    vital = next((v for v in tile.vitals if v.vital in place), None)
    if vital is None:
        return Text("")
    if not vital.text:
        return Text(vital.why or tile.why, "dim")
    value = Text(f"{'~' if vital.doubt else ''}{vital.text}", "" if (vital.age_s or 0.0) < FRESH_S else "dim")
    return value.append(f" {vital.source}", "dim")


def _doubts(tile: ShownTile) -> str:
    return "; ".join(f"{vital.label}: {vital.doubt}" for vital in tile.vitals if vital.text and vital.doubt)


def _age(tile: ShownTile) -> Text:
    ages = [vital.age_s for vital in tile.vitals if vital.age_s is not None]
    if not ages:
        return Text("never", "dim")
    return Text(f"{min(ages):.0f} s", "" if min(ages) < FRESH_S else "yellow" if min(ages) < STALE_AFTER_S else "red")
