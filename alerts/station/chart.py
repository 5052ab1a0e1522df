"""The chart of one vital over time, as inline SVG: what was measured, and nothing else.

The line ends where a reading is missing or late and starts again where the next one is; the time without a value is
shaded and says why. Pure: arrays in, text out. Colours and dashes live in the style sheet.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from html import escape
from typing import Final, TypeAlias

import numpy as np

from alerts.station import words
from alerts.station.trace import Gap, Readings, Times, doubtful, doubtful_stretches, extremes, gaps, present, runs
from vitals.model import Vital

MIN_WIDTH_PX: Final = 260
MAX_WIDTH_PX: Final = 2000  # bounds the columns, and with them the size of a chart
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 64, 8, 22  # room for the scale, the limits' names and the clock
_TICK_MINUTES: Final = (1, 2, 5, 10, 15, 20, 30, 60, 120, 240)
_TICK_PX: Final = 64  # a clock label with air around it
_NAME_PX: Final = 13  # the height of a limit's name
_DOUBT_PX: Final = 5

Cell: TypeAlias = "float | list[float] | None"


@dataclass(frozen=True, slots=True)
class LimitLine:
    """An alarm limit in force: `side` is `low` or `high`, `priority` one of `high`, `medium`, `low`."""

    value: float
    side: str
    priority: str


@dataclass(frozen=True, slots=True)
class AlarmBand:
    """When an alarm condition of this vital held; `end_ns` is `None` while it still does."""

    start_ns: int
    end_ns: int | None
    priority: str
    title: str


@dataclass(frozen=True, slots=True)
class Frame:
    """The period a chart shows, and its size on the page; the width is kept within its bounds."""

    start_ns: int
    end_ns: int
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True)
class Plot:
    """A rectangle of pixels and what it stands for: times from left to right, values from `low` up to `high`."""

    width_px: int
    height_px: int
    start_ns: int
    end_ns: int
    low: float
    high: float

    @property
    def right(self) -> int:
        """The x of the last pixel in which values are drawn."""
        return self.width_px - _RIGHT

    @property
    def floor(self) -> int:
        """The y of `low`."""
        return self.height_px - _BOTTOM

    @property
    def columns(self) -> int:
        """How many pixel columns hold values."""
        return self.right - _LEFT

    def x(self, at_ns: int) -> float:
        """Where a time is, kept inside the rectangle."""
        share = (at_ns - self.start_ns) / (self.end_ns - self.start_ns)
        return _LEFT + min(max(share, 0.0), 1.0) * self.columns

    def y(self, value: float) -> float:
        """Where a value is."""
        return self.floor - (value - self.low) / (self.high - self.low) * (self.floor - _TOP)


@dataclass(frozen=True, slots=True)
class ChartContent:
    """Everything one chart shows. `usual`: the range the scale has when no value or limit lies outside."""

    vital: Vital
    readings: Readings
    usual: tuple[float, float]
    limits: Sequence[LimitLine] = field(default=())
    bands: Sequence[AlarmBand] = field(default=())


def draw(content: ChartContent, frame: Frame, zone: tzinfo) -> str:
    """The chart as one `<svg>` element; `data-columns` carries what a pointer reads out, one entry a pixel column."""
    width_px = min(max(frame.width_px, MIN_WIDTH_PX), MAX_WIDTH_PX)
    low, high = scale(content)
    plot = Plot(width_px, frame.height_px, frame.start_ns, frame.end_ns, low, high)
    label = escape(f"{words.SHORT_LABELS[content.vital]} from {words.clock(frame.start_ns, zone)} "
                   f"to {words.clock(frame.end_ns, zone)}")  # fmt: skip
    readout = escape(json.dumps(columns(content.readings, plot), separators=(",", ":")))
    parts = [
        f'<svg class="chart" role="img" aria-label="{label}" width="{width_px}" height="{frame.height_px}" '
        f'viewBox="0 0 {width_px} {frame.height_px}" data-left="{_LEFT}" '
        f'data-columns="{readout}">',
        *_bands(content.bands, plot),
        *_gaps(content, plot),
        *_value_grid(plot),
        *_clock_grid(plot, zone),
        *_limits(content, plot),
        *_doubts(content.readings, plot),
        *_lines(content.readings, plot),
        "</svg>",
    ]
    return "".join(parts)


def scale(content: ChartContent) -> tuple[float, float]:
    """The lowest and highest value of the scale: the usual range, widened to whole steps around what must be seen."""
    values = content.readings.value[present(content.readings)]
    seen = [*content.usual, *(limit.value for limit in content.limits)]
    if values.size:
        seen += [float(values.min()), float(values.max())]
    step = _step(max(seen) - min(seen))
    return float(np.floor(min(seen) / step) * step), float(np.ceil(max(seen) / step) * step)


def columns(readings: Readings, plot: Plot) -> list[Cell]:
    """For each pixel column: `None`, the one value in it, or its lowest and highest."""
    cells: list[Cell] = [None] * plot.columns
    times = readings.sampled_at_ns
    kept = present(readings) & (times >= plot.start_ns) & (times <= plot.end_ns)
    column, values = _column(times[kept], plot), readings.value[kept].round(1)
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    if starts.size:
        lows, highs = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
        for index, lowest, highest in zip(column[starts].tolist(), lows.tolist(), highs.tolist(), strict=True):
            cells[index] = lowest if lowest == highest else [lowest, highest]
    return cells


def _column(times: Times, plot: Plot) -> Times:
    share = (times - plot.start_ns) / (plot.end_ns - plot.start_ns)
    return np.clip((share * plot.columns).astype(np.int64), 0, plot.columns - 1)


def _step(span: float) -> float:
    return next((step for step in (1, 2, 5, 10, 20, 50, 100) if span / step <= 6), 200)


def _value_grid(plot: Plot) -> Iterator[str]:
    for value in np.arange(plot.low, plot.high + 0.5, _step(plot.high - plot.low)):
        y = plot.y(float(value))
        yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{plot.right}"/>'
        yield f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.0f}</text>'


def _clock_grid(plot: Plot, zone: tzinfo) -> Iterator[str]:
    for at_ns in _clock_ticks(plot, zone):
        x = plot.x(at_ns)
        yield f'<path class="grid" d="M{x:.1f} {_TOP}V{plot.floor}"/>'
        yield (
            f'<text class="tick" x="{x:.1f}" y="{plot.height_px - 5}" text-anchor="middle">'
            f"{words.clock(at_ns, zone)}</text>"
        )


def _clock_ticks(plot: Plot, zone: tzinfo) -> Iterator[int]:
    minutes = (plot.end_ns - plot.start_ns) / (60 * words.NS)
    at_most = max(1, plot.columns // _TICK_PX)
    step = next((m for m in _TICK_MINUTES if minutes / m <= at_most), 480)
    first = datetime.fromtimestamp(plot.start_ns / words.NS, zone).replace(second=0, microsecond=0)
    at = first - timedelta(minutes=first.minute % step)
    while (at_ns := int(at.timestamp()) * words.NS) <= plot.end_ns:
        if at_ns >= plot.start_ns:
            yield at_ns
        at += timedelta(minutes=step)


def _limits(content: ChartContent, plot: Plot) -> Iterator[str]:
    name_y = -math.inf
    for limit in sorted(content.limits, key=lambda limit: -limit.value):
        y = plot.y(limit.value)
        name_y = max(y, name_y + _NAME_PX)  # names of limits that are close together stand below each other
        name = f"{limit.side} {words.number(content.vital, limit.value)}"
        yield f'<path class="limit {escape(limit.priority)}" d="M{_LEFT} {y:.1f}H{plot.right}"/>'
        yield (
            f'<text class="limit-name {escape(limit.priority)}" x="{plot.right + 6}" y="{name_y + 4:.1f}">{name}</text>'
        )


def _bands(bands: Sequence[AlarmBand], plot: Plot) -> Iterator[str]:
    for band in bands:
        end_ns = plot.end_ns if band.end_ns is None else band.end_ns
        if end_ns < plot.start_ns or band.start_ns > plot.end_ns:
            continue
        left, right = plot.x(band.start_ns), plot.x(end_ns)
        yield (
            f'<rect class="band {escape(band.priority)}" x="{left:.1f}" y="{_TOP}" '
            f'width="{max(right - left, 1.5):.1f}" height="{plot.floor - _TOP}">'
            f"<title>{escape(band.title)}</title></rect>"
        )


def _gaps(content: ChartContent, plot: Plot) -> Iterator[str]:
    for gap in gaps(content.readings, plot.start_ns, plot.end_ns):
        left, right = plot.x(gap.start_ns), plot.x(gap.end_ns)
        why = _why(gap, content.vital)
        yield f'<g class="gap"><title>{escape(why)}</title>'
        yield f'<rect x="{left:.1f}" y="{_TOP}" width="{right - left:.1f}" height="{plot.floor - _TOP}"/>'
        if right - left > 6 * len(why) + 8:
            yield f'<text x="{(left + right) / 2:.1f}" y="{plot.floor - 8}" text-anchor="middle">{escape(why)}</text>'
        yield "</g>"


def _doubts(readings: Readings, plot: Plot) -> Iterator[str]:
    """A bar along the floor under what is doubtful: a fainter line alone is missed where it is short."""
    for start_ns, end_ns in doubtful_stretches(readings):
        left, right = plot.x(start_ns), plot.x(end_ns)
        yield (
            f'<rect class="unsure" x="{left:.1f}" y="{plot.floor - _DOUBT_PX}" width="{max(right - left, 1.5):.1f}" '
            f'height="{_DOUBT_PX}"><title>doubtful</title></rect>'
        )


def _why(gap: Gap, vital: Vital) -> str:
    return "no data" if gap.reason is None else words.reason(gap.reason, vital)


def _lines(readings: Readings, plot: Plot) -> Iterator[str]:
    unsure = doubtful(readings)
    for run in runs(readings):
        kept = run[extremes(_column(readings.sampled_at_ns[run], plot), readings.value[run])]
        turns = np.flatnonzero(np.diff(unsure[kept])) + 1
        start = 0
        for end in [*turns.tolist(), len(kept)]:
            piece = kept[max(start - 1, 0) : end]  # starts at the point before, so that the pieces meet
            points = (f"{plot.x(int(readings.sampled_at_ns[i])):.1f} {plot.y(readings.value[i]):.1f}" for i in piece)
            kind = "trace doubtful" if unsure[kept[end - 1]] else "trace"
            yield f'<path class="{kind}" d="M{"L".join(points)}h.01"/>'  # the dash makes a lone reading a dot
            start = end
