"""The engine on small stories: what is raised, when, for whom, and what is not."""

from __future__ import annotations

import pytest
from alert_world import T0, S, World, block, preset, second, single_device_ward, told, ward
from msgspec import structs

from alerts.attention import Acknowledged
from alerts.engine import Engine
from alerts.events import Priority, Transition
from vitals.model import ClockSource, ClockTrust, GatewayStatus, Presence, Quality, Reason, Vital


def test_low_spo2_is_raised_when_low_samples_cover_the_delay() -> None:
    world = World()
    assert world.run(0, 10, "d-0", "d-1", spo2=92.0) == []  # near enough not to be a fall
    raised = next(e for e in world.run(10, 40, "d-0", spo2=85.0) if e.patient == "P-0")
    assert (raised.condition, raised.transition, raised.priority) == ("spo2_low", Transition.RAISED, Priority.MEDIUM)
    assert (raised.at_ns - T0) / S == 24  # the 15th low sample, each stands for one second
    assert (raised.patient, raised.bed, raised.value, raised.limit) == ("P-0", "3-00", 85.0, 88.0)
    assert raised.notify
    assert not raised.backlog


def test_a_severe_value_is_raised_at_once_and_falls_back_to_the_milder_alarm() -> None:
    world = World()
    world.run(0, 5, "d-0")
    events = world.run(5, 6, "d-0", spo2=80.0) + world.run(6, 7, "d-0", spo2=84.0) + world.run(7, 8, "d-0")
    assert [(e.transition.value, e.priority.name) for e in events] == [
        ("raised", "HIGH"),
        ("de_escalated", "MEDIUM"),
        ("ended", "MEDIUM"),
    ]
    assert len({e.alarm_id for e in events}) == 1
    assert world.engine.alarms() == ()


def test_silence_neither_runs_a_delay_down_nor_clears() -> None:
    world = World(single_device_ward(1))
    world.run(0, 5, "d-0")
    world.run(5, 14, "d-0", spo2=85.0)
    assert "spo2_low" not in [e.condition for e in world.wait(24)]
    later = world.play(block(second(500, "d-0", spo2=85.0)), 500.1)
    assert "spo2_low" not in [e.condition for e in later]  # 9 s before the gap and 5 s, the bound, for it
    assert ("spo2_low", "raised") in told(world.run(501, 503, "d-0", spo2=85.0))
    world.wait(700)
    assert "spo2_low" in [a.condition for a in world.engine.alarms()]


def test_a_back_dated_batch_does_not_fire_a_delay_at_once() -> None:
    world = World()
    world.run(0, 60, "d-0")
    rows = second(40, "d-0", spo2=60.0) + second(45, "d-0", spo2=60.0)
    assert world.play(block(rows, received_s=60), 60.1) == ()
    assert world.engine.late == 4


def test_acknowledging_stops_the_call_until_the_priority_rises() -> None:
    world = World()
    world.run(0, 20, "d-0", spo2=85.0)
    alarm = world.engine.alarms()[0]
    result, events = world.engine.acknowledge(alarm.alarm_id, "AB", T0 + 20 * S)
    assert (result, told(events)) == (Acknowledged.ACCEPTED, [("spo2_low", "acknowledged")])
    assert world.engine.acknowledge(alarm.alarm_id, "AB", T0 + 20 * S) == (Acknowledged.ALREADY, ())
    assert world.engine.acknowledge("nothing", "AB", T0 + 20 * S) == (Acknowledged.UNKNOWN, ())
    shown = world.engine.alarms()[0]
    assert (shown.audible, shown.acknowledged_by) == (False, "AB")
    escalated = world.run(20, 21, "d-0", spo2=75.0)[0]
    assert (escalated.transition, escalated.notify) == (Transition.ESCALATED, True)
    shown = world.engine.alarms()[0]
    assert (shown.audible, shown.acknowledged_by, shown.alarm_id) == (True, "", alarm.alarm_id)


def test_the_worst_of_two_devices_counts_and_one_that_fell_silent_loses_its_vote() -> None:
    world = World(ward(1))
    for at_s in range(40):
        rows = second(at_s, "d-0", spo2=85.0) + second(at_s, "e-0")
        found = block(rows)
        found = type(found)(found.devices, ("P-0", "P-0"), found.gateways, found.rows)
        world.play(found, at_s + 0.1)
    assert [a.condition for a in world.engine.alarms()] == ["spo2_low"]
    for at_s in range(40, 75):
        found = block(second(at_s, "e-0"))
        world.play(type(found)(found.devices, ("P-0",), found.gateways, found.rows), at_s + 0.1)
    ended = [e for e in world.history if e.transition is Transition.ENDED]
    assert [(e.condition, e.detail) for e in ended] == [("spo2_low", "another device measures this now")]
    assert [a.condition for a in world.engine.alarms()] == ["no_data"]


