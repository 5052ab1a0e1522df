"""Alarm limits: the ward's preset, a patient's differences from it, and the rules that follow for the engine.

A preset is versioned configuration with its rationale (`alerts/presets/adult.toml`); priorities are the outcome of a
risk analysis and not constants. Everything is checked when it is read, and the message names the setting.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import IntEnum
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from alerts.events import (
    BATTERY_LOW,
    CLOCK_UNTRUSTED,
    DEVICE_FAULT,
    GATEWAY_DOWN,
    IRREGULAR_RHYTHM,
    NO_DATA,
    POOR_SIGNAL,
    PROBE_OFF,
    Kind,
    Priority,
)
from alerts.measure_settings import Measures, check_measures
from alerts.signal_settings import Signals
from vitals.errors import ConfigurationError
from vitals.model import SERVER_VITALS, VITAL_BY_NAME, VITALS, Vital

PRESET_VERSION: Final = 1
LEAST_SPO2_DEFAULT_PCT: Final = 85  # a preset may not be lower (ISO 80601-2-61, STANDARDS 2.6); a patient's limit may
SIGNAL_VITALS: Final = (Vital.HEART_RATE, Vital.PULSE_RATE, Vital.SPO2)  # measured, so their silence is a finding
TECHNICAL: Final = (PROBE_OFF, POOR_SIGNAL, DEVICE_FAULT, NO_DATA, GATEWAY_DOWN, CLOCK_UNTRUSTED, BATTERY_LOW)

_Delay = Annotated[float, Meta(ge=0, le=60)]  # seconds; longer than a minute hides what the limit is there to show
_Name = Literal["low", "medium", "high"]


class VitalLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of one vital in its own unit, which `unit` repeats; an absent limit is off. See the preset's text."""

    unit: str
    hysteresis: Annotated[float, Meta(ge=0, le=10)]
    low: float | None = None
    low_delay_s: _Delay = 15
    severe_low: float | None = None
    severe_low_delay_s: _Delay = 0
    high: float | None = None
    high_delay_s: _Delay = 15
    severe_high: float | None = None
    severe_high_delay_s: _Delay = 0


class Technical(Struct, frozen=True, forbid_unknown_fields=True):
    """Priority and delay of a technical condition, and the rise in priority when it lasts."""

    priority: _Name
    delay_s: Annotated[float, Meta(ge=0, le=600)]
    escalated_priority: _Name | None = None
    escalates_after_s: Annotated[float, Meta(ge=0, le=3600)] = 300

    @property
    def level(self) -> Priority:
        return Priority[self.priority.upper()]

    @property
    def delay_ns(self) -> int:
        return round(self.delay_s * 1e9)

    @property
    def escalated_level(self) -> Priority:
        """The priority once the condition lasts; where it does not rise, the one it has from the beginning."""
        return self.level if self.escalated_priority is None else Priority[self.escalated_priority.upper()]

    @property
    def escalates_after_ns(self) -> int:
        """Since the condition began, like `delay_ns`, and never before it."""
        return max(self.delay_ns, round(self.escalates_after_s * 1e9))


class Battery(Struct, frozen=True, forbid_unknown_fields=True):
    """At or below `low_pct` the condition is present, until `hysteresis_pct` above."""

    low_pct: Annotated[float, Meta(ge=0, le=50)]
    hysteresis_pct: Annotated[float, Meta(ge=0, le=20)]


class IrregularRhythm(Struct, frozen=True, forbid_unknown_fields=True):
    """From `share_pct` of suspicious segments of beats for `delay_s` on: an advisory, until `hysteresis_pct` below."""

    share_pct: Annotated[float, Meta(gt=0, le=100)] = 50
    delay_s: Annotated[float, Meta(ge=0, le=3600)] = 120
    hysteresis_pct: Annotated[float, Meta(ge=0, le=50)] = 10


class Preset(Struct, frozen=True, forbid_unknown_fields=True):
    """A ward's limits, delays and priorities.

    `latching`: conditions whose signal outlives them until somebody acknowledges; none by default. `revision`: the
    ward's own count of its changes. `approved_by`: a role or pseudonym, never a patient.
    """

    version: int
    name: str
    rationale: str
    vitals: dict[str, VitalLimits]
    technical: dict[str, Technical]
    battery: Battery
    irregular_rhythm: IrregularRhythm = IrregularRhythm()
    latching: tuple[str, ...] = ()
    signals: Signals = Signals()
    measures: Measures = Measures()
    revision: str = ""
    approved_by: str = ""
    approved_on: date | None = None


