"""Which limits hold: folding in any order of changes, their ends, and what is refused because it would be unsafe."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from alert_world import T0, S, preset
from hypothesis import given
from hypothesis import strategies as st

from alerts.limit_changes import LimitChange, Setting
from alerts.limits_in_force import Changes, Origin, check, differences, in_force, limits_with
from vitals.errors import ConfigurationError
from vitals.ward import Patient

PATIENT = Patient("P-0", "3-00", ("d-0",), {"spo2": {"low": 87}})
KEYS = st.sampled_from([("spo2", "low"), ("spo2", "low_delay_s"), ("heart_rate", "high")])


def change(at_s: int, until_s: int = 0, patient: str = "P-0", **settings: float | None) -> LimitChange:
    """`spo2_low=86`."""
    named = [name.rpartition("__") for name in settings]
    listed = tuple(Setting(v, f, settings[f"{v}__{f}"]) for v, _, f in named)
    return LimitChange(patient, listed, "AB", f"why {at_s}", T0 + at_s * S, until_s and T0 + until_s * S, "adult")


@st.composite
def histories(draw: st.DrawFn) -> list[LimitChange]:
    found = []
    for at_s in range(draw(st.integers(0, 12))):
        keys = draw(st.lists(KEYS, min_size=1, max_size=3, unique=True))
        settings = tuple(Setting(v, f, draw(st.none() | st.integers(80, 95).map(float))) for v, f in keys)
        until_s = draw(st.just(0) | st.integers(at_s + 1, 20))
        patient = draw(st.sampled_from(["P-0", "P-1"]))
        found.append(LimitChange(patient, settings, "AB", "x", T0 + at_s * S, until_s and T0 + until_s * S))
    return found


def naively(history: Sequence[LimitChange], patient: str, now_ns: int) -> dict[str, dict[str, float]]:
    """Everything that has not ended, one after the other."""
    values: dict[tuple[str, str], float | None] = {}
    for each in history:
        if each.patient == patient and not each.is_over(now_ns):
            values |= {(s.vital, s.field): s.value for s in each.settings}
    found: dict[str, dict[str, float]] = {}
    for (vital, field), value in values.items():
        if value is not None:
            found.setdefault(vital, {})[field] = value
    return found


@given(histories(), st.integers(0, 22))
def test_what_holds_is_the_naive_fold_at_any_time(history: list[LimitChange], now_s: int) -> None:
    changes, now_ns = Changes(), T0 + now_s * S
    for length, each in enumerate(history, start=1):
        changes.take(each)
        for patient in ("P-0", "P-1"):
            assert changes.overrides(patient, now_ns) == naively(history[:length], patient, now_ns)


@given(histories(), st.integers(0, 22))
def test_between_two_ends_nothing_changes_by_itself(history: list[LimitChange], now_s: int) -> None:
    changes, now_ns = Changes(), T0 + now_s * S
    for each in history:
        changes.take(each)
    (following,) = changes.ends("P-0", now_ns)[:1] or (T0 + 99 * S,)
    assert changes.overrides("P-0", now_ns) == changes.overrides("P-0", following - 1)


def test_when_a_temporary_change_ends_what_it_stood_over_is_back() -> None:
    changes = folded(change(0, spo2__low=86), change(1, until_s=10, spo2__low=84))
    lows = [limits_with(preset(), PATIENT, changes.overrides("P-0", T0 + s * S))["spo2"].low for s in (0, 9, 10)]
    assert lows == [84, 84, 86]
    changes.take(change(2, spo2__low=None))
    assert limits_with(preset(), PATIENT, changes.overrides("P-0", T0 + 3 * S))["spo2"].low == 87


def folded(*found: LimitChange) -> Changes:
    changes = Changes()
    for each in found:
        changes.take(each)
    return changes


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ([change(0, spo2__low=79)], "severe_low 80 is above low 79; lower the one or raise the other"),
        ([change(0, heart_rate__low=121)], "low 121 is above high 120"),
        ([change(0, heart_rate__low=117)], "no alarm could end"),
        ([change(0, spo2__low=float("nan"))], "nan is outside of what can be measured"),
        ([change(0, spo2__low=101)], "101 is outside of what can be measured; write 1 to 100 %"),
        ([change(0, spo2__low_delay_s=61)], "low_delay_s"),
        ([change(0, body_temperature__high=39)], "missing required field `hysteresis`"),
        ([change(0, rr_interval__high=900, rr_interval__hysteresis=1)], "no limits can be set for this"),
        (
            [change(0, until_s=10, spo2__low=92), change(1, spo2__severe_low=90)],
            "once a temporary change has ended: .*severe_low 90 is above low 87",
        ),
    ],
)
def test_what_is_unsafe_now_or_later_is_refused(found: list[LimitChange], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        check(preset(), PATIENT, folded(*found), T0 + 2 * S)


def test_a_vital_that_the_preset_does_not_limit_needs_no_unit_from_people() -> None:
    changes = folded(change(0, body_temperature__high=39, body_temperature__hysteresis=0.2))
    check(preset(), PATIENT, changes, T0)
    assert limits_with(preset(), PATIENT, changes.overrides("P-0", T0))["body_temperature"].high == 39
    changes.take(change(1, body_temperature__high=None, body_temperature__hysteresis=None))
    assert "body_temperature" not in limits_with(preset(), PATIENT, changes.overrides("P-0", T0))


def test_where_each_limit_comes_from() -> None:
    changes = folded(change(0, spo2__low_delay_s=20))
    overrides = changes.overrides("P-0", T0)
    found = {(f.vital, f.field): f for f in in_force(preset(), PATIENT, overrides, changes.counting("P-0", T0))}
    assert {k: f.origin for k, f in found.items() if f.origin is not Origin.PRESET} == {
        ("spo2", "low"): Origin.WARD_FILE,
        ("spo2", "low_delay_s"): Origin.CHANGED,
    }
    delay = found["spo2", "low_delay_s"]
    assert delay.change is not None
    assert (delay.value, delay.change.actor, delay.change.reason) == (20, "AB", "why 0")
    assert ("spo2", "high_delay_s") not in found, "there is no high limit whose delay it could be"


def test_differences_say_from_what_to_what_and_why() -> None:
    changes = folded(change(0, until_s=10, spo2__low=85))
    first = differences(preset(), PATIENT, {}, changes, T0)
    assert [(str(d), d.actor, d.until_ns) for d in first] == [
        ("SpO₂ low changed from 87 % to 85 %: why 0", "AB", T0 + 10 * S)
    ]
    then = differences(preset(), PATIENT, {"spo2": {"low": 85.0}}, changes, T0 + 10 * S)
    assert [(str(d), d.actor) for d in then] == [("SpO₂ low changed from 85 % to 87 %: the time is over", "")]
    changes.take(change(11, spo2__low=None))
    assert differences(preset(), PATIENT, {}, changes, T0 + 12 * S) == ()
