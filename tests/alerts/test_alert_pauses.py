"""Quiet states and their ends: pauses of people, reminders, and alarms that come and go."""

from __future__ import annotations

from dataclasses import replace

import pytest
from alert_desk import Desk, running, until
from alert_world import T0, S, World, block, preset, second, single_device_ward, told

from alerts.attention import Paused
from alerts.events import AlarmEvent, Priority
from alerts.snapshot import decode_snapshot, encode_snapshot, restore


def low(world: World, stop: int = 20, *, spo2: float = 85.0) -> None:
    """`P-0` is low until `stop`."""
    world.run(0, stop, "d-0", "d-1", spo2=97.0)
    world.run(stop, stop + 20, "d-0", spo2=spo2)


def spo2_alarm(world: World) -> str:
    return next(a.alarm_id for a in world.engine.alarms() if a.condition == "spo2_low")


def of_spo2(events: list[AlarmEvent]) -> list[tuple[str, bool]]:
    return [(e.transition.value, e.notify) for e in events if e.condition == "spo2_low"]


def test_the_sound_of_one_alarm_is_paused_and_comes_back_by_itself() -> None:
    world = World()
    low(world)
    result, events = world.engine.pause_audio(spo2_alarm(world), "AB", T0 + 40 * S)
    assert (result, of_spo2(list(events)), events[0].actor) == (Paused.ACCEPTED, [("paused", False)], "AB")
    assert (events[0].until_ns - T0) // S == 160
    world.history.clear()
    world.run(40, 160, "d-0", spo2=85.0)
    assert of_spo2(world.history) == []
    world.run(160, 162, "d-0", spo2=85.0)
    assert of_spo2(world.history) == [("resumed", True)]


def test_a_rise_in_priority_calls_in_spite_of_a_paused_sound() -> None:
    world = World()
    low(world)
    world.engine.pause_audio(spo2_alarm(world), "AB", T0 + 40 * S)
    world.history.clear()
    world.run(40, 41, "d-0", spo2=70.0)
    assert of_spo2(world.history) == [("escalated", True)]


