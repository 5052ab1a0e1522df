"""One spool on its way: examples of each rule, and a world that drops, reorders and restarts at random."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway import lane as lanes
from gateway.lane import SET_ASIDE_TRIES, Lane, Limits, Portion, Ranges

EPOCH = 77
LIMITS = Limits(window_messages=4, window_bytes=1_000, live_messages=3, backlog_per_s=2.0)


def opened(*, receipted: int = 0, newest: int = 0) -> Lane:
    return lanes.opened(
        lanes.begin(EPOCH, receipted=receipted, newest=newest, limits=LIMITS), newest=newest, limits=LIMITS
    )


def send(lane: Lane, *sequences: int, size: int = 10, at_s: float = 0.0) -> Lane:
    return lanes.sent(lane, tuple((s, size) for s in sequences), now_s=at_s, limits=LIMITS)


def receipt(lane: Lane, through: int, *ahead: tuple[int, int], at_s: float = 0.0) -> Lane:
    return lanes.receipted(lane, through, ahead, now_s=at_s, limits=LIMITS)


def overdue(lane: Lane) -> Lane:
    return lanes.overdue(lane, now_s=lanes.deadline(lane, limits=LIMITS) or 0.0, limits=LIMITS)


def live(lane: Lane, newest: int) -> Portion | None:
    return lanes.wants_live(lane, newest=newest, limits=LIMITS)


def backlog(lane: Lane, *, oldest: int = 1, now_s: float = 1e6) -> Portion | None:
    return lanes.wants_backlog(lane, oldest=oldest, now_s=now_s, limits=LIMITS)


def test_what_was_heard_last_goes_first_and_the_rest_oldest_first() -> None:
    lane = opened(receipted=2, newest=10)
    assert (live(lane, 10), backlog(lane)) == (Portion(7, 3, 1_000), Portion(2, 4, 1_000))
    lane = send(lane, 8, 9, 10)
    assert live(lane, 10) is None
    assert live(lane, 11) == Portion(10, 1, 970)


def test_a_short_outage_is_sent_in_order() -> None:
    lane = opened(receipted=2, newest=5)
    assert (live(lane, 5), backlog(lane)) == (Portion(2, 3, 1_000), None)


def test_backlog_keeps_its_rate_and_live_does_not_wait_for_it() -> None:
    lane = send(opened(newest=10), 1, 2, at_s=5.0)
    assert lane.backlog_at_s == 6.0
    assert backlog(lane, now_s=5.9) is None
    assert backlog(lane, now_s=6.0) == Portion(2, 2, 980)
    assert live(lane, 10) is not None


def test_backlog_does_not_fill_the_window_of_live_data() -> None:
    lane = send(opened(newest=10), 1, 2, 3, 4, size=250)
    assert backlog(lane) is None
    assert live(lane, 10) == Portion(7, 3, 1_000)


def test_what_ingest_holds_ahead_is_not_sent_again() -> None:
    lane = receipt(send(opened(newest=10), 8, 9, 10), 0, (8, 10))
    assert lane.in_flight == ()
    lane = lanes.opened(lanes.lost(lane), newest=20, limits=LIMITS)
    lane = send(lane, 1, 2, 3, 4)
    lane = receipt(lane, 4, (8, 10))
    assert backlog(lane) == Portion(4, 3, 1_000)
    lane = receipt(send(lane, 5, 6, 7), 10)
    assert (lane.receipted, backlog(lane)) == (10, Portion(10, 4, 1_000))


def test_an_ingest_that_forgot_gets_everything_again() -> None:
    lane = receipt(send(opened(newest=10), 8, 9, 10), 0, (8, 10))
    lane = receipt(send(lane, 1, 2), 2)  # another server: nothing ahead
    assert lane.ahead == ()
    assert backlog(lane) == Portion(2, 4, 1_000)
    assert backlog(send(lane, 3, 4, 5, 6)) is None


def test_a_receipt_frees_what_it_covers_and_never_goes_back() -> None:
    lane = receipt(send(opened(newest=3), 1, 2, 3), 2)
    assert (lane.receipted, lane.in_flight) == (2, ((3, 10),))
    assert receipt(lane, 1).receipted == 2


def test_what_the_spool_dropped_is_not_waited_for() -> None:
    assert backlog(opened(newest=10), oldest=6) == Portion(5, 2, 1_000)


def test_a_spool_that_went_back_in_time_sends_nothing_before_it_has_a_new_epoch() -> None:
    lane = receipt(send(opened(newest=2), 1, 2), 900)
    assert (lane.stale, lane.receipts_ahead, live(lane, 9), backlog(lane)) == (True, 1, None, None)
    fresh = lanes.renewed(lane, EPOCH + 1, newest=9, limits=LIMITS)
    assert (fresh.epoch, live(fresh, 9)) == (EPOCH + 1, Portion(6, 3, 1_000))


def test_a_missing_receipt_sends_the_oldest_alone_and_the_window_grows_back() -> None:
    lane = send(opened(newest=3), 1, 2, 3, at_s=5.0)
    assert lanes.deadline(lane, limits=LIMITS) == 15.0
    assert lanes.overdue(lane, now_s=14.9, limits=LIMITS) is lane
    lane = overdue(lane)
    assert (backlog(lane), live(lane, 4)) == (Portion(0, 1, 1_000), Portion(3, 1, 1_000))
    lane = receipt(send(lane, 1, at_s=15.0), 1, at_s=16.0)
    assert backlog(lane) == Portion(1, 2, 1_000)
    assert lane.resent == 1


def test_an_ingest_that_is_silent_for_long_gets_no_more_live_copies_than_the_window() -> None:
    lane, newest = opened(), 0
    for _ in range(20):
        newest += 1
        if portion := live(lane, newest):
            lane = send(lane, portion.after + 1)
        lane = overdue(lane)
    assert lane.live_sent == 4
    lane = receipt(lane, 1)
    assert live(lane, newest) == Portion(17, 3, 1_000), "what is live now comes first, not what was"
    lane = send(lane, 18)
    assert backlog(lane) == Portion(1, 2, 1_000)


def test_a_message_that_ingest_passes_over_again_and_again_cannot_be_read() -> None:
    lane, newest = opened(newest=1), 1
    lane = send(lane, 1)
    for _ in range(1 + SET_ASIDE_TRIES):  # the first time it was only late
        assert lanes.unreadable(lane) is None
        newest += 1
        lane = receipt(send(lane, newest), 0, (2, newest))
        lane = send(overdue(lane), 1)
    assert lanes.unreadable(lane) == 1
    assert lanes.unreadable(receipt(lane, 1)) is None


def test_what_a_broker_held_before_a_message_was_sent_again_says_nothing_of_it() -> None:
    lane = send(opened(newest=40), *range(1, 9))
    for through in range(2, 9):
        lane = receipt(lane, 0, (2, through))
        lane = send(overdue(lane), 1)
        assert lanes.unreadable(lane) is None


def test_a_silent_ingest_is_not_taken_for_a_message_that_cannot_be_read() -> None:
    lane = receipt(send(opened(newest=2), 1, 2), 0, (2, 2))
    for _ in range(3 * SET_ASIDE_TRIES):
        lane = send(overdue(lane), 1)
    assert lanes.unreadable(lane) is None


@pytest.mark.parametrize("sequences", [(2,), (4, 3), (3, 3)])
def test_messages_out_of_order_raise(sequences: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="in order"):
        send(send(opened(newest=2), 1, 2), *sequences)
    with pytest.raises(ValueError, match="connected"):
        send(lanes.lost(opened(newest=9)), *sequences)


class World(RuleBasedStateMachine):
    """A spool, a network that may drop, an ingest that remembers, and a gateway process that may die."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.newest = 0
        self.saved = 0  # the cursor on disk, behind the lane's receipts by any amount
        self.epoch = EPOCH
        self.ingested: set[int] = set()  # of this epoch, or below what it began with
        self.lane = lanes.begin(EPOCH, receipted=0, newest=0, limits=LIMITS)

    @property
    def through(self) -> int:
        return next(n for n in range(1, self.newest + 2) if n not in self.ingested) - 1

    @property
    def ahead(self) -> Ranges:
        return tuple((n, n) for n in sorted(self.ingested) if n > self.through)

    @rule(count=st.integers(1, 9))
    def append(self, count: int) -> None:
        self.newest += count

    @precondition(lambda self: not self.lane.is_open)
    @rule()
    def connect(self) -> None:
        self.lane = lanes.opened(self.lane, newest=self.newest, limits=LIMITS)

    @precondition(lambda self: self.lane.is_open)
    @rule()
    def disconnect(self) -> None:
        self.lane = lanes.lost(self.lane)

    @rule(dropped=st.sets(st.integers(0, 3)))
    def pump(self, dropped: set[int]) -> None:
        portion = live(self.lane, self.newest) or backlog(self.lane, now_s=self.now_s)
        if portion is None:
            return
        sequences = range(portion.after + 1, min(self.newest, portion.after + portion.messages) + 1)
        self.lane = send(self.lane, *sequences, size=100, at_s=self.now_s)
        self.ingested |= {sequence for place, sequence in enumerate(sequences) if place not in dropped}

    @precondition(lambda self: self.lane.is_open)
    @rule(behind=st.integers(0, 5), tells_ahead=st.booleans())
    def receive(self, behind: int, tells_ahead: bool) -> None:
        ahead = self.ahead if tells_ahead and not behind else ()
        self.lane = receipt(self.lane, max(0, self.through - behind), *ahead, at_s=self.now_s)

    @precondition(lambda self: self.lane.is_open)
    @rule(beyond=st.integers(1, 8))
    def receive_nonsense(self, beyond: int) -> None:
        self.lane = receipt(self.lane, self.lane.reached + beyond, at_s=self.now_s)

    @precondition(lambda self: self.lane.stale)
    @rule()
    def renew(self) -> None:
        self.epoch += 1
        self.ingested = set(range(1, self.lane.receipted + 1))  # `oldest` tells ingest not to wait for these
        self.lane = lanes.renewed(self.lane, self.epoch, newest=self.newest, limits=LIMITS)

    @rule(seconds=st.floats(0, 30))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.lane = lanes.overdue(self.lane, now_s=self.now_s, limits=LIMITS)

    @rule()
    def save(self) -> None:
        self.saved = self.lane.receipted

    @rule()
    def restart(self) -> None:
        self.lane = lanes.begin(self.epoch, receipted=self.saved, newest=self.newest, limits=LIMITS)

    @invariant()
    def nothing_is_freed_before_ingest_has_it(self) -> None:
        assert self.lane.receipted <= self.through

    @invariant()
    def windows_are_kept_and_in_order(self) -> None:
        sequences = [sequence for sequence, _ in self.lane.in_flight]
        assert sequences == sorted(set(sequences))
        assert len(sequences) <= 2 * LIMITS.window_messages
        assert all(sequence > self.lane.receipted for sequence in sequences)

    def teardown(self) -> None:
        """Once the network behaves, everything is receipted within a bounded number of rounds."""
        for _ in range(6 * self.newest + 20):
            if not self.lane.is_open:
                self.connect()
            if self.lane.stale:
                self.renew()
            self.pump(dropped=set())
            self.now_s += 1.0
            self.lane = receipt(self.lane, self.through, *self.ahead, at_s=self.now_s)
            if self.lane.receipted == self.newest:
                return
            due_s = lanes.deadline(self.lane, limits=LIMITS)
            if due_s is not None and live(self.lane, self.newest) is None and backlog(self.lane) is None:
                self.now_s = due_s
                self.lane = lanes.overdue(self.lane, now_s=self.now_s, limits=LIMITS)
        raise AssertionError(f"{self.lane} never drained to {self.newest}")


World.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestWorld = World.TestCase


def test_the_count_of_what_was_sent_twice_is_exact() -> None:
    lane = send(opened(newest=10), 8, 9, 10)
    lane = send(lane, 1, 2)
    assert lane.resent == 0
    lane = send(replace(overdue(lane), window=4), 1, 2, 3)
    assert lane.resent == 2
