"""Alarm history: from transitions to periods."""

from __future__ import annotations

from dataclasses import replace

from gallery import NOW_NS, NS, PretendedWard

from alerts.events import AlarmEvent, Kind, Priority, Transition
from alerts.station.episodes import MAX_EPISODES, episodes

RAISED = AlarmEvent(
    number=1,
    alarm_id="a",
    patient="P-0001",
    bed="1",
    kind=Kind.PHYSIOLOGICAL,
    condition="spo2_low",
    priority=Priority.MEDIUM,
    transition=Transition.RAISED,
    at_ns=NOW_NS - 100 * NS,
    decided_at_ns=NOW_NS - 99 * NS,
    position=1,
    value=87.0,
    limit=88.0,
)
WORSE = replace(
    RAISED, number=2, transition=Transition.ESCALATED, priority=Priority.HIGH, at_ns=NOW_NS - 80 * NS, value=79.0
)
TAKEN = replace(WORSE, number=3, transition=Transition.ACKNOWLEDGED, actor="AB", decided_at_ns=NOW_NS - 70 * NS)
ENDED = replace(RAISED, number=4, transition=Transition.ENDED, at_ns=NOW_NS - 60 * NS, value=92.0)


def test_an_alarm_is_one_line_with_its_worst_priority_and_its_first_value() -> None:
    (line,) = episodes([RAISED, WORSE, TAKEN, ENDED], [])
    assert (line.start_ns, line.end_ns) == (RAISED.at_ns, ENDED.at_ns)
    assert (line.priority, line.value, line.limit) == (Priority.HIGH, 87.0, 88.0)
    assert (line.acknowledged_by, line.acknowledged_at_ns) == ("AB", TAKEN.decided_at_ns)


def test_an_open_alarm_has_no_end_even_when_its_beginning_is_beyond_the_history(ward: PretendedWard) -> None:
    (alarm, *_) = ward.alarms()
    own = replace(RAISED, alarm_id=alarm.alarm_id, transition=Transition.ESCALATED)
    for events in ([], [own]):
        (line,) = episodes(events, [alarm])
        assert (line.start_ns, line.end_ns) == (alarm.raised_at_ns, None)


def test_a_later_acknowledgement_of_an_ended_alarm_does_not_make_it_last() -> None:
    (line,) = episodes([RAISED, ENDED, replace(TAKEN, at_ns=NOW_NS)], [])
    assert line.end_ns == ENDED.at_ns
    assert line.acknowledged_by == "AB"


def test_an_alarm_whose_end_was_never_written_is_not_shown_as_open() -> None:
    (line,) = episodes([RAISED, WORSE], [])
    assert line.end_ns == WORSE.at_ns


def test_what_opens_no_alarm_is_no_line_and_the_newest_comes_first() -> None:
    noted = replace(RAISED, alarm_id="n", transition=Transition.NOTED)
    other = replace(RAISED, alarm_id="b", at_ns=NOW_NS - 10 * NS)
    assert [line.alarm_id for line in episodes([noted, RAISED, other], [])] == ["b", "a"]


def test_the_list_is_bounded() -> None:
    many = [replace(RAISED, alarm_id=str(n), at_ns=n) for n in range(MAX_EPISODES + 5)]
    lines = episodes(many, [])
    assert (len(lines), lines[0].start_ns) == (MAX_EPISODES, MAX_EPISODES + 4)


def test_what_was_found_afterwards_piece_by_piece_is_one_line_and_opens_nothing() -> None:
    found = replace(RAISED, alarm_id="", transition=Transition.ANNOTATED, until_ns=NOW_NS - 90 * NS, backlog=True)
    second = replace(
        found, number=2, at_ns=found.until_ns, until_ns=NOW_NS - 70 * NS, priority=Priority.HIGH, value=78.0
    )
    apart = replace(found, number=3, at_ns=NOW_NS - 50 * NS, until_ns=NOW_NS - 40 * NS)
    lines = episodes([found, second, apart], [])
    assert [(e.start_ns, e.end_ns, e.priority, e.value) for e in lines] == [
        (apart.at_ns, apart.until_ns, Priority.MEDIUM, 87.0),
        (found.at_ns, second.until_ns, Priority.HIGH, 78.0),
    ]
    assert {e.found for e in lines} == {Transition.ANNOTATED}


def test_an_alarm_that_late_readings_show_never_to_have_been_lasts_no_time() -> None:
    (line,) = episodes([RAISED, replace(ENDED, at_ns=RAISED.at_ns - 5 * NS)], [])
    assert line.end_ns == line.start_ns
