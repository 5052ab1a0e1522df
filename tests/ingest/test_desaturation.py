"""Desaturation events: depth, duration and area of known falls, and what is none."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

from ingest.signals.desaturation import Desaturation, DesaturationState, events_per_hour, watch

SECOND = 1_000_000_000


def fed(values: list[float], step_s: int = 1, *, copied: bool = False) -> list[Desaturation]:
    state, events = DesaturationState.of(2), []
    for number, value in enumerate(values, start=1):
        if copied:
            state = copy.deepcopy(state)
        events += watch(state, number * step_s * SECOND, np.array([math.nan, value]))
    return events


def test_a_fall_has_its_depth_duration_and_area() -> None:
    fall = [97.0] * 60 + [95.0, 93.0] + [91.0] * 20 + [94.0] + [97.0] * 30
    (event,) = fed(fall)
    assert event.row == 1
    assert event.baseline_pct == 97
    assert event.depth_pct == 6
    assert event.started_at_ns == 60 * SECOND
    assert event.duration_s == 24
    assert event.area_pct_s == pytest.approx(2 + 4 + 20 * 6 + 3)
    assert event.complete


@pytest.mark.parametrize("fall", [[95.0] * 30, [92.0] * 8], ids=["shallow", "short"])
def test_what_is_no_event(fall: list[float]) -> None:
    assert fed([97.0] * 60 + fall + [97.0] * 30) == []


def test_an_oximeter_that_sends_every_four_seconds_is_judged_alike() -> None:
    (event,) = fed([97.0] * 20 + [93.0] * 5 + [97.0] * 5, 4)
    assert event.depth_pct == 4
    assert event.duration_s == 24


def test_falls_in_a_row_are_counted_each() -> None:
    assert len(fed(([97.0] * 30 + [92.0] * 20) * 6 + [97.0])) == 6


def test_a_lasting_lower_level_is_one_incomplete_event_and_then_the_baseline() -> None:
    events = fed([97.0] * 60 + [91.0] * 1200)
    assert len(events) == 1
    assert not events[0].complete
    assert events[0].duration_s == pytest.approx(300, abs=1)


def test_a_gap_ends_an_event_as_seen_until_then() -> None:
    (event,) = fed([97.0] * 60 + [91.0] * 15 + [math.nan] * 60 + [97.0])
    assert not event.complete
    assert event.duration_s == 15
    assert event.area_pct_s == pytest.approx(15 * 6)


def test_a_short_drop_out_ends_nothing() -> None:
    (event,) = fed([97.0] * 60 + [91.0] * 10 + [math.nan] * 8 + [91.0] * 5 + [97.0])
    assert event.complete
    assert event.duration_s == 24


def test_a_saved_state_goes_on_alike() -> None:
    values = np.clip(96 + np.cumsum(np.random.default_rng(4).choice([-1.0, 0, 0, 1], 1500)), 80, 100).tolist()
    assert len(fed(values)) == 2
    assert fed(values, copied=True) == fed(values)


def test_a_cleared_row_is_forgotten() -> None:
    state = DesaturationState.of(2)
    for number in range(1, 70):
        watch(state, number * SECOND, np.array([97.0, 97.0 if number < 60 else 90.0]))
    state.clear(np.array([1]))
    assert watch(state, 71 * SECOND, np.array([97.0, 97.0])) == []
    assert state.last_ns[0] == 71 * SECOND


def test_the_index_needs_ten_minutes() -> None:
    events = fed([97.0] * 60 + [91.0] * 20 + [97.0])
    assert events_per_hour(events, 1800) == 2
    assert math.isnan(events_per_hour(events, 599))
