"""The uplink machine: examples of each rule, and a world that drops, reorders and restarts at random."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.uplink_state import (
    STABLE_S,
    Dial,
    Event,
    Limits,
    Lost,
    Opened,
    Overdue,
    Phase,
    Portion,
    Receipted,
    Renewed,
    Sent,
    State,
    begin,
    next_deadline,
    step,
    wants,
)

EPOCH = 77
LIMITS = Limits(window_messages=4, window_bytes=1_000)


def online(*, receipted: int = 0, newest: int = 0, at_s: float = 0.0) -> State:
    state = begin(EPOCH, receipted=receipted, newest=newest, limits=LIMITS)
    state = step(state, Dial(), now_s=at_s, limits=LIMITS)
    return step(state, Opened(), now_s=at_s, limits=LIMITS)


def send(state: State, *sequences: int, size: int = 10, at_s: float = 0.0) -> State:
    return step(state, Sent(tuple((s, size) for s in sequences)), now_s=at_s, limits=LIMITS)


def receipt(state: State, through: int, *, epoch: int = EPOCH, at_s: float = 0.0) -> State:
    return step(state, Receipted(epoch, through), now_s=at_s, limits=LIMITS)


def test_sends_oldest_first_after_what_is_receipted() -> None:
    assert wants(online(receipted=5, newest=9), newest=9, limits=LIMITS) == Portion(5, 4, 1_000)


def test_wants_nothing_when_offline_or_done() -> None:
    state = begin(EPOCH, receipted=0, newest=3, limits=LIMITS)
    assert wants(state, newest=3, limits=LIMITS) is None
    assert wants(send(online(), 1, 2, 3), newest=3, limits=LIMITS) is None


def test_the_window_is_bounded_in_messages_and_bytes() -> None:
    assert wants(send(online(), 1, 2, 3), newest=9, limits=LIMITS) == Portion(3, 1, 970)
    assert wants(send(online(), 1, 2, 3, 4), newest=9, limits=LIMITS) is None
    assert wants(send(online(), 1, 2, size=500), newest=9, limits=LIMITS) is None


def test_a_receipt_frees_what_it_covers_and_never_goes_back() -> None:
    state = receipt(send(online(), 1, 2, 3), 2)
    assert (state.receipted, state.in_flight) == (2, ((3, 10),))
    assert receipt(state, 1) == state


def test_foreign_and_impossible_receipts_are_counted_and_free_nothing() -> None:
    state = send(online(), 1, 2)
    foreign, ahead = receipt(state, 2, epoch=EPOCH + 1), receipt(state, 3)
    assert foreign == replace(state, foreign_receipts=1)
    assert ahead == replace(state, receipts_ahead=1, stale=True)


def test_a_spool_that_went_back_in_time_sends_nothing_before_it_has_a_new_epoch() -> None:
    stale = receipt(send(online(), 1, 2), 900)
    assert wants(stale, newest=3, limits=LIMITS) is None
    renewed = step(stale, Renewed(EPOCH + 1), now_s=1.0, limits=LIMITS)
    assert wants(renewed, newest=3, limits=LIMITS) == Portion(0, 4, 1_000)
    assert receipt(renewed, 2, epoch=EPOCH).receipted == 0, "the old epoch's receipts free nothing any more"
    assert receipt(send(renewed, 1, 2), 2, epoch=EPOCH + 1).receipted == 2


def test_a_receipt_for_what_an_earlier_process_sent_is_believed() -> None:
    state = receipt(online(receipted=2, newest=9), 7)
    assert (state.receipted, state.sent) == (7, 7)
    assert wants(state, newest=9, limits=LIMITS) == Portion(7, 4, 1_000)


def test_a_lost_connection_means_sending_again_from_the_receipt() -> None:
    state = step(receipt(send(online(), 1, 2, 3), 1), Lost(0.0), now_s=1.0, limits=LIMITS)
    state = step(step(state, Dial(), now_s=2.0, limits=LIMITS), Opened(), now_s=2.0, limits=LIMITS)
    assert wants(state, newest=3, limits=LIMITS) == Portion(1, 4, 1_000)
    assert send(state, 2, 3).resent == 2


def test_a_missing_receipt_sends_the_oldest_alone_and_the_window_grows_back() -> None:
    state = send(online(), 1, 2, 3, 4, at_s=5.0)
    due_s = next_deadline(state, limits=LIMITS)
    assert due_s == 15.0
    assert step(state, Overdue(), now_s=14.9, limits=LIMITS) == state
    state = step(state, Overdue(), now_s=due_s, limits=LIMITS)
    assert wants(state, newest=4, limits=LIMITS) == Portion(0, 1, 1_000)
    state = receipt(send(state, 1, at_s=15.0), 1, at_s=16.0)
    assert wants(state, newest=4, limits=LIMITS) == Portion(1, 2, 1_000)


def test_a_receipt_moves_the_deadline_and_nothing_in_flight_means_none() -> None:
    state = receipt(send(online(), 1, 2, at_s=1.0), 1, at_s=4.0)
    assert next_deadline(state, limits=LIMITS) == 14.0
    assert next_deadline(receipt(state, 2), limits=LIMITS) is None


def test_the_delay_doubles_with_jitter_up_to_a_bound_and_starts_over_after_a_good_connection() -> None:
    state = begin(EPOCH, receipted=0, newest=0, limits=LIMITS)
    delays = []
    for _ in range(9):
        state = step(state, Dial(), now_s=0.0, limits=LIMITS)
        state = step(state, Lost(1.0), now_s=0.0, limits=LIMITS)
        delays.append(next_deadline(state, limits=LIMITS))
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    state = step(step(state, Dial(), now_s=0.0, limits=LIMITS), Opened(), now_s=0.0, limits=LIMITS)
    assert step(state, Lost(0.0), now_s=STABLE_S, limits=LIMITS).retry_at_s == STABLE_S + 0.25
    assert step(state, Lost(0.0), now_s=1.0, limits=LIMITS).retry_at_s == 16.0
    state = receipt(replace(state, reached=1), 1)
    assert step(state, Lost(0.0), now_s=1.0, limits=LIMITS).retry_at_s == 1.25


@pytest.mark.parametrize("event", [Opened(), Lost(0.0), Sent(()), Receipted(EPOCH, 0), Overdue(), Renewed(EPOCH + 1)])
def test_an_event_out_of_place_raises(event: Event) -> None:
    state = begin(EPOCH, receipted=0, newest=0, limits=LIMITS)
    with pytest.raises(ValueError, match="while DISCONNECTED"):
        step(state, event, now_s=0.0, limits=LIMITS)


@pytest.mark.parametrize("sequences", [(1,), (2,), (4, 3), (3, 3)])
def test_messages_out_of_order_raise(sequences: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="in order"):
        send(send(online(), 1, 2), *sequences)


class World(RuleBasedStateMachine):
    """A spool, a network that may drop, an ingest that remembers, and a gateway process that may die."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.newest = 0
        self.saved = 0  # the cursor on disk, behind the state's receipts by any amount
        self.epoch = EPOCH
        self.ingested: set[int] = set()  # of this epoch, or below what it began with
        self.state = begin(EPOCH, receipted=0, newest=0, limits=LIMITS)

    def do(self, event: Event) -> None:
        self.state = step(self.state, event, now_s=self.now_s, limits=LIMITS)

    @property
    def through(self) -> int:
        through = 0
        while through + 1 in self.ingested:
            through += 1
        return through

    @rule(count=st.integers(1, 6))
    def append(self, count: int) -> None:
        self.newest += count

    @precondition(lambda self: self.state.phase is Phase.DISCONNECTED)
    @rule(accepted=st.booleans(), jitter=st.floats(0, 1))
    def connect(self, accepted: bool, jitter: float) -> None:
        self.now_s = max(self.now_s, next_deadline(self.state, limits=LIMITS) or 0.0)
        self.do(Dial())
        self.do(Opened() if accepted else Lost(jitter))

    @precondition(lambda self: self.state.phase is Phase.ONLINE)
    @rule(jitter=st.floats(0, 1))
    def disconnect(self, jitter: float) -> None:
        self.do(Lost(jitter))

    @rule(dropped=st.sets(st.integers(0, 3)))
    def pump(self, dropped: set[int]) -> None:
        portion = wants(self.state, newest=self.newest, limits=LIMITS)
        if portion is None:
            return
        sequences = range(portion.after + 1, min(self.newest, portion.after + portion.messages) + 1)
        self.do(Sent(tuple((s, 100) for s in sequences)))
        for place, sequence in enumerate(sequences):
            if place not in dropped:
                self.ingested.add(sequence)

    @precondition(lambda self: self.state.phase is Phase.ONLINE)
    @rule(behind=st.integers(0, 5))
    def receive(self, behind: int) -> None:
        self.do(Receipted(self.epoch, max(0, self.through - behind)))

    @precondition(lambda self: self.state.phase is Phase.ONLINE)
    @rule(foreign=st.booleans(), through=st.integers(0, 8))
    def receive_nonsense(self, foreign: bool, through: int) -> None:
        if foreign or through > self.state.reached:
            self.do(Receipted(self.epoch - foreign, through))

    @precondition(lambda self: self.state.phase is Phase.ONLINE and self.state.stale)
    @rule()
    def renew(self) -> None:
        self.epoch += 1
        self.ingested = set(range(1, self.state.receipted + 1))  # `oldest` tells ingest not to wait for these
        self.do(Renewed(self.epoch))

    @rule(seconds=st.floats(0, 30))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        if self.state.phase is Phase.ONLINE:
            self.do(Overdue())

    @rule()
    def save(self) -> None:
        self.saved = self.state.receipted

    @rule()
    def restart(self) -> None:
        self.state = begin(self.epoch, receipted=self.saved, newest=self.newest, limits=LIMITS)

    @invariant()
    def nothing_is_freed_before_ingest_has_it(self) -> None:
        assert self.state.receipted <= self.through

    @invariant()
    def the_window_is_kept_and_in_order(self) -> None:
        sequences = [sequence for sequence, _ in self.state.in_flight]
        assert sequences == sorted(set(sequences))
        assert len(sequences) <= LIMITS.window_messages
        assert all(sequence > self.state.receipted for sequence in sequences)

    def teardown(self) -> None:
        """Once the network behaves, everything is receipted within a bounded number of rounds."""
        for _ in range(4 * self.newest + 20):
            if self.state.phase is Phase.DISCONNECTED:
                self.connect(accepted=True, jitter=0.5)
            if self.state.stale:
                self.renew()
            self.pump(dropped=set())
            self.do(Receipted(self.epoch, self.through))
            if self.state.receipted == self.newest:
                return
            due_s = next_deadline(self.state, limits=LIMITS)
            if due_s is not None and wants(self.state, newest=self.newest, limits=LIMITS) is None:
                self.now_s = due_s
                self.do(Overdue())
        raise AssertionError(f"{self.state} never drained to {self.newest}")


World.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestWorld = World.TestCase
