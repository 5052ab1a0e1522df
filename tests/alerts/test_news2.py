"""NEWS2 as the chart prints it, and what is said when not all of it is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.news2 import AGE_LIMIT_NS, HOUR_NS, Observation, Parameter, Response, Score, assess

NOW = 1_790_000_000_000_000_000
NORMAL = {
    Parameter.RESPIRATION: 16.0,
    Parameter.SPO2: 97.0,
    Parameter.OXYGEN: 0.0,
    Parameter.SYSTOLIC: 120.0,
    Parameter.PULSE: 70.0,
    Parameter.CONSCIOUSNESS: 0.0,
    Parameter.TEMPERATURE: 37.0,
}
ILL = {
    Parameter.RESPIRATION: 22.0,
    Parameter.SPO2: 93.0,
    Parameter.OXYGEN: 1.0,
    Parameter.SYSTOLIC: 105.0,
    Parameter.PULSE: 112.0,
    Parameter.CONSCIOUSNESS: 1.0,
    Parameter.TEMPERATURE: 38.5,
}


def score(values: dict[Parameter, float], *, scale_2: bool = False, age_ns: int = 0) -> Score:
    seen = {parameter: Observation(value, NOW - age_ns) for parameter, value in values.items()}
    return assess(seen, now_ns=NOW, scale_2=scale_2)


def test_all_normal_is_none() -> None:
    found = score(NORMAL)
    assert (found.lower, found.upper, found.complete, found.response) == (0, 0, True, Response.ROUTINE)


def test_the_published_example() -> None:
    assert score(ILL).lower == score(ILL).upper == 13
    assert score(ILL, scale_2=True).lower == 12
    assert score(ILL).response is Response.EMERGENCY


def test_three_in_one_parameter_informs_the_medical_team() -> None:
    found = score(NORMAL | {Parameter.RESPIRATION: 25.0})
    assert (found.lower, found.response) == (3, Response.WARD_URGENT)


@pytest.mark.parametrize(
    ("parameter", "value", "points"),
    [
        (Parameter.RESPIRATION, 8, 3), (Parameter.RESPIRATION, 9, 1), (Parameter.RESPIRATION, 11, 1),
        (Parameter.RESPIRATION, 12, 0), (Parameter.RESPIRATION, 20, 0), (Parameter.RESPIRATION, 21, 2),
        (Parameter.RESPIRATION, 24, 2), (Parameter.RESPIRATION, 25, 3),
        (Parameter.SPO2, 91, 3), (Parameter.SPO2, 92, 2), (Parameter.SPO2, 93, 2), (Parameter.SPO2, 94, 1),
        (Parameter.SPO2, 95, 1), (Parameter.SPO2, 96, 0), (Parameter.SPO2, 91.5, 2),
        (Parameter.SYSTOLIC, 90, 3), (Parameter.SYSTOLIC, 91, 2), (Parameter.SYSTOLIC, 100, 2),
        (Parameter.SYSTOLIC, 101, 1), (Parameter.SYSTOLIC, 110, 1), (Parameter.SYSTOLIC, 111, 0),
        (Parameter.SYSTOLIC, 219, 0), (Parameter.SYSTOLIC, 220, 3),
        (Parameter.PULSE, 40, 3), (Parameter.PULSE, 41, 1), (Parameter.PULSE, 50, 1), (Parameter.PULSE, 51, 0),
        (Parameter.PULSE, 90, 0), (Parameter.PULSE, 91, 1), (Parameter.PULSE, 110, 1), (Parameter.PULSE, 111, 2),
        (Parameter.PULSE, 130, 2), (Parameter.PULSE, 131, 3),
        (Parameter.TEMPERATURE, 35.0, 3), (Parameter.TEMPERATURE, 35.05, 1), (Parameter.TEMPERATURE, 36.0, 1),
        (Parameter.TEMPERATURE, 36.1, 0), (Parameter.TEMPERATURE, 38.04, 0), (Parameter.TEMPERATURE, 38.1, 1),
        (Parameter.TEMPERATURE, 39.0, 1), (Parameter.TEMPERATURE, 39.1, 2),
        (Parameter.CONSCIOUSNESS, 1, 3), (Parameter.OXYGEN, 1, 2),
    ],
)  # fmt: skip
def test_every_border_of_the_chart(parameter: Parameter, value: float, points: int) -> None:
    assert score(NORMAL | {parameter: float(value)}).points[parameter] == points


@pytest.mark.parametrize(
    ("spo2", "oxygen", "points"),
    [(83, 0, 3), (84, 0, 2), (86, 0, 1), (88, 0, 0), (92, 1, 0),
     (93, 0, 0), (100, 0, 0), (93, 1, 1), (95, 1, 2), (97, 1, 3)],
)  # fmt: skip
def test_scale_2(spo2: float, oxygen: float, points: int) -> None:
    found = score(NORMAL | {Parameter.SPO2: float(spo2), Parameter.OXYGEN: float(oxygen)}, scale_2=True)
    assert found.points[Parameter.SPO2] == points


def test_what_a_wearable_knows_is_a_range_and_never_a_score() -> None:
    found = score({Parameter.RESPIRATION: 16.0, Parameter.SPO2: 95.0, Parameter.PULSE: 95.0})
    assert (found.lower, found.upper, found.complete) == (2, 2 + 2 + 3 + 3 + 3, False)
    assert found.missing == (Parameter.OXYGEN, Parameter.SYSTOLIC, Parameter.CONSCIOUSNESS, Parameter.TEMPERATURE)


def test_scale_2_without_knowing_the_oxygen_is_a_range() -> None:
    known = {each: value for each, value in NORMAL.items() if each is not Parameter.OXYGEN}
    found = score(known | {Parameter.SPO2: 97.0}, scale_2=True)
    assert (found.lower, found.upper) == (0, 3 + 2)
    assert found.missing == (Parameter.SPO2, Parameter.OXYGEN)


def test_an_old_blood_pressure_is_missing_and_is_said_to_be_old() -> None:
    seen = {parameter: Observation(value, NOW) for parameter, value in NORMAL.items()}
    seen[Parameter.SYSTOLIC] = Observation(120.0, NOW - AGE_LIMIT_NS[Parameter.SYSTOLIC] - 1)
    found = assess(seen, now_ns=NOW)
    assert found.missing == found.stale == (Parameter.SYSTOLIC,)
    assert (found.lower, found.upper) == (0, 3)


def test_ages_are_told() -> None:
    assert score(NORMAL, age_ns=HOUR_NS // 60).ages_ns[Parameter.PULSE] == HOUR_NS // 60


@given(
    values=st.fixed_dictionaries(
        {},
        optional={
            Parameter.RESPIRATION: st.floats(0, 120),
            Parameter.SPO2: st.floats(1, 100),
            Parameter.OXYGEN: st.sampled_from([0.0, 1.0]),
            Parameter.SYSTOLIC: st.floats(20, 300),
            Parameter.PULSE: st.floats(10, 300),
            Parameter.CONSCIOUSNESS: st.sampled_from([0.0, 1.0]),
            Parameter.TEMPERATURE: st.floats(20, 45),
        },
    ),
    more=st.fixed_dictionaries(dict.fromkeys(NORMAL, st.floats(1, 45))),
    scale_2=st.booleans(),
)
def test_what_becomes_known_stays_within_the_bounds(
    values: dict[Parameter, float], more: dict[Parameter, float], *, scale_2: bool
) -> None:
    before, after = score(values, scale_2=scale_2), score(more | values, scale_2=scale_2)
    assert 0 <= before.lower <= after.lower <= after.upper <= before.upper <= 20
    assert after.complete
