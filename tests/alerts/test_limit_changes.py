"""Changes of limits as records: round trips, what may escape, and what is refused before it is a record."""

from __future__ import annotations

import string

import msgspec
import pytest
from alert_world import T0, S, preset, ward
from hypothesis import given
from hypothesis import strategies as st

from alerts.limit_changes import (
    FIELDS,
    ConfigurationChange,
    LimitChange,
    Setting,
    configuration_change,
    decode_change,
    decode_configuration,
    encode_change,
    encode_configuration,
    limit_change,
    preset_of,
    setting_words,
    value_words,
)
from vitals.errors import ConfigurationError, MalformedMessageError
from vitals.ward import Patient, Ward

NAMES = st.text(string.ascii_letters + string.digits + "-_ ₂ä", min_size=1, max_size=64)
NUMBERS = st.floats(allow_nan=False) | st.none()
SETTINGS = st.builds(Setting, NAMES, NAMES, NUMBERS)
TIMES = st.integers(0, 2**62)
CHANGES = st.builds(
    LimitChange,
    patient=NAMES,
    settings=st.lists(SETTINGS, min_size=1, max_size=32).map(tuple),
    actor=NAMES,
    reason=st.text(min_size=1, max_size=200),
    at_ns=TIMES,
    until_ns=TIMES,
    preset=st.text(max_size=40),
)
FILES = st.builds(
    ConfigurationChange,
    configuration=st.dictionaries(NAMES, NAMES | st.integers(0, 99) | st.dictionaries(NAMES, NAMES)),
    before_after=st.dictionaries(NAMES, st.tuples(NAMES, NAMES)),
    actor=NAMES,
    approved_on=st.text(max_size=10),
    preset=NAMES,
    at_ns=TIMES,
)


@given(CHANGES)
def test_a_change_comes_back_as_it_was(change: LimitChange) -> None:
    assert decode_change(encode_change(change)) == change


@given(FILES)
def test_a_change_of_files_comes_back_as_it_was(change: ConfigurationChange) -> None:
    assert decode_configuration(encode_configuration(change)) == change


@given(st.binary(max_size=200))
def test_nothing_but_the_documented_error_escapes(payload: bytes) -> None:
    for decode in (decode_change, decode_configuration):
        try:
            decode(payload)
        except MalformedMessageError:
            continue


@given(CHANGES)
def test_every_truncated_prefix_is_refused(change: LimitChange) -> None:
    payload = encode_change(change)
    for length in range(len(payload)):
        with pytest.raises(MalformedMessageError):
            decode_change(payload[:length])


def test_a_record_of_a_newer_release_says_so() -> None:
    change = msgspec.structs.replace(a_change(), version=2)
    with pytest.raises(MalformedMessageError, match="newer release: upgrade"):
        decode_change(encode_change(change))


def a_change(*settings: Setting, actor: str = "AB", reason: str = "COPD", until_s: int = 0) -> LimitChange:
    chosen = settings or (Setting("spo2", "low", 86.0),)
    until_ns = T0 + until_s * S if until_s else 0
    return limit_change("P-0", chosen, actor, reason, at_ns=T0, until_ns=until_ns, preset="adult")


@pytest.mark.parametrize(
    ("settings", "more", "says"),
    [
        ((), {"actor": ""}, "--by '': say it in words"),
        ((), {"reason": ""}, "--why '': say it in words"),
        ((), {"reason": "a\nb"}, "on one line"),
        ((), {"reason": " a"}, "without spaces around"),
        ((), {"reason": "x" * 201}, "201 characters long: 200 at most"),
        ((), {"actor": "x" * 65}, "65 characters long: 64 at most"),
        ((), {"until_s": -1}, "over already"),
        ((Setting("sp02", "low", 86.0),), {}, "no such vital; known are .*spo2"),
        ((Setting("spo2", "lo", 86.0),), {}, "spo2.lo: write one of hysteresis, low,"),
        ((Setting("spo2", "unit", 86.0),), {}, "spo2.unit: write one of"),
        ((Setting("spo2", "low", 86.0), Setting("spo2", "low", None)), {}, "spo2.low stands twice"),
        (tuple(Setting("spo2", f"x{i}", 1.0) for i in range(33)), {}, "name 1 to 32"),
    ],
)
def test_what_is_no_change_is_refused_with_what_to_say(
    settings: tuple[Setting, ...], more: dict[str, object], says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says):
        a_change(*settings, **more)  # type: ignore[arg-type]  # of the table


def test_settings_in_words() -> None:
    assert setting_words("spo2", "severe_low_delay_s") == "SpO₂ severe low delay"
    assert value_words("spo2", "low", 86.0) == "86 %"
    assert value_words("spo2", "low_delay_s", 12.5) == "12.5 s"
    assert value_words("spo2", "high", None) == "off"
    assert "low" in FIELDS
    assert "unit" not in FIELDS


def test_files_are_recorded_once_and_then_only_their_differences() -> None:
    first = configuration_change(None, preset(), ward(), T0)
    assert first is not None
    assert first.before_after == {}
    assert preset_of(decode_configuration(encode_configuration(first)).configuration) == preset()
    kept = decode_configuration(encode_configuration(first)).configuration
    assert configuration_change(kept, preset(), ward(), T0) is None
    spo2 = msgspec.structs.replace(preset().vitals["spo2"], low=90.0, high=99.5)
    other = msgspec.structs.replace(
        preset(), vitals=preset().vitals | {"spo2": spo2}, revision="7", approved_by="head of the ward"
    )
    then = configuration_change(first.configuration, other, ward(P_1={"spo2": {"low": 86}}), T0 + S)
    assert then is not None
    assert then.before_after == {
        "preset.approved_by": ("", "head of the ward"),
        "preset.revision": ("1", "7"),
        "preset.vitals.spo2.low": ("88", "90"),
        "preset.vitals.spo2.high": ("absent", "99.5"),
        "patients.P-1.spo2.low": ("absent", "86"),
    }
    assert (first.actor, then.actor, then.preset) == ("configuration file", "head of the ward", "adult revision 7")


def test_how_a_patient_is_scored_is_part_of_the_configuration() -> None:
    first = configuration_change(None, preset(), Ward("north", patients=(Patient("P-1", "3-01"),)), T0)
    assert first is not None
    scale_2 = Patient("P-1", "3-01", spo2_scale=2, oxygen=False, measures={"falling": {"points": 8}})
    then = configuration_change(first.configuration, preset(), Ward("north", patients=(scale_2,)), T0 + S)
    assert then is not None
    assert then.before_after == {
        "judged_apart.P-1.measures.falling.points": ("absent", "8"),
        "judged_apart.P-1.oxygen": ("absent", "False"),
        "judged_apart.P-1.spo2_scale": ("absent", "2"),
    }


def test_a_recorded_preset_of_another_release_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="start the server of this release once, or name"):
        preset_of({"preset": {"version": 1, "unheard_of": 3}})
