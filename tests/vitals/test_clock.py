"""Clock trust: what time it is when the wall clock is wrong, steps, or is not set yet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitals.clock import (
    DRIFT_PPM,
    STEP_NS,
    SYNCHRONISED_UNCERTAINTY_MS,
    ClockKeeper,
    Moment,
    observe,
    resynchronise,
    retime,
)
from vitals.model import ClockSource

SECOND = 1_000_000_000
UTC = 1_750_000_000 * SECOND
BOOT = 77 * SECOND


def anchored() -> ClockKeeper:
    return resynchronise(wall_ns=UTC, monotonic_ns=BOOT)[0]


def seen(keeper: ClockKeeper, after_s: float, *, wall_ahead_s: float = 0.0, synchronised: bool = True) -> Moment:
    after_ns = round(after_s * SECOND)
    wall_ns = UTC + after_ns + round(wall_ahead_s * SECOND)
    return observe(keeper, wall_ns=wall_ns, monotonic_ns=BOOT + after_ns, synchronised=synchronised)[1]


def test_before_the_first_synchronisation_no_time_is_trusted() -> None:
    keeper, moment = observe(ClockKeeper(), wall_ns=5, monotonic_ns=BOOT, synchronised=False)
    assert moment.trust.source is ClockSource.UNSYNCHRONISED
    assert keeper == ClockKeeper()
    assert retime(BOOT, keeper) is None


def test_the_first_synchronisation_is_believed_however_large_its_step() -> None:
    keeper, _ = observe(ClockKeeper(), wall_ns=5, monotonic_ns=BOOT, synchronised=False)
    keeper, moment = observe(keeper, wall_ns=UTC, monotonic_ns=BOOT + SECOND, synchronised=True)
    assert (moment.utc_ns, moment.trust.source) == (UTC, ClockSource.SYNCHRONISED)
    assert moment.trust.uncertainty_ms == SYNCHRONISED_UNCERTAINTY_MS
    assert retime(BOOT, keeper) == UTC - SECOND  # a reading held from before


def test_a_clock_that_is_slewed_is_followed() -> None:
    moment = seen(anchored(), 1.0, wall_ahead_s=0.4)
    assert (moment.utc_ns, moment.trust.source) == (UTC + SECOND + 400_000_000, ClockSource.SYNCHRONISED)


@pytest.mark.parametrize("wall_ahead_s", [0.6, -0.6, 86_400.0, -86_400.0 * 365])
def test_a_trusted_clock_that_steps_is_not_followed(wall_ahead_s: float) -> None:
    keeper, moment = observe(
        anchored(), wall_ns=UTC + round(wall_ahead_s * SECOND), monotonic_ns=BOOT, synchronised=True
    )
    assert (moment.utc_ns, moment.trust.source) == (UTC, ClockSource.HOLDOVER)
    assert keeper.suspect
    accepted, _ = resynchronise(wall_ns=UTC + round(wall_ahead_s * SECOND), monotonic_ns=BOOT)
    assert not accepted.suspect


def test_a_clock_that_agrees_again_is_followed_again() -> None:
    keeper, _ = observe(anchored(), wall_ns=UTC + 9 * SECOND, monotonic_ns=BOOT, synchronised=True)
    keeper, moment = observe(keeper, wall_ns=UTC + SECOND, monotonic_ns=BOOT + SECOND, synchronised=True)
    assert moment.trust.source is ClockSource.SYNCHRONISED
    assert not keeper.suspect


def test_without_synchronisation_the_monotonic_clock_carries_on_and_doubt_grows() -> None:
    early, late = (seen(anchored(), after, wall_ahead_s=50, synchronised=False) for after in (10.0, 86_400.0))
    assert (early.utc_ns, early.trust.source) == (UTC + 10 * SECOND, ClockSource.HOLDOVER)
    day_ms = 86_400 * DRIFT_PPM / 1_000
    assert late.trust.uncertainty_ms == pytest.approx(SYNCHRONISED_UNCERTAINTY_MS + day_ms)
    assert early.trust.uncertainty_ms < late.trust.uncertainty_ms


def test_after_long_silence_a_larger_difference_is_drift() -> None:
    week = 7 * 86_400.0
    drift_s = week * DRIFT_PPM / 1e6
    assert drift_s * SECOND > 10 * STEP_NS
    assert seen(anchored(), week, wall_ahead_s=drift_s).trust.source is ClockSource.SYNCHRONISED
    assert seen(anchored(), week, wall_ahead_s=drift_s + 1).trust.source is ClockSource.HOLDOVER


@given(st.lists(st.tuples(st.integers(0, 10 * SECOND), st.integers(-20 * SECOND, 20 * SECOND), st.booleans())))
def test_time_once_trusted_never_moves_by_more_than_a_slew(steps: list[tuple[int, int, bool]]) -> None:
    keeper, at_ns, last = anchored(), 0, UTC
    for elapsed_ns, wall_ahead_ns, synchronised in steps:
        at_ns += elapsed_ns
        keeper, moment = observe(
            keeper, wall_ns=UTC + at_ns + wall_ahead_ns, monotonic_ns=BOOT + at_ns, synchronised=synchronised
        )
        assert abs(moment.utc_ns - (last + elapsed_ns)) <= STEP_NS + at_ns * DRIFT_PPM / 1e6
        last = moment.utc_ns
