"""The simulated gateway: what its wearables said, with the right times whatever its clock does."""

from __future__ import annotations

import pytest

from simulators import gateway
from simulators.gateway import GatewaySecond
from simulators.scenario import shipped_scenario
from simulators.story import Scenario, decode_scenario
from simulators.timeline import Network
from simulators.truth import Truth
from vitals.model import ClockSource, Reason, Vital
from vitals.wire import decode, encode, from_wire

START_NS = 1_700_000_000_000_000_000
_NS = 1_000_000_000

STORY = """
name = "one of each"
[[gateways]]
gateway = "gw-1"
events = [
    { kind = "gateway_loss", at_s = 4, for_s = 3 },
    { kind = "clock_jump", at_s = 10, for_s = 5, by_s = 3600 },
]
[[patients]]
patient = "P-0001"
bed = "1-01"
gateway = "gw-1"
devices = [{ device = "ox-1", kind = "oximeter" }, { device = "strap-1", kind = "strap" }]
events = [
    { kind = "drop_out", at_s = 5, for_s = 5, device = "strap-1" },
    { kind = "probe_off", at_s = 8, for_s = 5 },
    { kind = "battery_low", at_s = 6, for_s = 3, to = 7 },
]
"""


@pytest.fixture(scope="module")
def story() -> Scenario:
    return decode_scenario(STORY.encode())


def run(scenario: Scenario, seconds: int, *, seed: int = 1, index: int = 0) -> list[GatewaySecond]:
    state = gateway.start(scenario, start_ns=START_NS, seed=seed)[index]
    said = []
    for _ in range(seconds):
        state, second = gateway.step(state)
        said.append(second)
    return said


def test_every_second_is_due_when_it_is_over_and_stamped_with_it(story: Scenario) -> None:
    for number, second in enumerate(run(story, 20), start=1):
        assert second.due_ns == START_NS + number * _NS
        assert {s.sampled_at_ns for d in second.batch.devices for s in d.samples} == {second.due_ns}
        assert {w.started_at_ns for d in second.batch.devices for w in d.waveforms} == {second.due_ns - _NS}


def test_times_stay_right_while_the_wall_clock_is_wrong_and_the_batch_says_so(story: Scenario) -> None:
    seconds = run(story, 20)
    sources = [s.batch.clock.source for s in seconds]
    assert sources[:10] == [ClockSource.SYNCHRONISED] * 10
    assert sources[10:15] == [ClockSource.HOLDOVER] * 5
    assert sources[15:] == [ClockSource.SYNCHRONISED] * 5
    assert [s.batch.sent_at_ns for s in seconds] == [s.due_ns for s in seconds]
    doubts = [s.batch.clock.uncertainty_ms for s in seconds[10:15]]
    assert doubts == sorted(doubts)


def test_a_lost_gateway_hears_on(story: Scenario) -> None:
    seconds = run(story, 10)
    assert [s.network for s in seconds] == [Network.UP] * 4 + [Network.RESET] * 3 + [Network.UP] * 3
    assert all(s.batch.devices for s in seconds)


def test_devices_fare_as_the_story_says(story: Scenario) -> None:
    seconds = run(story, 20)
    heard = [{d.device for d in s.batch.devices} for s in seconds]
    assert [("strap-1" in h) for h in heard] == [True] * 5 + [False] * 5 + [True] * 10
    reasons = [s.batch.devices[0].samples[0].reason for s in seconds]
    assert reasons[8:13] == [Reason.PROBE_OFF] * 5
    assert reasons[13:17] == [Reason.SEARCHING] * 4
    assert reasons[17] is Reason.PRESENT


def test_the_battery_is_told_at_the_start_each_minute_and_when_it_changes(story: Scenario) -> None:
    told = [
        (number, sample.value)
        for number, second in enumerate(run(story, 62))
        for sample in second.batch.devices[0].samples
        if sample.vital is Vital.BATTERY
    ]
    assert told == [(0, 96.0), (6, 7.0), (9, 96.0), (60, 96.0)]


def test_the_same_seed_says_the_same_again(story: Scenario) -> None:
    assert run(story, 10, seed=5) == run(story, 10, seed=5)
    assert run(story, 10, seed=5) != run(story, 10, seed=6)


def test_every_key_is_produced_once_even_as_the_story_repeats() -> None:
    demo = shipped_scenario("demo")
    truth = Truth()
    for index in range(len(demo.gateways)):
        for second in run(demo, 200, index=index):
            truth.add(second.batch)
    patients = {d.device for p in demo.patients for d in p.devices}
    assert {device for device, _ in truth.streams()} == patients
    assert truth.compare({s: truth.rows(s) for s in truth.streams()}).exact


def test_what_a_gateway_says_survives_the_wire(story: Scenario) -> None:
    for second in run(story, 10):
        assert from_wire(decode(encode(second.batch)).batch) == second.batch


def test_the_demo_goes_beyond_the_limits_that_it_promises_to() -> None:
    """The values, not the engine: each physiological event holds its limit for its delay, well before it is due."""
    presets = {  # condition and priority: vital, beyond, delay in seconds (STANDARDS §2.8)
        ("spo2_low", "medium"): (Vital.SPO2, lambda v: v < 88, 15),
        ("spo2_low", "high"): (Vital.SPO2, lambda v: v <= 80, 0),
        ("heart_rate_high", "medium"): (Vital.HEART_RATE, lambda v: v > 120, 10),
        ("heart_rate_high", "high"): (Vital.HEART_RATE, lambda v: v > 140, 5),
        ("heart_rate_low", "high"): (Vital.HEART_RATE, lambda v: v < 40, 5),
    }
    demo = shipped_scenario("demo")
    seconds = [run(demo, 40, index=i) for i in range(len(demo.gateways))]
    checked = 0
    for patient in demo.patients:
        for event in patient.events:
            rule = event.expect and presets.get((event.expect.condition, event.expect.priority))
            if not rule or not event.expect:
                continue
            vital, beyond, delay_s = rule
            values = [
                (s.sampled_at_ns, s.value)
                for said in seconds
                for second in said
                for d in second.batch.devices
                if d.device in {x.device for x in patient.devices}
                for s in d.samples
                if s.vital is vital and s.value is not None
            ]
            held = 0
            until_ns = START_NS + int((event.at_s + event.expect.within_s - 3) * _NS)
            for at_ns, value in values:
                held = held + 1 if beyond(value) else 0
                if held > delay_s:
                    assert at_ns <= until_ns, patient.patient
                    break
            else:
                pytest.fail(f"{patient.patient} never stays beyond its limit")
            checked += 1
    assert checked == 5
