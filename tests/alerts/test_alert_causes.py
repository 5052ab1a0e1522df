"""One cause, one alarm: what is silent together, what explains what, and what remains when the cause is gone."""

from __future__ import annotations

import pytest
from alert_world import T0, S, World, block, preset, second, single_device_ward, told, ward

from alerts.alarms import Alarm, Finding
from alerts.causes import CAUSES, cause_of, fell_together
from alerts.events import GATEWAY_DOWN, INTAKE_DOWN, NO_DATA, RADIO_DOWN, Key, Kind, Priority, Transition
from alerts.snapshot import decode_snapshot, encode_snapshot, restore
from vitals.model import GatewayHealth, GatewayStatus, Presence, Reason, Vital


def test_the_root_explains_and_nothing_explains_itself() -> None:
    assert cause_of(NO_DATA, {RADIO_DOWN, GATEWAY_DOWN}) == GATEWAY_DOWN
    assert cause_of(NO_DATA, {RADIO_DOWN, GATEWAY_DOWN, INTAKE_DOWN}) == INTAKE_DOWN
    assert cause_of(GATEWAY_DOWN, {NO_DATA, RADIO_DOWN}) == ""
    assert all(symptom not in CAUSES.get(cause, ()) for symptom, causes in CAUSES.items() for cause in causes)


@pytest.mark.parametrize(("heard_s", "together"), [((0, 9), True), ((0, 11), False), ((0,), False), ((), False)])
def test_what_falls_silent_together(heard_s: tuple[int, ...], together: bool) -> None:
    assert fell_together([at * S for at in heard_s]) is together


def hear_status(world: World, at_s: int, *problems: str) -> None:
    status = GatewayStatus("gw-1", Presence.ONLINE, T0 + at_s * S, health=GatewayHealth(problems=problems))
    world.position += 1
    world.history += world.engine.step([(T0 + at_s * S, status)], world.position, T0 + at_s * S)


def test_a_bed_with_several_silent_devices_is_one_alarm_that_names_them() -> None:
    world = World(ward(2))
    world.run(0, 60, "d-0", "e-0", "d-1", "e-1")
    world.run(60, 85, "d-1", "e-1")
    assert [(e.condition, e.bed, e.device) for e in world.history] == [("no_data", "3-00", "d-0, e-0")]
    assert told(world.run(85, 100, "d-1", "e-1")) == [("no_data", "escalated")]
    assert told(world.run(100, 102, "d-0", "e-0", "d-1", "e-1")) == [("no_data", "ended")]


def test_devices_that_never_spoke_are_one_alarm_for_the_bed() -> None:
    world = World(ward(2))
    world.run(0, 40, "d-1", "e-1")
    assert [(e.bed, e.device, e.priority) for e in world.history] == [("3-00", "d-0, e-0", Priority.LOW)]


def test_a_further_silent_device_calls_again_in_spite_of_an_acknowledgement() -> None:
    world = World(ward(2))
    world.run(0, 5, "d-0", "e-0", "d-1", "e-1")
    world.run(5, 45, "e-0", "d-1", "e-1")
    (alarm,) = world.engine.alarms()
    world.engine.acknowledge(alarm.alarm_id, "AB", T0 + 45 * S)
    world.history.clear()
    world.run(45, 90, "d-1", "e-1")
    assert [(e.transition.value, e.device, e.notify) for e in world.history] == [("widened", "d-0, e-0", True)]


def test_a_radio_that_hangs_is_one_alarm_of_its_gateway_and_what_stays_silent_alarms_at_once() -> None:
    world = World(single_device_ward(4))
    world.run(0, 10, "d-0", "d-1", "d-2", "d-3")
    for at_s in range(10, 70, 15):
        hear_status(world, at_s)
    assert [(e.condition, e.gateway, e.beds) for e in world.history] == [
        ("radio_down", "gw-1", ("3-00", "3-01", "3-02", "3-03"))
    ]
    tile = world.engine.tiles(T0 + 70 * S)[3]
    assert (tile.priority, tile.vitals[0].value) == (Priority.MEDIUM, None)
    world.history.clear()
    world.run(70, 71, "d-0", "d-1", "d-2")
    assert [(e.condition, e.transition.value, e.bed) for e in world.history] == [
        ("radio_down", "ended", ""),
        ("no_data", "raised", "3-03"),
    ]


