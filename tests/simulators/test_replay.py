"""Replay: nothing from the future, every reading once, and the recording's own spacing."""

from __future__ import annotations

import os
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.recordings import Numeric, Recording, Trace, read_recordings
from simulators.replay import ReplayPlan, expected_readings, plan_replay, replay_batches, replay_ward
from simulators.truth import Truth
from vitals.errors import ConfigurationError
from vitals.model import Reason, Vital, Waveform

DATA = Path(os.environ.get("WARDLIGHT_DATA", Path(__file__).parents[3] / "shared" / "data"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recordings in {DATA}; set WARDLIGHT_DATA")
NOW_NS = 1_700_000_000_000_000_000
_NS = 1_000_000_000
NAN = float("nan")


def recording(name: str, values: list[float], spacing_s: int = 1, duration_s: int | None = None) -> Recording:
    offsets_ns = np.arange(len(values), dtype=np.int64) * spacing_s * _NS
    trace = Trace(Waveform.PPG_INFRARED, 4.0, np.arange(4 * len(values) - 1, dtype=np.int32))
    numeric = Numeric(Vital.SPO2, offsets_ns, np.array(values))
    return Recording(name, name, duration_s or len(values) * spacing_s, (numeric,), (trace,))


def produced(recordings: list[Recording], plan: ReplayPlan) -> Truth:
    truth = Truth()
    for batch, _ in replay_batches(recordings, "replay", plan):
        truth.add(batch)
    return truth


def test_a_replay_gives_every_reading_of_the_recording_once() -> None:
    recordings = [recording("a", [97, NAN, 95]), recording("b", [90, 91], spacing_s=4)]
    plan = plan_replay(recordings, now_ns=NOW_NS)
    truth = produced(recordings, plan)
    expected = expected_readings(recordings, plan.start_ns)
    assert expected.compare({s: truth.rows(s) for s in truth.streams()}).exact
    rows = expected.rows(("a", Vital.SPO2))
    assert rows["reason"].tolist() == [Reason.PRESENT, Reason.NO_READING, Reason.PRESENT]
    assert expected.rows(("b", Vital.SPO2))["sampled_at_ns"].tolist() == [NOW_NS, NOW_NS + 4 * _NS]


def test_seconds_in_which_nothing_was_said_are_not_sent() -> None:
    recordings = [recording("b", [90, 91], spacing_s=4)]
    plan = plan_replay(recordings, now_ns=NOW_NS)
    sent = list(replay_batches(recordings, "replay", plan, waveforms=False))
    assert [due_s for _, due_s in sent] == [1, 5]
    assert [batch.sent_at_ns for batch, _ in sent] == [NOW_NS + _NS, NOW_NS + 5 * _NS]


def test_waveforms_are_whole_and_join_without_a_gap() -> None:
    recordings = [recording("a", [97, 96, 95])]
    blocks = [
        block
        for batch, _ in replay_batches(recordings, "replay", plan_replay(recordings, now_ns=NOW_NS))
        for device in batch.devices
        for block in device.waveforms
    ]
    assert b"".join(b.samples for b in blocks) == np.arange(11, dtype="<i4").tobytes()
    for before, after in pairwise(blocks):
        assert after.started_at_ns - before.started_at_ns == len(before.samples) // 4 * _NS // 4


def test_a_faster_replay_is_back_dated_and_keeps_the_spacing() -> None:
    recordings = [recording("a", [97] * 600)]
    plan = plan_replay(recordings, now_ns=NOW_NS, speed=10)
    sent = list(replay_batches(recordings, "replay", plan))
    assert plan.start_ns == NOW_NS - 600 * _NS
    assert sent[-1][1] == pytest.approx(60)
    times = [b.devices[0].samples[0].sampled_at_ns for b, _ in sent]
    assert set(np.diff(times)) == {_NS}
    assert times[-1] == NOW_NS - _NS


@given(speed=st.floats(0.05, 1000), duration_s=st.integers(1, 3600), offset_s=st.integers(0, 20_000))
def test_nothing_is_sent_before_it_was_measured(speed: float, duration_s: int, offset_s: int) -> None:
    plan = plan_replay([recording("a", [97], duration_s=duration_s)], now_ns=NOW_NS, speed=speed, loop=True)
    sampled_at_s = offset_s + (plan.start_ns - NOW_NS) / _NS
    assert sampled_at_s <= plan.due_s(offset_s) + 1e-6
    assert plan.due_s(offset_s) <= plan.due_s(offset_s + 1)


def test_a_loop_repeats_each_recording_after_its_own_length_with_fresh_times() -> None:
    recordings = [recording("a", [97, 96, 95]), recording("b", [90, 91])]
    plan = plan_replay(recordings, now_ns=NOW_NS, loop=True)
    truth = Truth()
    for batch, _ in islice(replay_batches(recordings, "replay", plan), 12):
        truth.add(batch)
    a, b = truth.rows(("a", Vital.SPO2)), truth.rows(("b", Vital.SPO2))
    assert a["value"].tolist() == [97, 96, 95] * 4
    assert b["value"].tolist() == [90, 91] * 6
    assert set(np.diff(a["sampled_at_ns"])) == {_NS}


def test_a_fast_loop_goes_on_at_normal_speed_when_it_has_caught_up() -> None:
    recordings = [recording("a", [97] * 90)]
    plan = plan_replay(recordings, now_ns=NOW_NS, speed=10, loop=True)
    assert plan.due_s(90) == 9
    assert plan.due_s(100) == 10
    assert plan.due_s(101) == 11  # sampled at now + 11 s: not before


@pytest.mark.parametrize("speed", [0.0, -1.0, float("inf"), NAN])
def test_an_impossible_speed_is_refused(speed: float) -> None:
    with pytest.raises(ConfigurationError, match="above 0"):
        plan_replay([recording("a", [97])], now_ns=NOW_NS, speed=speed)


def test_every_recording_has_a_patient_without_a_name() -> None:
    ward = replay_ward([recording("a", [97]), recording("b", [97])])
    assert ward.patient_of() == {"a": "R-0001", "b": "R-0002"}
    assert [p.bed for p in ward.patients] == ["R-01", "R-02"]


@needs_data
@pytest.mark.slow
def test_the_real_recordings_replay_value_for_value() -> None:
    recordings = read_recordings([DATA / "bidmc", DATA / "o2ring"])
    plan = plan_replay(recordings, now_ns=NOW_NS, speed=100)
    truth = Truth()
    for batch, _ in replay_batches(recordings, "replay", plan, waveforms=False):
        truth.add(batch)
    difference = expected_readings(recordings, plan.start_ns).compare({s: truth.rows(s) for s in truth.streams()})
    assert difference.exact, difference.example
    assert difference.produced == 20 * 4 * 481 + 2 * 6736
