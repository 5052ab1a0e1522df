"""The patient's best value decides; the devices behind it speak when it fails, and nobody is left without an alarm."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from alert_world import T0, S, World, block, preset, told
from msgspec import msgpack

from alerts.engine import Engine
from alerts.events import AlarmEvent, Priority, Transition
from alerts.notify.catalogue import ENGLISH
from alerts.notify.message import message_for
from alerts.notify.wording import Wording
from alerts.snapshot import decode_snapshot, encode_snapshot, restore
from alerts.streams import STATE_DTYPE
from alerts.view import Doubt, Origin, TileVital
from vitals.columns import SampleBlock, concatenate
from vitals.derived import best_name
from vitals.model import Quality, Reason, Vital
from vitals.ward import Patient, Ward

STRAP, OXIMETER, BEST = "strap", "ox", best_name("P-0")
UTC = Wording(ENGLISH, ZoneInfo("UTC"), "north")
WARD = Ward("north", "UTC", (Patient("P-0", "3-00", (STRAP, OXIMETER)),))
H, P, O2, R = Vital.HEART_RATE, Vital.PULSE_RATE, Vital.SPO2, Vital.RESP_RATE
Said = tuple[str, Vital, float | Reason]


def said(
    at_s: float, raw: Iterable[Said], best: Iterable[tuple[Vital, float | Reason, str]] = (), *, doubtful: bool = False
) -> SampleBlock:
    """One second: what devices said, and the best values with the device that each was taken from."""
    found = block([(device, vital, at_s, value) for device, vital, value in raw])
    made = [(vital, value, source) for vital, value, source in best]
    quality = Quality.DOUBTFUL if doubtful else Quality.USABLE
    judged = block([(str(BEST), vital, at_s, value) for vital, value, _ in made], quality=quality, gateway="")
    joined = concatenate([replace(found, patients=("P-0",) * len(found.devices)), judged] if made else [found])
    joined = replace(joined, patients=("P-0",) * len(joined.devices))
    for row, (_, _, source) in zip(joined.rows[len(found.rows) :], made, strict=True):
        row["source"] = joined.devices.index(source)
    return joined


def beating(at_s: float, strap: float, pulse: float, best: float | None, *, source: str = STRAP) -> SampleBlock:
    raw: list[Said] = [(STRAP, H, strap), (OXIMETER, P, pulse), (OXIMETER, O2, 97.0)]
    return said(at_s, raw, () if best is None else ((H, best, source), (O2, 97.0, OXIMETER)))


def breathing(at_s: float, raw: float | Reason, best: float | Reason | None, *, doubtful: bool = False) -> SampleBlock:
    """An oximeter alone, its saturation and the best one."""
    return said(at_s, [(OXIMETER, O2, raw)], () if best is None else ((O2, best, OXIMETER),), doubtful=doubtful)


def play(world: World, seconds: Iterable[int], of: Any, *values: Any, **options: Any) -> list[AlarmEvent]:
    found: list[AlarmEvent] = []
    for at_s in seconds:
        found += world.play(of(at_s, *values, **options), at_s + 0.1)
    return found


def spoken(events: Iterable[AlarmEvent]) -> list[tuple[str, str]]:
    """What was said of the patient; a bed with a silent device has other worries too."""
    return [
        (e.condition, e.transition.value) for e in events if e.condition.partition("_")[0] in ("heart", "pulse", "spo2")
    ]


def shown(world: World, at_s: float, vital: Vital) -> TileVital:
    (tile,) = world.engine.tiles(T0 + round(at_s * S))
    return next(v for v in tile.vitals if v.vital is vital)


@pytest.fixture(params=[True, False], ids=["screened", "one by one"])
def world(request: pytest.FixtureRequest) -> World:
    return World(WARD, screening=request.param)


def test_a_fast_heart_that_strap_and_oximeter_see_is_one_alarm(world: World) -> None:
    play(world, range(5), beating, 80.0, 80.0, 80.0)
    play(world, range(5, 40), beating, 130.0, 130.0, 130.0)
    play(world, range(40, 60), beating, 80.0, 80.0, 80.0)
    assert told(world.history) == [("heart_rate_high", "raised"), ("heart_rate_high", "ended")]
    raised = world.history[0]
    assert (raised.device, raised.value, raised.limit, raised.priority) == (STRAP, 130.0, 120.0, Priority.MEDIUM)
    assert (raised.at_ns - T0) // S == 14


def test_a_pulse_that_motion_makes_wrong_is_no_alarm_while_the_strap_is_right(world: World) -> None:
    play(world, range(5), beating, 80.0, 80.0, 80.0)
    play(world, range(5, 55), beating, 82.0, 165.0, 82.0)
    assert world.history == []


def test_a_device_that_is_overruled_for_long_is_told_as_a_disagreement(world: World) -> None:
    """The best value may be the wrong one of the two: a person has to look."""
    play(world, range(5), beating, 80.0, 80.0, 80.0)
    play(world, range(5, 80), beating, 82.0, 35.0, 82.0)
    (told_of,) = world.history
    assert (told_of.condition, told_of.kind.value, told_of.priority) == ("devices_disagree", "technical", Priority.LOW)
    assert (told_of.device, told_of.detail) == (OXIMETER, "ox: pulse rate low")
    assert 59 <= (told_of.at_ns - T0) / S <= 64
    world.engine = restore(decode_snapshot(encode_snapshot(world.engine, T0 + 80 * S)), WARD, preset())
    assert [a.condition for a in world.engine.alarms()] == ["devices_disagree"]
    assert told(play(world, range(80, 83), beating, 82.0, 82.0, 82.0)) == [("devices_disagree", "ended")]


def test_a_device_that_the_best_value_agrees_with_is_in_no_disagreement(world: World) -> None:
    play(world, range(5), beating, 80.0, 80.0, 80.0)
    play(world, range(5, 100), beating, 130.0, 131.0, 130.0)
    assert told(world.history) == [("heart_rate_high", "raised")]


def test_a_disagreement_ends_when_the_best_value_agrees(world: World) -> None:
    play(world, range(5), beating, 80.0, 80.0, 80.0)
    play(world, range(5, 80), beating, 82.0, 35.0, 82.0)
    events = play(world, range(80, 100), beating, 35.0, 35.0, 35.0)
    assert ("heart_rate_low", "raised") in told(events)
    play(world, range(100, 110), beating, 80.0, 80.0, 80.0)
    assert world.engine.alarms() == ()


def test_limits_of_the_heart_rate_hold_for_a_best_rate_from_an_oximeter(world: World) -> None:
    play(world, range(5), beating, 80.0, 80.0, 80.0)
    events = play(world, range(5, 30), beating, 80.0, 45.0, 45.0, source=OXIMETER)
    assert [(e.condition, e.device) for e in events] == [("heart_rate_low", OXIMETER)]


def test_without_best_values_every_device_is_judged_as_before(world: World) -> None:
    play(world, range(30), beating, 130.0, 130.0, None)
    assert {e.condition for e in world.history} == {"heart_rate_high", "pulse_rate_high"}


def test_when_best_values_stop_the_devices_speak_within_seconds_and_people_are_told(world: World) -> None:
    play(world, range(20), beating, 80.0, 80.0, 80.0)
    events = play(world, range(20, 60), beating, 130.0, 80.0, None)
    first = {e.condition: (e.at_ns - T0) / S for e in reversed(events)}
    assert first["heart_rate_high"] == 29  # ten seconds of it, as if there never had been a best value
    assert first["judge_down"] <= 31
    told_of = next(e for e in events if e.condition == "judge_down")
    assert (told_of.kind.value, told_of.priority, told_of.detail) == ("technical", Priority.LOW, "Beds 3-00")
    assert message_for(told_of, UTC, T0).title == "* Ward north: values not cross-checked"


def test_a_severe_value_waits_only_until_the_best_one_is_old(world: World) -> None:
    play(world, range(20), breathing, 97.0, 97.0)
    events = play(world, range(20, 40), breathing, 70.0, None)
    assert spoken(events) == [("spo2_low", "raised")]
    assert (events[0].at_ns - T0) / S == 25
    assert events[0].priority is Priority.HIGH


def test_a_best_value_without_a_number_does_not_hide_one_that_a_device_has(world: World) -> None:
    play(world, range(20), breathing, 97.0, 97.0)
    events = play(world, range(20, 40), breathing, 70.0, Reason.POOR_SIGNAL)
    assert spoken(events) == [("spo2_low", "raised")]
    assert "judge_down" not in {e.condition for e in events}, "it works, and says that there is none"


def test_an_alarm_passes_to_the_devices_without_a_gap_and_back(world: World) -> None:
    play(world, range(10), breathing, 97.0, 97.0)
    play(world, range(10, 40), breathing, 85.0, 85.0)
    play(world, range(40, 90), breathing, 85.0, None)
    play(world, range(90, 150), breathing, 85.0, 85.0)
    assert spoken(world.history) == [("spo2_low", "raised")]
    play(world, range(150, 155), breathing, 97.0, 97.0)
    assert spoken(world.history) == [("spo2_low", "raised"), ("spo2_low", "ended")]


def test_an_alarm_of_a_device_stays_until_the_best_value_has_made_up_its_mind(world: World) -> None:
    play(world, range(30), beating, 80.0, 130.0, None)
    assert told(world.history) == [("pulse_rate_high", "raised")]
    events = play(world, range(30, 60), beating, 80.0, 130.0, 130.0, source=OXIMETER)
    assert told(events) == [("heart_rate_high", "raised"), ("pulse_rate_high", "ended")]
    assert events[0].at_ns <= events[1].at_ns


def test_a_best_value_that_finds_nothing_ends_what_a_device_held(world: World) -> None:
    play(world, range(30), beating, 80.0, 130.0, None)
    (ended,) = play(world, range(30, 33), beating, 80.0, 130.0, 80.0)
    assert (ended.condition, ended.transition, ended.detail) == (
        "pulse_rate_high",
        Transition.ENDED,
        "the best value of this patient decides now",
    )


def test_what_a_best_value_held_ends_when_it_stays_away_and_the_devices_find_nothing(world: World) -> None:
    play(world, range(30), beating, 80.0, 130.0, 130.0, source=OXIMETER)
    assert spoken(world.history) == [("heart_rate_high", "raised")]
    play(world, range(30, 75), beating, 80.0, 80.0, None)
    assert spoken(world.history)[-1] == ("heart_rate_high", "ended")


def test_a_probe_that_comes_off_ends_no_alarm_of_the_patient(world: World) -> None:
    play(world, range(30), breathing, 85.0, 85.0)
    play(world, range(30, 90), breathing, Reason.PROBE_OFF, Reason.PROBE_OFF)
    assert {a.condition for a in world.engine.alarms()} == {"spo2_low", "probe_off", "no_data"}


def test_a_judge_that_is_back_is_told(world: World) -> None:
    play(world, range(20), beating, 80.0, 80.0, 80.0)
    play(world, range(20, 40), beating, 80.0, 80.0, None)
    assert ("judge_down", "raised") in told(world.history)
    assert ("judge_down", "ended") in told(play(world, range(40, 45), beating, 80.0, 80.0, 80.0))


def test_a_device_that_is_alone_misses_no_judge(world: World) -> None:
    play(world, range(20), breathing, 97.0, 97.0)
    play(world, range(20, 60), breathing, 97.0, None)
    assert "judge_down" not in {e.condition for e in world.history}


def test_a_silent_device_is_no_broken_judge(world: World) -> None:
    play(world, range(20), breathing, 97.0, 97.0)
    world.wait(200)
    assert "judge_down" not in {e.condition for e in world.history}


def test_best_values_neither_keep_a_dead_gateway_alive_nor_are_a_bed_heard_elsewhere() -> None:
    world = World(WARD)
    play(world, range(20), beating, 80.0, 80.0, 80.0)
    for at_s in range(20, 40):
        world.play(said(at_s, (), ((H, 80.0, str(BEST)), (O2, 97.0, str(BEST)))), at_s + 0.1)
    assert [e.beds for e in world.history if e.condition == "gateway_down"] == [("3-00",)]
    assert world.engine.links._index.keys() == {"gw-1"}


@pytest.mark.parametrize(("severity", "at_s", "priority"), [(85.0, 50, Priority.MEDIUM), (70.0, 50, Priority.HIGH)])
def test_doubtful_values_take_twice_as_long_and_page_nobody_at_once(
    world: World, severity: float, at_s: int, priority: Priority
) -> None:
    play(world, range(21), breathing, 97.0, 97.0)
    play(world, range(21, 80), breathing, 97.0, severity, doubtful=True)
    found = [e for e in world.history if e.condition == "spo2_low"]
    assert [((e.at_ns - T0) // S, e.priority) for e in found] == [(at_s, priority)]


def test_a_moment_of_doubtful_values_is_no_alarm(world: World) -> None:
    play(world, range(20), breathing, 97.0, 97.0)
    play(world, range(20, 45), breathing, 97.0, 70.0, doubtful=True)
    play(world, range(45, 60), breathing, 97.0, 97.0)
    assert spoken(world.history) == []


def test_best_first_whatever_their_order_in_a_block() -> None:
    """A block of many seconds, its rows in any order, tells what second by second tells."""
    blocks = [beating(at_s, 80.0, 165.0, 80.0) for at_s in range(50)]
    for flipped, whole in product((False, True), (False, True)):
        world = World(WARD)
        fed = [concatenate(blocks)] if whole else blocks
        for found in fed:
            rows = found.rows[np.argsort(found.rows["device"].astype(int) * (-1 if flipped else 1), kind="stable")]
            world.play(replace(found, rows=rows), float(rows["sampled_at_ns"].max() - T0) / S + 0.1)
        assert world.history == []


def test_a_tile_shows_the_best_value_and_what_each_device_says() -> None:
    world = World(WARD)
    play(world, range(5), beating, 80.0, 120.0, 80.0)
    rate = shown(world, 5, H)
    assert (rate.value, rate.device, rate.origin, rate.doubt) == (80.0, STRAP, Origin.STRAP, Doubt.NONE)
    (tile,) = world.engine.tiles(T0 + 5 * S)
    assert [v.vital for v in tile.vitals] == [H, O2]
    assert [(s.device, s.vital, s.value, s.origin) for s in tile.sources] == [
        (STRAP, H, 80.0, Origin.STRAP),
        (OXIMETER, P, 120.0, Origin.OXIMETER),
        (OXIMETER, O2, 97.0, Origin.OXIMETER),
    ]


def test_a_tile_shows_what_a_device_says_when_the_best_value_stays_away() -> None:
    world = World(WARD)
    play(world, range(10), breathing, 97.0, 96.0)
    assert shown(world, 10, O2).value == 96.0
    play(world, range(10, 20), breathing, 88.0, None)
    found = shown(world, 20, O2)
    assert (found.value, found.device) == (88.0, OXIMETER)


@pytest.mark.parametrize(
    ("raw", "doubt"),
    [
        ([(STRAP, H, 80.0), (OXIMETER, P, 120.0)], Doubt.SOURCES_DISAGREE),
        ([(STRAP, H, 80.0), (OXIMETER, P, 82.0), (OXIMETER, Vital.PERFUSION_INDEX, 0.2)], Doubt.POOR_SIGNAL),
        ([(STRAP, H, 80.0)], Doubt.POOR_SIGNAL),
    ],
    ids=["sources", "not its own perfusion", "signal"],
)
def test_a_doubtful_rate_says_what_is_doubtful(raw: list[Said], doubt: Doubt) -> None:
    world = World(WARD)
    world.play(said(1, raw, ((H, 80.0, STRAP),), doubtful=True), 1.1)
    assert shown(world, 1, H).doubt is doubt


@pytest.mark.parametrize(
    ("pulse", "perfusion_pct", "doubt"),
    [(120.0, 2.0, Doubt.PULSE_DISAGREES), (80.0, 0.2, Doubt.LOW_PERFUSION), (80.0, 2.0, Doubt.POOR_SIGNAL)],
)
def test_a_doubtful_saturation_says_what_is_doubtful(pulse: float, perfusion_pct: float, doubt: Doubt) -> None:
    world = World(WARD)
    raw = [
        (STRAP, H, 80.0),
        (OXIMETER, P, pulse),
        (OXIMETER, O2, 91.0),
        (OXIMETER, Vital.PERFUSION_INDEX, perfusion_pct),
    ]
    world.play(said(1, raw, ((H, 80.0, STRAP), (O2, 91.0, OXIMETER)), doubtful=True), 1.1)
    assert shown(world, 1, O2).doubt is doubt


def test_a_missing_best_value_says_why_as_its_device_does() -> None:
    world = World(WARD)
    play(world, range(5), breathing, 97.0, 97.0)
    play(world, range(5, 10), breathing, Reason.PROBE_OFF, Reason.NO_READING)
    found = shown(world, 10, O2)
    assert (found.value, found.reason, found.last_value) == (None, Reason.PROBE_OFF, 97.0)


def test_a_snapshot_carries_the_sources_on(world: World) -> None:
    play(world, range(30), beating, 130.0, 80.0, 130.0)
    again = restore(decode_snapshot(encode_snapshot(world.engine, T0 + 30 * S)), WARD, preset())
    assert again.tiles(T0 + 30 * S) == world.engine.tiles(T0 + 30 * S)
    assert again.alarms() == world.engine.alarms()


def older(payload: bytes) -> bytes:
    """A snapshot as the release before best values wrote it."""
    fields = msgpack.decode(payload)
    names = [name for name in STATE_DTYPE.names or () if name != "source"]
    now = np.frombuffer(fields[8], STATE_DTYPE)
    before = np.zeros(len(now), [(name, STATE_DTYPE[name]) for name in names])
    for name in names:
        before[name] = now[name]
    fields[0], fields[8] = 1, before.tobytes()
    return msgpack.encode(fields)


def test_a_snapshot_of_the_release_before_keeps_its_open_alarms_until_best_values_decide() -> None:
    world = World(WARD)
    play(world, range(30), beating, 80.0, 130.0, None)
    world.engine.acknowledge(world.engine.alarms()[0].alarm_id, "AB", T0 + 30 * S)
    found: Engine = restore(decode_snapshot(older(encode_snapshot(world.engine, T0 + 30 * S))), WARD, preset())
    assert [(a.condition, a.acknowledged_by) for a in found.alarms()] == [("pulse_rate_high", "AB")]
    world.engine = found
    events = play(world, range(30, 60), beating, 80.0, 130.0, 130.0, source=OXIMETER)
    assert told(events) == [("heart_rate_high", "raised"), ("pulse_rate_high", "ended")]


def rhythm(at_s: float, irregular_pct: float) -> SampleBlock:
    return replace(block([("strap:rr", Vital.IRREGULARITY, at_s, irregular_pct)]), patients=("P-0",))


def test_an_irregular_rhythm_is_a_suspicion_that_calls_nobody(world: World) -> None:
    play(world, range(0, 115, 5), rhythm, 60.0)
    assert "irregular_rhythm" not in {e.condition for e in world.history}
    play(world, range(115, 130, 5), rhythm, 60.0)
    (raised,) = [e for e in world.history if e.condition == "irregular_rhythm"]
    assert (raised.priority, raised.transition, raised.notify) == (Priority.LOW, Transition.RAISED, False)
    text = message_for(raised, UTC, T0)
    assert text.title == "* Bed 3-00: irregular rhythm suspected"
    assert "not a diagnosis" in text.body
    (ended,) = [e for e in play(world, range(130, 150, 5), rhythm, 20.0) if e.condition == "irregular_rhythm"]
    assert (ended.transition, ended.notify) == (Transition.ENDED, False)


def test_a_rhythm_that_is_seldom_irregular_is_not_mentioned(world: World) -> None:
    play(world, range(0, 600, 5), rhythm, 25.0)
    assert {e.condition for e in world.history} <= {"no_data"}
