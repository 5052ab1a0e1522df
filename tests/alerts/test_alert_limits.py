"""Presets and patients' limits: good ones become rules, wrong ones are refused with what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest
from alert_world import PRESET_PATH, preset

from alerts.config import AlertConfig, decode_config, open_channels, read_preset
from alerts.events import Priority
from alerts.limits import decode_preset, limits_of, rules_of
from vitals.errors import ConfigurationError
from vitals.model import Vital

SHIPPED = PRESET_PATH.read_text()


def test_the_shipped_preset_is_the_one_that_was_agreed() -> None:
    rules = rules_of(preset(), preset().vitals)
    found = {
        (rule.condition, level.priority, level.limit, level.delay_ns // 10**9)
        for vital in (Vital.SPO2, Vital.PULSE_RATE)
        for rule in rules[vital]
        if rule.condition.startswith(("spo2", "pulse"))
        for level in rule.levels
    }
    assert found == {
        ("spo2_low", Priority.MEDIUM, 88, 15),
        ("spo2_low", Priority.HIGH, 80, 0),
        ("pulse_rate_low", Priority.MEDIUM, 50, 10),
        ("pulse_rate_low", Priority.HIGH, 40, 5),
        ("pulse_rate_high", Priority.MEDIUM, 120, 10),
        ("pulse_rate_high", Priority.HIGH, 140, 5),
    }


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("low = 88", "low = 84", "spo2.low 84 is below 85"),
        ("severe_low = 80", "severe_low = 89", "severe_low 89 is above low 88"),
        ("high = 120", "high = 49", "low 50 is above high 49"),
        ("high = 120", "high = 53", "no alarm could end"),
        ("severe_high = 140", "severe_high = 400", "outside of what can be measured; write 10 to 300"),
        ('unit = "%"', 'unit = "/min"', "limits of spo2 are in '%'"),
        ("low_delay_s = 15", "low_delay_s = 90", "low_delay_s"),
        ("[vitals.spo2]", "[vitals.sp02]", "no limits can be set for this"),
        ("[technical.no_data]", "[technical.nodata]", "technical.no_data] is missing"),
        ("version = 1", "version = 2", "version 2 is not known"),
        ("hysteresis = 1\n", "hysteresis = 1\nlows = 3\n", "lows"),
        ('priority = "low"', 'priority = "urgent"', "urgent"),
    ],
)
def test_a_wrong_preset_is_refused_with_what_is_wrong(old: str, new: str, says: str) -> None:
    assert old in SHIPPED
    with pytest.raises(ConfigurationError, match=says.replace("]", r"\]")):
        decode_preset(SHIPPED.replace(old, new, 1).encode())


def test_a_patient_may_go_below_the_least_default() -> None:
    limits = limits_of(preset(), "P-1", {"spo2": {"low": 82}})
    assert (limits["spo2"].low, limits["spo2"].severe_low, preset().vitals["spo2"].low) == (82, 80, 88)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"spo2": {"low": 78}}, r"patient P-1: limits.spo2.severe_low 80 is above low 78"),
        ({"spo2": {"lo": 82}}, "lo"),
        ({"sp02": {"low": 82}}, "no such vital; known are"),
        ({"spo2": {"low": "x"}}, "P-1"),
        ({"body_temperature": {"low": 35}}, "unit"),
    ],
)
def test_a_patients_wrong_limit_names_the_patient(overrides: dict[str, dict[str, object]], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        limits_of(preset(), "P-1", overrides)


def test_the_default_configuration_is_the_shipped_preset_and_no_channels() -> None:
    assert read_preset(AlertConfig(), Path()) == preset()
    assert open_channels(AlertConfig(), Path(), {}) == ()


CHANNEL = b'[[channels]]\nname = "phone"\nurl_env = "PHONE_URL"\npriorities = ["high"]\n'


def test_a_secret_is_read_and_never_shown(tmp_path: Path) -> None:
    (channel,) = open_channels(decode_config(CHANNEL), tmp_path, {"PHONE_URL": "json://user:s3cret@localhost/x"})
    assert channel.subscription.priorities == frozenset({Priority.HIGH})
    assert "s3cret" not in repr(channel)
    with pytest.raises(ConfigurationError) as refused:
        open_channels(decode_config(CHANNEL), tmp_path, {"PHONE_URL": "s3cret-nonsense"})
    assert "s3cret" not in str(refused.value)
    with pytest.raises(ConfigurationError, match="PHONE_URL is not set"):
        open_channels(decode_config(CHANNEL), tmp_path, {})


def test_a_secret_in_a_file_must_not_be_for_everybody(tmp_path: Path) -> None:
    config = decode_config(b'[[channels]]\nname = "phone"\nurl_file = "phone.url"\n')
    with pytest.raises(ConfigurationError, match=r"phone.url cannot be read"):
        open_channels(config, tmp_path, {})
    path = tmp_path / "phone.url"
    path.write_text("json://localhost/x\n")
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        open_channels(config, tmp_path, {})
    path.chmod(0o600)
    assert len(open_channels(config, tmp_path, {})) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (CHANNEL + CHANNEL, "stands twice"),
        (b'[[channels]]\nname = "phone"\n', "exactly one of"),
        (b'[[channels]]\nname = "phone"\nrecord_file = "x"\npriorities = []\n', "priorities is empty"),
        (b'[[channels]]\nname = "a/b"\nrecord_file = "x"\n', "name"),
        (b"presets = 1", "presets"),
        (b"\xff", "alerts"),
    ],
)
def test_a_wrong_configuration_is_refused(text: bytes, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        decode_config(text)


@pytest.mark.parametrize(
    ("channel", "told"),
    [
        ('command = ["true"]', {Priority.HIGH, Priority.MEDIUM}),
        ('record_file = "book"', set(Priority)),
        ('record_file = "book"\npriorities = ["high"]', {Priority.HIGH}),
    ],
)
def test_low_alarms_wake_nobody_unless_asked_for(tmp_path: Path, channel: str, told: set[Priority]) -> None:
    config = decode_config(f'[[channels]]\nname = "ward"\n{channel}\n'.encode())
    (opened,) = open_channels(config, tmp_path, {})
    assert opened.subscription.priorities == told
