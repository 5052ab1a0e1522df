"""What a scenario says of a given second."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.events import (
    BatteryLow,
    ClockJump,
    Desaturation,
    DropOut,
    Expect,
    GatewayLoss,
    Motion,
    PatientEvent,
    ProbeOff,
    Searching,
    Tachycardia,
    Tachypnoea,
)
from simulators.story import Scenario, ScenarioDevice, ScenarioGateway, ScenarioPatient
from simulators.timeline import (
    SETTLE_S,
    Contact,
    Network,
    device_at,
    expectations,
    folded_s,
    gateway_at,
    ramp_share,
    targets_at,
)

LOW = Expect(condition="spo2_low", priority="high", within_s=15)


def patient(*events: PatientEvent) -> ScenarioPatient:
    devices = (ScenarioDevice("ox-1", "oximeter"), ScenarioDevice("strap-1", "strap"))
    return ScenarioPatient(patient="P-0001", bed="1-01", gateway="gw-1", devices=devices, spo2=96, events=events)


def scenario(*events: PatientEvent, repeat_every_s: float = 0) -> Scenario:
    gateways = (ScenarioGateway("gw-1"),)
    return Scenario(name="t", gateways=gateways, patients=(patient(*events),), repeat_every_s=repeat_every_s)


def test_a_ramp_rises_holds_and_falls() -> None:
    ramp = Desaturation(at_s=10, to=80, over_s=4, hold_s=6, recover_s=10)
    shares = [ramp_share(ramp, t) for t in (9.9, 10, 12, 14, 20, 25, 30, 31)]
    assert shares == pytest.approx([0, 0, 0.5, 1, 1, 0.5, 0, 0])


@given(
    times=st.tuples(*[st.floats(0, 100)] * 4),
    at_s=st.floats(0, 500),
)
def test_a_ramp_never_leaves_its_bounds(times: tuple[float, float, float, float], at_s: float) -> None:
    begin, over, hold, recover = times
    assert 0 <= ramp_share(Desaturation(at_s=begin, to=80, over_s=over, hold_s=hold, recover_s=recover), at_s) <= 1


def test_events_move_their_own_vital() -> None:
    worn = patient(
        Desaturation(at_s=0, to=80, over_s=0, hold_s=10, recover_s=0),
        Tachycardia(at_s=0, to=150, over_s=0, hold_s=10, recover_s=0),
        Tachypnoea(at_s=0, to=30, over_s=0, hold_s=10, recover_s=0),
        Motion(at_s=0, for_s=10, strength=0.5),
    )
    during, after = targets_at(worn, 5), targets_at(worn, 20)
    assert (during.spo2_pct, during.heart_rate_per_min, during.resp_rate_per_min, during.motion) == (80, 150, 30, 0.5)
    assert (after.spo2_pct, after.heart_rate_per_min, after.resp_rate_per_min, after.motion) == (96, 72, 14, 0)


def test_a_sensor_put_back_searches_before_it_reads() -> None:
    worn = patient(ProbeOff(at_s=5, for_s=10))
    contacts = [device_at(worn, "ox-1", t).contact for t in (4, 5, 14, 15, 15 + SETTLE_S - 1, 15 + SETTLE_S)]
    assert contacts == [
        Contact.WORN,
        Contact.PROBE_OFF,
        Contact.PROBE_OFF,
        Contact.SEARCHING,
        Contact.SEARCHING,
        Contact.WORN,
    ]


def test_a_device_event_concerns_one_device() -> None:
    worn = patient(DropOut(at_s=0, for_s=9, device="strap-1"), Searching(at_s=0, for_s=9), BatteryLow(at_s=0, for_s=9))
    assert device_at(worn, "strap-1", 1).contact is Contact.SILENT
    assert device_at(worn, "ox-1", 1).contact is Contact.SEARCHING
    assert device_at(worn, "ox-1", 1).battery_pct == 8
    assert device_at(worn, "strap-1", 1).battery_pct > 50


def test_a_gateway_is_lost_and_its_clock_jumps() -> None:
    losses = GatewayLoss(at_s=5, for_s=5), GatewayLoss(at_s=20, for_s=5, silent=True)
    gateway = ScenarioGateway("gw-1", (*losses, ClockJump(at_s=8, for_s=5, by_s=-2)))
    assert gateway_at(gateway, 20).network is Network.SILENT
    states = [gateway_at(gateway, t) for t in (0, 5, 9, 10, 13)]
    assert [s.network for s in states] == [Network.UP, Network.RESET, Network.RESET, Network.UP, Network.UP]
    assert [s.wall_error_ns for s in states] == [0, 0, -2_000_000_000, -2_000_000_000, 0]


def test_expectations_repeat_with_the_story() -> None:
    story = scenario(Desaturation(at_s=10, to=80, expect=LOW), repeat_every_s=100)
    expected = list(expectations(story, 1_000, 211))
    assert [e.from_ns for e in expected] == [10_000_001_000, 110_000_001_000, 210_000_001_000]
    assert expected[0].until_ns == 25_000_001_000
    assert expected[0].event == "desaturation"
    assert [e.from_ns for e in expectations(scenario(Desaturation(at_s=10, to=80, expect=LOW)), 0, 1e6)] == [10**10]


def test_an_expectation_is_met_only_by_its_own_alarm_in_time() -> None:
    (expected,) = expectations(scenario(Desaturation(at_s=10, to=80, expect=LOW)), 0, 20)
    assert expected.met_by("P-0001", "spo2_low", "high", 12_000_000_000)
    assert not expected.met_by("P-0002", "spo2_low", "high", 12_000_000_000)
    assert not expected.met_by("P-0001", "spo2_low", "medium", 12_000_000_000)
    assert not expected.met_by("P-0001", "spo2_low", "high", 9_000_000_000)
    assert not expected.met_by("P-0001", "spo2_low", "high", 26_000_000_000)


def test_a_story_without_repetition_goes_on_quietly() -> None:
    assert folded_s(scenario(), 500) == 500
    assert folded_s(scenario(repeat_every_s=100), 250) == 50
