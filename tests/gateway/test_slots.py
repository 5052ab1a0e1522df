"""Connection slots and the roster that shares them: nobody starves, no slot leaks."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway import slots
from gateway.roster import Roster
from gateway.session_words import (
    HOLDING,
    Closed,
    Connected,
    Dropped,
    Effect,
    Failed,
    Limits,
    Notified,
    Phase,
    Removed,
    Sighted,
    Subscribed,
)
from gateway.slots import Slots


def test_one_connects_at_a_time_and_the_first_come_is_the_first_served() -> None:
    state = Slots()
    for name in "abc":
        state = slots.request(state, name, "hci0")
    state, first = slots.grant(state)
    state, nobody = slots.grant(state)
    assert (first, nobody) == ("a", None)
    state = slots.leave(state, "a")  # failed
    state = slots.request(state, "a", "hci0")
    assert [slots.grant(state)[1], list(state.waiting)] == ["b", ["b", "c", "a"]]


def test_adapters_have_their_own_turn_and_budget() -> None:
    state = Slots(budget={"hci1": 1})
    for name, adapter in (("a", "hci0"), ("b", "hci1"), ("c", "hci1"), ("d", "hci0")):
        state = slots.request(state, name, adapter)
    granted = []
    while (found := slots.grant(state))[1] is not None:
        state = slots.connected(found[0], str(found[1]))
        granted.append(found[1])
    assert granted == ["a", "b", "d"]
    assert slots.crowded(state) == {"hci1": ("c",)}


def test_asking_twice_keeps_the_place() -> None:
    state = slots.request(slots.request(slots.request(Slots(), "a", "hci0"), "b", "hci0"), "a", "hci1")
    assert dict(state.waiting) == {"a": "hci0", "b": "hci0"}


def test_who_waits_for_a_full_adapter_takes_the_free_slot_of_another() -> None:
    roster = Roster(Limits(), Slots(default=1))
    for name in "abc":
        roster.allow(name, {}, 0.0)
    assert roster.take("a", Sighted("hci0"), 0.0) == [("a", Effect.CONNECT)]
    assert roster.take("b", Sighted("hci0"), 0.0) == []
    assert roster.take("b", Sighted("hci0"), 1.0) == [], "its own adapter is no other one"
    assert roster.take("b", Sighted("hci1"), 2.0) == [("b", Effect.CONNECT)]
    assert roster.sessions["b"].adapter == "hci1"
    assert roster.take("c", Sighted("hci0"), 3.0) == []
    assert roster.take("c", Sighted("hci1"), 4.0) == [], "there is no room either"
    assert slots.crowded(roster.slots) == {"hci0": ("c",)}


class RosterMachine(RuleBasedStateMachine):
    """Any order of what radios and links do to six wearables that share three slots."""

    names = st.sampled_from("abcdef")

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.roster = Roster(Limits(), Slots(default=2, budget={"hci1": 1}))
        self.asked: dict[str, Effect] = {}  # the last thing the shell was told to do with a link

    def take(self, tasks: list[tuple[str, Effect]]) -> None:
        for name, effect in tasks:
            if effect in {Effect.CONNECT, Effect.SUBSCRIBE, Effect.CLOSE}:
                self.asked[name] = effect
            if effect is Effect.FORGET:
                self.asked.pop(name, None)

    def phase(self, name: str) -> Phase | None:
        state = self.roster.sessions.get(name)
        return state and state.phase

    @rule(name=names)
    def allow(self, name: str) -> None:
        if name not in self.roster.sessions:
            self.roster.allow(name, {"pulse": 10.0}, self.now_s)

    @rule(name=names)
    def remove(self, name: str) -> None:
        if name in self.roster.sessions:
            self.take(self.roster.take(name, Removed(), self.now_s))

    @rule(name=names, adapter=st.sampled_from(["hci0", "hci1"]))
    def sight(self, name: str, adapter: str) -> None:
        if name in self.roster.sessions:
            self.take(self.roster.take(name, Sighted(adapter), self.now_s))

    @rule(name=names, lucky=st.booleans())
    def answer(self, name: str, lucky: bool) -> None:
        """The link does what it was told, or fails at it."""
        match self.asked.pop(name, None):
            case Effect.CONNECT:
                event = Connected() if lucky else Failed("no")
            case Effect.SUBSCRIBE:
                event = Subscribed() if lucky else Failed("no")
            case Effect.CLOSE if self.phase(name) in {Phase.CLOSING, Phase.STALLED}:
                event = Closed(0.5)
            case _:
                return
        self.take(self.roster.take(name, event, self.now_s))

    @rule(name=names, event=st.sampled_from([Dropped(), Notified("pulse"), Failed("driver")]))
    def happen(self, name: str, event: Dropped | Notified | Failed) -> None:
        if self.phase(name) in HOLDING:
            self.take(self.roster.take(name, event, self.now_s))

    @rule(adapter=st.sampled_from(["hci0", "hci1", None]))
    def radio_down(self, adapter: str | None) -> None:
        self.take(self.roster.radio_down(adapter, "off", self.now_s))

    @precondition(lambda self: self.roster.next_deadline() is not None)
    @rule()
    def due(self) -> None:
        self.now_s = max(self.now_s, self.roster.next_deadline() or 0.0)
        self.take(self.roster.due(self.now_s, 0.5))
        assert (self.roster.next_deadline() or float("inf")) > self.now_s, (
            "a deadline that does not pass is a busy loop"
        )

    @invariant()
    def no_slot_leaks(self) -> None:
        holding = {name for name, state in self.roster.sessions.items() if state.phase in HOLDING}
        assert set(self.roster.slots.held) == holding

    @invariant()
    def budgets_hold(self) -> None:
        shared = self.roster.slots
        assert all(shared.in_use(adapter) <= shared.budget_of(adapter) for adapter in ("hci0", "hci1"))
        for adapter in ("hci0", "hci1"):
            connecting = [
                name
                for name, where in shared.held.items()
                if where == adapter and self.roster.sessions[name].phase is Phase.CONNECTING
            ]
            assert len(connecting) <= 1

    @invariant()
    def whoever_is_queued_waits(self) -> None:
        queued = {name for name, state in self.roster.sessions.items() if state.phase is Phase.QUEUED}
        assert set(self.roster.slots.waiting) == queued

    @invariant()
    def nobody_waits_for_a_free_radio(self) -> None:
        assert slots.grant(self.roster.slots)[1] is None


RosterMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestRoster = RosterMachine.TestCase
