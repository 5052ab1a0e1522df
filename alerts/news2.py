"""A partial early-warning indicator after NEWS2 (Royal College of Physicians, December 2017, chart 1). Pure.

NEWS2 is defined over seven observations; a wearable gives three or four of them. Nothing is imputed: what is missing or
too old widens the result to a lower and an upper bound and is named. Only with all seven is it a NEWS2.

    score = assess(Observations(...), now_ns=…)    score.lower, score.upper, score.missing, score.response

Numbers are rounded half up to the chart's steps (whole, temperature to 0.1) before they are scored; the RCP gives no
rule for that. SpO2 scale 2 is for confirmed hypercapnic respiratory failure and only ever chosen by a clinician. Not
for people under 16 or in pregnancy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import Final


class Parameter(StrEnum):
    """The seven observations, in the chart's order."""

    RESPIRATION = "resp_rate"
    SPO2 = "spo2"
    OXYGEN = "oxygen"  # 1 with supplemental oxygen, 0 on air
    SYSTOLIC = "systolic"
    PULSE = "pulse"
    CONSCIOUSNESS = "consciousness"  # 0 alert; 1 new confusion, or responds to voice or pain only, or not at all
    TEMPERATURE = "temperature"


#: What people call them.
NAMES: Final[Mapping[Parameter, str]] = {
    Parameter.RESPIRATION: "respiration",
    Parameter.SPO2: "SpO₂",
    Parameter.OXYGEN: "oxygen or air",
    Parameter.SYSTOLIC: "blood pressure",
    Parameter.PULSE: "pulse",
    Parameter.CONSCIOUSNESS: "consciousness",
    Parameter.TEMPERATURE: "temperature",
}


class Response(IntEnum):
    """What the chart asks for, mildest first."""

    ROUTINE = 0
    WARD = 1  # 1 to 4: a registered nurse assesses
    WARD_URGENT = 2  # 3 in one parameter: the nurse informs the medical team
    URGENT = 3  # 5 or 6
    EMERGENCY = 4  # 7 and more


#: Lowest number of each band and its points, ascending, each up to the next band.
_BANDS: Final[Mapping[Parameter, tuple[tuple[str, int], ...]]] = {
    Parameter.RESPIRATION: (("0", 3), ("9", 1), ("12", 0), ("21", 2), ("25", 3)),
    Parameter.SPO2: (("0", 3), ("92", 2), ("94", 1), ("96", 0)),
    Parameter.OXYGEN: (("0", 0), ("1", 2)),
    Parameter.SYSTOLIC: (("0", 3), ("91", 2), ("101", 1), ("111", 0), ("220", 3)),
    Parameter.PULSE: (("0", 3), ("41", 1), ("51", 0), ("91", 1), ("111", 2), ("131", 3)),
    Parameter.CONSCIOUSNESS: (("0", 0), ("1", 3)),
    Parameter.TEMPERATURE: (("0", 3), ("35.1", 1), ("36.1", 0), ("38.1", 1), ("39.1", 2)),
}
_CACHED: Final = 20_000  # points: hundredths of every rate and saturation that a minute's mean may be
_SCALE_2_AIR: Final = (("0", 3), ("84", 2), ("86", 1), ("88", 0))
_SCALE_2_OXYGEN: Final = (*_SCALE_2_AIR, ("93", 1), ("95", 2), ("97", 3))
_STEP: Final = {Parameter.TEMPERATURE: Decimal("0.1")}

HOUR_NS: Final = 3_600_000_000_000
#: How old an observation may be. What a wearable measures is from now; what a nurse enters is of her last round.
AGE_LIMIT_NS: Final[Mapping[Parameter, int]] = {
    Parameter.RESPIRATION: HOUR_NS // 12,
    Parameter.SPO2: HOUR_NS // 12,
    Parameter.PULSE: HOUR_NS // 12,
    Parameter.TEMPERATURE: 4 * HOUR_NS,
    Parameter.OXYGEN: 4 * HOUR_NS,
    Parameter.SYSTOLIC: 4 * HOUR_NS,
    Parameter.CONSCIOUSNESS: 4 * HOUR_NS,
}


