"""The best value of several sources: whose it is, how soon it changes hands, and never one that nobody said."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.best import BestValues
from vitals.columns import SAMPLE_DTYPE, SampleBlock, concatenate
from vitals.model import ClockSource, Quality, Reason, Vital

NS = 1_000_000_000
T0 = 1_700_000_000
HR, PULSE, SPO2, RESP, PI = Vital.HEART_RATE, Vital.PULSE_RATE, Vital.SPO2, Vital.RESP_RATE, Vital.PERFUSION_INDEX
NAN = float("nan")


@dataclass(frozen=True)
class Said:
    """One reading; `at_s` since the beginning, `came_s` when it arrived, soon after unless told."""

    device: str
    vital: Vital
    at_s: float
    value: float
    quality: Quality = Quality.USABLE
    reason: Reason = Reason.PRESENT
    came_s: float | None = None
    patient: str = "P-1"


@dataclass(frozen=True)
class Told:
    vital: Vital
    at_s: float
    value: float
    source: str
    quality: Quality
    reason: Reason


def block(said: Iterable[Said]) -> SampleBlock:
    listed = list(said)
    wearers = list(dict.fromkeys((s.device, s.patient) for s in listed))
    rows = np.zeros(len(listed), SAMPLE_DTYPE)
    for row, s in zip(rows, listed, strict=True):
        row["device"] = row["source"] = wearers.index((s.device, s.patient))
        row["vital"], row["quality"], row["reason"], row["clock"] = s.vital, s.quality, s.reason, ClockSource.HOLDOVER
        row["sampled_at_ns"] = round((T0 + s.at_s) * 10) * NS // 10
        row["received_at_ns"] = round((T0 + (s.at_s + 0.5 if s.came_s is None else s.came_s)) * 10) * NS // 10
        row["raw"] = row["value"] = s.value
        row["uncertainty_ms"] = 7
        if s.reason:
            row["value"] = np.nan
    return SampleBlock(tuple(d for d, _ in wearers), tuple(p for _, p in wearers), ("gw",) * len(wearers), rows, ())


def told(found: SampleBlock, vital: Vital | None = None) -> list[Told]:
    rows = [row for row in found.rows if found.devices[row["device"]].endswith(":best")]
    assert all(found.patients[row["device"]] + ":best" == found.devices[row["device"]] for row in rows)
    return [
        Told(
            Vital(row["vital"]),
            round(row["sampled_at_ns"] / NS - T0, 1),
            float(row["value"]),
            found.devices[row["source"]],
            Quality(row["quality"]),
            Reason(row["reason"]),
        )
        for row in rows
        if vital in (None, row["vital"])
    ]


def second(at_s: float, strap: float | None = 80.0, pulse: float | None = 81.0, spo2: float = 97.0) -> list[Said]:
    """A second of a strap and an oximeter."""
    said = [] if strap is None else [Said("strap", HR, at_s, strap, Quality.UNKNOWN)]
    if pulse is not None:
        said += [Said("ox", PULSE, at_s + 0.1, pulse), Said("ox", SPO2, at_s + 0.1, spo2)]
    return said


def off(at_s: float, device: str = "strap", vital: Vital = HR, reason: Reason = Reason.PROBE_OFF) -> Said:
    return Said(device, vital, at_s, NAN, Quality.UNUSABLE, reason)


def last(found: list[SampleBlock], vital: Vital) -> Told:
    return [t for b in found for t in told(b, vital)][-1]


def test_strap_and_oximeter_make_one_heart_rate_with_where_it_comes_from() -> None:
    best = BestValues()
    found = [best.choose(block(second(s))) for s in range(20)]
    rates = [t for b in found for t in told(b, HR)]
    assert [(t.at_s, t.value, t.source) for t in rates] == [(s, 80.0, "strap") for s in range(20)]
    assert {t.quality for t in rates} == {Quality.UNKNOWN}
    assert [t.value for b in found for t in told(b, SPO2)] == [97.0] * 20
    assert not [t for b in found for t in told(b, PULSE)]


def test_what_was_received_stays_as_it_is_and_the_best_value_carries_its_sources_time_and_clock() -> None:
    given = block([Said("strap", HR, 3.2, 80.0)])
    found = BestValues().choose(given)
    assert found.rows[:1].tobytes() == given.rows.tobytes()
    assert found.devices == ("strap", "P-1:best")
    for name in ("sampled_at_ns", "received_at_ns", "raw", "value", "uncertainty_ms", "clock"):
        assert found.rows[1][name] == given.rows[0][name]


def test_an_artefact_of_the_oximeter_does_not_become_the_heart_rate_and_soon_makes_it_doubtful() -> None:
    best = BestValues()
    found = [best.choose(block(second(s, pulse=150.0 if s >= 5 else 81.0))) for s in range(20)]
    rates = [t for b in found for t in told(b, HR)]
    assert {(t.value, t.source) for t in rates} == {(80.0, "strap")}
    assert [t.quality == Quality.DOUBTFUL for t in rates] == [s > 10 for s in range(20)]


def test_the_oximeter_takes_over_at_once_when_the_strap_is_off_and_the_strap_only_after_a_while() -> None:
    best = BestValues()
    worn = [best.choose(block(second(s))) for s in range(10)]
    bare = [best.choose(block([off(s), *second(s, None)])) for s in range(10, 13)]
    assert last(worn, HR).source == "strap"
    assert [t.source for b in bare for t in told(b, HR)] == ["ox"] * 3
    back = [best.choose(block(second(s))) for s in range(13, 30)]
    sources = [t.source for b in back for t in told(b, HR)]
    assert sources == ["ox"] * 10 + ["strap"] * 7


def test_a_strap_that_falls_silent_holds_the_oximeter_up_for_three_seconds() -> None:
    best = BestValues()
    for s in range(10):
        best.choose(block(second(s)))
    found = [t for s in range(10, 20) for t in told(best.choose(block(second(s, None))), HR)]
    assert found[0].at_s <= 13.1
    assert {t.source for t in found} == {"ox"}


def test_without_any_source_the_reason_is_told_at_once() -> None:
    best = BestValues()
    for s in range(5):
        best.choose(block(second(s)))
    gone = [off(5), off(5.1, "ox", PULSE, Reason.SEARCHING), off(5.1, "ox", SPO2)]
    found = told(best.choose(block(gone)))
    assert [(t.vital, t.reason, t.source) for t in found] == [
        (HR, Reason.PROBE_OFF, "P-1:best"),
        (SPO2, Reason.PROBE_OFF, "P-1:best"),
    ]
    assert all(np.isnan(t.value) for t in found)


def test_a_short_drop_out_of_the_oximeter_says_nothing_and_a_long_one_tells_why() -> None:
    best = BestValues()
    for s in range(5):
        best.choose(block(second(s)))
    silent = [told(best.choose(block([off(s, "ox", SPO2, Reason.SEARCHING)])), SPO2) for s in range(5, 20)]
    assert [len(t) for t in silent] == [0] * 10 + [1] * 5
    assert silent[-1][0].reason == Reason.SEARCHING


@pytest.mark.parametrize("why", ["pulse", "perfusion"])
def test_spo2_is_doubtful_when_the_pulse_disagrees_or_perfusion_is_low(why: str) -> None:
    best = BestValues()
    qualities = []
    for s in range(20):
        said = second(s, pulse=120.0 if why == "pulse" else 81.0)
        said.insert(0, Said("ox", PI, s, 0.2 if why == "perfusion" else 4.0))
        qualities += [t.quality for t in told(best.choose(block(said)), SPO2)]
    assert qualities[-1] == Quality.DOUBTFUL
    assert qualities[0] == (Quality.DOUBTFUL if why == "perfusion" else Quality.USABLE)


def test_a_poor_wave_lowers_the_trust_in_the_wearables_own_numbers_and_tells_why_they_are_missing() -> None:
    best = BestValues()
    good = told(best.choose(block(second(1, None))))
    best.choose(block([Said("ox:ppg", Vital.SIGNAL_QUALITY, 2, 20.0, Quality.DOUBTFUL)]))
    doubted = told(best.choose(block(second(2, None))))
    best.choose(block([off(3, "ox:ppg", Vital.SIGNAL_QUALITY)]))
    (missing,) = told(best.choose(block([off(3.2, "ox", SPO2, Reason.NO_READING)])))
    assert {t.quality for t in good} == {Quality.USABLE}
    assert {t.quality for t in doubted} == {Quality.DOUBTFUL}
    assert missing.reason == Reason.PROBE_OFF
    strap = told(best.choose(block([Said("strap", HR, 11, 80.0)])), HR)  # the doubtful pulse is over
    assert [t.quality for t in strap] == [Quality.USABLE], "an ECG does not depend on the wave"


def test_a_pulse_wave_comes_last_and_is_named_as_the_source() -> None:
    best = BestValues()
    (alone,) = told(best.choose(block([Said("ox:ppg", PULSE, 1, 77.0)])))
    assert (alone.vital, alone.source) == (HR, "ox:ppg")
    best.choose(block([off(2, "ox:ppg", PULSE)]))
    best.choose(block([Said("ox", PULSE, 2.5, 90.0)]))
    (own,) = told(best.choose(block([Said("ox", PULSE, 3, 91.0), Said("ox:ppg", PULSE, 3, 77.0)])))
    assert (own.value, own.source) == (91.0, "ox")


def test_a_source_of_an_earlier_commit_is_listed_with_its_patient() -> None:
    best = BestValues()
    best.choose(block([Said("strap", HR, 1.0, 80.0)]))
    best.choose(block([Said("ox", PULSE, 1.2, 82.0)]))
    best.choose(block([Said("ox", PULSE, 2.2, 83.0)]))
    found = best.choose(block([off(3.0)]))
    (one,) = told(found)
    assert (one.source, one.at_s) == ("ox", 2.2)
    assert dict(zip(found.devices, found.patients, strict=True))["ox"] == "P-1"


def test_nobody_and_test_mode_have_no_best_value() -> None:
    best = BestValues()
    assert told(best.choose(block([Said("strap", HR, 1, 80.0, patient="")]))) == []
    assert told(best.choose(block([Said("strap", HR, 1, 80.0, Quality.TEST)]))) == []
    best.choose(block([Said("strap", HR, 2, 80.0)]))
    (tested,) = told(best.choose(block([Said("strap", HR, 3, 99.0, Quality.TEST)])))
    assert (tested.reason, tested.source) == (Reason.NO_READING, "P-1:best")
    long = Said("strap", HR, 1, 80.0, patient="P" * 60)
    assert told(best.choose(block([long]))) == []


def test_late_readings_never_become_best() -> None:
    best = BestValues()
    best.choose(block([Said("strap", HR, 100, 80.0)]))
    late = [Said("ox", PULSE, 30 + s, 40.0, came_s=101) for s in range(60)]
    assert told(best.choose(block(late))) == []
    assert told(best.choose(block([Said("strap", HR, 99.5, 40.0, came_s=102)]))) == []
    assert last([best.choose(block([Said("strap", HR, 103, 82.0)]))], HR).value == 82.0


def test_what_waited_while_everything_was_away_is_heard_in_its_own_time() -> None:
    best = BestValues()
    waited = [s for at_s in range(60) for s in second(at_s)]
    found = told(best.choose(block([Said(s.device, s.vital, s.at_s, s.value, came_s=500.0) for s in waited])), HR)
    assert [(t.at_s, t.value) for t in found] == [(s, 80.0) for s in range(60)]


def test_a_clock_ahead_does_not_make_the_others_old_and_our_own_set_back_begins_anew() -> None:
    best = BestValues()
    best.choose(block([Said("ox", PULSE, 160, 82.0, came_s=100)]))
    best.choose(block([Said("strap", HR, 100.2, 80.0)]))
    ahead = told(best.choose(block([Said("strap", HR, 111.2, 80.0)])))
    assert [t.source for t in ahead] == ["strap"]
    back = told(best.choose(block([Said("strap", HR, 5, 81.0)])))
    assert [(t.at_s, t.value) for t in back] == [(5, 81.0)]


def test_a_device_that_changes_hands_brings_nothing_along() -> None:
    best = BestValues()
    best.choose(block([Said("strap", HR, 1, 80.0)]))
    (other,) = told(best.choose(block([off(2, "ox", PULSE)])))[:1] or [None]
    assert other is None, "the strap still speaks for this patient"
    found = best.choose(block([Said("strap", HR, 3, 120.0, patient="P-2"), Said("ox", SPO2, 3, 97.0)]))
    assert [(found.patients[r["device"]], float(r["value"])) for r in found.rows[2:]] == [("P-2", 120.0), ("P-1", 97.0)]


def test_when_the_memory_is_full_everything_begins_anew() -> None:
    best = BestValues(capacity=8)
    for patient in range(30):
        (one,) = told(best.choose(block([Said("strap", HR, patient, 80.0, patient=f"P-{patient}")])))
        assert one.value == 80.0


def test_a_source_that_is_alone_and_taken_at_its_word_speaks_for_itself() -> None:
    best = BestValues(every=False)
    alone = [Said("ox", SPO2, s, 97.0) for s in range(20)]
    assert not [t for s in alone for t in told(best.choose(block([s])))]
    found = [
        t
        for s in range(20, 25)
        for t in told(best.choose(block([Said("ox", SPO2, s, 97.0), Said("ox2", SPO2, s + 0.1, 97.0)])))
    ]
    assert {(t.value, t.source) for t in found} == {(97.0, "ox")}
    assert [t.at_s for t in found] == [21, 22, 23, 24], "of the first second it had been heard alone"


def test_what_is_doubted_of_a_lone_source_is_told_and_a_minute_more() -> None:
    best = BestValues(every=False)
    for s in range(5):
        best.choose(block(second(s, strap=None)))
    poor = [Said("ox:ppg", Vital.SIGNAL_QUALITY, 5, 10.0, Quality.UNUSABLE)]
    doubted = [t for s in range(5, 12) for t in told(best.choose(block([*poor, *second(s, strap=None)])), SPO2)]
    assert {t.quality for t in doubted} == {Quality.DOUBTFUL}
    good = [Said("ox:ppg", Vital.SIGNAL_QUALITY, 12, 95.0)]
    after = [t for s in range(12, 100) for t in told(best.choose(block([*good, *second(s, strap=None)])), SPO2)]
    assert [t.at_s for t in after] == [round(s + 0.1, 1) for s in range(12, 12 + len(after))]
    assert 55 <= len(after) <= 62
    assert after[-1].quality is Quality.USABLE


# -- properties --------------------------------------------------------------------------------------------------------

DEVICES = [("strap", HR), ("strap2", HR), ("ox", PULSE), ("ox", SPO2), ("ox", PI), ("ox:ppg", PULSE), ("m", RESP)]


@st.composite
def readings(draw: st.DrawFn) -> list[Said]:
    found, clock = [], 20.0
    for _ in range(draw(st.integers(1, 40))):
        device, vital = draw(st.sampled_from(DEVICES))
        clock += draw(st.sampled_from([0.0, 0.1, 0.5, 1.0, 4.0, 12.0]))
        at_s = clock - draw(st.sampled_from([0.1, 0.1, 0.1, 2.0, 15.0]))
        value = draw(st.sampled_from([60.0, 71.0, 95.0]))
        quality = draw(st.sampled_from([Quality.UNKNOWN, Quality.USABLE, Quality.DOUBTFUL, Quality.TEST]))
        reason = draw(st.sampled_from([Reason.PRESENT] * 3 + [Reason.PROBE_OFF, Reason.SEARCHING]))
        patient = draw(st.sampled_from(["P-1", "P-1", "P-2"]))
        found.append(Said(device, vital, at_s, value + draw(st.integers(0, 3)), quality, reason, clock, patient))
    return found


@given(readings(), st.lists(st.integers(1, 9), max_size=10))
@settings(max_examples=80, deadline=None)
def test_grouping_changes_no_best_value(said: list[Said], sizes: list[int]) -> None:
    one, grouped = BestValues(64), BestValues(64)
    single = [t for s in said for t in told(one.choose(block([s])))]
    several: list[Told] = []
    rest = said
    for size in [*sizes, *[1] * len(said)]:
        if rest:
            several += told(grouped.choose(block(rest[:size])))
        rest = rest[size:]
    assert repr(single) == repr(several)


@given(readings())
@settings(max_examples=80, deadline=None)
def test_a_best_value_is_what_a_source_said_within_ten_seconds_once_a_second_and_never_going_back(
    said: list[Said],
) -> None:
    best = BestValues(64)
    before: dict[tuple[str, Vital], int] = {}
    for number, one in enumerate(said):
        found = best.choose(block([one]))
        for t in told(found):
            key = (one.patient, t.vital)
            assert int(t.at_s) > before.get(key, -1)
            before[key] = int(t.at_s)
            if t.reason is Reason.PRESENT:
                assert -0.05 <= (one.came_s or 0) - t.at_s <= 10 + 15, "10 s behind the newest heard, itself 15 s late"
                assert any(
                    (s.device, s.value, round(s.at_s, 1)) == (t.source, t.value, t.at_s)
                    and s.quality is not Quality.TEST
                    and s.reason is Reason.PRESENT
                    for s in said[: number + 1]
                )
            else:
                assert np.isnan(t.value)
                assert t.source.endswith(":best")


@given(readings())
@settings(max_examples=60, deadline=None)
def test_a_line_with_one_source_tells_what_it_would_tell_among_several(said: list[Said]) -> None:
    alone = [replace(s, patient="P-1") for s in said if s.device == "strap"]
    quick, slow = BestValues(64), BestValues(64)
    slow._lines.sole[:] = -1
    first = [told(quick.choose(block([s]))) for s in alone]
    assert repr(first) == repr([told(slow.choose(block([s]))) for s in alone])


def test_saved_and_restored_it_goes_on_alike() -> None:
    best = BestValues(64)
    for s in range(10):
        best.choose(block(second(s, pulse=150.0)))
    again = copy.deepcopy(best)
    for s in range(10, 20):
        given = block(second(s, None if s % 3 else 80.0))
        assert best.choose(given).rows.tobytes() == again.choose(given).rows.tobytes()


def test_blocks_with_best_values_can_be_joined() -> None:
    best = BestValues()
    joined = concatenate([best.choose(block(second(s))) for s in range(3)])
    assert [t.source for t in told(joined, HR)] == ["strap"] * 3
