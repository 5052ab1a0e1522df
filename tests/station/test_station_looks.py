"""What the style sheet promises: contrast in both themes, and the flash rates of IEC 60601-1-8 (STANDARDS 2.3)."""

from __future__ import annotations

import re

import pytest

from alerts.station.app import STATIC

STYLE = (STATIC / "station.css").read_text(encoding="utf-8")
AA_TEXT = 4.5  # WCAG 2.2, 1.4.3
AA_SHAPE = 3.0  # WCAG 2.2, 1.4.11

GROUNDS = ("ground", "surface", "raised")
TEXTS = [
    *((ink, ground) for ink in ("ink", "quiet") for ground in (*GROUNDS, "high-wash", "medium-wash", "low-wash")),
    *((priority, f"{priority}-wash") for priority in ("high", "medium", "low")),
    *((priority, "surface") for priority in ("high", "medium", "low")),
    *((f"{priority}-on-solid", f"{priority}-solid") for priority in ("high", "medium", "low")),
    ("lost-ink", "lost"),
]


def colours(theme: str) -> dict[str, str]:
    """The colours of a theme by name; the day overrides some of the night's."""
    blocks = [STYLE.partition(":root {")[2].partition("}")[0]]
    if theme == "day":
        blocks.append(STYLE.partition('[data-theme="day"] {')[2].partition("}")[0])
    return {name: value for block in blocks for name, value in re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)}


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", ["night", "day"])
@pytest.mark.parametrize(("ink", "ground"), TEXTS)
def test_text_can_be_read(theme: str, ink: str, ground: str) -> None:
    found = colours(theme)
    assert contrast(found[ink], found[ground]) >= AA_TEXT


@pytest.mark.parametrize("theme", ["night", "day"])
@pytest.mark.parametrize("shape", ["high", "medium", "low", "trace"])
def test_borders_and_lines_can_be_seen(theme: str, shape: str) -> None:
    found = colours(theme)
    assert contrast(found[shape], found["surface"]) >= AA_SHAPE


def test_the_rates_of_flashing_are_those_of_the_standard() -> None:
    periods_s = {
        priority: float(period)
        for priority, period in re.findall(r"\.(\w+):not\(\.taken\) \.flag \{ animation: flash ([\d.]+)s", STYLE)
    }
    assert 1.4 <= 1 / periods_s["high"] <= 2.8
    assert 0.4 <= 1 / periods_s["medium"] <= 0.8
    assert set(periods_s) == {"high", "medium"}  # low is constant
    keys = re.search(r"@keyframes flash \{\s*0%, 100% \{[^}]*\}\s*(\d+)% ", STYLE)
    assert keys is not None
    assert 20 <= int(keys[1]) <= 60  # per cent of the period that the light is on


def test_who_asks_for_less_motion_gets_none() -> None:
    reduced = STYLE.partition("@media (prefers-reduced-motion: reduce) {")[2]
    assert ".flag { animation: none !important; }" in reduced.partition("@media")[0]


def test_style_and_scripts_ask_nothing_of_the_outside() -> None:
    for path in STATIC.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|eval\(|innerHTML|document\.write", text), path.name
