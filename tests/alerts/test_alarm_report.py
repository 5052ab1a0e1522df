"""Figures of a period of alarms, from constructed journals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerts.events import AlarmEvent, Kind, Priority, Transition
from alerts.marks import Mark, decode_mark, encode_mark
from alerts.report import DAY_NS, floods, report
from alerts.spans import AlarmSpan, spans_of
from vitals.errors import MalformedMessageError

S = 1_000_000_000


def event(number: int, alarm_id: str, transition: Transition, at_s: float, actor: str = "") -> AlarmEvent:
    return AlarmEvent(
        number,
        alarm_id,
        "P-1",
        "3-01",
        Kind.PHYSIOLOGICAL,
        "spo2_low",
        Priority.MEDIUM,
        transition,
        round(at_s * S),
        round(at_s * S),
        0,
        actor=actor,
    )


def span(at_s: float, lasted_s: float = 30, bed: str = "3-01", answered_s: float | None = None) -> AlarmSpan:
    at_ns = round(at_s * S)
    answered_ns = None if answered_s is None else at_ns + round(answered_s * S)
    ended_ns = at_ns + round(lasted_s * S)
    return AlarmSpan(
        f"a{at_s}", "P-1", bed, Kind.PHYSIOLOGICAL, "spo2_low", Priority.MEDIUM, at_ns, ended_ns, answered_ns
    )


def test_transitions_become_one_span_with_its_highest_priority() -> None:
    events = [
        event(1, "a", Transition.RAISED, 10),
        replace(event(2, "a", Transition.ESCALATED, 20), priority=Priority.HIGH),
        event(3, "a", Transition.ACKNOWLEDGED, 25, "nurse-1"),
        event(4, "a", Transition.ENDED, 40),
        event(5, "b", Transition.RAISED, 50),
    ]
    first, second = spans_of(events)
    assert (first.priority, first.acknowledged_by, first.ended_at_ns) == (Priority.HIGH, "nurse-1", 40 * S)
    assert second.ended_at_ns is None
    assert second.lasted_ns(80 * S) == 30 * S


@pytest.mark.parametrize("transition", [Transition.PAUSED, Transition.RESUMED, Transition.REMINDED])
def test_what_happens_to_a_signal_neither_begins_nor_ends_an_alarm(transition: Transition) -> None:
    raised = event(1, "a", Transition.RAISED, 10)
    assert spans_of([raised, event(2, "a", transition, 20)]) == spans_of([raised])
    assert spans_of([event(2, "a", transition, 20)]) == []


@pytest.mark.parametrize(
    "transition", [Transition.ANNOTATED, Transition.DISPROVED, Transition.NOTED, Transition.PAUSED]
)
def test_an_entry_about_no_alarm_is_no_span(transition: Transition) -> None:
    raised = event(1, "a", Transition.RAISED, 10)
    entry = replace(event(2, "", transition, 20), until_ns=40 * S, notify=False)
    assert spans_of([raised, entry]) == spans_of([raised])


def test_an_alarm_that_late_readings_show_never_to_have_been_lasts_no_time() -> None:
    (only,) = spans_of([event(1, "a", Transition.RAISED, 10), event(2, "a", Transition.ENDED, 8)])
    assert only.lasted_ns(60 * S) == 0
    assert only.ended_at_ns == 10 * S


def test_a_period_counts_what_was_raised_in_it() -> None:
    spans = [span(0, 5, answered_s=3), span(3600, 30, answered_s=9), span(7200, 2 * 86_400, bed="3-02"), span(90_000)]
    found = report(spans, 0, DAY_NS, beds=4, marks={"a0": True, "a3600": False})
    assert (found.alarms, found.per_bed_day) == (3, 0.75)
    assert (found.acknowledged, found.acknowledge_median_s, found.acknowledge_p90_s) == (2, 3, 9)
    assert (found.fleeting, found.stale, found.marked, found.actionable) == (1, 1, 2, 1)
    assert found.noisiest[0] == (("3-01", "spo2_low"), 2)


def test_the_same_alarm_three_times_in_a_minute_chatters() -> None:
    assert report([span(0, 5), span(20, 5), span(40, 5), span(600)], 0, DAY_NS).chattering == 3
    assert report([span(0, 5), span(40, 5), span(80, 5)], 0, DAY_NS).chattering == 0


def test_a_flood_begins_above_ten_in_ten_minutes_and_ends_below_five() -> None:
    times = [s * 10 * S for s in range(12)]
    (flood,) = floods(times, DAY_NS)
    assert (flood.start_ns, flood.alarms) == (100 * S, 12)
    assert flood.end_ns == (70 + 600) * S  # the eighth alarm leaves: four stay
    assert floods(times[:10], DAY_NS) == []


def test_a_mark_comes_back_and_nothing_else_is_read_as_one() -> None:
    mark = Mark("a-1", actionable=True, by="nurse-4", at_ns=5)
    assert decode_mark(encode_mark(mark)) == mark
    for length in range(len(encode_mark(mark))):
        with pytest.raises(MalformedMessageError):
            decode_mark(encode_mark(mark)[:length])
