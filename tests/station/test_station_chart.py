"""The chart: gaps stay gaps, extremes stay visible, several devices stay several lines, and the text stays harmless."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt
import pytest
from gallery import NOW_NS, NS, ZONE
from hypothesis import given
from hypothesis import strategies as st

from alerts.station.chart import AlarmBand, ChartContent, Frame, LimitLine, Plot, columns, draw, scale
from alerts.station.trace import Gap, Summary, best_course, extremes, gaps, runs, summary
from vitals.model import Quality, Reason, Vital

HOUR_NS = 3600 * NS
START_NS = NOW_NS - HOUR_NS


@dataclass(frozen=True)
class Columns:
    """Readings as columns."""

    sampled_at_ns: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    reason: npt.NDArray[np.uint8]
    quality: npt.NDArray[np.uint8]
    device: npt.NDArray[np.uint32]
    names: tuple[str, ...] = ()

    @property
    def devices(self) -> tuple[str, ...]:
        return self.names or tuple(f"d-{n}" for n in range(int(self.device.max(initial=0)) + 1))


def readings(
    *samples: tuple[float, float | Reason], device: Sequence[int] = (), doubtful: Sequence[int] = ()
) -> Columns:
    """Readings at seconds after the start; a `Reason` in place of a value where there is none."""
    reasons = [v if isinstance(v, Reason) else Reason.PRESENT for _, v in samples]
    return Columns(
        np.array([START_NS + int(at * NS) for at, _ in samples], np.int64),
        np.array([np.nan if isinstance(v, Reason) else v for _, v in samples], np.float64),
        np.array(reasons, np.uint8),
        np.array([Quality.DOUBTFUL if i in doubtful else Quality.USABLE for i in range(len(samples))], np.uint8),
        np.array(device or [0] * len(samples), np.uint32),
    )


def picture(found: Columns, **content: object) -> ET.Element:
    svg = draw(
        ChartContent(Vital.SPO2, found, (84, 100), **content),  # type: ignore[arg-type]  # the tests' choice of fields
        Frame(START_NS, NOW_NS, 700, 170),
        ZONE,
    )
    return ET.fromstring(svg)  # a browser reads it as part of a page; well-formed is stricter


def lines(svg: ET.Element) -> list[str]:
    return [path.get("d", "") for path in svg.iter("path") if (path.get("class") or "").startswith("trace")]


# -- runs and gaps -----------------------------------------------------------------------------------------------------


def test_a_missing_or_late_reading_ends_the_line() -> None:
    found = readings((0, 97), (1, 96), (2, Reason.PROBE_OFF), (3, 95), (4, 95), (60, 94), (61, 94))
    assert [run.tolist() for run in runs(found)] == [[0, 1], [3, 4], [5, 6]]


def test_the_time_without_a_value_has_its_reason() -> None:
    off = [(float(at), Reason.PROBE_OFF) for at in range(11, 40)]
    on = [(float(at), 97.0) for at in range(11)]
    back = [(float(at), 97.0) for at in range(40, 60)]
    found = readings(*on, *off, *back)
    assert gaps(found, START_NS, START_NS + 120 * NS) == [
        Gap(START_NS + 10 * NS, START_NS + 40 * NS, Reason.PROBE_OFF),
        Gap(START_NS + 59 * NS, START_NS + 120 * NS, None),
    ]


def test_a_reason_is_not_claimed_for_the_time_in_which_nothing_was_heard() -> None:
    off = [(float(at), Reason.PROBE_OFF) for at in range(1, 60)]
    found = readings((0, 97), *off, (600, 97))
    assert gaps(found, START_NS, START_NS + 601 * NS) == [
        Gap(START_NS, START_NS + 59 * NS, Reason.PROBE_OFF),
        Gap(START_NS + 59 * NS, START_NS + 600 * NS, None),
    ]


def test_without_any_reading_everything_is_a_gap() -> None:
    assert gaps(readings(), START_NS, NOW_NS) == [Gap(START_NS, NOW_NS, None)]
    assert runs(readings()) == []
    assert summary(readings((0, Reason.SEARCHING))) is None


def test_two_devices_are_two_lines_and_cover_for_each_other() -> None:
    finger = [(float(at), 95.0) for at in range(100)]
    ring = [(at + 0.5, Reason.PROBE_OFF if at < 50 else 97.0) for at in range(200)]
    both = sorted([(at, v, 0) for at, v in finger] + [(at, v, 1) for at, v in ring])
    found = readings(*((at, v) for at, v, _ in both), device=[d for *_, d in both])
    assert [len(run) for run in runs(found)] == [100, 150]
    assert gaps(found, START_NS, START_NS + 201 * NS) == []


def test_a_slow_device_is_not_all_gaps() -> None:
    found = readings(*((4.0 * i, 97.0) for i in range(100)))
    assert len(runs(found)) == 1
    assert gaps(found, START_NS, START_NS + 396 * NS) == []


def test_no_line_ever_spans_half_a_minute() -> None:
    found = readings(*((60.0 * i, 97.0) for i in range(10)))
    assert len(runs(found)) == 10


@given(st.lists(st.tuples(st.integers(1, 90), st.one_of(st.floats(50, 100), st.just(None))), max_size=60))
def test_a_line_and_a_gap_never_share_a_time(steps: list[tuple[int, float | None]]) -> None:
    at, samples = 0, []
    for step, value in steps:
        at += step
        samples.append((float(at), Reason.PROBE_OFF if value is None else value))
    found = readings(*samples)
    drawn = [(found.sampled_at_ns[r[0]], found.sampled_at_ns[r[-1]]) for r in runs(found)]
    for gap in gaps(found, START_NS, START_NS + (at + 50) * NS):
        assert gap.end_ns > gap.start_ns
        assert all(end <= gap.start_ns or start >= gap.end_ns for start, end in drawn)
    kept = sorted(int(i) for run in runs(found) for i in run)
    assert kept == [i for i, (_, v) in enumerate(samples) if not isinstance(v, Reason)]


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0, 300, allow_nan=False)), max_size=200))
def test_every_column_keeps_its_lowest_and_highest(points: list[tuple[int, float]]) -> None:
    points.sort(key=lambda p: p[0])
    column, value = np.array([c for c, _ in points], np.intp), np.array([v for _, v in points])
    kept = extremes(column, value)
    assert (np.diff(kept) > 0).all()
    for index in set(column.tolist()):
        all_here, kept_here = value[column == index], value[kept[column[kept] == index]]
        assert (kept_here.min(), kept_here.max()) == (all_here.min(), all_here.max())
        assert len(kept_here) <= 4


def test_the_summary_is_exact() -> None:
    found = readings((0, 97), (1, 81), (2, 99), (3, 96), (4, Reason.PROBE_OFF))
    assert summary(found) == Summary(81, 99, 96, START_NS + 3 * NS)


# -- picture -----------------------------------------------------------------------------------------------------------


def test_the_line_has_a_piece_for_each_run_and_a_dot_for_a_lone_reading() -> None:
    drawn = lines(picture(readings(*((float(i), 97.0) for i in range(10)), (600, 90), (900, 95), (901, 95))))
    assert len(drawn) == 3
    assert drawn[1].count("L") == 0
    assert drawn[1].endswith("h.01")


def test_a_gap_says_why_and_a_doubtful_stretch_is_marked() -> None:
    samples = [(float(i), 97.0) for i in range(600)] + [(float(i), Reason.PROBE_OFF) for i in range(600, 1500)]
    svg = picture(readings(*samples, doubtful=range(100, 200)))
    assert [title.text for title in svg.iter("title")] == ["finger out", "no data", "doubtful"]
    (bar,) = [rect for rect in svg.iter("rect") if rect.get("class") == "unsure"]
    assert float(bar.get("width", 0)) == pytest.approx(99 / 3600 * 598, abs=0.1)
    kinds = [path.get("class") for path in svg.iter("path") if (path.get("class") or "").startswith("trace")]
    assert kinds == ["trace", "trace doubtful", "trace"]


def course(*samples: tuple[str, float, float]) -> Columns:
    """Readings of named devices."""
    names = sorted({name for name, _, _ in samples})
    found = readings(*((at_s, value) for _, at_s, value in samples), device=[names.index(n) for n, _, _ in samples])
    return replace(found, names=tuple(names))


def test_of_best_values_and_the_devices_behind_them_the_best_are_drawn() -> None:
    heart = course(*(("P-1:best", at_s, 80.0) for at_s in range(100)), *(("strap", at_s, 80.0) for at_s in range(100)))
    pulse = course(*(("ox", at_s, 165.0) for at_s in range(100)))
    found = best_course(heart, pulse)
    assert found is not None
    assert {found.devices[number] for number in found.device} == {"P-1:best"}
    assert found.sampled_at_ns.size == 100


def test_a_time_without_best_values_shows_what_the_devices_said() -> None:
    pulse = course(*(("ox", at_s, 90.0) for at_s in range(300)))
    found = best_course(course(*(("P-1:best", at_s, 80.0) for at_s in range(100))), pulse)
    assert found is not None
    times_s = (found.sampled_at_ns - START_NS) // NS
    assert times_s.tolist() == [*range(100), *range(130, 300)]
    assert set(found.value[times_s >= 130]) == {90.0}


def test_without_best_values_nothing_is_chosen() -> None:
    assert best_course(course(("ox", 1, 90.0))) is None


def test_limits_and_alarm_periods_are_drawn_inside_the_picture() -> None:
    bands = [
        AlarmBand(START_NS + 600 * NS, START_NS + 700 * NS, "medium", 'SpO₂ low <"&'),
        AlarmBand(START_NS - HOUR_NS, None, "high", "before the hour until now"),
        AlarmBand(START_NS - HOUR_NS, START_NS - 1, "low", "over before the hour"),
    ]
    limits = [LimitLine(88, "low", "medium"), LimitLine(70, "low", "high")]
    svg = picture(readings((0, 97)), bands=bands, limits=limits)
    boxes = [(r.get("class"), float(r.get("x", 0)), float(r.get("width", 0))) for r in svg.iter("rect")]
    assert [box for box in boxes if box[0]] == [
        ("band medium", pytest.approx(137.7, abs=0.1), pytest.approx(16.6, abs=0.1)),
        ("band high", 38, 598),
    ]
    named = [text.text for text in svg.iter("text") if (text.get("class") or "").startswith("limit-name")]
    assert named == ["low 88", "low 70"]
    assert all(0 <= float(text.get("y", -1)) <= 170 for text in svg.iter("text"))


def test_the_scale_holds_what_must_be_seen() -> None:
    assert scale(ChartContent(Vital.SPO2, readings(), (84, 100))) == (80, 100)
    low, high = scale(ChartContent(Vital.SPO2, readings((0, 62)), (84, 100), limits=[LimitLine(103, "high", "low")]))
    assert low <= 62
    assert high >= 103


def test_the_readout_has_the_exact_value_of_each_column() -> None:
    plot = Plot(38 + 64 + 60, 170, START_NS, NOW_NS, 80, 100)  # a column a minute
    found = readings((0, 97), (30, 91), (60, 95), (200, Reason.PROBE_OFF), (3600, 88))
    cells = columns(found, plot)
    assert cells[:4] == [[91, 97], 95, None, None]
    assert (len(cells), cells[-1]) == (60, 88)


def test_the_readout_travels_with_the_picture() -> None:
    svg = picture(readings((0, 97)))
    cells = json.loads(svg.get("data-columns", ""))
    assert len(cells) == 700 - 38 - 64
    assert cells[0] == 97


@pytest.mark.parametrize("width_px", [260, 390, 900, 2000])
def test_clock_labels_have_room_and_stand_at_round_minutes(width_px: int) -> None:
    svg = draw(
        ChartContent(Vital.SPO2, readings(), (84, 100)),
        Frame(START_NS, NOW_NS, width_px, 170),
        ZONE,
    )
    labels = re.findall(r'x="([\d.]+)" y="165" text-anchor="middle">(\d\d:\d\d)<', svg)
    places = [float(x) for x, _ in labels]
    assert len(labels) >= 2
    assert all(b - a >= 50 for a, b in pairwise(places))
    assert all(int(text[3:]) % 5 == 0 for _, text in labels)


def test_a_picture_of_an_hour_stays_small() -> None:
    rng = np.random.default_rng(4)
    found = readings(*((float(i), float(v)) for i, v in enumerate(rng.integers(80, 100, 3600))))
    svg = draw(
        ChartContent(Vital.SPO2, found, (84, 100)),
        Frame(START_NS, NOW_NS, 10**9, 170),
        ZONE,
    )
    assert len(svg) < 120_000
