"""Which limits hold for a patient now: the ward's preset, the ward file, and over both what people changed. Pure.

Of each setting the newest change that has not ended counts. So when a temporary change ends, what it stood over is back
in force, be it an older change or the ward's own; and a change back to the ward's ends whatever came before it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeAlias

from alerts.limit_changes import FIELDS, LimitChange, setting_words, value_words
from alerts.limits import Preset, VitalLimits, limits_of
from vitals.errors import ConfigurationError
from vitals.model import VITAL_BY_NAME, VITALS
from vitals.ward import Patient

Overrides: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Vital → field → value: what differs for a patient, as in a ward file."""

Key: TypeAlias = tuple[str, str]
"""Vital and field."""

_OVER: Final = "the time is over"


class Origin(Enum):
    """Where a limit in force comes from."""

    PRESET = "ward preset"
    WARD_FILE = "ward file"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class InForce:
    """One setting that holds for a patient. `value`: `None` for a limit that is off; `change`: of a changed one."""

    vital: str
    field: str
    value: float | None
    origin: Origin
    change: LimitChange | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting that holds from now on instead of another, and who wanted that; `actor` is empty for time alone."""

    vital: str
    field: str
    before: float | None
    after: float | None
    actor: str
    reason: str
    until_ns: int = 0

    def __str__(self) -> str:
        """`SpO₂ low changed from 88 % to 86 %: why`."""
        before, after = (value_words(self.vital, self.field, value) for value in (self.before, self.after))
        return f"{setting_words(self.vital, self.field)} changed from {before} to {after}: {self.reason}"


class Changes:
    """All changes so far, folded: per setting those that may still come to count."""

    def __init__(self) -> None:
        self._of: dict[str, dict[Key, list[LimitChange]]] = {}

    def take(self, change: LimitChange) -> None:
        """Add the next change, in the order of the journal. Others may be reading: what they have stays as it is."""
        of_patient = dict(self._of.get(change.patient, {}))
        for setting in change.settings:
            key = setting.vital, setting.field
            kept = of_patient.get(key, []) if change.until_ns else []  # a lasting one covers all before it
            of_patient[key] = [*kept, change]
        self._of[change.patient] = of_patient

    @property
    def patients(self) -> frozenset[str]:
        """Of whom anything was ever changed."""
        return frozenset(self._of)

    def counting(self, patient: str, now_ns: int) -> dict[Key, LimitChange]:
        """Setting → the change that counts; a change back to the ward's included."""
        found = {}
        for key, changes in self._of.get(patient, {}).items():
            lasting = [change for change in changes if not change.is_over(now_ns)]
            if lasting:
                found[key] = lasting[-1]
        return found

    def newest(self, patient: str, key: Key) -> LimitChange | None:
        """The last change of a setting, ended or not."""
        changes = self._of.get(patient, {}).get(key)
        return changes[-1] if changes else None

    def overrides(self, patient: str, now_ns: int) -> dict[str, dict[str, float]]:
        """What people changed of a patient, as it counts at `now_ns`."""
        found: defaultdict[str, dict[str, float]] = defaultdict(dict)
        for (vital, field), change in self.counting(patient, now_ns).items():
            value = value_in(change, (vital, field))
            if value is not None:
                found[vital][field] = value
        return dict(found)

    def ends(self, patient: str, now_ns: int) -> list[int]:
        """When changes of a patient will end by themselves, the soonest first."""
        lists = self._of.get(patient, {}).values()
        return sorted({c.until_ns for changes in lists for c in changes if c.until_ns > now_ns})


def value_in(change: LimitChange, key: Key) -> float | None:
    """What `change` says of a setting that it names; `None` for back to the ward's."""
    return next(s.value for s in change.settings if (s.vital, s.field) == key)


def limits_with(preset: Preset, patient: Patient, changed: Overrides) -> dict[str, VitalLimits]:
    """The preset's limits with the ward file's differences and `changed` over them; raises `ConfigurationError`."""
    merged: dict[str, dict[str, Any]] = {name: dict(fields) for name, fields in patient.limits.items()}
    for vital, fields in changed.items():
        if fields and vital in VITAL_BY_NAME:
            merged[vital] = {"unit": VITALS[VITAL_BY_NAME[vital]].unit} | merged.get(vital, {}) | dict(fields)
    return limits_of(preset, patient.patient, merged)


def is_safe(preset: Preset, patient: Patient, changed: Overrides) -> bool:
    """Whether `limits_with` would take it."""
    try:
        limits_with(preset, patient, changed)
    except ConfigurationError:
        return False
    return True


def check(preset: Preset, patient: Patient, changes: Changes, now_ns: int) -> None:
    """Refuse what is unsafe now, or would be once a temporary change ends; raises `ConfigurationError`."""
    limits_with(preset, patient, changes.overrides(patient.patient, now_ns))
    for end_ns in changes.ends(patient.patient, now_ns):
        try:
            limits_with(preset, patient, changes.overrides(patient.patient, end_ns))
        except ConfigurationError as error:
            raise ConfigurationError(f"once a temporary change has ended: {error}") from error


def in_force(
    preset: Preset, patient: Patient, changed: Overrides, counting: Mapping[Key, LimitChange]
) -> Iterator[InForce]:
    """Every limit and delay that holds for a patient with `changed`; raises `ConfigurationError` when unsafe.

    `counting`: whose changes these are, as far as that is known.
    """
    for vital, limits in limits_with(preset, patient, changed).items():
        for field in FIELDS:
            value = getattr(limits, field)
            if not isinstance(value, (int, float)) or _is_delay_of_nothing(limits, field):
                continue
            if field in changed.get(vital, {}):
                change = counting.get((vital, field))
                told = change if change and value_in(change, (vital, field)) == value else None
                yield InForce(vital, field, value, Origin.CHANGED, told)
            else:
                of_ward = field in patient.limits.get(vital, {})
                yield InForce(vital, field, value, Origin.WARD_FILE if of_ward else Origin.PRESET)


def _is_delay_of_nothing(limits: VitalLimits, field: str) -> bool:
    return field.endswith("_delay_s") and getattr(limits, field.removesuffix("_delay_s"), 0) is None


def differences(
    preset: Preset, patient: Patient, before: Overrides, changes: Changes, now_ns: int
) -> tuple[Difference, ...]:
    """What changes when `before` gives way to what counts at `now_ns`; raises `ConfigurationError` when unsafe."""
    old = limits_with(preset, patient, before)
    new = limits_with(preset, patient, changes.overrides(patient.patient, now_ns))
    counting = changes.counting(patient.patient, now_ns)
    found = []
    for vital in dict.fromkeys([*old, *new]):
        for field in FIELDS:
            was, is_now = (getattr(limits.get(vital), field, None) for limits in (old, new))
            if was != is_now:
                change = counting.get((vital, field))
                ended = change is None and changes.newest(patient.patient, (vital, field))
                found.append(_difference(vital, field, was, is_now, change, ended=bool(ended)))
    return tuple(found)


def _difference(
    vital: str, field: str, before: float | None, after: float | None, change: LimitChange | None, *, ended: bool
) -> Difference:
    if change is None:
        return Difference(vital, field, before, after, "", _OVER if ended else "the ward's own again")
    return Difference(vital, field, before, after, change.actor, change.reason, change.until_ns)