@dataclass(frozen=True, slots=True)
class Observation:
    """A number in the chart's unit and when it was taken, UTC."""

    value: float
    at_ns: int


@dataclass(frozen=True, slots=True)
class Score:
    """The indicator. `points`: of the parameters that are known; `ages_ns`: theirs; `missing`: unknown or too old."""

    lower: int
    upper: int
    points: Mapping[Parameter, int]
    ages_ns: Mapping[Parameter, int]
    missing: tuple[Parameter, ...]
    scale_2: bool = False
    stale: tuple[Parameter, ...] = field(default=())  # of `missing`: known once, too old now

    @property
    def complete(self) -> bool:
        """Whether this is a NEWS2; otherwise it is a partial indicator and must be called that."""
        return not self.missing

    @property
    def response(self) -> Response:
        """What the points that are certain ask for already: the lower bound, and 3 in one parameter."""
        if self.lower >= 7:
            return Response.EMERGENCY
        if self.lower >= 5:
            return Response.URGENT
        if any(points == 3 for points in self.points.values()):
            return Response.WARD_URGENT
        return Response.WARD if self.lower else Response.ROUTINE


def assess(observations: Mapping[Parameter, Observation], *, now_ns: int, scale_2: bool = False) -> Score:
    """Score what is known at `now_ns`. An observation of later than that counts as just taken."""
    ages = {each: max(0, now_ns - seen.at_ns) for each, seen in observations.items()}
    known = {each: observations[each].value for each in Parameter if ages.get(each, 1 << 62) <= AGE_LIMIT_NS[each]}
    points = {each: value for each in known if (value := _points(each, known, scale_2=scale_2)) is not None}
    ranges = [_range(each, known, scale_2=scale_2) for each in Parameter if each not in points]
    missing = tuple(each for each in Parameter if each not in points)
    return Score(
        lower=sum(points.values()) + sum(low for low, _ in ranges),
        upper=sum(points.values()) + sum(high for _, high in ranges),
        points=points,
        ages_ns={each: ages[each] for each in points},
        missing=missing,
        scale_2=scale_2,
        stale=tuple(each for each in missing if each in observations and each not in known),
    )


def most_points(parameter: Parameter) -> int:
    """The most that a parameter can add."""
    return max(points for _, points in _BANDS[parameter])


def whole_points(parameter: Parameter, highest: int) -> tuple[int, ...]:
    """The points of every whole number up to `highest`; of SpO2 on scale 1."""
    return tuple(_of_bands(_BANDS[parameter], parameter, float(number)) for number in range(highest + 1))


def _points(parameter: Parameter, known: Mapping[Parameter, float], *, scale_2: bool) -> int | None:
    """Points of a known parameter; `None` where they hang on another one that is missing."""
    if parameter is not Parameter.SPO2 or not scale_2:
        return _of_bands(_BANDS[parameter], parameter, known[parameter])
    return min(found) if len(found := _scale_2_points(known)) == 1 else None


def _scale_2_points(known: Mapping[Parameter, float]) -> set[int]:
    """What an SpO2 may score on scale 2: on air and with oxygen, where it is not known which."""
    oxygen = known.get(Parameter.OXYGEN)
    charts = (_SCALE_2_AIR, _SCALE_2_OXYGEN) if oxygen is None else (_SCALE_2_OXYGEN if oxygen else _SCALE_2_AIR,)
    return {_of_bands(chart, Parameter.SPO2, known[Parameter.SPO2]) for chart in charts}


def _range(parameter: Parameter, known: Mapping[Parameter, float], *, scale_2: bool) -> tuple[int, int]:
    """The least and the most that a parameter without certain points can add."""
    if parameter is Parameter.SPO2 and parameter in known and scale_2:
        found = _scale_2_points(known)
        return min(found), max(found)
    return 0, most_points(parameter)


@lru_cache(maxsize=_CACHED)
def _of_bands(bands: tuple[tuple[str, int], ...], parameter: Parameter, value: float) -> int:
    rounded = Decimal(repr(value)).quantize(_STEP.get(parameter, Decimal(1)), ROUND_HALF_UP)
    return [points for lowest, points in bands if rounded >= Decimal(lowest) or lowest == "0"][-1]
