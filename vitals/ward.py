"""The ward: who is monitored, in which bed, with which wearables.

A `ward.toml` that operators write and both services read. Patients are pseudonyms: no name belongs here.

    site = "north"
    time_zone = "Europe/Berlin"

    [[patients]]
    patient = "P-0001"
    bed = "3-01"
    devices = ["ox-17", "strap-04"]

    [patients.limits.spo2]   # optional: differs from the ward's preset
    low = 86

    [patients.measures.falling]   # likewise
    points = 8
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta, Struct

from vitals.errors import ConfigurationError
from vitals.self_test import SELF_TEST
from vitals.wire import Name


class Patient(Struct, frozen=True, forbid_unknown_fields=True):
    """One monitored person.

    `limits`: vital name → the alarm limits that differ from the preset (alerts/limits.py); `measures`: likewise of
    falls, areas, trends and scores (alerts/measure_settings.py). `spo2_scale`: of the early-warning score, a
    clinician's choice; `oxygen`: whether the patient is given some, where that is known. `early_warning`: not for
    anybody under 16, nor in pregnancy.
    """

    patient: Name
    bed: Annotated[str, Meta(min_length=1, max_length=32)]
    devices: tuple[Name, ...] = ()
    limits: dict[str, dict[str, Any]] = {}
    measures: dict[str, Any] = {}
    spo2_scale: Literal[1, 2] = 1
    oxygen: bool | None = None
    early_warning: bool = True


class Ward(Struct, frozen=True, forbid_unknown_fields=True):
    """The site, its time zone for everything shown to people, and its patients."""

    site: Name
    time_zone: str = "UTC"
    patients: tuple[Patient, ...] = ()

    def patient_of(self) -> dict[str, str]:
        """Device → patient pseudonym."""
        return {device: p.patient for p in self.patients for device in p.devices}


def decode_ward(text: bytes) -> Ward:
    """Read and check a `ward.toml`; raises `ConfigurationError` that names the setting and what to write."""
    try:
        ward = msgspec.toml.decode(text, type=Ward)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"ward: {error}") from error
    try:
        ZoneInfo(ward.time_zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigurationError(
            f"ward: time_zone {ward.time_zone!r} is not known; write one like 'Europe/Berlin'"
        ) from error
    _unique("patient", [p.patient for p in ward.patients])
    _unique("bed", [p.bed for p in ward.patients])
    _unique("device", [d for p in ward.patients for d in p.devices])
    return ward


def _unique(what: str, names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name == SELF_TEST:
            raise ConfigurationError(f"ward: {what} {name!r} is the synthetic patient's name; choose another")
        if name in seen:
            raise ConfigurationError(f"ward: {what} {name!r} stands twice; each belongs to one patient")
        seen.add(name)
