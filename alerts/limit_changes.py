"""Changes of alarm limits as records: who changed what of whom, when, why, and until when. Pure.

Two kinds of record stand in one chained journal, beside the alarm journal: what people changed of one patient, and what
a server found changed in its files (preset and ward file) when it started. Encode and decode are pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Annotated, Any, Final, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

from alerts.limits import Preset, VitalLimits
from vitals.errors import ConfigurationError, MalformedMessageError
from vitals.model import VITAL_BY_NAME, VITALS
from vitals.ward import Patient, Ward

_VERSION: Final = 1
MAX_SETTINGS: Final = 32  # in one change: more than four vitals have
MAX_ACTOR: Final = 64
MAX_REASON: Final = 200  # it stands on the patient's page
FILE_ACTOR: Final = "configuration file"  # of a preset that names nobody who approved it
FIELDS: Final = tuple(field for field in VitalLimits.__struct_fields__ if field != "unit")
ABSENT: Final = "absent"  # a setting that is not there

Configuration: TypeAlias = Mapping[str, Any]
"""What the files say, in plain values: `preset`, and `patients`: pseudonym → vital → field → value."""


class LimitRecordKind(IntEnum):
    """What a record of the journal of limits holds."""

    CHANGE = 1  # `encode_change`
    CONFIGURATION = 2  # `encode_configuration`


class Setting(Struct, array_like=True, frozen=True):
    """One field of a vital's limits, such as `spo2`, `low`. `value`: `None` is back to what the ward's files say."""

    vital: Annotated[str, Meta(min_length=1, max_length=64)]
    field: Annotated[str, Meta(min_length=1, max_length=64)]
    value: float | None


class LimitChange(Struct, array_like=True, frozen=True):
    """What one person changed of one patient at once. `until_ns`: when it ends by itself, 0 for never.

    `preset`: name and revision of the preset that was in force, which the change was checked against.
    """

    patient: Annotated[str, Meta(min_length=1, max_length=64)]
    settings: Annotated[tuple[Setting, ...], Meta(min_length=1, max_length=MAX_SETTINGS)]
    actor: Annotated[str, Meta(min_length=1, max_length=MAX_ACTOR)]
    reason: Annotated[str, Meta(min_length=1, max_length=MAX_REASON)]
    at_ns: int
    until_ns: int = 0
    preset: str = ""
    version: int = _VERSION

    def is_over(self, now_ns: int) -> bool:
        """Whether it has ended by itself."""
        return 0 < self.until_ns <= now_ns


class ConfigurationChange(Struct, array_like=True, frozen=True):
    """What a server found in its files that differs from what the last one found.

    `before_after`: setting → what it was and is, as text; empty in the first record. `configuration`: all of it.
    """

    configuration: dict[str, Any]
    before_after: dict[str, tuple[str, str]]
    actor: str
    approved_on: str
    preset: str
    at_ns: int
    version: int = _VERSION


_Record = TypeVar("_Record", LimitChange, ConfigurationChange)
_CHANGE: Final = msgspec.msgpack.Decoder(LimitChange)
_CONFIGURATION: Final = msgspec.msgpack.Decoder(ConfigurationChange)


def encode_change(change: LimitChange) -> bytes:
    """The journal form of `change`."""
    return msgspec.msgpack.encode(change)


def decode_change(payload: bytes) -> LimitChange:
    """Read a journal record; raises `MalformedMessageError` for anything that `encode_change` did not write."""
    return _decoded(_CHANGE, payload)


def encode_configuration(change: ConfigurationChange) -> bytes:
    """The journal form of `change`."""
    return msgspec.msgpack.encode(change)


def decode_configuration(payload: bytes) -> ConfigurationChange:
    """Read a journal record; raises `MalformedMessageError` for anything that `encode_configuration` did not write."""
    return _decoded(_CONFIGURATION, payload)


def _decoded(decoder: msgspec.msgpack.Decoder[_Record], payload: bytes) -> _Record:
    try:
        record = decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessageError("truncated", "", f"not a change of limits: {error}") from error
    if record.version != _VERSION:
        message = f"a change of limits of version {record.version} was written by a newer release: upgrade this one"
        raise MalformedMessageError("unknown_version", "version", message)
    return record


def limit_change(
    patient: str, settings: tuple[Setting, ...], actor: str, reason: str, *, at_ns: int, until_ns: int = 0, preset: str
) -> LimitChange:
    """A change that says who and why and of what; raises `ConfigurationError` for what is missing or unknown.

    Whether the limits that follow are safe is not judged here, see `alerts.limits_in_force.check`.
    """
    for option, text, most in (("--by", actor, MAX_ACTOR), ("--why", reason, MAX_REASON)):
        if not text or text != text.strip() or not text.isprintable():
            raise ConfigurationError(f"{option} {text!r}: say it in words, on one line and without spaces around it")
        if len(text) > most:
            raise ConfigurationError(f"{option} is {len(text)} characters long: {most} at most")
    if not 0 < len(settings) <= MAX_SETTINGS:
        raise ConfigurationError(f"{len(settings)} settings: name 1 to {MAX_SETTINGS}, such as spo2.low")
    for setting in settings:
        _check_name(setting)
    named = [(setting.vital, setting.field) for setting in settings]
    for vital, field in named:
        if named.count((vital, field)) > 1:
            raise ConfigurationError(f"{vital}.{field} stands twice: which one is meant?")
    if until_ns and until_ns <= at_ns:
        raise ConfigurationError("--until is over already: name a time to come, or leave it out")
    return LimitChange(patient, settings, actor, reason, at_ns, until_ns, preset)


def _check_name(setting: Setting) -> None:
    if setting.vital not in VITAL_BY_NAME:
        known = ", ".join(sorted(VITAL_BY_NAME))
        raise ConfigurationError(f"{setting.vital}: there is no such vital; known are {known}")
    if setting.field not in FIELDS:
        raise ConfigurationError(f"{setting.vital}.{setting.field}: write one of {', '.join(FIELDS)}")


def setting_words(vital: str, field: str) -> str:
    """What people call a setting: `SpO₂ low`, `SpO₂ severe low delay`."""
    label = VITALS[VITAL_BY_NAME[vital]].label if vital in VITAL_BY_NAME else vital
    return f"{label} {field.removesuffix('_s').replace('_', ' ')}"


def value_words(vital: str, field: str, value: float | None) -> str:
    """A value of a setting with its unit; `off` for a limit that is not there."""
    if value is None:
        return "off"
    unit = "s" if field.endswith("_s") else VITALS[VITAL_BY_NAME[vital]].unit if vital in VITAL_BY_NAME else ""
    return f"{value:g} {unit}".rstrip()


def preset_words(preset: Preset) -> str:
    """Which preset, for people: name and revision."""
    return f"{preset.name} revision {preset.revision}" if preset.revision else preset.name


# -- what the files say ----------------------------------------------------------------------------------------------


def configuration_of(preset: Preset, ward: Ward) -> dict[str, Any]:
    """Preset and ward file, as far as limits, measures and scores go, in plain values."""
    patients = {patient.patient: patient.limits for patient in ward.patients if patient.limits}
    judged = {patient.patient: told for patient in ward.patients if (told := _judged_apart(patient))}
    found: dict[str, Any] = msgspec.to_builtins({"preset": preset, "patients": patients, "judged_apart": judged})
    return found


def _judged_apart(patient: Patient) -> dict[str, Any]:
    """What of falls, areas, trends and scores differs for a patient from everybody else."""
    told = {name: getattr(patient, name) for name in ("measures", "spo2_scale", "oxygen", "early_warning")}
    usual = Patient(patient.patient, patient.bed)
    return {name: value for name, value in told.items() if value != getattr(usual, name)}


def configuration_change(
    last: Configuration | None, preset: Preset, ward: Ward, at_ns: int
) -> ConfigurationChange | None:
    """What the files say now against `last`; `None` when nothing differs."""
    current = configuration_of(preset, ward)
    before, after = _flat(last or {}), _flat(current)
    if last is not None and before == after:
        return None
    differing = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    texts = {name: (before.get(name, ABSENT), after.get(name, ABSENT)) for name in differing} if last else {}
    approved_on = preset.approved_on.isoformat() if preset.approved_on else ""
    return ConfigurationChange(
        current, texts, preset.approved_by or FILE_ACTOR, approved_on, preset_words(preset), at_ns
    )


def preset_of(configuration: Configuration) -> Preset:
    """The preset that a server recorded; raises `ConfigurationError` when another release has other settings."""
    try:
        return msgspec.convert(configuration.get("preset"), Preset)
    except msgspec.ValidationError as error:
        raise ConfigurationError(
            f"the preset that the server recorded is of another release ({error}): start the server of this release "
            "once, or name the preset's alerts.toml with --alerts"
        ) from error


def _flat(value: object, path: str = "") -> dict[str, str]:
    """Every setting under its dotted name, as text; numbers that are equal read the same."""
    if isinstance(value, Mapping):
        items = [(f"{path}.{key}" if path else str(key), each) for key, each in value.items()]
        return {name: text for inner, each in items for name, text in _flat(each, inner).items()}
    if value is None:
        return {}
    if isinstance(value, (list, tuple)):
        return {path: ", ".join(map(str, value))}
    return {path: f"{value:g}" if isinstance(value, float) else str(value)}
