"""Settings of what is more than one limit: a fall, an area, a trend, a partial early-warning score.

They stand under `[measures]` of a preset, all with defaults, so that a preset of an earlier release still loads. A
patient may differ in ward.toml (`[patients.measures.falling]` …); scale, oxygen and who is not scored stand there too.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from vitals.errors import ConfigurationError

LOOK_S: Final = 5  # how often a stream is looked at; what spans of time are multiples of
MOST_WITHIN_S: Final = 120  # the longest fall that is remembered
TREND_VITALS: Final = ("heart_rate", "spo2", "resp_rate")
_Points = Annotated[float, Meta(ge=4, le=40)]  # less is what an oximeter's reading wanders by itself


class Falling(Struct, frozen=True, forbid_unknown_fields=True):
    """A fall of SpO2 by `points` within `within_s` that is held for `delay_s`; over when half of it is made good.

    It is over as well when there was no new lowest value for `settled_s`.
    """

    on: bool = True
    points: _Points = 10
    within_s: Annotated[int, Meta(ge=30, le=MOST_WITHIN_S)] = MOST_WITHIN_S
    delay_s: Annotated[float, Meta(ge=0, le=30)] = 5
    settled_s: Annotated[float, Meta(ge=30, le=900)] = 180
    priority: Literal["medium", "high"] = "medium"


class Deficit(Struct, frozen=True, forbid_unknown_fields=True):
    """Points below the limit `low` of SpO2 times seconds: `pct_s` of them are an alarm."""

    on: bool = False
    pct_s: Annotated[float, Meta(ge=10, le=100)] = 50


class Trend(Struct, frozen=True, forbid_unknown_fields=True):
    """How far the mean of 15 minutes may be `below` and `above` the patient's own baseline; absent is not told.

    It is over within half of that.
    """

    below: Annotated[float, Meta(gt=0)] | None = None
    above: Annotated[float, Meta(gt=0)] | None = None


class Trends(Struct, frozen=True, forbid_unknown_fields=True):
    """By vital, in its unit. A pulse rate tells a heart rate."""

    on: bool = True
    heart_rate: Trend = Trend(below=20, above=20)
    spo2: Trend = Trend(below=4)
    resp_rate: Trend = Trend(below=5, above=6)


class EarlyWarning(Struct, frozen=True, forbid_unknown_fields=True):
    """From which lower bound of the partial score on something is said; absent is off. `advisory_at` calls nobody."""

    advisory_at: Annotated[int, Meta(ge=3, le=20)] | None = 5
    medium_at: Annotated[int, Meta(ge=3, le=20)] | None = None
    high_at: Annotated[int, Meta(ge=3, le=20)] | None = None


class Measures(Struct, frozen=True, forbid_unknown_fields=True):
    """All of them."""

    falling: Falling = Falling()
    deficit: Deficit = Deficit()
    trend: Trends = Trends()
    early_warning: EarlyWarning = EarlyWarning()


LIMITS_ALONE: Final = Measures(Falling(on=False), Deficit(on=False), Trends(on=False), EarlyWarning(advisory_at=None))
_LEAST_TREND: Final = {"heart_rate": 10.0, "spo2": 2.0, "resp_rate": 3.0}  # nearer than that every hour has one


def check_measures(where: str, measures: Measures) -> None:
    """Refuse what contradicts itself; raises `ConfigurationError` that names the setting and says what to write."""
    falling, warning = measures.falling, measures.early_warning
    if falling.within_s % LOOK_S:
        raise ConfigurationError(f"{where}.falling.within_s {falling.within_s}: write a multiple of {LOOK_S} seconds")
    if falling.delay_s >= falling.within_s:
        raise ConfigurationError(
            f"{where}.falling.delay_s {falling.delay_s:g} is not below within_s {falling.within_s}: write less"
        )
    for name in TREND_VITALS:
        trend: Trend = getattr(measures.trend, name)
        for side, distance in (("below", trend.below), ("above", trend.above)):
            if distance is not None and distance < _LEAST_TREND[name]:
                raise ConfigurationError(
                    f"{where}.trend.{name}.{side} {distance:g} would be told of everybody; "
                    f"write {_LEAST_TREND[name]:g} or more, or leave it out"
                )
    steps = [(n, s) for n in ("advisory_at", "medium_at", "high_at") if (s := getattr(warning, n)) is not None]
    for (lower, low), (upper, high) in pairwise(steps):
        if low > high:
            raise ConfigurationError(
                f"{where}.early_warning.{lower} {low} is above {upper} {high}; lower the one or raise the other"
            )


def measures_of(preset: Measures, patient: str, overrides: Mapping[str, Any]) -> Measures:
    """The preset's settings with one patient's differences; raises `ConfigurationError`.

    Over which time a fall counts is the same for all.
    """
    if not overrides:
        return preset
    where = f"ward: patient {patient}: measures"
    try:
        merged = msgspec.convert(_merged(msgspec.to_builtins(preset), overrides), Measures)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{where}: {error}") from error
    if merged.falling.within_s != preset.falling.within_s:
        raise ConfigurationError(
            f"{where}.falling.within_s is the same for the whole ward ({preset.falling.within_s}); "
            "leave it out, or set it in the preset"
        )
    check_measures(where, merged)
    return merged


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with what `over` names, table by table."""
    found = dict(base)
    for name, value in over.items():
        inner = found.get(name)
        found[name] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, Mapping) else value
    return found
