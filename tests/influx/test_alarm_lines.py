"""What boards draw of alarms: transitions, whether one is open, and whole stretches."""

from __future__ import annotations

from dataclasses import replace

import pytest
from influx_world import SECOND_NS, START_NS

from alerts.events import ALARMS_PAUSED, AlarmEvent, AlarmRecordKind, Kind, Priority, Transition, encode_event
from ingest.influx.line_protocol import Precision
from vitals.journal import Record
from wardlight.influx_alarms import alarm_lines, encode_alarms

NS = Precision.NANOSECONDS
EVENT = AlarmEvent(
    number=1_017,
    alarm_id="a-1",
    patient="P-0001",
    bed="3-01",
    kind=Kind.PHYSIOLOGICAL,
    condition="spo2_low",
    priority=Priority.HIGH,
    transition=Transition.RAISED,
    at_ns=START_NS,
    decided_at_ns=START_NS,
    position=1,
    value=84.0,
    limit=88.0,
)


def told(event: AlarmEvent) -> list[str]:
    return [found.decode() for found in alarm_lines(event, "north", NS)]


@pytest.mark.parametrize(
    "transition", sorted(set(Transition) - {Transition.ENDED, Transition.NOTED, Transition.ANNOTATED})
)
def test_until_it_ends_an_alarm_is_open_whatever_happens_to_it(transition: Transition) -> None:
    (only,) = told(replace(EVENT, transition=transition))
    assert ",open=1.0," in only


def test_an_alarm_that_ended_is_a_stretch_from_its_raising() -> None:
    ended = replace(EVENT, transition=Transition.ENDED, at_ns=START_NS + 60 * SECOND_NS, raised_at_ns=START_NS)
    transition, episode = told(ended)
    assert ",open=0.0," in transition
    assert episode == (
        "alarm_episode,condition=spo2_low,kind=physiological,patient=P-0001,priority=high,site=north "
        f"ended_ms={(START_NS + 60 * SECOND_NS) / 1e6!r},duration_s=60.0,late=0.0,number=1017.0,"
        f'alarm_id="a-1",bed="3-01" {START_NS + 17}\n'
    )


def test_of_an_older_journal_the_raising_is_not_known() -> None:
    assert len(told(replace(EVENT, transition=Transition.ENDED))) == 1


def test_what_was_found_afterwards_is_a_stretch_and_closes_no_open_alarm() -> None:
    found = replace(EVENT, alarm_id="", transition=Transition.ANNOTATED, until_ns=START_NS + 30 * SECOND_NS)
    transition, episode = told(found)
    assert "open=" not in transition
    assert f",until_ms={(START_NS + 30 * SECOND_NS) / 1e6!r}," in transition
    assert ",duration_s=30.0,late=1.0," in episode


@pytest.mark.parametrize("transition", [Transition.NOTED, Transition.PAUSED])
def test_an_entry_about_no_alarm_opens_and_closes_none(transition: Transition) -> None:
    (only,) = told(replace(EVENT, alarm_id="", transition=transition))
    assert "open=" not in only


@pytest.mark.parametrize(("transition", "is_open"), [(Transition.PAUSED, "1.0"), (Transition.RESUMED, "0.0")])
def test_a_pause_of_a_patients_alarms_is_open_until_they_resume(transition: Transition, is_open: str) -> None:
    (only,) = told(replace(EVENT, alarm_id="", condition=ALARMS_PAUSED, transition=transition))
    assert f",open={is_open}," in only


def test_what_cannot_be_read_is_counted_and_deliveries_are_none_of_it() -> None:
    kinds = ((AlarmRecordKind.EVENT, encode_event(EVENT)), (AlarmRecordKind.EVENT, b"?"), (AlarmRecordKind.CALL, b"?"))
    records = [Record(number, int(kind), 0, payload) for number, (kind, payload) in enumerate(kinds)]
    encoded = encode_alarms(records, "north", NS, 100)
    assert (encoded.lines.count, encoded.unreadable) == (1, 1)
    assert b"".join(encoded.lines.bodies).startswith(b"alarm,condition=spo2_low,")
