"""Limits that change under running conditions: what goes on, what ends, what is judged from now."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from alert_world import T0, S, World, block, preset, second, single_device_ward, told
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.changed_rules import LIMIT_CHANGED
from alerts.engine import Engine
from alerts.events import DEVICES_DISAGREE, LIMITS_CHANGED, AlarmEvent, Transition
from alerts.limits_in_force import Difference
from alerts.measure_settings import LIMITS_ALONE
from alerts.snapshot import decode_snapshot, encode_snapshot, restore
from vitals.derived import best_name
from vitals.errors import ConfigurationError
from vitals.model import Quality, Reason, Vital

ONE = single_device_ward(1)


def change(world: World, now_s: float, patient: str = "P-0", **spo2: float) -> tuple[AlarmEvent, ...]:
    """Let `spo2` be all that is changed of a patient's limits."""
    overrides = {"spo2": spo2} if spo2 else {}
    told_of = (Difference("spo2", "low", 88, 86, "AB", "COPD"),)
    events = world.engine.change_limits(patient, overrides, told_of, T0 + round(now_s * S))
    world.history += events
    return events


def alarming(spo2: float = 87.0, seconds: int = 25) -> World:
    world = World(ONE)
    world.run(0, seconds, "d-0", spo2=spo2)
    assert ("spo2_low", "raised") in told(world.history)
    return world


def test_an_alarm_that_the_new_limit_does_not_know_ends_and_says_why() -> None:
    world = alarming()
    noted, ended = change(world, 25, low=86)
    assert (noted.condition, noted.transition, noted.actor) == (LIMITS_CHANGED, Transition.NOTED, "AB")
    assert (noted.detail, noted.limit, noted.notify) == ("SpO₂ low changed from 88 % to 86 %: COPD", 86, False)
    assert (noted.patient, noted.bed) == ("P-0", "3-00")
    assert (ended.condition, ended.transition, ended.detail) == ("spo2_low", Transition.ENDED, LIMIT_CHANGED)
    assert (ended.value, ended.limit) == (87, 86)
    assert world.engine.alarms() == ()
    assert world.run(25, 60, "d-0", spo2=87.0) == []


def test_an_alarm_that_is_beyond_the_new_limit_too_goes_on_as_the_same() -> None:
    world = alarming(85.0)
    (before,) = world.engine.alarms()
    assert told(change(world, 25, low=86)) == [(LIMITS_CHANGED, "noted")]
    (after,) = world.engine.alarms()
    assert (after.alarm_id, after.raised_at_ns, after.limit) == (before.alarm_id, before.raised_at_ns, 86)
    assert told(world.run(25, 30, "d-0", spo2=86.5)) == []
    assert told(world.run(30, 31, "d-0", spo2=87.0)) == [("spo2_low", "ended")], "a hysteresis inside the new limit"


