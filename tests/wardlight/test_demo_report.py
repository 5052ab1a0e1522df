"""The demo's verdict: what makes it a failure, and what it says of each scripted event."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from alerts.events import AlarmEvent, Kind, Priority, Transition
from simulators.events import Expect
from simulators.timeline import Expectation
from simulators.truth import Difference
from wardlight.demo_report import DemoReport, Messages, compile_report

S = 1_000_000_000
START = 1_790_000_000 * S
EXACT = Difference(produced=100, stored=100, missing=0, extra=0, changed=0)
MESSAGES = Messages(sent=10, resent=0, received=10, duplicates_refused=0, rejected=0, given_up_by_spools=0)
WANTED = Expectation("P-1", "desaturation", Expect("spo2_low", "high", 15), START + 3 * S, START + 18 * S)


def event(at_s: float, number: int = 1, **changes: Any) -> AlarmEvent:
    facts: dict[str, Any] = {
        "number": number,
        "alarm_id": "a-1",
        "patient": "P-1",
        "bed": "3-01",
        "kind": Kind.PHYSIOLOGICAL,
        "condition": "spo2_low",
        "priority": Priority.HIGH,
        "transition": Transition.RAISED,
        "at_ns": START + round(at_s * S),
        "decided_at_ns": START + round(at_s * S),
        "position": 1,
    }
    return AlarmEvent(**(facts | changes))


def judged(*events: AlarmEvent, **changes: Any) -> DemoReport:
    given: dict[str, Any] = {
        "scenario": "demo",
        "transport": "endpoint",
        "duration_s": 40.0,
        "difference": EXACT,
        "messages": MESSAGES,
        "gaps": 0,
        "expected": [WANTED],
        "alarm_events": events,
        "handed_over_ns": {e.number: e.at_ns + S // 4 for e in events},
    }
    return compile_report(**(given | changes))


def test_an_event_that_was_alarmed_in_time_is_ok_and_its_delays_are_told() -> None:
    report = judged(event(9))
    assert report.ok
    assert report.events[0].announced_after_s == 6.2
    assert [(a.condition, a.priority, a.count, a.delay_median_s) for a in report.alarms] == [
        ("spo2_low", "high", 1, 0.25)
    ]
    assert report.unexpected_alarms == []


@pytest.mark.parametrize(
    "found",
    [
        (),
        (event(30),),
        (event(9, patient="P-2"),),
        (event(9, priority=Priority.MEDIUM),),
        (event(9, transition=Transition.ENDED),),
    ],
    ids=["none", "late", "another patient", "a lower priority", "only its end"],
)
def test_an_event_without_its_alarm_is_not_ok(found: tuple[AlarmEvent, ...]) -> None:
    report = judged(*found)
    assert not report.ok
    assert report.events[0].announced_after_s is None


def test_an_alarm_that_reached_nobody_or_too_late_answers_no_event() -> None:
    assert not judged(event(9), handed_over_ns={}).ok
    assert not judged(event(9), handed_over_ns={1: START + 19 * S}).ok


@pytest.mark.parametrize(
    "changes",
    [
        {"difference": Difference(100, 99, missing=1, extra=0, changed=0)},
        {"difference": Difference(100, 101, missing=0, extra=1, changed=0)},
        {"difference": Difference(100, 100, missing=0, extra=0, changed=1)},
        {"difference": Difference(0, 0, missing=0, extra=0, changed=0)},
        {"gaps": 1},
        {"messages": msgspec.structs.replace(MESSAGES, given_up_by_spools=1)},
    ],
    ids=["lost", "doubled", "changed", "nothing produced", "a gap", "given up"],
)
def test_a_reading_that_is_not_there_exactly_once_is_not_ok(changes: dict[str, Any]) -> None:
    assert judged(event(9)).ok
    assert not judged(event(9), **changes).ok


def test_an_alarm_that_nobody_scripted_is_named() -> None:
    stray = event(12, number=2, patient="P-9", condition="no_data", priority=Priority.MEDIUM)
    report = judged(event(9), stray)
    assert report.unexpected_alarms == ["no_data (medium) of P-9"]
    assert not report.ok


def test_a_step_on_the_way_to_the_expected_priority_is_not_unexpected() -> None:
    milder = event(6, priority=Priority.MEDIUM)
    severe = event(9, number=2, transition=Transition.ESCALATED)
    report = judged(milder, severe)
    assert report.ok
    assert report.unexpected_alarms == []
