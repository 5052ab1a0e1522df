"""The partial early-warning score on the ward: what it is made of, when it says something, and whom it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest
from alert_world import T0, Row, S, World, block, preset, preset_with, told

from alerts.engine import Engine
from alerts.events import AlarmEvent, Priority
from alerts.snapshot import decode_snapshot, encode_snapshot, restore
from alerts.view import PartialScore
from vitals.model import Vital
from vitals.ward import Patient, Ward, decode_ward

ASKED = "\n[measures.early_warning]\nadvisory_at = 5\nmedium_at = 5\nhigh_at = 7\n"
SICK = {Vital.RESP_RATE: 22.0, Vital.SPO2: 93.0, Vital.PULSE_RATE: 112.0}  # 2 + 2 + 2
WELL = {Vital.RESP_RATE: 15.0, Vital.SPO2: 97.0, Vital.PULSE_RATE: 75.0}


def world(text: str = "", **patient: Any) -> World:
    found = World()
    ward = Ward("north", "UTC", (Patient("P-0", "3-00", ("d-0",), **patient),))
    found.engine = Engine(ward, preset_with(text) if text else preset(), T0)
    return found


def minutes(found: World, values: dict[Vital, float], first: int, last: int) -> list[AlarmEvent]:
    """Every value once in five seconds."""
    events: list[AlarmEvent] = []
    for at_s in range(first * 60, last * 60, 5):
        rows: list[Row] = [("d-0", vital, float(at_s), value) for vital, value in values.items()]
        events += found.play(block(rows), at_s + 0.1)
    return events


def score(found: World, at_min: int) -> PartialScore | None:
    return found.engine.tiles(T0 + at_min * 60 * S)[0].score


def test_the_tile_has_the_bounds_the_parts_and_what_is_missing() -> None:
    found = world()
    minutes(found, SICK, 0, 4)
    shown = score(found, 4)
    assert shown is not None
    assert (shown.lower, shown.upper) == (6, 17)
    assert [(part.name, part.points) for part in shown.parts] == [("respiration", 2), ("SpO₂", 2), ("pulse", 2)]
    assert shown.missing == ("oxygen or air", "blood pressure", "consciousness", "temperature")
    assert all(T0 + 2 * 60 * S <= part.at_ns <= T0 + 4 * 60 * S for part in shown.parts)
    assert score(found, 12) is None  # nothing for minutes


def test_by_default_it_is_an_advisory_that_calls_nobody() -> None:
    found = world()
    events = minutes(found, SICK, 0, 5)
    assert told(events) == [("early_warning", "raised")]
    assert (events[0].priority, events[0].notify, events[0].value, events[0].limit) == (Priority.LOW, False, 6.0, 5.0)
    assert events[0].detail.startswith("6 to 17, missing: oxygen or air, blood pressure")
    assert told(minutes(found, WELL, 5, 8)) == [("early_warning", "ended")]


def test_a_ward_may_let_it_call() -> None:
    found = world(ASKED, oxygen=True)
    events = minutes(found, SICK, 0, 5)
    assert [(e.condition, e.priority, e.notify) for e in events] == [("early_warning", Priority.HIGH, True)]
    eased = minutes(found, SICK | {Vital.PULSE_RATE: 75.0, Vital.SPO2: 95.0}, 5, 8)
    assert [(e.transition.value, e.priority, e.value) for e in eased][-1] == ("de_escalated", Priority.MEDIUM, 5.0)


def test_one_odd_minute_says_nothing() -> None:
    found = world(ASKED)
    assert told(minutes(found, WELL, 0, 3)) == []
    assert told(minutes(found, SICK, 3, 4)) == []
    assert told(minutes(found, WELL, 4, 6)) == []


def test_what_a_limit_tells_is_not_told_twice() -> None:
    events = minutes(world(), SICK | {Vital.RESP_RATE: 27.0}, 0, 5)
    assert {e.condition for e in events} == {"resp_rate_high"}


def test_scale_2_and_oxygen_are_the_clinicians_choice() -> None:
    low = WELL | {Vital.SPO2: 90.0}
    for given, lower in [
        ({}, 3),
        ({"spo2_scale": 2}, 0),
        ({"spo2_scale": 2, "oxygen": True}, 2),
        ({"oxygen": True}, 5),
    ]:
        found = world(**given)
        minutes(found, low, 0, 4)
        shown = score(found, 4)
        assert shown is not None
        assert (shown.lower, shown.scale_2) == (lower, "spo2_scale" in given)


def test_who_is_not_to_be_scored_is_not() -> None:
    found = world(ASKED, early_warning=False)
    assert told(minutes(found, SICK, 0, 5)) == []
    assert score(found, 5) is None


def test_a_temperature_counts_for_hours_and_a_rate_for_minutes() -> None:
    found = world()
    found.play(block([("d-0", Vital.BODY_TEMPERATURE, 10.0, 39.4)]), 11)
    minutes(found, WELL, 0, 3)
    minutes(found, {Vital.PULSE_RATE: 75.0}, 3, 12)
    shown = score(found, 12)
    assert shown is not None
    assert [(part.name, part.points) for part in shown.parts] == [("pulse", 0), ("temperature", 2)]
    assert "respiration" in shown.missing


@pytest.mark.parametrize("restart_s", [150, 180, 205])
def test_a_restart_changes_nothing(restart_s: int) -> None:
    through, again = world(ASKED), world(ASKED)
    events = minutes(through, SICK, 0, 6)
    seen: list[AlarmEvent] = []
    for at_s in range(0, 360, 5):
        rows: list[Row] = [("d-0", vital, float(at_s), value) for vital, value in SICK.items()]
        seen += again.play(block(rows), at_s + 0.1)
        if at_s == restart_s:
            engine = again.engine
            again.engine = restore(decode_snapshot(encode_snapshot(engine, T0 + at_s * S)), engine.ward, engine.preset)
    assert seen == events
    assert score(again, 6) == score(through, 6)


def test_the_ward_file_says_who_differs() -> None:
    ward = decode_ward(
        b'site = "north"\n[[patients]]\npatient = "P-1"\nbed = "1"\nspo2_scale = 2\noxygen = false\n'
        b"early_warning = false\n[patients.measures.falling]\npoints = 6\n"
    )
    patient = ward.patients[0]
    assert (patient.spo2_scale, patient.oxygen, patient.early_warning) == (2, False, False)
    assert patient.measures == {"falling": {"points": 6}}
