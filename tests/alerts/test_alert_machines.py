"""The tables: every (state, event) pair either is a listed transition or raises and changes nothing."""

from __future__ import annotations

import msgspec
import pytest
from alert_world import S, preset
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.alarm_signals import SignalEvent, SignalState, is_audible, signal_after
from alerts.conditions import (
    ConditionEvent,
    ConditionState,
    IllegalTransitionError,
    Tracker,
    advance,
    covered_ns,
    observe,
)
from alerts.events import AlarmEvent, Kind, Priority, Transition, decode_event, encode_event
from alerts.limits import Rule, rules_of
from vitals.errors import MalformedMessageError
from vitals.model import Reason, Vital

CONDITION_TABLE = {
    ("ABSENT", "VIOLATED"): "PENDING",
    ("PENDING", "VIOLATED"): "PENDING",
    ("PENDING", "DELAY_PASSED"): "PRESENT",
    ("PENDING", "CLEARED"): "ABSENT",
    ("PRESENT", "VIOLATED"): "PRESENT",
    ("PRESENT", "CLEARED"): "ENDED",
    ("ENDED", "VIOLATED"): "PENDING",
}
SIGNAL_TABLE = {
    ("OFF", "RAISED"): "UNACKNOWLEDGED",
    ("UNACKNOWLEDGED", "ESCALATED"): "UNACKNOWLEDGED",
    ("UNACKNOWLEDGED", "DE_ESCALATED"): "UNACKNOWLEDGED",
    ("UNACKNOWLEDGED", "ACKNOWLEDGED"): "ACKNOWLEDGED",
    ("UNACKNOWLEDGED", "ENDED"): "OFF",
    ("UNACKNOWLEDGED", "ENDED_LATCHING"): "LATCHED",
    ("UNACKNOWLEDGED", "AUDIO_PAUSED"): "AUDIO_PAUSED",
    ("UNACKNOWLEDGED", "ALARM_PAUSED"): "ALARM_PAUSED",
    ("ACKNOWLEDGED", "ESCALATED"): "UNACKNOWLEDGED",
    ("ACKNOWLEDGED", "DE_ESCALATED"): "ACKNOWLEDGED",
    ("ACKNOWLEDGED", "ENDED"): "OFF",
    ("ACKNOWLEDGED", "ENDED_LATCHING"): "OFF",
    ("ACKNOWLEDGED", "REMINDED"): "UNACKNOWLEDGED",
    ("LATCHED", "RAISED"): "UNACKNOWLEDGED",
    ("LATCHED", "ACKNOWLEDGED"): "OFF",
    ("LATCHED", "AUDIO_PAUSED"): "LATCHED_PAUSED",
    ("LATCHED", "ALARM_PAUSED"): "LATCHED_PAUSED",
    ("AUDIO_PAUSED", "ESCALATED"): "UNACKNOWLEDGED",
    ("AUDIO_PAUSED", "DE_ESCALATED"): "AUDIO_PAUSED",
    ("AUDIO_PAUSED", "ACKNOWLEDGED"): "ACKNOWLEDGED",
    ("AUDIO_PAUSED", "ENDED"): "OFF",
    ("AUDIO_PAUSED", "ENDED_LATCHING"): "LATCHED_PAUSED",
    ("AUDIO_PAUSED", "ALARM_PAUSED"): "ALARM_PAUSED",
    ("AUDIO_PAUSED", "PAUSE_OVER"): "UNACKNOWLEDGED",
    ("ALARM_PAUSED", "ESCALATED"): "ALARM_PAUSED",
    ("ALARM_PAUSED", "DE_ESCALATED"): "ALARM_PAUSED",
    ("ALARM_PAUSED", "ACKNOWLEDGED"): "ACKNOWLEDGED",
    ("ALARM_PAUSED", "ENDED"): "OFF",
    ("ALARM_PAUSED", "ENDED_LATCHING"): "LATCHED_PAUSED",
    ("ALARM_PAUSED", "PAUSE_OVER"): "UNACKNOWLEDGED",
    ("LATCHED_PAUSED", "RAISED"): "UNACKNOWLEDGED",
    ("LATCHED_PAUSED", "ACKNOWLEDGED"): "OFF",
    ("LATCHED_PAUSED", "PAUSE_OVER"): "LATCHED",
}


@pytest.mark.parametrize("state", ConditionState)
@pytest.mark.parametrize("event", ConditionEvent)
def test_the_condition_table(state: ConditionState, event: ConditionEvent) -> None:
    expected = CONDITION_TABLE.get((state.name, event.name))
    if expected is None:
        with pytest.raises(IllegalTransitionError):
            advance(state, event)
    else:
        assert advance(state, event).name == expected


@pytest.mark.parametrize("state", SignalState)
@pytest.mark.parametrize("event", SignalEvent)
def test_the_signal_table(state: SignalState, event: SignalEvent) -> None:
    expected = SIGNAL_TABLE.get((state.name, event.name))
    if expected is None:
        with pytest.raises(IllegalTransitionError):
            signal_after(state, event)
    else:
        assert signal_after(state, event).name == expected


def test_only_what_nobody_took_notice_of_is_audible() -> None:
    assert [s.name for s in SignalState if is_audible(s)] == ["UNACKNOWLEDGED", "LATCHED"]


@pytest.mark.parametrize(
    ("gap_s", "period_s", "expected_s"),
    [(1, 1, 1), (5, 1, 5), (60, 1, 5), (8, 4, 8), (60, 4, 8), (60, 10, 10), (0.5, 0.5, 0.5)],
)
def test_a_sample_stands_for_the_time_since_the_one_before_up_to_a_bound(
    gap_s: float, period_s: float, expected_s: float
) -> None:
    at_ns = 1_000 * S
    assert covered_ns(at_ns, at_ns - round(gap_s * S), round(period_s * S)) == round(expected_s * S)


