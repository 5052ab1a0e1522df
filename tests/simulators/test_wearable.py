"""What a wearable makes of a second of a body."""

from __future__ import annotations

import numpy as np
import pytest

from simulators import body
from simulators.body import BodySecond, Targets
from simulators.story import ScenarioDevice, WearableKind
from simulators.timeline import Contact, DeviceCondition
from simulators.wearable import MEASURES, sense
from vitals.model import DeviceBatch, Quality, Reason, Vital, Waveform

START_NS = 1_700_000_000_000_000_000


def a_second(motion: float = 0.0, heart_rate: float = 150.0) -> BodySecond:
    targets = Targets(heart_rate_per_min=heart_rate, spo2_pct=93.0, resp_rate_per_min=20.0, motion=motion)
    state, _ = body.step(body.start(1, targets), targets)
    return body.step(state, targets)[1]


def sensed(
    kind: WearableKind,
    contact: Contact = Contact.WORN,
    *,
    second: BodySecond | None = None,
    battery_due: bool = False,
    false_pulse: float | None = None,
) -> DeviceBatch | None:
    return sense(
        ScenarioDevice("w-1", kind),
        second or a_second(),
        DeviceCondition(contact, 88.4, false_pulse),
        started_at_ns=START_NS,
        perfusion_pct=2.04,
        battery_due=battery_due,
        noise=np.random.default_rng(1),
    )


@pytest.mark.parametrize("kind", ["oximeter", "strap", "patch"])
def test_a_worn_device_gives_every_vital_at_the_end_of_the_second(kind: WearableKind) -> None:
    batch = sensed(kind)
    assert batch is not None
    given = {s.vital for s in batch.samples}
    assert given >= set(MEASURES[kind].vitals)
    assert {s.sampled_at_ns for s in batch.samples} == {START_NS + 1_000_000_000}
    assert {s.quality for s in batch.samples} == {Quality.USABLE}
    assert tuple(w.waveform for w in batch.waveforms) == MEASURES[kind].waveforms


def test_numbers_are_those_of_the_body_as_a_device_rounds_them() -> None:
    second = a_second()
    batch = sensed("oximeter", second=second)
    assert batch is not None
    values = {s.vital: s.value for s in batch.samples}
    assert values[Vital.SPO2] == round(second.spo2_pct)
    assert values[Vital.PULSE_RATE] == round(second.heart_rate_per_min)
    assert values[Vital.PERFUSION_INDEX] == 2.0


def test_a_false_pulse_is_told_as_if_it_were_true_and_its_wave_is_another() -> None:
    batch, still = sensed("oximeter", false_pulse=165.0), sensed("oximeter")
    assert batch is not None
    assert still is not None
    told = {s.vital: (s.value, s.quality) for s in batch.samples}
    assert told[Vital.PULSE_RATE] == (165.0, Quality.USABLE)
    assert told[Vital.SPO2] == (round(a_second().spo2_pct), Quality.USABLE)
    assert batch.waveforms[0].samples != still.waveforms[0].samples


def test_a_strap_tells_each_beat_interval_in_1024ths_of_a_second() -> None:
    second = a_second()
    batch = sensed("strap", second=second)
    assert batch is not None
    intervals = [s for s in batch.samples if s.vital is Vital.RR_INTERVAL]
    assert len(intervals) == second.rr_intervals_s.size >= 2
    assert [s.sequence for s in intervals] == list(range(len(intervals)))
    for sample, interval_s in zip(intervals, second.rr_intervals_s, strict=True):
        assert sample.value is not None
        assert (sample.value * 1.024).is_integer()
        assert sample.value == pytest.approx(1000 * interval_s, abs=0.5)


@pytest.mark.parametrize(
    ("contact", "reason"), [(Contact.PROBE_OFF, Reason.PROBE_OFF), (Contact.SEARCHING, Reason.SEARCHING)]
)
@pytest.mark.parametrize("kind", ["oximeter", "strap", "patch"])
def test_no_reading_comes_with_its_reason_for_every_vital(kind: WearableKind, contact: Contact, reason: Reason) -> None:
    batch = sensed(kind, contact)
    assert batch is not None
    assert [s.vital for s in batch.samples] == list(MEASURES[kind].vitals)
    assert {(s.value, s.reason) for s in batch.samples} == {(None, reason)}
    assert all(w.quality is Quality.UNUSABLE for w in batch.waveforms)


def test_a_silent_device_says_nothing() -> None:
    assert sensed("patch", Contact.SILENT) is None


@pytest.mark.parametrize(
    ("motion", "reason", "quality"),
    [
        (0.1, Reason.PRESENT, Quality.USABLE),
        (0.6, Reason.PRESENT, Quality.DOUBTFUL),
        (1.0, Reason.POOR_SIGNAL, Quality.UNUSABLE),
    ],
)
def test_motion_lowers_the_quality_and_then_takes_the_number(motion: float, reason: Reason, quality: Quality) -> None:
    batch = sensed("patch", second=a_second(motion))
    assert batch is not None
    assert {(s.reason, s.quality) for s in batch.samples} == {(reason, quality)}


def test_the_battery_is_told_when_due_even_with_the_probe_off() -> None:
    batch = sensed("oximeter", Contact.PROBE_OFF, battery_due=True)
    assert batch is not None
    assert [(s.value, s.reason) for s in batch.samples if s.vital is Vital.BATTERY] == [(88.0, Reason.PRESENT)]


def test_waveforms_are_fifty_little_endian_counts_from_the_beginning_of_the_second() -> None:
    batch = sensed("oximeter")
    assert batch is not None
    infrared, red = batch.waveforms
    assert (infrared.waveform, red.waveform) == (Waveform.PPG_INFRARED, Waveform.PPG_RED)
    assert infrared.started_at_ns == red.started_at_ns == START_NS
    assert np.frombuffer(infrared.samples, "<i4").shape == (50,)
    assert np.frombuffer(infrared.samples, "<i4").mean() > np.frombuffer(red.samples, "<i4").mean() > 50_000