def test_all_alarms_of_a_patient_are_paused_the_new_ones_too_and_nobody_elses() -> None:
    world = World()
    world.run(0, 5, "d-0", "d-1")
    result, events = world.engine.pause_alarms("P-0", "AB", "nursing care", 120, T0 + 5 * S)
    assert result is Paused.ACCEPTED
    assert [(e.condition, e.actor, e.detail, e.patient) for e in events] == [
        ("alarms_paused", "AB", "nursing care", "P-0")
    ]
    world.run(5, 30, "d-0", "d-1", spo2=75.0)
    assert [(e.patient, e.notify) for e in world.history if e.condition == "spo2_low"] == [
        ("P-0", False),
        ("P-1", True),
    ]
    tile = world.engine.tiles(T0 + 30 * S)[0]
    assert tile.paused is not None
    assert (tile.paused.actor, (tile.paused.until_ns - T0) // S) == ("AB", 125)
    world.history.clear()
    world.run(30, 127, "d-0", "d-1", spo2=75.0)
    assert told(world.history) == [("alarms_paused", "resumed"), ("spo2_low", "resumed")]
    assert world.history[1].notify
    assert world.engine.tiles(T0 + 127 * S)[0].paused is None


@pytest.mark.parametrize("length_s", [0, -1, 121, 1e9])
def test_a_pause_is_never_longer_than_permitted(length_s: float) -> None:
    world = World()
    assert world.engine.pause_alarms("P-0", "AB", "", length_s, T0)[0] is Paused.TOO_LONG
    assert world.engine.pause_alarms("P-9", "AB", "", 60, T0)[0] is Paused.UNKNOWN


def test_a_pause_is_ended_by_a_person_and_what_holds_calls_at_once() -> None:
    world = World()
    low(world)
    world.engine.pause_alarms("P-0", "AB", "", 120, T0 + 40 * S)
    result, events = world.engine.resume_alarms("P-0", "CD", T0 + 41 * S)
    assert result is Paused.ACCEPTED
    assert [(e.condition, e.transition.value, e.actor, e.notify) for e in events] == [
        ("alarms_paused", "resumed", "CD", False),
        ("spo2_low", "resumed", "CD", True),
    ]


def test_a_clock_that_is_set_back_makes_no_pause_longer() -> None:
    world = World()
    world.engine.pause_alarms("P-0", "AB", "", 120, T0 + 3_600 * S)
    world.engine.resume(T0, T0, "clock set back")
    paused = world.engine.tiles(T0)[0].paused
    assert paused is not None
    assert paused.until_ns <= T0 + 120 * S


@pytest.mark.parametrize(("spo2", "after_s"), [(85.0, 600), (75.0, 120)])
def test_an_acknowledged_alarm_that_still_holds_calls_again(spo2: float, after_s: int) -> None:
    world = World()
    low(world, spo2=spo2)
    world.engine.acknowledge(spo2_alarm(world), "AB", T0 + 40 * S)
    world.history.clear()
    world.run(40, 40 + after_s, "d-0", spo2=spo2)
    assert of_spo2(world.history) == []
    world.run(40 + after_s, 42 + after_s, "d-0", spo2=spo2)
    assert of_spo2(world.history) == [("reminded", True)]


def flap(world: World, times: int, spo2: float) -> None:
    """Low for 20 s, well for 10 s, so many times."""
    for round_ in range(times):
        world.run(round_ * 30, round_ * 30 + 20, "d-0", "d-1", spo2=spo2)
        world.run(round_ * 30 + 20, round_ * 30 + 30, "d-0", "d-1")


def test_what_comes_and_goes_is_held_open_once_and_ends_after_it_stayed_away() -> None:
    world = World(single_device_ward(1))
    flap(world, 10, 85.0)
    assert of_spo2(world.history) == [("raised", True), ("ended", True)] * 3 + [("raised", True)]
    assert [a.detail for a in world.engine.alarms() if a.condition == "spo2_low"] == ["comes and goes"]
    world.history.clear()
    world.run(300, 480, "d-0")
    assert of_spo2(world.history) == [("ended", True)]


def test_a_severe_alarm_calls_every_time() -> None:
    world = World(single_device_ward(1))
    flap(world, 8, 75.0)
    assert of_spo2(world.history).count(("raised", True)) == 8


def test_a_held_alarm_that_gets_worse_calls() -> None:
    world = World(single_device_ward(1))
    flap(world, 6, 85.0)
    world.history.clear()
    world.run(180, 182, "d-0", spo2=75.0)
    assert of_spo2(world.history) == [("escalated", True)]


def test_pauses_and_held_alarms_survive_a_snapshot() -> None:
    world = World()
    flap(world, 6, 85.0)
    world.engine.pause_alarms("P-0", "AB", "care", 100, T0 + 180 * S)
    again = restore(decode_snapshot(encode_snapshot(world.engine, T0)), single_device_ward(), preset())
    assert again.book.pauses == world.engine.book.pauses
    assert again.book.open == world.engine.book.open
    expected, found = (engine.step([], 999, T0 + 600 * S) for engine in (world.engine, again))
    assert [replace(e, position=0) for e in found] == [replace(e, position=0) for e in expected]
    assert ("alarms_paused", "resumed") in told(found)


async def test_a_pause_survives_a_crash_that_came_before_the_next_snapshot(desk: Desk) -> None:
    desk.seconds(0, 1, "d-0", "d-1")
    service = desk.service()
    async with running(service):
        desk.seconds(1, 20, "d-0", "d-1", spo2=75.0)
        await until(lambda: len(service.alarms()) == 2)
        service.pause_alarms("P-0", "AB", "nursing care")
        service.pause_audio(next(a.alarm_id for a in service.alarms() if a.patient == "P-1"), "CD")
        before = service.alarms(), service.tiles()
        copy = [(r.kind, r.payload) for r in desk.alarms.read(0)]
        crashed = desk.service()  # reads the journal as it is now; the other one never got to say good-bye
        assert crashed.alarms() == before[0]
        assert [t.paused for t in crashed.tiles()] == [t.paused for t in before[1]]
        assert all(a.paused_until_ns == desk.now_ns + 120 * S for a in crashed.alarms())
        added = [(r.kind, r.payload) for r in desk.alarms.read(0)][len(copy) :]
        assert len(added) == 1, "the restart itself and nothing else"
    assert {a.priority for a in crashed.alarms()} == {Priority.HIGH}


def test_the_world_is_quiet_without_reason() -> None:
    world = World()
    world.play(block(second(0, "d-0", "d-1")), 0.1)
    assert world.engine.resume_alarms("P-0", "AB", T0 + S)[0] is Paused.NOTHING
    assert world.engine.pause_audio("nothing", "AB", T0 + S)[0] is Paused.UNKNOWN