class Source(IntEnum):
    """What of a sample a rule looks at: its number, or a flag that is 1 while true and 0 while not."""

    VALUE = 0
    PROBE_OFF = 1
    POOR_SIGNAL = 2
    DEVICE_FAULT = 3


@dataclass(frozen=True, slots=True)
class Level:
    """One step of a rule. Violated when `sign * value > beyond`; present once violating samples cover `delay_ns`.

    `least_doubtful_ns`: what doubtful samples must cover at least; the ordinary limit's delay for a severe one.
    """

    priority: Priority
    limit: float
    beyond: float
    delay_ns: int
    least_doubtful_ns: int = 0

    @property
    def doubtful_delay_ns(self) -> int:
        """The delay when a doubtful sample would complete it."""
        return max(self.delay_ns, self.least_doubtful_ns)


@dataclass(frozen=True, slots=True)
class Rule:
    """One condition of one stream. `sign`: +1 for a high limit or a flag, -1 for a low limit. `levels`: mildest first.

    A physiological condition belongs to the patient, a technical one to the device.
    """

    condition: str
    kind: Kind
    source: Source
    sign: int
    hysteresis: float
    levels: tuple[Level, ...]


Rules: TypeAlias = Mapping[Vital, tuple[Rule, ...]]


def decode_preset(text: bytes) -> Preset:
    """Read and check a preset; raises `ConfigurationError` that names the setting and says what to write."""
    try:
        preset = msgspec.toml.decode(text, type=Preset)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"preset: {error}") from error
    if preset.version != PRESET_VERSION:
        raise ConfigurationError(f"preset: version {preset.version} is not known here; write {PRESET_VERSION}")
    for name in TECHNICAL:
        if name not in preset.technical:
            raise ConfigurationError(f"preset: [technical.{name}] is missing; every technical condition needs one")
    for name in preset.technical:
        if name not in TECHNICAL:
            raise ConfigurationError(f"preset: technical.{name} is unknown; known are {', '.join(TECHNICAL)}")
    for name, limits in preset.vitals.items():
        _check(f"preset: vitals.{name}", name, limits)
    check_measures("preset: measures", preset.measures)
    spo2 = preset.vitals.get("spo2")
    if spo2 is not None and spo2.low is not None and spo2.low < LEAST_SPO2_DEFAULT_PCT:
        raise ConfigurationError(
            f"preset: vitals.spo2.low {spo2.low:g} is below {LEAST_SPO2_DEFAULT_PCT} %, the least a default may be; "
            "lower it for the patients who need it, in ward.toml"
        )
    return preset


def limits_of(preset: Preset, patient: str, overrides: Mapping[str, Mapping[str, Any]]) -> dict[str, VitalLimits]:
    """The preset's limits with one patient's `overrides` (vital name → fields); raises `ConfigurationError`."""
    limits = dict(preset.vitals)
    for name, fields in overrides.items():
        where = f"ward: patient {patient}: limits.{name}"
        base = limits.get(name)
        if base is None and name not in VITAL_BY_NAME:
            raise ConfigurationError(f"{where}: there is no such vital; known are {', '.join(sorted(VITAL_BY_NAME))}")
        inherited = {} if base is None else msgspec.structs.asdict(base)
        try:
            limits[name] = msgspec.convert(inherited | dict(fields), VitalLimits)
        except msgspec.ValidationError as error:
            raise ConfigurationError(f"{where}: {error}") from error
        _check(where, name, limits[name])
    return limits


def _check(where: str, name: str, limits: VitalLimits) -> None:
    vital = VITAL_BY_NAME.get(name)
    if vital is None or vital in (Vital.RR_INTERVAL, Vital.BATTERY, *SERVER_VITALS):
        raise ConfigurationError(f"{where}: no limits can be set for this; write one of the vitals, such as spo2")
    info = VITALS[vital]
    if limits.unit != info.unit:
        raise ConfigurationError(f"{where}.unit is {limits.unit!r}; limits of {name} are in {info.unit!r}: write that")
    ascending = [
        (field, value)
        for field in ("severe_low", "low", "high", "severe_high")
        if (value := getattr(limits, field)) is not None
    ]
    for field, value in ascending:
        if not info.low <= value <= info.high:
            raise ConfigurationError(
                f"{where}.{field} {value:g} is outside of what can be measured; "
                f"write {info.low:g} to {info.high:g} {info.unit}"
            )
    for (lower, low), (upper, high) in itertools.pairwise(ascending):
        if low > high:
            raise ConfigurationError(
                f"{where}.{lower} {low:g} is above {upper} {high:g}; lower the one or raise the other"
            )
    if limits.low is not None and limits.high is not None and limits.high - limits.low <= 2 * limits.hysteresis:
        raise ConfigurationError(
            f"{where}: between low {limits.low:g} and high {limits.high:g} no alarm could end; "
            f"leave more than twice the hysteresis of {limits.hysteresis:g}"
        )