def test_a_first_sample_stands_for_nothing() -> None:
    assert covered_ns(1_000 * S, 0, 0) == 0


def low_spo2() -> Rule:
    return rules_of(preset(), preset().vitals)[Vital.SPO2][0]


def feed(tracker: Tracker, *values: float, cover_s: float = 1.0, doubtful: bool = False) -> list[int]:
    levels = []
    for value in values:
        observe(tracker, low_spo2(), value, round(cover_s * S), doubtful=doubtful)
        levels.append(tracker.level)
    return levels


def test_the_limit_itself_is_no_violation_and_the_severe_limit_is_one() -> None:
    assert feed(Tracker.of(low_spo2()), *[88.0] * 20)[-1] == 0
    assert feed(Tracker.of(low_spo2()), 80.0) == [2]


def test_a_delay_is_over_when_violating_samples_cover_it() -> None:
    assert feed(Tracker.of(low_spo2()), *[87.0] * 16) == [0] * 14 + [1] * 2


def test_one_good_sample_starts_a_pending_delay_anew() -> None:
    tracker = Tracker.of(low_spo2())
    assert feed(tracker, *[87.0] * 14, 88.0, *[87.0] * 14)[-1] == 0
    assert tracker.state is ConditionState.PENDING


def test_a_present_condition_ends_only_beyond_the_hysteresis() -> None:
    tracker = Tracker.of(low_spo2())
    feed(tracker, *[87.0] * 15)
    assert feed(tracker, 88.0, 88.5, 89.0) == [1, 1, 0]
    assert tracker.state is ConditionState.ENDED


def test_a_severe_condition_falls_to_the_milder_one_without_a_new_delay() -> None:
    tracker = Tracker.of(low_spo2())
    assert feed(tracker, 79.0, 80.5, 85.0, 90.0) == [2, 2, 1, 0]


def test_a_doubtful_sample_counts_half_and_never_clears() -> None:
    tracker = Tracker.of(low_spo2())
    feed(tracker, *[87.0] * 14)
    assert feed(tracker, 97.0, doubtful=True) == [0]
    assert feed(tracker, 87.0, 87.0, doubtful=True) == [0, 1]
    assert feed(tracker, *[97.0] * 50, doubtful=True)[-1] == 1
    assert feed(tracker, 97.0) == [0]


def test_a_severe_value_that_is_doubtful_waits_for_the_ordinary_delay_and_is_then_severe() -> None:
    assert feed(Tracker.of(low_spo2()), *[70.0] * 30, doubtful=True) == [0] * 29 + [2]


def test_one_severe_value_that_is_not_doubtful_is_enough_whatever_was_before() -> None:
    tracker = Tracker.of(low_spo2())
    assert feed(tracker, *[70.0] * 5, doubtful=True)[-1] == 0
    assert feed(tracker, 70.0) == [2]


def test_a_severe_condition_outlasts_doubt() -> None:
    tracker = Tracker.of(low_spo2())
    assert feed(tracker, 79.0) == [2]
    assert feed(tracker, 78.0, 85.0, 97.0, doubtful=True) == [2, 2, 2]


def test_a_lone_severe_limit_with_doubtful_values_waits_too() -> None:
    limits = msgspec.structs.replace(preset().vitals["spo2"], low=None)
    rule = rules_of(preset(), {"spo2": limits})[Vital.SPO2][0]
    tracker = Tracker.of(rule)
    for _ in range(29):
        assert not observe(tracker, rule, 70.0, S, doubtful=True)
    assert observe(tracker, rule, 70.0, S, doubtful=True)


@given(st.lists(st.tuples(st.floats(60, 100), st.floats(0, 5), st.booleans()), max_size=60))
def test_levels_are_nested_and_the_state_agrees_with_them(samples: list[tuple[float, float, bool]]) -> None:
    tracker, rule = Tracker.of(low_spo2()), low_spo2()
    for value, cover_s, doubtful in samples:
        before = tracker.level
        assert observe(tracker, rule, value, round(cover_s * S), doubtful=doubtful) == (tracker.level != before)
        assert (tracker.level > 0) == (tracker.state is ConditionState.PRESENT)
        assert all(tracker.covered_ns[i] >= rule.levels[i].delay_ns for i in range(tracker.level))
        assert tracker.is_idle == (max(tracker.covered_ns) < 0)


events = st.builds(
    AlarmEvent,
    number=st.integers(1, 2**40),
    alarm_id=st.text(max_size=20),
    patient=st.text(max_size=8),
    bed=st.text(max_size=8),
    kind=st.sampled_from(Kind),
    condition=st.text(max_size=20),
    priority=st.sampled_from(Priority),
    transition=st.sampled_from(Transition),
    at_ns=st.integers(0, 2**62),
    decided_at_ns=st.integers(0, 2**62),
    position=st.integers(0, 2**62),
    value=st.none() | st.floats(allow_nan=False),
    limit=st.none() | st.floats(allow_nan=False),
    reason=st.sampled_from(Reason),
    beds=st.lists(st.text(max_size=5), max_size=3).map(tuple),
    backlog=st.booleans(),
    notify=st.booleans(),
)


@given(events)
def test_an_event_survives_its_journal_form(event: AlarmEvent) -> None:
    assert decode_event(encode_event(event)) == event


@settings(max_examples=15)
@given(events)
def test_every_truncated_event_is_refused(event: AlarmEvent) -> None:
    payload = encode_event(event)
    for length in range(len(payload)):
        with pytest.raises(MalformedMessageError):
            decode_event(payload[:length])


@given(st.binary(max_size=200))
def test_rubbish_is_refused(payload: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        decode_event(payload)
