"""The heartbeat's machine and its pager, against a plain account of what happened; time is told."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from alerts.heartbeat import (
    REPEAT_S,
    RETRY_S,
    AwakeClock,
    Happening,
    Heartbeat,
    IllegalTransitionError,
    Pace,
    Page,
    Pager,
    State,
    Step,
    after,
)

PACE = Pace(every_s=120, within_s=30, first_s=10)


def begun(at_s: float = 10.0) -> Heartbeat:
    beat = Heartbeat(PACE, 0.0)
    assert beat.let_pass(at_s) is Happening.BEGUN
    return beat


def test_a_round_that_comes_through_is_followed_by_the_next_at_its_time() -> None:
    beat = begun()
    assert not any(beat.seen(1, step, 10.1) for step in Step if step is not Step.HANDED_OVER)
    assert beat.seen(1, Step.HANDED_OVER, 10.5)
    assert (beat.took_s, beat.lost, beat.let_pass(129.9)) == (0.5, False, None)
    assert beat.let_pass(130.0) is Happening.BEGUN


def test_a_round_that_does_not_is_overdue_and_says_how_far_it_came() -> None:
    beat = begun()
    beat.seen(1, Step.COMMITTED, 11.0)
    beat.seen(1, Step.ACCEPTED, 12.0)  # heard later, came earlier
    assert beat.let_pass(39.9) is None
    assert beat.let_pass(40.0) is Happening.OVERDUE
    assert (beat.lost, beat.stuck_at) == (True, Step.COMMITTED)
    assert not beat.seen(1, Step.HANDED_OVER, 41.0), "too late"
    assert beat.lost
    assert beat.let_pass(40.0 + RETRY_S) is Happening.BEGUN
    assert beat.lost, "until one comes through"
    assert beat.seen(2, Step.HANDED_OVER, 51.0)
    assert not beat.lost


def test_what_was_lost_before_a_restart_is_lost_until_a_round_comes_through() -> None:
    beat = Heartbeat(PACE, 0.0, lost=True)
    assert beat.lost
    assert beat.let_pass(10.0) is Happening.BEGUN
    assert beat.seen(1, Step.HANDED_OVER, 10.2)
    assert not beat.lost


@pytest.mark.parametrize(("state", "happening"), list(product(State, Happening)))
def test_only_what_the_table_has_is_possible(state: State, happening: Happening) -> None:
    in_round = state in (State.UNDER_WAY, State.RETRYING)
    if in_round == (happening is Happening.BEGUN):
        with pytest.raises(IllegalTransitionError):
            after(state, happening)
    else:
        assert after(state, happening) in State


def test_who_is_told_is_told_once_an_hour_and_once_when_it_is_over() -> None:
    pager = Pager(0.0)
    assert pager.owed(0.0, lost=False) is None
    assert pager.owed(1.0, lost=True) is Page.LOST
    pager.handed_over(Page.LOST, 1.0)
    assert pager.owed(REPEAT_S, lost=True) is None
    assert pager.owed(1.0 + REPEAT_S, lost=True) is Page.LOST
    pager.handed_over(Page.LOST, 1.0 + REPEAT_S)
    assert pager.owed(2.0 + REPEAT_S, lost=False) is Page.BACK
    pager.handed_over(Page.BACK, 2.0 + REPEAT_S)
    assert pager.owed(9 * REPEAT_S, lost=False) is None


def test_a_failing_channel_is_tried_less_and_less_often_but_within_half_a_minute() -> None:
    pager, now_s, waited = Pager(0.0), 0.0, []
    for _ in range(8):
        assert pager.owed(now_s, lost=True) is Page.LOST
        pager.failed(Page.LOST, now_s)
        before_s = now_s
        while pager.owed(now_s, lost=True) is None:
            now_s += 1.0
        waited.append(now_s - before_s)
    assert waited == [2, 4, 8, 16, 30, 30, 30, 30]


def test_who_was_not_told_need_not_know_that_it_is_over_and_who_was_told_before_a_restart_does() -> None:
    pager = Pager(0.0)
    pager.failed(Page.LOST, 0.0)
    assert pager.owed(100.0, lost=False) is None
    assert Pager(0.0, told=True).owed(1.0, lost=False) is Page.BACK
    assert Pager(0.0, told=True).owed(1.0, lost=True) is None


def test_a_return_is_told_at_once_though_the_channel_just_failed_with_the_hourly_repetition() -> None:
    pager = Pager(0.0, told=True)
    pager.failed(Page.LOST, REPEAT_S)
    assert pager.owed(REPEAT_S, lost=False) is Page.BACK


@given(st.lists(st.floats(0.0, 1e6), max_size=20))
def test_a_standstill_counts_for_little_and_time_never_goes_back(steps: list[float]) -> None:
    clock, monotonic_s, before_s = AwakeClock(5.0), 5.0, 0.0
    for step_s in steps:
        monotonic_s += step_s
        now_s = clock.advance(monotonic_s)
        assert before_s <= now_s <= before_s + min(step_s, AwakeClock.MOST_STEP_S) + 1e-6
        before_s = now_s
    assert clock.advance(0.0) == before_s


class Days(RuleBasedStateMachine):
    """Any course of things: rounds that come through, or only so far, late or of long ago; a channel that may fail."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.beat = Heartbeat(PACE, 0.0)
        self.pager = Pager(0.0)
        self.begun_s = 0.0
        self.through_s = 0.0  # or the start
        self.since_overdue = False  # an overdue round, and none that came through since
        self.pages: list[Page] = []

    @rule(seconds=st.sampled_from([0.0, 0.5, 5.0, 29.0, 31.0, 121.0, 4_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds
        while (happening := self.beat.let_pass(self.now_s)) is not None:
            if happening is Happening.BEGUN:
                self.begun_s = self.now_s
            else:
                assert self.now_s - self.begun_s >= PACE.within_s, "nobody is paged before the time"
                self.since_overdue = True

    @rule(back=st.integers(0, 2), step=st.sampled_from(Step))
    def something_is_seen(self, back: int, step: Step) -> None:
        current = back == 0 and self.beat.in_round
        through = self.beat.seen(self.beat.round - back, step, self.now_s)
        assert through == (current and step is Step.HANDED_OVER)
        if through:
            self.through_s, self.since_overdue = self.now_s, False

    @rule(takes=st.booleans())
    def the_second_channel_is_asked(self, takes: bool) -> None:
        page = self.pager.owed(self.now_s, lost=self.beat.lost)
        if page is not None and takes:
            self.pager.handed_over(page, self.now_s)
            self.pages.append(page)
        elif page is not None:
            self.pager.failed(page, self.now_s)

    @precondition(lambda self: self.pages)
    @rule()
    def the_server_is_started_again(self) -> None:
        told = self.pages[-1] is Page.LOST
        self.beat = Heartbeat(PACE, self.now_s, lost=self.beat.lost)
        self.pager = Pager(self.now_s, told=told)

    @invariant()
    def it_is_lost_exactly_while_the_latest_round_to_end_was_overdue(self) -> None:
        assert self.beat.lost == self.since_overdue

    @invariant()
    def a_return_is_told_only_to_who_was_told_of_the_loss(self) -> None:
        for before, page in zip([None, *self.pages], self.pages, strict=False):
            assert page is Page.LOST or before is Page.LOST

    @invariant()
    def what_was_tried_is_owed_again_within_a_minute(self) -> None:
        due = self.pager.owed(self.now_s + 60.0, lost=self.beat.lost)
        told = bool(self.pages) and self.pages[-1] is Page.LOST
        if self.beat.lost and not told:
            assert due is Page.LOST
        if not self.beat.lost and told:
            assert due is Page.BACK


TestDays = Days.TestCase