def rules_of(preset: Preset, limits: Mapping[str, VitalLimits]) -> Rules:
    """What the engine checks for each vital of a patient with `limits`."""
    rules: dict[Vital, tuple[Rule, ...]] = {}
    for vital in VITALS:
        name = VITALS[vital].name
        of_value = _value_rules(name, limits[name]) if name in limits else ()
        of_signal = _signal_rules(preset) if vital in SIGNAL_VITALS else ()
        rules[vital] = of_value + of_signal
    rules[Vital.BATTERY] = (_battery_rule(preset),)
    rules[Vital.IRREGULARITY] = (_rhythm_rule(preset.irregular_rhythm),)
    return rules


def _value_rules(name: str, limits: VitalLimits) -> tuple[Rule, ...]:
    low = [
        _level(Priority.MEDIUM, limits.low, -1, limits.low_delay_s),
        _severe_level(limits.severe_low, -1, limits.severe_low_delay_s, limits.low_delay_s),
    ]
    high = [
        _level(Priority.MEDIUM, limits.high, +1, limits.high_delay_s),
        _severe_level(limits.severe_high, +1, limits.severe_high_delay_s, limits.high_delay_s),
    ]
    found = []
    for side, sign, candidates in (("low", -1, low), ("high", +1, high)):
        levels = tuple(level for level in candidates if level is not None)
        if levels:
            rule = Rule(f"{name}_{side}", Kind.PHYSIOLOGICAL, Source.VALUE, sign, limits.hysteresis, levels)
            found.append(rule)
    return tuple(found)


def _level(
    priority: Priority, limit: float | None, sign: int, delay_s: float, *, inclusive: bool = False
) -> Level | None:
    if limit is None:
        return None
    beyond = math.nextafter(sign * limit, -math.inf) if inclusive else sign * limit
    return Level(priority, limit, beyond, round(delay_s * 1e9))


def _severe_level(limit: float | None, sign: int, delay_s: float, ordinary_delay_s: float) -> Level | None:
    level = _level(Priority.HIGH, limit, sign, delay_s, inclusive=True)
    return level and replace(level, least_doubtful_ns=round(ordinary_delay_s * 1e9))


def _signal_rules(preset: Preset) -> tuple[Rule, ...]:
    sources = {PROBE_OFF: Source.PROBE_OFF, POOR_SIGNAL: Source.POOR_SIGNAL, DEVICE_FAULT: Source.DEVICE_FAULT}
    return tuple(
        Rule(name, Kind.TECHNICAL, source, +1, 0.0, _technical_levels(preset.technical[name]))
        for name, source in sources.items()
    )


def _technical_levels(technical: Technical) -> tuple[Level, ...]:
    first = Level(technical.level, 0.5, 0.5, technical.delay_ns)
    if technical.escalated_priority is None:
        return (first,)
    return (first, Level(technical.escalated_level, 0.5, 0.5, technical.escalates_after_ns))


def _battery_rule(preset: Preset) -> Rule:
    technical, battery = preset.technical[BATTERY_LOW], preset.battery
    level = _level(technical.level, battery.low_pct, -1, technical.delay_s, inclusive=True)
    assert level is not None
    return Rule(BATTERY_LOW, Kind.TECHNICAL, Source.VALUE, -1, battery.hysteresis_pct, (level,))


def _rhythm_rule(advisory: IrregularRhythm) -> Rule:
    level = _level(Priority.LOW, advisory.share_pct, +1, advisory.delay_s, inclusive=True)
    assert level is not None
    return Rule(IRREGULAR_RHYTHM, Kind.PHYSIOLOGICAL, Source.VALUE, +1, advisory.hysteresis_pct, (level,))