def test_a_stricter_limit_counts_from_now() -> None:
    world = World(ONE)
    world.run(0, 40, "d-0", spo2=89.0)
    change(world, 40, low=90)
    events = world.run(40, 70, "d-0", spo2=89.0)
    assert [(e.condition, (e.at_ns - T0) // S) for e in events] == [("spo2_low", 54)]


def test_a_running_delay_of_an_unchanged_limit_goes_on() -> None:
    world = World(ONE)
    world.run(0, 5, "d-0", pulse=80.0)
    world.run(5, 12, "d-0", spo2=87.0, pulse=125.0)  # eight of ten seconds of pulse, eight of fifteen of SpO₂
    change(world, 12, low=87.5)
    events = world.run(12, 35, "d-0", spo2=87.0, pulse=125.0)
    assert [(e.condition, (e.at_ns - T0) // S) for e in events] == [("pulse_rate_high", 14), ("spo2_low", 26)]


def test_a_changed_delay_counts_what_was_measured_already() -> None:
    world = World(ONE)
    world.run(0, 5, "d-0")
    world.run(5, 12, "d-0", spo2=87.0)
    change(world, 12, low_delay_s=5)
    assert told(world.run(12, 13, "d-0", spo2=87.0)) == [("spo2_low", "raised")]


def test_a_severe_limit_that_did_not_change_stays_present() -> None:
    world = alarming(78.0, 10)
    assert told(change(world, 10, low=86)) == [(LIMITS_CHANGED, "noted")]
    assert world.engine.alarms()[0].priority.name == "HIGH"


def test_a_severe_limit_that_gives_way_lowers_the_priority() -> None:
    world = alarming(78.0)
    assert told(change(world, 25, severe_low=75)) == [(LIMITS_CHANGED, "noted"), ("spo2_low", "de_escalated")]
    (alarm,) = world.engine.alarms()
    assert (alarm.priority.name, alarm.limit) == ("MEDIUM", 88)


def test_a_doubtful_last_value_ends_nothing() -> None:
    world = alarming()
    world.play(block(second(25, "d-0", spo2=96.0), quality=Quality.DOUBTFUL), 25.1)
    assert told(change(world, 26, low=86)) == [(LIMITS_CHANGED, "noted")]
    assert told(world.run(26, 27, "d-0", spo2=87.5)) == [("spo2_low", "ended")]


def test_an_alarm_that_comes_and_goes_is_no_longer_held() -> None:
    world = World(ONE)
    for start in range(0, 160, 40):
        world.run(start, start + 20, "d-0", spo2=87.0)
        world.run(start + 20, start + 40, "d-0", spo2=97.0)
    (held,) = world.engine.alarms()
    assert held.detail == "comes and goes"
    assert told(change(world, 160, low=86)) == [(LIMITS_CHANGED, "noted"), ("spo2_low", "ended")]


def test_a_limit_that_is_gone_takes_its_alarm_with_it() -> None:
    world = World(ONE)
    limits = {"body_temperature": {"high": 39, "high_delay_s": 0, "hysteresis": 0.2}}
    world.engine.change_limits("P-0", limits, (), T0)
    hot = [world.play(block([("d-0", Vital.BODY_TEMPERATURE, at, 40.0)]), at + 0.1) for at in (1, 2)]
    assert told(hot[0] + hot[1]) == [("body_temperature_high", "raised")]
    assert told(world.engine.change_limits("P-0", {}, (), T0 + 3 * S)) == [("body_temperature_high", "ended")]


def test_another_patient_notices_nothing() -> None:
    world = World(single_device_ward(2))
    world.run(0, 25, "d-0", "d-1", spo2=87.0)
    assert {e.patient for e in change(world, 25, low=86)} == {"P-0"}
    assert [alarm.patient for alarm in world.engine.alarms()] == ["P-1"]


def test_an_unsafe_limit_changes_nothing() -> None:
    world = alarming()
    before = encode_snapshot(world.engine, T0)
    with pytest.raises(ConfigurationError, match="severe_low 80 is above low 79"):
        change(world, 25, low=79)
    assert encode_snapshot(world.engine, T0) == before


def test_an_overruled_device_is_no_longer_in_dispute() -> None:
    world = World(ONE)
    for at_s in range(90):
        best = str(best_name("P-0"))
        world.play(block([("d-0", Vital.SPO2, at_s, 87.0), (best, Vital.SPO2, at_s, 97.0)]), at_s + 0.1)
    assert (DEVICES_DISAGREE, "raised") in told(world.history)
    assert (DEVICES_DISAGREE, "ended") in told(change(world, 90, low=86))


def test_a_snapshot_of_before_limits_could_change_is_read() -> None:
    world = alarming()
    fields = msgspec.msgpack.decode(encode_snapshot(world.engine, T0))
    index = msgspec.structs.fields(type(decode_snapshot(encode_snapshot(world.engine, T0))))
    place = [field.name for field in index].index("changed")
    old = msgspec.msgpack.encode(fields[:place])
    engine = restore(decode_snapshot(old), ONE, preset())
    assert engine.changed == {}
    assert [a.condition for a in engine.alarms()] == ["spo2_low"]


def test_changes_that_the_files_no_longer_permit_stay_behind() -> None:
    world = World(ONE)
    change(world, 1, low=82)
    spo2 = msgspec.structs.replace(preset().vitals["spo2"], severe_low=84)
    stricter = msgspec.structs.replace(preset(), vitals=preset().vitals | {"spo2": spo2})
    engine = restore(decode_snapshot(encode_snapshot(world.engine, T0)), ONE, stricter)
    assert engine.changed == {}


VALUES = st.sampled_from([97.0, 90.0, 88.5, 87.0, 86.5, 85.0, 79.0, Reason.PROBE_OFF])
STEPS = st.lists(
    st.tuples(st.just("run"), VALUES, st.integers(1, 20))
    | st.tuples(st.just("set"), st.fixed_dictionaries({}, optional={
        "low": st.sampled_from([82.0, 86.0, 87.0, 90.0]),
        "severe_low": st.sampled_from([70.0, 79.5, 81.0]),
        "low_delay_s": st.sampled_from([0.0, 5.0, 30.0]),
        "hysteresis": st.sampled_from([0.0, 2.0]),
    }), st.just(0)),
    max_size=8,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_it_does_not_matter_how_it_is_computed_or_when_it_is_restarted(steps: list[tuple[str, Any, int]]) -> None:
    fast, slow, restarted = World(ONE), World(ONE, screening=False), World(ONE)
    at_s = 0
    for what, value, length in steps:
        for world in (fast, slow, restarted):
            if what == "run":
                world.run(at_s, at_s + length, "d-0", spo2=value)
            else:
                change(world, at_s, **value)
        at_s += length
        kept = decode_snapshot(encode_snapshot(restarted.engine, T0))
        restarted.engine = restore(kept, ONE, preset())
    assert fast.history == slow.history == restarted.history
    check_streams(fast.engine)


def check_streams(engine: Engine) -> None:
    """Every stream is held to its patient's rules, with a tracker for each."""
    fresh = Engine(engine.ward, engine.preset, T0, changed=engine.changed)
    for stream in range(engine.table.size):
        row = engine.table.state[stream]
        patient, device = engine.table.slots[int(row["slot"])]
        (same,) = fresh.table.add([fresh.table.slot(patient, device)], [int(row["vital"])])
        assert engine.table.rules[stream] == fresh.table.rules[same]
        assert engine.table.rule_low[stream] == fresh.table.rule_low[same]
        assert engine.table.high[stream] == fresh.table.high[same]
        trackers = engine.walk.trackers.get(stream)
        assert trackers is None or [len(t.covered_ns) for t in trackers] == [
            len(rule.levels) for rule in engine.table.rules[stream]
        ]
        assert engine.table.quiet[stream] == (trackers is None)


@settings(max_examples=40, deadline=None)
@given(STEPS, st.sampled_from([97.0, 85.5, 78.0]))
def test_after_a_while_nobody_can_tell_when_the_limits_changed(steps: list[tuple[str, Any, int]], then: float) -> None:
    limits_alone = msgspec.structs.replace(preset(), measures=LIMITS_ALONE)  # a fall remembers what was before
    changed, at_s = World(ONE, settings=limits_alone), 0
    last: dict[str, Any] = {}
    for what, value, length in steps:
        if what == "run":
            changed.run(at_s, at_s + length, "d-0", spo2=value)
        else:
            last = value
            change(changed, at_s, **value)
        at_s += length
    always = World(ONE, settings=limits_alone)
    change(always, 0, **last)
    for world in (changed, always):
        world.run(at_s, at_s + 60, "d-0", spo2=then)
        world.run(at_s + 60, at_s + 61, "d-0", spo2=then)
        world.wait(at_s + 61)
    holding = [[(a.condition, a.priority, a.limit) for a in w.engine.alarms() if held(a)] for w in (changed, always)]
    assert holding[0] == holding[1]


def held(alarm: Any) -> bool:
    return bool(alarm.detail != "comes and goes")
