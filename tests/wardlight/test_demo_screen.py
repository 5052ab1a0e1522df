"""The demo's table on a terminal: the words of the station page, and doubt that is seen without colour."""

from __future__ import annotations

import io

from rich.console import Console

from alerts.view import Doubt, Origin, Tile, TileVital
from vitals.model import Quality, Reason, Vital
from wardlight.demo_screen import screen

NOW_NS = 1_790_000_000_000_000_000


def vital(which: Vital, value: float | None, *, origin: Origin, doubt: Doubt = Doubt.NONE) -> TileVital:
    quality = Quality.DOUBTFUL if doubt is not Doubt.NONE else Quality.USABLE
    reason = Reason.PRESENT if value is not None else Reason.PROBE_OFF
    return TileVital(which, value, reason, quality, NOW_NS, 80.0, "d", origin=origin, doubt=doubt)


def shown(*vitals: TileVital) -> str:
    said = io.StringIO()
    tile = Tile("P-1", "3-01", Reason.PRESENT, vitals, None, None, acknowledged=False)
    Console(file=said, width=160).print(screen([tile], [], NOW_NS, "headline"))
    return said.getvalue()


def test_a_value_is_shown_with_where_it_comes_from_and_a_missing_one_with_why() -> None:
    text = shown(
        vital(Vital.HEART_RATE, 92.0, origin=Origin.STRAP),
        vital(Vital.SPO2, None, origin=Origin.OXIMETER),
        vital(Vital.RESP_RATE, 14.0, origin=Origin.PULSE_WAVE),
    )
    assert "92 strap" in text
    assert "finger out" in text
    assert "14 pulse wave" in text
    assert "~" not in text


def test_a_doubtful_value_is_marked_and_says_why() -> None:
    text = shown(vital(Vital.HEART_RATE, 92.0, origin=Origin.STRAP, doubt=Doubt.SOURCES_DISAGREE))
    assert "~92 strap" in text
    assert "HR: doubtful, the devices disagree" in text
