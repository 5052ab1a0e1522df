"""Falls, areas and trends as the ward sees them: hand-made courses of SpO2 and heart rate through the engine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from alert_world import T0, Row, S, World, block, preset, preset_with, second, told
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.conditions import ConditionState
from alerts.engine import Engine
from alerts.events import AlarmEvent, Key, Kind, Priority, Transition
from alerts.falls import Area, Fall, follow_area, follow_fall
from alerts.measure_settings import Deficit, Falling
from alerts.snapshot import decode_snapshot, encode_snapshot, restore
from vitals.columns import SampleBlock
from vitals.errors import ConfigurationError
from vitals.model import Quality, Reason, Vital
from vitals.ward import Patient, Ward

FALLING, LOW = "spo2_falling", "spo2_low"


def ward(**measures: Any) -> Ward:
    return Ward("north", "UTC", (Patient("P-0", "3-00", ("d-0", "e-0"), measures=measures),))


def world(*, screening: bool = True, limits: dict[str, dict[str, float]] | None = None, **measures: Any) -> World:
    found = World(screening=screening)
    patient = Patient("P-0", "3-00", ("d-0", "e-0"), limits or {}, measures)
    found.engine = Engine(Ward("north", "UTC", (patient,)), preset(), T0, screening=screening)
    return found


def spo2(found: World, values: Iterable[float | Reason], start_s: float = 100, **given: Any) -> list[AlarmEvent]:
    """One value a second."""
    events: list[AlarmEvent] = []
    for number, value in enumerate(values):
        at_s = start_s + number
        events += found.play(block([("d-0", Vital.SPO2, at_s, value)], **given), at_s + 0.1)
    return of_patient(events)


def of_patient(events: Iterable[AlarmEvent]) -> list[AlarmEvent]:
    return [event for event in events if event.kind is Kind.PHYSIOLOGICAL]


def ramp(first: float, last: float, seconds: int) -> list[float]:
    return [round(first + (last - first) * i / seconds, 1) for i in range(1, seconds + 1)]


@pytest.mark.parametrize("screening", [True, False])
def test_a_fall_above_the_limit_is_told_while_it_happens(screening: bool) -> None:
    found = world(screening=screening)
    events = spo2(found, [99.0] * 60 + ramp(99, 88.5, 42) + [88.5] * 30)
    assert told(events) == [(FALLING, "raised")]
    raised = events[0]
    assert (raised.priority, raised.limit, raised.notify) == (Priority.MEDIUM, 99.0, True)
    assert raised.value is not None
    assert 88.5 <= raised.value <= 89.0
    assert raised.at_ns <= T0 + (100 + 60 + 40 + 6) * S


def test_it_ends_when_half_of_it_is_made_good() -> None:
    found = world()
    spo2(found, [99.0] * 60 + [89.0] * 20)
    assert told(spo2(found, [93.5] * 10, 180)) == []
    assert told(spo2(found, [94.0] * 10, 190)) == [(FALLING, "ended")]


def test_it_ends_when_nothing_falls_any_more() -> None:
    found = world()
    events = spo2(found, [99.0] * 60 + [89.0] * 300)
    assert told(events) == [(FALLING, "raised"), (FALLING, "ended")]
    assert 179 <= (events[1].at_ns - events[0].at_ns) / S <= 186


def test_a_fall_below_the_limit_is_the_limits_alarm_without_its_delay() -> None:
    """An apnoea: down to 84, and back."""
    found = world()
    events = spo2(found, [97.0] * 60 + ramp(97, 84, 26) + ramp(84, 97, 20) + [97.0] * 60)
    assert told(events) == [(LOW, "raised"), (LOW, "ended")]
    raised = events[0]
    assert (raised.priority, raised.limit, raised.detail) == (Priority.MEDIUM, 88.0, "fell from 97 %")
    below = 100 + 60 + 19  # when it is first below 88
    assert (raised.at_ns - T0) / S < below + 10  # the limit alone waits for 15 s


def test_one_cause_is_one_alarm() -> None:
    """The fall began above the limit and goes on below it; when it comes back above, nothing calls again."""
    found = world()
    events = spo2(found, [100.0] * 60 + [89.0] * 15 + [86.0] * 60 + [91.0] * 30 + [98.0] * 20)
    assert told(events) == [(FALLING, "raised"), (LOW, "raised"), (FALLING, "ended"), (LOW, "ended")]
    assert events[2].detail == "counted with the alarm of the limit"


def test_an_open_low_alarm_shows_the_fall_and_no_second_alarm_comes() -> None:
    found = world(limits={"spo2": {"low": 95, "high": None}})
    events = spo2(found, [94.0] * 60 + [83.9] * 20)
    assert told(events) == [(LOW, "raised")]
    assert found.engine.book.open[Key(LOW, "P-0")].finding.detail == "fell from 94 %"


def test_no_fall_over_a_gap_or_a_sensor_that_was_off() -> None:
    gap = world()
    assert told(spo2(gap, [99.0] * 60)) == []
    assert told(spo2(gap, [88.5] * 60, 173)) == []  # 13 s later
    off = world()
    assert told(spo2(off, [99.0] * 60 + [Reason.PROBE_OFF] * 13 + [88.5] * 60)) == []


def test_another_sensor_begins_anew() -> None:
    found = world()
    found.run(0, 60, "d-0", spo2=99.0)
    events = found.run(60, 100, "e-0", spo2=88.5)
    assert [e for e in events if e.condition == FALLING] == []


def test_a_slow_drift_is_no_fall() -> None:
    found = world()
    assert told(spo2(found, [99.0] * 60 + ramp(99, 88, 300) + [88.0] * 60)) == []


def test_a_dip_that_is_shorter_than_the_delay_is_no_fall() -> None:
    found = world()
    assert told(spo2(found, [99.0] * 60 + [82.0] * 3 + [99.0] * 30)) == []


def test_one_wrong_high_value_is_no_level_to_fall_from() -> None:
    found = world()
    assert told(spo2(found, [89.0] * 60 + [100.0] + [89.0] * 30)) == []


def test_doubtful_values_are_no_fall_and_end_none() -> None:
    found = world()
    spo2(found, [99.0] * 60)
    assert told(spo2(found, [88.5] * 30, 160, quality=Quality.DOUBTFUL)) == []
    fell = world()
    spo2(fell, [99.0] * 60 + [88.5] * 10)
    assert told(spo2(fell, [98.0] * 30, 170, quality=Quality.DOUBTFUL)) == []


def test_old_data_tell_nobody_until_live_data_confirm_them() -> None:
    found = world()
    rows: list[Row] = [("d-0", Vital.SPO2, 100.0 + i, v) for i, v in enumerate([99.0] * 60 + [89.0] * 20)]
    events = found.play(block(rows, received_s=400), 400)
    assert [(e.condition, e.backlog, e.notify) for e in events if e.condition == FALLING] == [(FALLING, True, False)]
    live = spo2(found, [88.9] * 2, 401)
    assert [(e.transition, e.notify) for e in live if e.condition == FALLING] == [(Transition.CONFIRMED, True)]


def test_the_best_value_decides_about_a_fall() -> None:
    found = world()

    def both(at_s: float, own: float, best: float) -> tuple[AlarmEvent, ...]:
        rows: list[Row] = [("d-0", Vital.SPO2, at_s, own), ("p-0:best", Vital.SPO2, at_s, best)]
        return found.play(block(rows), at_s + 0.1)

    events = [e for at_s in range(100, 160) for e in both(at_s, 99.0, 99.0)]
    events += [e for at_s in range(160, 200) for e in both(at_s, 88.5, 98.0)]
    assert told(of_patient(events)) == []
    events = [e for at_s in range(200, 220) for e in both(at_s, 88.5, 88.0)]
    assert told(events) == [(FALLING, "raised")]


def test_the_other_device_takes_over_from_a_silent_one() -> None:
    found = world()
    for at_s in range(100, 160):
        found.play(block([*second(at_s, "d-0", spo2=99.0), *second(at_s, "e-0", spo2=97.0)]), at_s + 0.1)
    for at_s in range(160, 170):
        found.play(block([*second(at_s, "d-0", spo2=88.5), *second(at_s, "e-0", spo2=97.0)]), at_s + 0.1)
    assert FALLING in {key.condition for key in found.engine.book.open}
    events = found.run(170, 205, "e-0", spo2=97.0)
    ended = next(e for e in events if e.condition == FALLING)
    assert (ended.transition, ended.detail) == (Transition.ENDED, "another device measures this now")


# -- the machine of one fall, and the area ---------------------------------------------------------------------------


def test_a_fall_by_hand() -> None:
    fall, falling = Fall(), Falling(points=10, delay_s=4)
    steps = [(88.0, False), (87.0, True), (86.0, False), (91.0, False), (92.0, False), (92.0, True)]
    seen = [follow_fall(fall, falling, value, 2 * S, level_pct=98.0) for value, _ in steps]
    assert seen == [expected for _, expected in steps]
    assert (fall.state, fall.from_pct, fall.lowest_pct) == (ConditionState.ENDED, 98.0, 86.0)


@pytest.mark.parametrize(
    ("setting", "points", "seconds"),
    [(10, 5, 2), (25, 5, 5), (50, 2, 25), (50, 10, 5), (100, 4, 25), (100, 1, 100)],
)
def test_the_area_is_points_times_seconds(setting: float, points: float, seconds: int) -> None:
    area, deficit = Area(), Deficit(on=True, pct_s=setting)
    begun = [follow_area(area, deficit, 88.0 - points, S, low_pct=88.0) for _ in range(seconds)]
    assert begun == [False] * (seconds - 1) + [True]


def test_the_area_runs_down_and_doubtful_points_count_half() -> None:
    area, deficit = Area(), Deficit(on=True, pct_s=50)
    for _ in range(4):
        follow_area(area, deficit, 78.0, S, low_pct=88.0)
    follow_area(area, deficit, 88.0, S, low_pct=88.0)
    assert area.pct_s == 39.0
    follow_area(area, deficit, 78.0, S, low_pct=88.0, doubtful=True)
    assert area.pct_s == 44.0
    follow_area(area, deficit, 98.0, S, low_pct=88.0, doubtful=True)
    assert area.pct_s == 44.0
    assert follow_area(area, deficit, 78.0, S, low_pct=88.0)
    assert not follow_area(area, deficit, 93.0, 9 * S, low_pct=88.0)
    assert follow_area(area, deficit, 93.0, S, low_pct=88.0)


@pytest.mark.parametrize("screening", [True, False])
def test_an_area_in_place_of_the_delay(screening: bool) -> None:
    """Dips that no delay of a minute would tell, together too much: 4 points for 15 s, twice."""
    found = world(
        screening=screening,
        limits={"spo2": {"low_delay_s": 60}},
        deficit={"on": True, "pct_s": 100},
        falling={"on": False},
    )
    assert told(spo2(found, [97.0] * 10 + [84.0] * 15 + [88.0] * 10)) == []
    events = spo2(found, [84.0] * 20, 135)
    assert told(events) == [("spo2_deficit", "raised")]
    assert (events[0].at_ns - T0) / S == 135 + 12  # 60 - 10 + 13 * 4 > 100
    assert (events[0].value, events[0].limit) == (84.0, 88.0)
    assert told(spo2(found, [98.0] * 12, 155)) == [("spo2_deficit", "ended")]


# -- trends ----------------------------------------------------------------------------------------------------------


def hours(
    found: World, values: Iterable[float], vital: Vital = Vital.HEART_RATE, start_min: int = 0
) -> list[AlarmEvent]:
    """One value for each minute, every five seconds."""
    events: list[AlarmEvent] = []
    for number, value in enumerate(values, start_min):
        rows: list[Row] = [("d-0", vital, number * 60.0 + s, value) for s in range(0, 60, 5)]
        events += found.play(block(rows), number * 60 + 59)
    return of_patient(events)


def test_a_trend_against_the_patients_own_baseline_calls_nobody() -> None:
    found = world()
    events = hours(found, [70.0] * 180 + [92.0] * 30 + [70.0] * 30)
    assert told(events) == [("heart_rate_trend", "raised"), ("heart_rate_trend", "ended")]
    raised = events[0]
    assert (raised.priority, raised.notify) == (Priority.LOW, False)
    assert raised.limit == pytest.approx(70, abs=0.1)
    assert raised.value is not None
    assert raised.value >= 90
    assert 60 * 193 <= (raised.at_ns - T0) / S <= 60 * 197


def test_two_hours_have_to_be_known() -> None:
    assert told(hours(world(), [70.0] * 110 + [95.0] * 20)) == []
    assert told(hours(world(trend={"on": False}), [70.0] * 180 + [95.0] * 20)) == []


def test_a_low_spo2_trend_is_counted_with_the_limit() -> None:
    found = world(limits={"spo2": {"low": 93}})
    events = hours(found, [97.0] * 180 + [92.0] * 30, Vital.SPO2)
    assert {event.condition for event in events} == {LOW}


def test_an_alarm_tells_where_its_value_comes_from() -> None:
    found = world()
    hours(found, [97.0] * 60, Vital.SPO2)
    events = hours(found, [94.0] * 8 + [86.0] * 8, Vital.SPO2, 60)
    raised = next(e for e in events if e.condition == LOW)
    assert raised.before == 97.0
    assert hours(world(), [86.0] * 3, Vital.SPO2)[0].before is None


# -- snapshots, cuts, settings ---------------------------------------------------------------------------------------

_courses = st.lists(
    st.tuples(
        st.sampled_from([99.0, 99.0, 97.0, 92.0, 89.0, 88.5, 86.0, 79.0, Reason.PROBE_OFF]),
        st.integers(1, 40),
        st.sampled_from([Quality.USABLE, Quality.USABLE, Quality.DOUBTFUL]),
    ),
    max_size=12,
)


def course(story: list[tuple[float | Reason, int, Quality]]) -> list[tuple[list[Row], list[Quality]]]:
    at_s, found = 100.0, []
    for value, times, quality in story:
        for _ in range(times):
            at_s += 1
            found.append((second(at_s, "d-0", spo2=value), [quality] * 2))
    return found


WATCHED = Ward("north", "UTC", (Patient("P-0", "3-00", ("d-0",), measures={"deficit": {"on": True, "pct_s": 50}}),))


def brought(seconds: list[tuple[list[Row], list[Quality]]], received_s: float) -> SampleBlock:
    found = block([row for rows, _ in seconds for row in rows], received_s=received_s)
    found.rows["quality"] = [quality for _, qualities in seconds for quality in qualities]
    return found


def going_on(engine: Engine) -> tuple[object, ...]:
    """What is going on. Which alarm tells of a fall is decided at the end of a block, for the last fall in it."""
    watch, table = engine.course.watch, engine.table
    falls = {stream: replace(fall, told_with="") for stream, fall in watch.falls.items()}
    return falls, watch.areas, table.heeded[: table.size].tobytes(), watch.looks.kept[: table.size].tobytes()


@given(_courses, st.lists(st.integers(0, 300), max_size=6), st.booleans())
@settings(max_examples=25)
def test_cutting_changes_nothing_that_goes_on(
    story: list[tuple[float | Reason, int, Quality]], cuts: list[int], screening: bool
) -> None:
    seconds, now_ns = course(story), T0 + 2000 * S
    whole, pieces = Engine(WATCHED, preset(), T0), Engine(WATCHED, preset(), T0, screening=screening)
    whole.step([(now_ns, brought(seconds, 1999))], 1, now_ns)
    edges = [0, *sorted({min(c, len(seconds)) for c in cuts}), len(seconds)]
    for number, (first, last) in enumerate(pairwise(edges), start=1):
        pieces.step([(now_ns, brought(seconds[first:last], 1999))], number, now_ns)
    if seconds:
        assert going_on(whole) == going_on(pieces)


@given(_courses, st.sets(st.integers(0, 300), max_size=6))
@settings(max_examples=20)
def test_screening_and_restoring_change_no_event(
    story: list[tuple[float | Reason, int, Quality]], restarts: set[int]
) -> None:
    plain, other = World(), World(screening=False)
    plain.engine, other.engine = Engine(WATCHED, preset(), T0), Engine(WATCHED, preset(), T0, screening=False)
    for number, second_of in enumerate(course(story)):
        at_s = 101 + number
        assert plain.play(brought([second_of], at_s), at_s + 0.1) == other.play(brought([second_of], at_s), at_s + 0.1)
        if number in restarts:
            kept = decode_snapshot(encode_snapshot(other.engine, T0 + at_s * S))
            other.engine = restore(kept, WATCHED, preset(), screening=False)


def test_a_snapshot_of_the_release_before_has_no_past() -> None:
    found = world()
    spo2(found, [99.0] * 60)
    before = msgspec.msgpack.decode(encode_snapshot(found.engine, T0 + 160 * S))
    engine = restore(decode_snapshot(msgspec.msgpack.encode(before[:20])), ward(), preset())
    assert told(engine.step([(T0 + 161 * S, block([("d-0", Vital.SPO2, 161.0, 88.5)]))], 99, T0 + 161 * S)) == []
    found.engine = engine
    assert told(spo2(found, [99.0] * 30 + [88.5] * 10, 162)) == [(FALLING, "raised")]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[measures.falling]\npoints = 2", "points"),
        ("[measures.falling]\nwithin_s = 62", "within_s"),
        ("[measures.falling]\nwithin_s = 30\ndelay_s = 30", "delay_s"),
        ("[measures.deficit]\npct_s = 5", "pct_s"),
        ("[measures.trend.spo2]\nbelow = 1", "trend.spo2.below"),
        ("[measures.early_warning]\nmedium_at = 7\nhigh_at = 5", "medium_at"),
        ("[measures.rising]\non = true", "rising"),
    ],
)
def test_unsafe_settings_are_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        preset_with(text)


def test_a_patient_may_differ_and_not_in_everything() -> None:
    own = world(falling={"points": 6})
    assert told(spo2(own, [99.0] * 60 + [92.5] * 10)) == [(FALLING, "raised")]
    for measures, named in [
        ({"falling": {"within_s": 60}}, "P-0.*within_s"),
        ({"falling": {"points": 90}}, "P-0.*points"),
    ]:
        with pytest.raises(ConfigurationError, match=named):
            world(**measures)
