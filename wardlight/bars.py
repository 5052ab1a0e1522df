"""A bar chart as SVG text: for figures that people paste into a report, without a plotting library."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

COLOURS: Final = ("#0b6e99", "#e39a3b", "#5b8c5a", "#8a4f7d", "#999999", "#c8553d")
_LABEL_PX, _BAR_PX, _VALUE_PX = 250, 420, 130
_ROW_PX, _GAP_PX, _HEAD_PX = 18, 8, 44
_TEXT: Final = '<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}" fill="#222">{text}</text>'

Row = tuple[str, Sequence[float]]


def bar_chart(title: str, series: Sequence[str], rows: Sequence[Row], *, unit: str = "", decimals: int = 0) -> str:
    """Horizontal bars: each row a label and one value for each of `series`, drawn below each other."""
    most = max((value for _, values in rows for value in values), default=0.0) or 1.0
    width = _LABEL_PX + _BAR_PX + _VALUE_PX
    parts = [_text(10, 20, "start", title, size=15), *_legend(series)]
    y = _HEAD_PX + 10
    for label, values in rows:
        middle = y + _ROW_PX * len(values) / 2 + 5
        parts.append(_text(_LABEL_PX - 8, middle, "end", label))
        for index, value in enumerate(values):
            length = round(value / most * _BAR_PX, 1)
            colour = COLOURS[index % len(COLOURS)]
            parts.append(f'<rect x="{_LABEL_PX}" y="{y + 2}" width="{length}" height="{_ROW_PX - 4}" fill="{colour}"/>')
            parts.append(_text(_LABEL_PX + length + 6, y + 13, "start", f"{value:,.{decimals}f}{unit}"))
            y += _ROW_PX
        y += _GAP_PX
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y}" font-family="sans-serif">'
    return "\n".join([head, f'<rect width="{width}" height="{y}" fill="#fff"/>', *parts, "</svg>\n"])


def _legend(series: Sequence[str]) -> list[str]:
    parts, x = [], 10
    for index, name in enumerate(series if len(series) > 1 else ()):
        parts.append(f'<rect x="{x}" y="32" width="12" height="12" fill="{COLOURS[index % len(COLOURS)]}"/>')
        parts.append(_text(x + 17, 42, "start", name))
        x += 34 + 7 * len(name)
    return parts


def _text(x: float, y: float, anchor: str, text: str, *, size: int = 12) -> str:
    return _TEXT.format(x=round(x, 1), y=round(y, 1), anchor=anchor, size=size, text=escape(text))
