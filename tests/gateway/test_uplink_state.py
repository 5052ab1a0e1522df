"""The connection's machine: when to dial, and when to try again."""

from __future__ import annotations

import pytest

from gateway.lane import Limits
from gateway.uplink_state import STABLE_S, Answered, Dial, Event, Lost, Opened, Phase, State, next_dial, step

LIMITS = Limits()


def after(*events: Event, state: State | None = None, at_s: float = 0.0) -> State:
    state = state or State()
    for event in events:
        state = step(state, event, now_s=at_s, limits=LIMITS)
    return state


def test_a_life() -> None:
    assert next_dial(State()) == 0.0
    assert after(Dial()).phase is Phase.CONNECTING
    assert next_dial(after(Dial())) is None
    assert after(Dial(), Opened()).phase is Phase.ONLINE
    assert after(Dial(), Opened(), Lost(0.0)).phase is Phase.DISCONNECTED


def test_the_delay_doubles_with_jitter_up_to_a_bound_and_starts_over_after_a_good_connection() -> None:
    state, delays = State(), []
    for _ in range(9):
        state = after(Dial(), Lost(1.0), state=state)
        delays.append(next_dial(state))
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    online = after(Dial(), Opened(), state=state)
    assert after(Lost(0.0), state=online, at_s=STABLE_S).retry_at_s == STABLE_S + 0.25
    assert after(Lost(0.0), state=online, at_s=1.0).retry_at_s == 16.0
    assert after(Answered(), Lost(0.0), state=online, at_s=1.0).retry_at_s == 1.25


@pytest.mark.parametrize("event", [Opened(), Lost(0.0), Answered()])
def test_an_event_out_of_place_raises(event: Event) -> None:
    with pytest.raises(ValueError, match="while DISCONNECTED"):
        after(event)
