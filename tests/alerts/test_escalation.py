"""Escalation: what nobody acknowledges reaches the last step, an acknowledgement stops it, a replay is exact."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from duty_world import WARD, Quiet, S, alarm, berlin_ns, escalation, rota
from hypothesis import given
from hypothesis import strategies as st

from alerts.escalation import Call, Chain, Escalation, Step, Why, check_chains, decode_call, encode_call
from alerts.events import AlarmEvent, Priority, Transition
from alerts.notify.loop import CallReport, CallState, call_after
from alerts.rota import Rota
from vitals.errors import ConfigurationError, MalformedMessageError

NOON = berlin_ns("2026-05-04T12:00")


def make_calls(desk: Escalation, now_ns: int) -> list[tuple[str, Why, int]]:
    """Let what is due be durable; who is called, why, and at which step."""
    calls = desk.due(now_ns)
    for call in calls:
        desk.called(call)
    assert desk.due(now_ns) == ()
    return [(call.channel, call.why, call.step) for call in calls]


def handed_over(desk: Escalation) -> None:
    for pursuit in desk.open.values():
        for call_id in pursuit.calls:
            desk.reported(call_id, CallReport.HANDED_OVER)


def test_an_alarm_goes_from_step_to_step_and_then_reminds() -> None:
    desk = escalation()
    desk.heard(alarm())
    assert make_calls(desk, NOON) == [("day-phone", Why.ALARM, 0)]
    handed_over(desk)
    assert make_calls(desk, NOON + 119 * S) == []
    assert make_calls(desk, NOON + 120 * S) == [("spare-phone", Why.NOT_ACKNOWLEDGED, 1)]
    handed_over(desk)
    last = [("charge-phone", Why.NOT_ACKNOWLEDGED, 2), ("charge-mail", Why.NOT_ACKNOWLEDGED, 2)]
    assert make_calls(desk, NOON + 180 * S) == last
    assert make_calls(desk, NOON + 240 * S) == [(c, Why.REMINDER, 2) for c, _, _ in last]


def test_without_a_receipt_the_next_step_does_not_wait_for_an_acknowledgement() -> None:
    desk = escalation()
    desk.heard(alarm())
    make_calls(desk, NOON)
    assert desk.next_deadline() == NOON + 30 * S
    assert make_calls(desk, NOON + 30 * S) == [("spare-phone", Why.NOT_REACHED, 1)]


def test_when_every_message_was_refused_the_next_step_follows_at_once() -> None:
    desk = escalation()
    desk.heard(alarm())
    (call,) = desk.due(NOON)
    desk.called(call)
    desk.reported(call.call_id, CallReport.FAILED)
    assert make_calls(desk, NOON + S) == [("spare-phone", Why.NOT_REACHED, 1)]


def test_the_rota_is_asked_once_however_many_alarms_are_open(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    on_call = Rota.on_call

    def noted(asked_rota: Rota, now_ns: int) -> tuple[str, ...]:
        asked.append(now_ns)
        return on_call(asked_rota, now_ns)

    monkeypatch.setattr(Rota, "on_call", noted)
    desk = escalation()
    for number in range(1, 101):
        desk.heard(alarm(number, f"a-{number}"))
    assert len(make_calls(desk, NOON)) == 100
    asked.clear()
    assert desk.due(NOON + S) == ()
    assert asked == [NOON + S]


def test_beyond_the_bound_alarms_are_passed_over_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alerts.escalation.MAX_PURSUED", 2)
    desk = escalation()
    for number in range(1, 5):
        desk.heard(alarm(number, f"a-{number}"))
    assert (list(desk.open), desk.passed_over) == (["a-1", "a-2"], 2)
    desk.heard(alarm(5, "a-1", priority=Priority.HIGH))
    assert desk.open["a-1"].event.number == 5, "what became worse is pursued anew"


@pytest.mark.parametrize("settled", [Transition.ACKNOWLEDGED, Transition.ENDED])
def test_what_is_settled_calls_nobody_any_more(settled: Transition) -> None:
    desk = escalation()
    desk.heard(alarm())
    make_calls(desk, NOON)
    desk.heard(alarm(2, transition=settled))
    assert desk.due(NOON + 86_400 * S) == ()


def test_what_becomes_worse_starts_again_in_spite_of_an_acknowledgement() -> None:
    desk = escalation()
    desk.heard(alarm(priority=Priority.MEDIUM))
    make_calls(desk, NOON)
    desk.heard(alarm(2, transition=Transition.ACKNOWLEDGED, priority=Priority.MEDIUM))
    desk.heard(alarm(3, transition=Transition.ESCALATED))
    assert make_calls(desk, NOON + S) == [("day-phone", Why.ALARM, 0)]


def test_what_becomes_better_without_a_chain_of_its_own_goes_on() -> None:
    desk = escalation(Chain("high", WARD.steps, ("high",)))
    desk.heard(alarm())
    make_calls(desk, NOON)
    desk.heard(alarm(2, transition=Transition.DE_ESCALATED, priority=Priority.LOW, notify=False))
    assert make_calls(desk, NOON + 30 * S) == [("spare-phone", Why.NOT_REACHED, 1)]


def test_the_new_shift_hears_of_what_is_open_and_unacknowledged() -> None:
    desk = escalation(Chain("slow", (Step(("@shift",), 80_000, 0),)))
    desk.heard(alarm())
    desk.heard(alarm(2, "b"))
    desk.heard(alarm(3, "b", transition=Transition.ACKNOWLEDGED))
    at_ns = berlin_ns("2026-05-04T18:29")
    make_calls(desk, at_ns)
    assert make_calls(desk, at_ns + 60 * S) == [("night-phone", Why.HAND_OVER, 0)]
    assert desk.next_deadline() == at_ns + 80_000 * S  # a hand-over wins nobody time


def test_low_priority_waits_for_the_end_of_the_quiet_hours() -> None:
    every = msgspec.structs.replace(WARD, priorities=("high", "medium", "low"))
    desk = escalation(every, quiet=Quiet("22:00", "06:00"))
    desk.heard(alarm(priority=Priority.LOW))
    desk.heard(alarm(2, "b"))
    assert make_calls(desk, berlin_ns("2026-05-04T23:00")) == [("night-phone", Why.ALARM, 0)]
    desk.heard(alarm(3, "b", transition=Transition.ENDED))
    assert make_calls(desk, berlin_ns("2026-05-05T05:59")) == []
    assert make_calls(desk, berlin_ns("2026-05-05T06:00")) == [("day-phone", Why.ALARM, 0)]


def test_a_note_is_told_once() -> None:
    desk = escalation()
    desk.heard(alarm(alarm_id="", transition=Transition.NOTED, priority=Priority.MEDIUM))
    assert make_calls(desk, NOON) == [("day-phone", Why.ALARM, 0)]
    assert desk.open == {}


def test_a_clock_that_is_set_back_stops_nothing() -> None:
    desk = escalation()
    desk.heard(alarm())
    make_calls(desk, NOON)
    assert make_calls(desk, NOON - 3_600 * S) == []
    assert make_calls(desk, NOON - 3_570 * S) == [("spare-phone", Why.NOT_REACHED, 1)]


_STEPS = st.lists(
    st.builds(
        Step,
        st.lists(st.sampled_from(["@shift", "day", "charge"]), min_size=1, max_size=2).map(tuple),
        st.integers(5, 600),
        st.integers(0, 60),
    ),
    min_size=1,
    max_size=4,
)


@given(_STEPS, st.integers(0, 10**7), st.data())
def test_every_alarm_that_nobody_acknowledges_reaches_the_last_step(
    steps: list[Step], start_s: int, data: st.DataObject
) -> None:
    desk = escalation(Chain("any", tuple(steps)))
    now_ns = NOON + start_s * S
    desk.heard(alarm(at_ns=now_ns))
    reached: list[int] = []
    while not reached or reached[-1] < len(steps) - 1:
        calls = make_calls(desk, now_ns)
        reached += [step for _, why, step in calls if why is not Why.HAND_OVER]
        for call_id in list(desk.open["a"].calls):
            desk.reported(call_id, data.draw(st.sampled_from([r for r in CallReport if r != "acknowledged"])))
        deadline = desk.next_deadline()
        assert deadline is not None
        assert deadline <= now_ns + 600 * S
        now_ns = max(now_ns + S, deadline)
    assert sorted(reached) == reached
    desk.heard(alarm(2, transition=Transition.ACKNOWLEDGED))
    assert desk.due(now_ns + 86_400 * S) == ()


_HISTORY = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from([Transition.RAISED, Transition.ESCALATED, Transition.ACKNOWLEDGED, Transition.ENDED, None]),
        st.integers(0, 400),
    ),
    max_size=25,
)


@given(_HISTORY)
def test_replaying_the_journal_brings_back_the_same_state(history: list[tuple[str, Transition | None, int]]) -> None:
    live, journal, now_ns, numbers = escalation(), list[AlarmEvent | Call](), NOON, itertools.count(1)
    for alarm_id, transition, seconds in history:
        now_ns += seconds * S
        if transition is not None:
            event = alarm(next(numbers), alarm_id, now_ns, transition=transition)
            journal.append(event)
            live.heard(event)
        for call in live.due(now_ns):
            journal.append(decode_call(encode_call(call)))
            live.called(call)
    again = escalation()
    for record in journal:
        again.called(record) if isinstance(record, Call) else again.heard(record)
    assert again.open == live.open
    assert again.due(now_ns + 61 * S) == live.due(now_ns + 61 * S)


@given(st.lists(st.sampled_from(CallReport)))
def test_reports_may_come_in_any_order_and_prove_ever_more(reports: list[CallReport]) -> None:
    rank = list(CallState).index
    state = CallState.QUEUED
    for report in reports:
        before, state = state, call_after(state, report)
        settled = before in (CallState.FAILED, CallState.WITHDRAWN)
        assert settled or state == CallState.WITHDRAWN or rank(state) >= rank(before)
    if CallReport.ACKNOWLEDGED in reports and CallReport.WITHDRAWN not in reports:
        assert state is CallState.ACKNOWLEDGED


@given(st.integers(0, 200))
def test_a_call_that_was_cut_off_is_refused(length: int) -> None:
    (call,) = _one_call()
    payload = encode_call(call)
    assert decode_call(payload) == call
    with pytest.raises(MalformedMessageError):
        decode_call(payload[: min(length, len(payload) - 1)])


def _one_call() -> tuple[Call, ...]:
    desk = escalation()
    desk.heard(alarm())
    return desk.due(NOON)


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        (Chain("c", ()), "chains 'c'.steps: is empty"),
        (Chain("c", (Step(()),)), "steps 1.to: nobody"),
        (Chain("c", (Step(("day",)), Step(("@stand-in",)))), "steps 2.to: nobody"),
        (Chain("c", (Step(("ghost",)),)), "'ghost' is not among"),
        (Chain("c", (Step(("day",)),), ("low",)), 'none has the priority "high"'),
    ],
)
def test_a_chain_that_ends_in_nobody_is_refused(chain: Chain, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        check_chains([chain], rota())


def test_two_chains_for_one_priority_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"'two'.priorities: high is in chain 'one' already"):
        check_chains([Chain("one", WARD.steps), Chain("two", WARD.steps)], rota())
