"""SpO2 as the oximeter says it: bridged, doubted, never made up."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.signals.oxygen import APART_NS, HOLD_NS, SETTLED_NS, Judged, OxygenState, Readings, advance
from vitals.model import Quality, Reason

SECOND = 1_000_000_000
NAN = float("nan")


def reading(
    at_s: int,
    spo2: float = 97.0,
    *,
    pulse: float = NAN,
    heart: float = NAN,
    perfusion: float = NAN,
    reason: Reason = Reason.PRESENT,
) -> Readings:
    columns = [np.array([value]) for value in (spo2, pulse, perfusion, heart)]
    return Readings(np.array([at_s * SECOND]), *columns, np.array([reason], np.uint8))


def fed(state: OxygenState, at_s: int, *values: object, **named: object) -> Judged:
    return advance(state, reading(at_s, *values, **named), at_s * SECOND)  # type: ignore[arg-type]


def test_a_good_reading_passes_as_it_is() -> None:
    judged = fed(OxygenState.of(1), 100, 96.0, pulse=72, heart=74, perfusion=2.0)
    assert judged.spo2_pct[0] == 96
    assert judged.quality[0] == Quality.USABLE
    assert judged.reason[0] == Reason.PRESENT
    assert judged.age_ns[0] == 0


def test_a_short_drop_out_is_bridged_in_doubt_and_a_long_one_tells_why() -> None:
    state = OxygenState.of(1)
    fed(state, 100, 96.0)
    held_s = HOLD_NS // SECOND
    for later in (1, held_s):
        judged = fed(state, 100 + later, NAN, reason=Reason.SEARCHING)
        assert judged.held[0]
        assert judged.spo2_pct[0] == 96
        assert judged.age_ns[0] == later * SECOND
        assert judged.quality[0] == Quality.DOUBTFUL
    judged = fed(state, 100 + held_s + 1, NAN, reason=Reason.SEARCHING)
    assert np.isnan(judged.spo2_pct[0])
    assert judged.reason[0] == Reason.SEARCHING
    assert judged.quality[0] == Quality.UNUSABLE


def test_an_oximeter_that_never_spoke_has_its_own_reason() -> None:
    assert fed(OxygenState.of(1), 0, NAN).reason[0] == Reason.NEVER_SEEN


@pytest.mark.parametrize("impossible", [0.0, 101.0, 127.0, float("inf")])
def test_an_impossible_number_is_no_reading(impossible: float) -> None:
    judged = fed(OxygenState.of(1), 100, impossible)
    assert np.isnan(judged.spo2_pct[0])
    assert judged.reason[0] == Reason.NO_READING


def test_low_perfusion_is_doubtful() -> None:
    judged = fed(OxygenState.of(1), 100, perfusion=0.2)
    assert judged.low_perfusion[0]
    assert judged.quality[0] == Quality.DOUBTFUL


def test_a_pulse_that_disagrees_for_long_is_doubtful_until_it_agrees_for_as_long() -> None:
    state, wait_s = OxygenState.of(1), APART_NS // SECOND
    apart = [bool(fed(state, 100 + s, pulse=140, heart=80).disagrees[0]) for s in range(wait_s + 3)]
    assert apart == [False] * wait_s + [True] * 3
    agreeing = [bool(fed(state, 200 + s, pulse=82, heart=80).disagrees[0]) for s in range(wait_s + 3)]
    assert agreeing == [True] * wait_s + [False] * 3


def test_a_short_disagreement_and_one_within_tolerance_say_nothing() -> None:
    state = OxygenState.of(1)
    pulses = [140 if s % 4 else 80 for s in range(40)]
    assert not any(fed(state, 100 + s, pulse=p, heart=80).disagrees[0] for s, p in enumerate(pulses))
    assert not any(fed(state, 200 + s, pulse=170, heart=150).disagrees[0] for s in range(40))


def test_without_a_second_heart_rate_nothing_is_said() -> None:
    state = OxygenState.of(1)
    assert not any(fed(state, 100 + s, pulse=140).disagrees[0] for s in range(30))


def test_a_leap_is_doubtful_until_it_has_settled_and_a_fall_is_not_a_leap() -> None:
    state = OxygenState.of(1)
    fed(state, 99, 97.0)
    settle_s = SETTLED_NS // SECOND
    after = [bool(fed(state, 100 + s, 80.0).leaps[0]) for s in range(settle_s + 2)]
    assert after == [True] * settle_s + [False] * 2
    falling = OxygenState.of(1)
    assert not any(fed(falling, 100 + s, 97.0 - 2 * s).leaps[0] for s in range(10))


VALUES = st.one_of(st.floats(-10, 300), st.just(NAN))


@given(st.lists(st.tuples(st.integers(1, 9), VALUES, VALUES, VALUES, VALUES), min_size=2, max_size=30), st.data())
@settings(max_examples=40, deadline=None)
def test_every_answer_is_told_and_a_saved_state_goes_on_alike(
    rows: list[tuple[int, float, float, float, float]], data: st.DataObject
) -> None:
    state, at_s, cut = OxygenState.of(1), 100, data.draw(st.integers(0, len(rows)))
    saved = copy.deepcopy(state)
    for number, (step_s, spo2, pulse, heart, perfusion) in enumerate(rows):
        if number == cut:
            saved = copy.deepcopy(state)
        at_s += step_s
        judged = fed(state, at_s, spo2, pulse=pulse, heart=heart, perfusion=perfusion)
        assert np.isnan(judged.spo2_pct[0]) == (judged.reason[0] != Reason.PRESENT)
        assert np.isnan(judged.spo2_pct[0]) == (judged.quality[0] == Quality.UNUSABLE)
        if number >= cut:
            again = fed(saved, at_s, spo2, pulse=pulse, heart=heart, perfusion=perfusion)
            for name in Judged.__slots__:
                np.testing.assert_array_equal(getattr(again, name), getattr(judged, name))


def test_rows_do_not_touch_each_other_and_a_cleared_one_is_forgotten() -> None:
    state = OxygenState.of(2)
    both = Readings(
        np.array([100 * SECOND, 0]),
        np.array([95.0, NAN]),
        *(np.full(2, NAN) for _ in range(3)),
        np.zeros(2, np.uint8),
    )
    judged = advance(state, both, 100 * SECOND)
    assert judged.reason.tolist() == [Reason.PRESENT, Reason.NEVER_SEEN]
    state.clear(np.array([0]))
    assert state.good_at_ns.tolist() == [0, 0]
    assert np.isnan(state.good_pct).all()
