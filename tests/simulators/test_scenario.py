"""Scenario files: what is wrong is named, and the shipped ones keep their promises."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.scenario import load_scenario, shipped_scenario
from simulators.story import decode_scenario, demo_ward
from simulators.timeline import expectations
from vitals.errors import ConfigurationError

GOOD = """
name = "test"
repeat_every_s = 100

[[gateways]]
gateway = "gw-1"
events = [{ kind = "gateway_loss", at_s = 5, for_s = 20 }]

[[patients]]
patient = "P-0001"
bed = "1-01"
gateway = "gw-1"
devices = [{ device = "ox-1", kind = "oximeter" }, { device = "strap-1", kind = "strap" }]
heart_rate = 70
spo2 = 96
limits.spo2.low = 86

[[patients.events]]
kind = "desaturation"
at_s = 10
to = 84
over_s = 5
hold_s = 20
recover_s = 10
expect = { condition = "spo2_low", priority = "medium", within_s = 30 }
"""


def test_a_good_scenario_reads() -> None:
    scenario = decode_scenario(GOOD.encode())
    assert scenario.patients[0].events[0].end_s == 45
    assert scenario.patients[0].limits == {"spo2": {"low": 86}}


@pytest.mark.parametrize(
    ("replace", "by", "named"),
    [
        ("to = 84", "to = 30", r"patients\[0\].*events\[0\].*to"),
        ("to = 84", "to = 97", r"patients\[0\].events\[0\].to: 97 is not below the resting spo2 of 96"),
        ("to = 84", "target = 84", "target"),
        ('kind = "desaturation"', 'kind = "hiccup"', "hiccup"),
        ('condition = "spo2_low"', 'condition = "oxygen"', "condition"),
        ('priority = "medium"', 'priority = "urgent"', "priority"),
        ("within_s = 30", "within_s = 0", "within_s"),
        ("at_s = 10", "at_s = -1", "at_s"),
        ("at_s = 10", "at_s = 70", "repeat_every_s = 100"),
        ('gateway = "gw-1"\ndevices', 'gateway = "gw-9"\ndevices', r"patients\[0\].gateway: 'gw-9'"),
        ('device = "strap-1"', 'device = "ox-1"', "'ox-1' stands twice"),
        ('kind = "strap"', 'kind = "watch"', "watch"),
        ('kind = "desaturation"\n', 'kind = "probe_off"\ndevice = "x"\nfor_s = 1\n', "over_s|hold_s|recover_s|to"),
        ("at_s = 10\nto = 84", "at_s = 10", "missing required field `to`"),
        ('name = "test"', 'name = "test"\ncolour = "red"', "colour"),
        ('name = "test"', "name = ", "scenario"),
    ],
)
def test_what_is_wrong_is_named(replace: str, by: str, named: str) -> None:
    assert replace in GOOD
    with pytest.raises(ConfigurationError, match=named):
        decode_scenario(GOOD.replace(replace, by, 1).encode())


def test_an_event_of_a_device_that_nobody_wears_is_refused() -> None:
    event = '\n[[patients.events]]\nkind = "probe_off"\nat_s = 1\nfor_s = 5\ndevice = "ox-2"\n'
    with pytest.raises(ConfigurationError, match=r"events\[1\].device: 'ox-2' is not worn by P-0001"):
        decode_scenario((GOOD + event).encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_in_words(text: bytes) -> None:
    with pytest.raises(ConfigurationError):
        decode_scenario(text)


def test_a_missing_file_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml: No such file"):
        load_scenario(tmp_path / "none.toml")


def test_an_unknown_name_lists_the_shipped_ones() -> None:
    with pytest.raises(ConfigurationError, match="calm, demo"):
        shipped_scenario("unheard-of")


def test_the_ward_has_every_patient_with_all_devices() -> None:
    ward = demo_ward(decode_scenario(GOOD.encode()))
    assert ward.patient_of() == {"ox-1": "P-0001", "strap-1": "P-0001"}
    assert ward.patients[0].limits == {"spo2": {"low": 86}}


def test_the_demo_keeps_its_promises() -> None:
    """Twelve patients on three gateways; all that is expected comes within 40 s, the first within 20."""
    demo = shipped_scenario("demo")
    assert len(demo.patients) == 12
    assert len(demo.gateways) == 3
    due_s = sorted(e.until_ns / 1e9 for e in expectations(demo, 0, 40))
    assert due_s[-1] < 40
    assert due_s[0] <= 20
    troubled = {p.patient for p in demo.patients if any(e.expect for e in p.events)}
    assert len(demo.patients) - len(troubled) >= 4
    assert max(e.end_s for p in demo.patients for e in p.events) < demo.repeat_every_s


def test_no_alarm_is_expected_of_the_calm_ward() -> None:
    assert list(expectations(shipped_scenario("calm"), 0, 3600)) == []
