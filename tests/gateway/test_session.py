"""The session machine: every row that matters, and what holds whatever happens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.session import State, begin, next_deadline, step
from gateway.session_words import (
    Closed,
    Connected,
    Dropped,
    Due,
    Effect,
    Event,
    Failed,
    Limits,
    Notified,
    Phase,
    RadioDown,
    Removed,
    Sighted,
    SlotGranted,
    Subscribed,
)

LIMITS = Limits()
PULSE, BATTERY, OTHER = "pulse", "battery", "other"
STREAMS = {PULSE: 10.0, BATTERY: 600.0}
SIGHTED, GRANTED, CONNECTED, SUBSCRIBED = Sighted("hci0"), SlotGranted(), Connected(), Subscribed()
PATH = [SIGHTED, GRANTED, CONNECTED, SUBSCRIBED]


def after(*events: Event, state: State | None = None, at_s: float = 0.0) -> tuple[State, list[Effect]]:
    """The state after events that all happen at one time, and every effect."""
    state = begin(STREAMS, at_s) if state is None else state
    effects: list[Effect] = []
    for event in events:
        state, more = step(state, event, now_s=at_s, limits=LIMITS)
        effects += more
    return state, effects


def at(phase: Phase) -> State:
    """A session in `phase`, at 0 s."""
    ways: dict[Phase, list[Event]] = {
        Phase.AWAY: [],
        Phase.QUEUED: PATH[:1],
        Phase.CONNECTING: PATH[:2],
        Phase.SUBSCRIBING: PATH[:3],
        Phase.STREAMING: PATH,
        Phase.CLOSING: [*PATH, Dropped()],
        Phase.BACKING_OFF: [*PATH, Dropped(), Closed(0.0)],
        Phase.GONE: [Removed()],
    }
    if phase is Phase.STALLED:
        return step(at(Phase.STREAMING), Due(0.0), now_s=10.0, limits=LIMITS)[0]
    return after(*ways[phase])[0]


def test_from_the_advertisement_to_the_streams() -> None:
    state, effects = after(*PATH)
    assert state.phase is Phase.STREAMING
    assert effects == [Effect.ASK_SLOT, Effect.CONNECT, Effect.SUBSCRIBE]
    assert (state.links, state.failures) == (1, 0)


@pytest.mark.parametrize(
    ("phase", "event", "then", "effects"),
    [
        (Phase.QUEUED, Removed(), Phase.GONE, (Effect.FREE_SLOT, Effect.FORGET)),
        (Phase.QUEUED, RadioDown("off"), Phase.AWAY, (Effect.FREE_SLOT,)),
        (Phase.CONNECTING, Failed("no"), Phase.CLOSING, (Effect.CLOSE,)),
        (Phase.CONNECTING, Dropped(), Phase.CLOSING, (Effect.CLOSE,)),
        (Phase.CONNECTING, RadioDown("off"), Phase.CLOSING, (Effect.CLOSE,)),
        (Phase.SUBSCRIBING, Failed("no"), Phase.CLOSING, (Effect.CLOSE, Effect.SAY_LOST)),
        (Phase.SUBSCRIBING, Notified(PULSE), Phase.SUBSCRIBING, ()),
        (Phase.STREAMING, Dropped(), Phase.CLOSING, (Effect.CLOSE, Effect.SAY_LOST)),
        (Phase.STREAMING, Failed("driver"), Phase.CLOSING, (Effect.CLOSE, Effect.SAY_LOST)),
        (Phase.STREAMING, Removed(), Phase.CLOSING, (Effect.CLOSE,)),
        (Phase.STREAMING, Sighted("hci0"), Phase.STREAMING, ()),
        (Phase.CLOSING, Connected(), Phase.CLOSING, ()),  # the answer of a link that is given up
        (Phase.CLOSING, Closed(0.5), Phase.BACKING_OFF, (Effect.FREE_SLOT,)),
        (Phase.STALLED, Closed(0.5), Phase.BACKING_OFF, (Effect.FREE_SLOT,)),
        (Phase.BACKING_OFF, RadioDown("off"), Phase.AWAY, ()),
        (Phase.BACKING_OFF, Removed(), Phase.GONE, (Effect.FORGET,)),
        (Phase.AWAY, Removed(), Phase.GONE, (Effect.FORGET,)),
        (Phase.AWAY, Due(0.0), Phase.AWAY, ()),
    ],
)
def test_transitions(phase: Phase, event: Event, then: Phase, effects: tuple[Effect, ...]) -> None:
    state, what = step(at(phase), event, now_s=1.0, limits=LIMITS)
    assert (state.phase, what) == (then, effects)


@pytest.mark.parametrize(
    ("phase", "event"),
    [
        (Phase.AWAY, SlotGranted()),
        (Phase.AWAY, Connected()),
        (Phase.QUEUED, Subscribed()),
        (Phase.STREAMING, Closed(0.0)),
        (Phase.STREAMING, Connected()),
        (Phase.GONE, Sighted("hci0")),
    ],
)
def test_what_cannot_be_raises(phase: Phase, event: Event) -> None:
    with pytest.raises(ValueError, match=f"not possible while {phase.name}"):
        step(at(phase), event, now_s=1.0, limits=LIMITS)


@pytest.mark.parametrize(
    ("phase", "deadline_s", "then"),
    [
        (Phase.QUEUED, LIMITS.sighting_s, Phase.AWAY),
        (Phase.CONNECTING, LIMITS.connect_s, Phase.CLOSING),
        (Phase.SUBSCRIBING, LIMITS.subscribe_s, Phase.CLOSING),
        (Phase.STREAMING, LIMITS.tick_s, Phase.STREAMING),
        (Phase.BACKING_OFF, 0.5 * LIMITS.backoff_min_s, Phase.AWAY),
    ],
)
def test_deadlines(phase: Phase, deadline_s: float, then: Phase) -> None:
    state = at(phase)
    assert next_deadline(state, LIMITS) == deadline_s
    early, _ = step(state, Due(0.0), now_s=deadline_s - 0.01, limits=LIMITS)
    assert early.phase is phase
    late, _ = step(state, Due(0.0), now_s=deadline_s, limits=LIMITS)
    assert late.phase is then


def test_after_a_failure_only_a_new_sighting_is_worth_a_try() -> None:
    state, _ = after(SIGHTED, state=at(Phase.BACKING_OFF))
    state, effects = step(state, Due(0.0), now_s=state.retry_at_s, limits=LIMITS)
    assert (state.phase, effects) == (Phase.QUEUED, (Effect.ASK_SLOT,))


def test_a_disconnect_that_hangs_for_ever_does_not_keep_the_slot() -> None:
    state = at(Phase.CLOSING)
    state, effects = step(state, Due(0.0), now_s=LIMITS.close_s, limits=LIMITS)
    assert state.phase is Phase.BACKING_OFF
    assert Effect.FREE_SLOT in effects


def test_one_silent_stream_is_enough_to_reconnect() -> None:
    state = at(Phase.STREAMING)
    for second in range(1, 10):
        state, effects = step(state, Due(0.0), now_s=float(second), limits=LIMITS)
        assert effects == (Effect.TICK,)
        state, _ = step(state, Notified(OTHER), now_s=float(second), limits=LIMITS)
    state, effects = step(state, Due(0.0), now_s=10.0, limits=LIMITS)
    assert (state.phase, effects) == (Phase.STALLED, (Effect.CLOSE, Effect.SAY_LOST))
    assert PULSE in state.why


def test_what_is_heard_while_its_link_is_closed_is_said_to_be_over() -> None:
    dropped, said = after(Dropped(), state=at(Phase.STREAMING))
    assert said.count(Effect.SAY_LOST) == 1
    late, said = after(Notified(PULSE), Closed(0.0), state=dropped)
    assert said == [Effect.FREE_SLOT, Effect.SAY_LOST]
    assert not late.heard_late
    assert Effect.SAY_LOST not in after(Closed(0.0), state=dropped)[1]
    assert Effect.SAY_LOST not in after(Notified(PULSE), Removed(), Closed(0.0), state=dropped)[1]


def test_what_could_not_be_subscribed_is_not_expected() -> None:
    state, _ = after(*PATH[:3], Subscribed(frozenset(STREAMS)))
    state, effects = step(state, Due(0.0), now_s=1e6, limits=LIMITS)
    assert (state.phase, effects) == (Phase.STREAMING, (Effect.TICK,))
    state, _ = step(state, Notified(PULSE), now_s=1e6, limits=LIMITS)
    state, _ = step(state, Due(0.0), now_s=2e6, limits=LIMITS)
    assert state.phase is Phase.STALLED, "what was heard although it was not expected is watched from then on"


def test_the_reason_of_the_silence_is_repeated_until_it_is_connected_again() -> None:
    state = after(Closed(0.0), state=at(Phase.CLOSING))[0]
    state = step(state, RadioDown("off"), now_s=1.0, limits=LIMITS)[0]  # now it is away
    said = []
    while (now_s := next_deadline(state, LIMITS)) is not None and now_s <= 1_300:
        state, effects = step(state, Due(0.0), now_s=now_s, limits=LIMITS)
        said += [now_s] * effects.count(Effect.SAY_LOST)
    assert said == [10.0, 30.0, 70.0, 150.0, 310.0, 610.0, 910.0, 1_210.0]  # in a drawer it may lie for days
    state, _ = after(*PATH[:3], state=state, at_s=1_301.0)
    assert state.say_lost_at_s is None


def test_a_wearable_that_never_connected_is_not_lost() -> None:
    _, effects = after(SIGHTED, GRANTED, Failed("no"), Closed(0.0))
    assert Effect.SAY_LOST not in effects


def test_backoff_doubles_up_to_its_bound_and_starts_anew_after_a_good_link() -> None:
    state, waits, now_s = begin(STREAMS, 0.0), [], 0.0
    for _ in range(8):
        state, _ = after(SIGHTED, GRANTED, Failed("no"), Closed(1.0), state=state, at_s=now_s)
        waits.append(state.retry_at_s - now_s)
        now_s = state.retry_at_s + LIMITS.sighting_s
        state, _ = step(state, Due(0.0), now_s=now_s, limits=LIMITS)
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    state, _ = after(*PATH, state=state, at_s=now_s)
    state, _ = after(Dropped(), Closed(1.0), state=state, at_s=now_s + LIMITS.stable_s)
    assert state.retry_at_s - now_s - LIMITS.stable_s == 1


def test_the_radio_going_down_costs_no_backoff() -> None:
    state, _ = after(RadioDown("adapter off"), Closed(0.0), state=at(Phase.STREAMING))
    assert (state.phase, next_deadline(state, LIMITS)) == (Phase.AWAY, LIMITS.say_lost_s)


def test_removal_while_closing_is_not_forgotten() -> None:
    state, effects = after(Removed(), RadioDown("off"), Closed(0.0), state=at(Phase.CLOSING))
    assert state.phase is Phase.GONE
    assert effects == [Effect.FREE_SLOT, Effect.FORGET]


EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.sampled_from([SIGHTED, Sighted("hci1"), GRANTED, CONNECTED, SUBSCRIBED, Dropped(), Failed("x")]),
    st.sampled_from([RadioDown("off"), Closed(0.3), Due(0.7), Removed(), Notified(PULSE), Notified(OTHER)]),
)


@given(st.lists(st.tuples(EVENTS, st.floats(0, 40)), max_size=60))
def test_there_is_always_a_deadline_unless_it_waits_for_an_advertisement(events: list[tuple[Event, float]]) -> None:
    state, now_s = begin(STREAMS, 0.0), 0.0
    for event, pause_s in events:
        now_s += pause_s
        try:
            state, _ = step(state, event, now_s=now_s, limits=LIMITS)
        except ValueError:
            continue
        waits = state.phase in {Phase.AWAY, Phase.GONE}
        assert waits or next_deadline(state, LIMITS) is not None


@given(st.lists(st.floats(0.01, 5.0), max_size=80))
def test_streams_that_are_alive_never_reconnect(pauses_s: list[float]) -> None:
    state, now_s = at(Phase.STREAMING), 0.0
    for pause_s in pauses_s:
        heard_at_s = now_s + pause_s
        while (due_s := next_deadline(state, LIMITS)) is not None and due_s < heard_at_s:
            state, _ = step(state, Due(0.0), now_s=due_s, limits=LIMITS)
        now_s = heard_at_s
        for stream in STREAMS:
            state, _ = step(state, Notified(stream), now_s=now_s, limits=LIMITS)
        assert state.phase is Phase.STREAMING
