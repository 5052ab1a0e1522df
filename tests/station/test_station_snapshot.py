"""What a screen is told: the words, the order and the ages."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from gallery import NOW_NS, NS, ZONE, PretendedWard
from hypothesis import given
from hypothesis import strategies as st

from alerts.events import Priority
from alerts.station import board as board_module
from alerts.station import words
from alerts.station.board import Board
from alerts.station.snapshot import ShownAlarm, ShownTile, bed_order, show_alarms, show_tiles
from alerts.view import Doubt, Origin, Tile, TileVital
from vitals.model import Quality, Reason, Vital


def tile_of(ward: PretendedWard, bed: str) -> ShownTile:
    return next(t for t in show_tiles(ward.tiles(), ward.alarms(), NOW_NS, ZONE) if t.bed == bed)


def alarm_of(ward: PretendedWard, alarm_id: str) -> ShownAlarm:
    return next(a for a in show_alarms(ward.alarms(), NOW_NS, ZONE) if a.id == alarm_id)


def test_the_worst_comes_first_and_equals_by_bed(ward: PretendedWard) -> None:
    tiles = show_tiles(ward.tiles(), ward.alarms(), NOW_NS, ZONE)
    assert [t.bed for t in tiles] == [
        *("3-02", "3-04"),  # high
        *("3-06", "3-07", "3-12", "3-03"),  # medium: not monitored, then measured, then acknowledged
        *("3-05", "3-10"),  # low
        *("3-09", "3-01", "3-08", "3-11"),  # no alarm: not monitored first
    ]


def test_a_tile_says_value_unit_age_and_what_is_wrong(ward: PretendedWard) -> None:
    tile = tile_of(ward, "3-02")
    assert (tile.priority, tile.marker, tile.headline) == ("high", "***", "SpO₂ low (limit 88 %)")
    assert [(v.label, v.text, v.unit, v.priority) for v in tile.vitals] == [
        ("SpO₂", "82", "%", "high"),
        ("PR", "118", "/min", ""),
        ("Resp", "26", "/min", "medium"),
    ]
    assert tile.vitals[0].age_s == pytest.approx(0.8)
    assert tile.why == ""


def test_a_missing_value_is_a_reason_and_never_a_number(ward: PretendedWard) -> None:
    off = tile_of(ward, "3-05")
    assert (off.why, off.since, off.silent_s) == ("finger out", "02:58", 75.0)
    assert [(v.text, v.why, v.last) for v in off.vitals[:2]] == [("", "finger out", "94"), ("", "finger out", "81")]
    assert tile_of(ward, "3-07").why == "gateway silent"
    never = tile_of(ward, "3-09")
    assert (never.why, never.silent_s, never.since) == ("no device heard yet", None, "")
    assert [(v.text, v.last, v.age_s) for v in never.vitals] == [("", "", None)] * 3


def test_a_chest_strap_is_not_on_a_finger() -> None:
    strap = TileVital(Vital.HEART_RATE, None, Reason.PROBE_OFF, Quality.UNKNOWN, None, None, "strap-1")
    tile = Tile("P-1", "1", Reason.PROBE_OFF, (strap,), None, None, acknowledged=False)
    (shown,) = show_tiles([tile], [], NOW_NS, ZONE)
    assert (shown.why, shown.vitals[0].why) == ("strap off", "strap off")


@pytest.mark.parametrize(
    ("heart_rate", "pulse_rate", "label"), [(70.0, 71.0, "HR"), (None, 71.0, "PR"), (None, None, "HR")]
)
def test_of_two_pulses_the_current_one_is_shown(heart_rate: float | None, pulse_rate: float | None, label: str) -> None:
    def vital(which: Vital, value: float | None) -> TileVital:
        why = Reason.NO_READING if value is None else Reason.PRESENT
        return TileVital(which, value, why, Quality.USABLE, NOW_NS, 60.0, "d")

    both = (vital(Vital.HEART_RATE, heart_rate), vital(Vital.PULSE_RATE, pulse_rate))
    (shown,) = show_tiles([Tile("P-1", "1", Reason.PRESENT, both, None, None, acknowledged=False)], [], NOW_NS, ZONE)
    assert [v.label for v in shown.vitals] == [label]


def test_a_doubtful_value_says_what_is_doubtful(ward: PretendedWard) -> None:
    assert [v.doubt for v in tile_of(ward, "3-08").vitals] == [
        "doubtful, little blood flow at the sensor",
        "doubtful, the devices disagree",
        "",
    ]


@pytest.mark.parametrize("kind", list(Doubt))
def test_every_doubt_has_words(kind: Doubt) -> None:
    assert bool(words.DOUBTS[kind]) is (kind is not Doubt.NONE)


def test_a_value_says_what_kind_of_device_it_comes_from(ward: PretendedWard) -> None:
    assert [v.source for v in tile_of(ward, "3-01").vitals] == ["oximeter", "strap", "pulse wave"]
    assert set(words.ORIGINS) == set(Origin)


def test_a_tile_carries_what_each_device_says_and_which_of_it_is_used(ward: PretendedWard) -> None:
    assert [(s.key, s.kind, s.reading.text, s.reading.doubt, s.used) for s in tile_of(ward, "3-08").sources] == [
        ("strap-1/heart_rate", "strap", "77", "", True),
        ("ox-1/spo2", "oximeter", "91", "", True),
        ("ox-1:ppg/resp_rate", "pulse wave", "", "", True),
        ("ox-1/pulse_rate", "oximeter", "118", "doubtful, poor signal", False),
    ]


def test_of_a_device_with_both_pulses_the_heart_rate_is_what_is_used() -> None:
    def said(which: Vital, value: float) -> TileVital:
        return TileVital(which, value, Reason.PRESENT, Quality.USABLE, NOW_NS, value, "m", origin=Origin.COMBINED)

    sources = (said(Vital.HEART_RATE, 67.0), said(Vital.PULSE_RATE, 66.0))
    tile = Tile("P-1", "1", Reason.PRESENT, sources[:1], None, None, acknowledged=False, sources=sources)
    (shown,) = show_tiles([tile], [], NOW_NS, ZONE)
    assert [source.used for source in shown.sources] == [True, False]


def test_an_advisory_says_that_it_is_no_diagnosis(ward: PretendedWard) -> None:
    advisory = replace(ward.alarms()[0], condition="irregular_rhythm", priority=Priority.LOW, value=60.0, limit=50.0)
    (shown,) = show_alarms([advisory], NOW_NS, ZONE)
    assert (shown.title, shown.value, shown.limit) == ("Irregular rhythm suspected", "", "")
    assert shown.detail == "a suspicion from the intervals between beats, not a diagnosis"


def test_a_low_battery_is_mentioned_and_a_good_one_is_not(ward: PretendedWard) -> None:
    assert (tile_of(ward, "3-10").battery, tile_of(ward, "3-01").battery) == ("Battery 12 %", "")


def test_an_alarm_says_what_where_since_when_and_the_limit(ward: PretendedWard) -> None:
    alarm = alarm_of(ward, "a-0201")
    assert (alarm.marker, alarm.priority, alarm.bed, alarm.title) == ("***", "high", "3-02", "SpO₂ low")
    assert (alarm.value, alarm.limit, alarm.since, alarm.lasts_s) == ("82 %", "88 %", "02:58", 95)
    assert (alarm.audible, alarm.acknowledged) == (True, "")


def test_an_acknowledged_alarm_says_by_whom_and_goes_below_those_that_call(ward: PretendedWard) -> None:
    assert alarm_of(ward, "a-0301").acknowledged == "KS at 02:59"
    audible = [a.audible for a in show_alarms(ward.alarms(), NOW_NS, ZONE)]
    assert audible == sorted(audible, reverse=True)


def test_a_gateways_alarm_is_one_alarm_that_names_its_beds(ward: PretendedWard) -> None:
    alarm = alarm_of(ward, "a-0601")
    assert (alarm.bed, alarm.title, alarm.beds) == ("2 beds", "Gateway silent", ["3-06", "3-07"])
    assert alarm.detail == "gw-east · not monitored: 3‑06, 3‑07"
    many = replace(ward.alarms()[5], beds=tuple(f"b{n}" for n in range(30)), announced=False)
    (shown,) = show_alarms([many], NOW_NS, ZONE)
    assert shown.detail.endswith("b23 and 6 more · from old data, not confirmed yet")


def test_a_gateways_alarm_is_the_headline_of_its_beds(ward: PretendedWard) -> None:
    tile = tile_of(ward, "3-07")
    assert (tile.priority, tile.headline, tile.technical) == ("medium", "Gateway silent", True)


async def test_the_snapshot_is_one_line_with_a_monotonic_time(ward: PretendedWard) -> None:
    board = Board(ward, zone=ZONE, now_ns=ward.now_ns, monotonic_s=lambda: 12.3456, assets="x")
    snapshot = await board.snapshot()
    assert (snapshot.up_s, snapshot.clock, snapshot.stale_after_s) == (12.346, "03:00:00", 30.0)
    assert b"\n" not in await board.encoded()


async def test_others_run_while_a_large_ward_is_shown(ward: PretendedWard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_module, "PORTION_S", 0.0)
    board = Board(ward, zone=ZONE, now_ns=ward.now_ns)
    turns = 0
    showing = asyncio.create_task(board.snapshot())
    while not showing.done():
        turns += 1
        await asyncio.sleep(0)
    assert (await showing).tiles == show_tiles(ward.tiles(), ward.alarms(), NOW_NS, ZONE)
    assert turns > 2 * len(ward.beds)


@given(st.lists(st.text(alphabet="0123456789-ab ²٣", max_size=6), max_size=8))
def test_any_names_of_beds_can_be_put_in_order(beds: list[str]) -> None:
    assert sorted(sorted(beds, key=bed_order), key=bed_order, reverse=True) == sorted(beds, key=bed_order, reverse=True)


def test_beds_are_ordered_by_their_numbers() -> None:
    assert sorted(["3-10", "12-1", "3-9", "A", "3-9a"], key=bed_order) == ["A", "3-9", "3-9a", "3-10", "12-1"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((-1, "0 s"), (0.9, "0 s"), (119.9, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h 00 min")),
        *((172_799, "47 h 59 min"), (172_800, "2 d 0 h")),
    ],
)
def test_durations_are_as_exact_as_it_matters(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


def test_times_are_in_the_wards_zone_and_carry_their_date_when_it_is_not_today() -> None:
    assert words.clock(NOW_NS, ZONE, NOW_NS) == "03:00"
    assert words.clock(NOW_NS, ZoneInfo("America/New_York"), NOW_NS) == "21:00"
    assert words.clock(NOW_NS - 4 * 3600 * NS, ZONE, NOW_NS) == "14 Jan 23:00"


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_but_presence_has_words(reason: Reason) -> None:
    assert bool(words.reason(reason)) is (reason is not Reason.PRESENT)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("spo2_low", "SpO₂ low"),
        ("resp_rate_high", "Resp high"),
        ("battery_low", "Battery low"),
        ("new_thing", "New thing"),
    ],
)
def test_conditions_are_said_as_nurses_say_them(name: str, said: str) -> None:
    assert words.condition(name) == said


def test_every_priority_has_its_own_marker(ward: PretendedWard) -> None:
    shown = {a.priority: a.marker for a in show_alarms(ward.alarms(), NOW_NS, ZONE)}
    assert shown == {"high": "***", "medium": "**", "low": "*"}
    assert len(Priority) == 3