def test_wearables_that_leave_one_after_the_other_are_no_radio_that_hangs() -> None:
    world = World()
    world.run(0, 10, "d-0", "d-1")
    world.run(10, 40, "d-1")
    hear_status(world, 41)
    world.wait(60)
    hear_status(world, 75)
    raised = [(e.condition, e.bed) for e in world.history if e.transition is Transition.RAISED]
    assert raised == [("no_data", "3-00"), ("no_data", "3-01")]


@pytest.mark.parametrize("transit_s", [0.01, 1.0, 3.0])
def test_wearables_of_a_gateway_that_brings_nothing_wait_for_the_word_about_it(transit_s: float) -> None:
    world = World(single_device_ward(3))
    for at_s in range(10):
        arrived_s = at_s + transit_s
        world.play(block(second(at_s, "d-0", "d-1", "d-2"), received_s=arrived_s), arrived_s)
    hear_status(world, 13)
    for tenth in range(131, 330):
        world.wait(tenth / 10)
    assert world.history == []
    gone = GatewayStatus("gw-1", Presence.OFFLINE, T0 + 33 * S)
    (raised,) = world.engine.step([(T0 + 33 * S, gone)], 99, T0 + 33 * S)
    assert (raised.condition, raised.beds) == ("gateway_down", ("3-00", "3-01", "3-02"))


def test_a_gateway_that_is_there_and_told_that_its_wearables_left_need_not_be_waited_for() -> None:
    world = World(single_device_ward(1))
    world.run(0, 10, "d-0")
    world.play(block(second(10, "d-0", spo2=Reason.RADIO_LOST, pulse=Reason.RADIO_LOST)), 10.1)
    for tenth in range(110, 350):
        world.wait(tenth / 10)
    found = [(e.condition, e.transition.value, (e.decided_at_ns - T0) // S) for e in world.history]
    assert found == [("no_data", "raised", 21)]


def test_a_radio_that_hangs_calls_once_it_lasts() -> None:
    world = World(single_device_ward(3))
    world.run(0, 40, "d-0", "d-1", "d-2")
    for at_s in range(40, 72):
        world.play(block([("d-0", Vital.BATTERY, at_s, 80.0)]), at_s + 0.1)
    found = [(e.condition, e.transition.value, e.priority.name, (e.decided_at_ns - T0) // S) for e in world.history]
    assert found == [("radio_down", "raised", "LOW", 51), ("radio_down", "escalated", "MEDIUM", 69)]


def test_a_gateway_that_says_that_its_radio_fails_is_believed() -> None:
    world = World(single_device_ward(1))
    world.run(0, 10, "d-0")
    hear_status(world, 12, "radio: hci0 is missing")
    hear_status(world, 45, "radio: hci0 is missing")
    assert [(e.condition, e.detail) for e in world.history] == [("radio_down", "hci0 is missing")]


def test_all_gateways_silent_at_once_are_one_alarm_and_one_that_stays_away_alarms_at_once() -> None:
    world = World(single_device_ward(6))

    def hear(at_s: int, gateways: int) -> None:
        for i in range(gateways):
            found = block(second(at_s, f"d-{i}", f"d-{i + 3}"), gateway=f"gw-{i}")
            world.play(found, at_s + 0.1 + i / 10)

    for at_s in range(20):
        hear(at_s, 3)
    for tenth in range(200, 1_200):
        world.wait(tenth / 10)
    assert [(e.condition, len(e.beds)) for e in world.history] == [("intake_down", 6)]
    assert {t.priority for t in world.engine.tiles(T0 + 120 * S)} == {Priority.MEDIUM}
    world.history.clear()
    hear(120, 2)
    assert {("intake_down", "ended"), ("gateway_down", "raised")} <= set(told(world.history))
    assert [a.gateway for a in world.engine.alarms()] == ["gw-2"]


def test_alarms_of_single_devices_from_the_release_before_become_one_of_the_bed() -> None:
    world = World(ward(1))
    world.run(0, 40)
    (alarm,) = world.engine.book.open.values()
    finding = Finding(Kind.TECHNICAL, T0)
    world.engine.book.open = {
        key: Alarm(f"a-{d}", key, finding, Priority.LOW, T0, {d: 1}, alarm.signal)
        for d in ("d-0", "e-0")
        if (key := Key(NO_DATA, "P-0", d))
    }
    again = restore(decode_snapshot(encode_snapshot(world.engine, T0)), ward(1), preset())
    assert [(a.key, a.alarm_id, a.votes) for a in again.book.open.values()] == [
        (Key(NO_DATA, "P-0"), "a-d-0", {"d-0": 1, "e-0": 1})
    ]