def test_test_mode_never_alarms() -> None:
    world = World()
    for at_s in range(60):
        world.play(block(second(at_s, "d-0", "d-1", spo2=60.0), quality=Quality.TEST), at_s + 0.1)
    assert world.history == []
    assert world.engine.tiles(T0 + 60 * S)[0].vitals[0].quality is Quality.TEST


def test_probe_off_is_technical_and_rises_when_it_lasts() -> None:
    world = World()
    world.run(0, 5, "d-0", "d-1")
    events = world.run(5, 330, "d-0", "d-1", spo2=Reason.PROBE_OFF, pulse=Reason.PROBE_OFF)
    of_first = [e for e in events if e.patient == "P-0"]
    assert [(e.transition.value, e.priority.name, (e.at_ns - T0) // S) for e in of_first] == [
        ("raised", "LOW", 7),
        ("escalated", "MEDIUM", 304),
    ]
    assert {e.condition for e in events} == {"probe_off"}
    assert world.engine.tiles(T0 + 330 * S)[0].vitals[0].reason is Reason.PROBE_OFF
    assert told(world.run(330, 331, "d-0")) == [("probe_off", "ended")]


@pytest.mark.parametrize("reason", [Reason.SEARCHING, Reason.POOR_SIGNAL, Reason.NO_READING, Reason.OUT_OF_RANGE])
def test_no_usable_reading_for_a_while_is_a_poor_signal(reason: Reason) -> None:
    world = World()
    world.run(0, 5, "d-0", "d-1")
    events = world.run(5, 40, "d-0", "d-1", spo2=reason)
    assert {(e.condition, e.device) for e in events} == {("poor_signal", "d-0"), ("poor_signal", "d-1")}


def test_a_missing_value_never_clears_a_low_one() -> None:
    world = World()
    world.run(0, 20, "d-0", spo2=85.0)
    world.run(20, 60, "d-0", spo2=Reason.PROBE_OFF)
    assert {a.condition for a in world.engine.alarms()} >= {"spo2_low", "probe_off"}


def test_a_device_that_falls_silent_is_no_data_with_the_reason() -> None:
    world = World()
    for at_s in range(70):
        world.play(block(second(at_s, "d-1", *(("d-0",) if at_s < 20 else ()))), at_s + 0.1)
    assert [(e.condition, e.transition.value, e.priority.name, (e.at_ns - T0) // S) for e in world.history] == [
        ("no_data", "raised", "LOW", 31),
        ("no_data", "escalated", "MEDIUM", 49),
    ]
    assert {(e.device, e.reason) for e in world.history} == {("d-0", Reason.RADIO_LOST)}
    tile = world.engine.tiles(T0 + 70 * S)[0]
    assert (tile.reason, tile.vitals[0].value, tile.vitals[0].last_value) == (Reason.RADIO_LOST, None, 80.0)
    assert told(world.run(70, 71, "d-0", "d-1")) == [("no_data", "ended")]


def test_a_value_is_no_longer_current_once_its_silence_is_announced() -> None:
    world = World()
    world.run(0, 40, "d-0", "d-1")
    world.run(40, 48, "d-1")
    assert world.engine.tiles(T0 + 48 * S)[0].vitals[0].value == 80.0
    world.run(48, 54, "d-1")
    tile = world.engine.tiles(T0 + 54 * S)[0]
    assert {(v.value, v.last_value is None, v.reason) for v in tile.vitals} == {(None, False, Reason.RADIO_LOST)}
    assert world.engine.tiles(T0 + 54 * S)[1].vitals[0].value == 80.0


def test_a_device_that_never_spoke_is_said_to_be_so() -> None:
    world = World()
    world.run(0, 40, "d-0")
    assert [(e.device, e.reason, e.priority) for e in world.history] == [("d-1", Reason.NEVER_SEEN, Priority.LOW)]
    assert world.engine.tiles(T0 + 40 * S)[1].reason is Reason.NEVER_SEEN


def test_a_dead_gateway_is_one_alarm_with_its_beds_and_no_others() -> None:
    world = World(single_device_ward(5))
    for at_s in range(90):
        world.play(block(second(at_s, "d-4"), gateway="gw-2"), at_s + 0.05)
        if at_s < 20 or at_s >= 80:
            world.play(block(second(at_s, "d-0", "d-1", "d-2", "d-3")), at_s + 0.1)
        if at_s == 70:
            tile = world.engine.tiles(T0 + 70 * S)[0]
            assert (tile.reason, tile.priority) == (Reason.GATEWAY_DOWN, Priority.MEDIUM)
            assert world.engine.tiles(T0 + 70 * S)[4].priority is None
    assert told(world.history) == [("gateway_down", "raised"), ("gateway_down", "ended")]
    raised, ended = world.history
    assert raised.beds == ("3-00", "3-01", "3-02", "3-03")
    assert (raised.gateway, raised.patient) == ("gw-1", "")
    assert (raised.at_ns - T0) // S == 34
    assert (ended.at_ns - T0) // S == 80


def test_a_lone_device_out_of_reach_is_not_taken_for_its_gateway_until_that_says_so() -> None:
    world = World(single_device_ward(1))
    world.run(0, 5, "d-0")
    assert told(world.wait(40)) == [("no_data", "raised")]
    lost = GatewayStatus("gw-1", Presence.LOST, T0 + 41 * S)
    events = world.engine.step([(T0 + 41 * S, lost)], 99, T0 + 41 * S)
    assert told(events) == [("gateway_down", "raised"), ("no_data", "ended")]


def test_a_gateway_that_comes_back_without_a_device_leaves_no_data() -> None:
    world = World(single_device_ward(2))
    world.run(0, 5, "d-0", "d-1")
    world.wait(31)
    back = GatewayStatus("gw-1", Presence.ONLINE, T0 + 40 * S)
    assert world.engine.step([(T0 + 40 * S, back)], 99, T0 + 40 * S) == ()
    assert told(world.engine.step([], 99, T0 + 71 * S)) == [
        ("gateway_down", "ended"),
        ("radio_down", "raised"),
    ]


@pytest.mark.parametrize(
    ("clock", "uncertainty_ms"), [(ClockSource.HOLDOVER, 100.0), (ClockSource.SYNCHRONISED, 1_500.0)]
)
def test_a_clock_that_is_not_trusted_is_one_alarm_of_the_gateway(clock: ClockSource, uncertainty_ms: float) -> None:
    world = World()
    for at_s in range(70):
        found = block(second(at_s, "d-0", "d-1"), clock=clock, uncertainty_ms=uncertainty_ms)
        world.play(found, at_s + 0.1)
    assert [(e.condition, e.gateway, e.priority) for e in world.history] == [("clock_untrusted", "gw-1", Priority.LOW)]
    assert told(world.run(70, 71, "d-0", "d-1")) == [("clock_untrusted", "ended")]


def test_a_status_tells_of_the_clock_too() -> None:
    world = World()
    world.run(0, 2, "d-0", "d-1")
    status = GatewayStatus("gw-1", Presence.ONLINE, T0, clock=ClockTrust(ClockSource.UNSYNCHRONISED, 1e12))
    world.engine.step([(T0 + 2 * S, status)], 3, T0 + 2 * S)
    assert ("clock_untrusted", "raised") in told(world.wait(63))


@pytest.mark.parametrize("ahead_s", [3600, 86400 * 365])
def test_a_clock_that_was_ahead_does_not_silence_what_comes_after(ahead_s: int) -> None:
    world = World()
    world.run(0, 5, "d-0")
    world.play(block(second(5 + ahead_s, "d-0"), received_s=5), 5.1)
    assert ("spo2_low", "raised") in told(world.run(6, 30, "d-0", spo2=85.0))


def test_backlog_is_journalled_silently_and_told_when_live_data_confirm_it() -> None:
    world = World()
    world.run(0, 5, "d-0")
    old = [row for at_s in range(5, 60) for row in second(at_s, "d-0", spo2=85.0)]
    events = [e for e in world.play(block(old, received_s=200), 200) if e.condition == "spo2_low"]
    assert [(e.transition.value, e.backlog, e.notify) for e in events] == [("raised", True, False)]
    assert [a.announced for a in world.engine.alarms() if a.condition == "spo2_low"] == [False]
    confirmed = [e for e in world.run(201, 203, "d-0", spo2=85.0) if e.condition == "spo2_low"]
    assert [(e.transition.value, e.backlog, e.notify) for e in confirmed] == [("confirmed", False, True)]


def test_backlog_that_is_over_is_never_told() -> None:
    world = World()
    world.run(0, 5, "d-0")
    old = [row for at_s in range(5, 60) for row in second(at_s, "d-0", spo2=85.0 if at_s < 40 else 97.0)]
    events = [e for e in world.play(block(old, received_s=200), 200) if e.condition == "spo2_low"]
    assert [(e.transition.value, e.backlog, e.notify) for e in events] == [
        ("raised", True, False),
        ("ended", True, False),
    ]


def test_a_low_battery_is_told_once() -> None:
    world = World()
    for at_s, percent in enumerate((21.0, 20.0, 19.0, 22.0, 20.0, 26.0)):
        world.play(block([("d-0", Vital.BATTERY, at_s, percent)]), at_s + 0.1)
    assert [(e.transition.value, e.value) for e in world.history] == [("raised", 20.0), ("ended", 26.0)]
    assert world.engine.tiles(T0)[0].battery_pct == 26.0


def test_a_patients_own_limit_holds() -> None:
    world = World(ward(2, P_0={"spo2": {"low": 82}}))
    events = world.run(0, 20, "d-0", "d-1", spo2=85.0)
    assert [e.patient for e in events if e.condition == "spo2_low"] == ["P-1"]


def test_samples_of_nobody_are_counted_and_not_judged() -> None:
    world = World()
    world.run(0, 20, "d-7", spo2=60.0)
    assert (world.history, world.engine.unassigned) == ([], 40)


def test_rr_intervals_that_share_a_time_are_no_late_samples() -> None:
    world = World()
    rows = [("d-0", Vital.RR_INTERVAL, 1.0, 800.0), ("d-0", Vital.RR_INTERVAL, 1.0, 810.0)]
    world.play(block(rows), 1.1)
    assert world.engine.late == 0


def test_a_restart_gives_sources_time_but_tells_honest_ages() -> None:
    world = World()
    world.run(0, 5, "d-0", "d-1")
    engine: Engine = world.engine
    noted = engine.resume(T0 + 5 * S, T0 + 500 * S, "The alert engine was down for 8 min")
    assert [(e.condition, e.transition.value, e.notify) for e in noted] == [("engine_down", "noted", True)]
    assert engine.step([], 5, T0 + 520 * S) == ()
    assert engine.tiles(T0 + 501 * S)[0].vitals[0].value is None
    assert told(engine.step([], 5, T0 + 531 * S)) == [("gateway_down", "raised")]


def test_a_clock_that_was_ahead_and_is_set_back_blinds_nobody() -> None:
    world = World()
    world.run(3_600, 3_605, "d-0", "d-1")
    world.engine.resume(T0 + 5 * S, T0 + 5 * S, "The alert engine saw the clock set back")
    assert ("spo2_low", "raised") in told(world.run(6, 30, "d-0", "d-1", spo2=75.0))
    assert ("gateway_down", "raised") in told(world.wait(61))


def test_a_gateway_that_says_it_is_there_is_not_down_because_its_devices_are_silent() -> None:
    world = World(single_device_ward(2))
    world.run(0, 5, "d-0", "d-1")
    for at_s in range(5, 300, 30):
        status = GatewayStatus("gw-1", Presence.ONLINE, T0 + at_s * S)
        world.position += 1
        world.history += world.engine.step([(T0 + at_s * S, status)], world.position, T0 + at_s * S)
        world.wait(at_s + 29)
    assert told(world.history) == [("radio_down", "raised")], "one for its radio, and no flapping"
    assert ("gateway_down", "raised") in told(world.wait(400)), "when its status stays away too"


def test_a_gateway_that_brings_its_backlog_is_down_until_that_is_current() -> None:
    world = World(single_device_ward(2))
    world.run(0, 5, "d-0", "d-1")
    assert told(world.wait(300)) == [("gateway_down", "raised")]
    back = GatewayStatus("gw-1", Presence.ONLINE, T0 + 300 * S)
    world.engine.step([(T0 + 300 * S, back)], 99, T0 + 300 * S)
    world.history.clear()
    for portion in (range(5, 100), range(100, 200), range(200, 301)):  # none of them raises an alarm for every bed
        rows = [row for at_s in portion for row in second(at_s, "d-0", "d-1")]
        world.play(block(rows, received_s=301.0), 301.0 + portion.start / 1_000)
    assert told(world.history) == [("gateway_down", "ended")]


def test_a_latching_alarm_calls_until_somebody_takes_notice() -> None:
    world = World()
    world.engine = Engine(single_device_ward(), structs.replace(preset(), latching=("spo2_low",)), T0)
    world.run(0, 1, "d-0", spo2=75.0)
    world.run(1, 2, "d-0")
    (latched,) = world.engine.alarms()
    assert (latched.audible, told(world.history)[-1]) == (True, ("spo2_low", "ended"))
    again = world.run(2, 3, "d-0", spo2=75.0)
    assert (told(again), again[0].alarm_id) == ([("spo2_low", "raised")], latched.alarm_id)
    world.run(3, 4, "d-0")
    assert world.engine.acknowledge(latched.alarm_id, "AB", T0 + 4 * S)[0] is Acknowledged.ACCEPTED
    assert world.engine.alarms() == ()
