"""The story of a scenario: who is on the simulated ward, what happens, and which alarm each event must raise.

A TOML text that people read and write, checked as a whole. Pure: `simulators.scenario` reads the files.

    name = "one desaturation"
    repeat_every_s = 120          # optional: the story starts again; 0 or absent: it ends

    [[gateways]]
    gateway = "gw-3-east"
    events = [{ kind = "gateway_loss", at_s = 60, for_s = 20 }]

    [[patients]]
    patient = "P-0001"
    bed = "3-01"
    gateway = "gw-3-east"
    devices = [{ device = "patch-01", kind = "patch" }]
    spo2 = 96

    [[patients.events]]
    kind = "desaturation"
    at_s = 5
    to = 84
    over_s = 6
    hold_s = 30
    recover_s = 20
    expect = { condition = "spo2_low", priority = "medium", within_s = 30 }

Events of a patient: `desaturation`, `tachycardia`, `bradycardia`, `tachypnoea`, `bradypnoea`, `motion`; of one of the
patient's devices (`device`, the first when absent): `probe_off`, `searching`, `battery_low`, `drop_out`; of a gateway:
`gateway_loss`, `clock_jump`. What is in force at a given second is worked out in `simulators.timeline`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from simulators.events import (
    Bradycardia,
    Bradypnoea,
    Desaturation,
    DeviceEvent,
    GatewayEvent,
    HeartRate,
    PatientEvent,
    Ramp,
    RespRate,
    Saturation,
    Seconds,
    Tachycardia,
    Tachypnoea,
)
from vitals.errors import ConfigurationError
from vitals.ward import Patient, Ward
from vitals.wire import Name

MAX_PATIENTS: Final = 512  # a hospital floor; the load generator for benchmarks is `simulators.fleet`
WearableKind = Literal["oximeter", "strap", "patch"]


class ScenarioDevice(Struct, frozen=True, forbid_unknown_fields=True):
    """A wearable. What each kind measures stands in `simulators.wearable.MEASURES`."""

    device: Name
    kind: WearableKind = "patch"


class ScenarioPatient(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A patient, the resting values, the wearables and what happens. `limits` go into the ward as they are."""

    patient: Name
    bed: Annotated[str, Meta(min_length=1, max_length=32)]
    gateway: Name
    devices: Annotated[tuple[ScenarioDevice, ...], Meta(min_length=1, max_length=8)]
    heart_rate: HeartRate = 72.0
    spo2: Saturation = 97.0
    resp_rate: RespRate = 14.0
    perfusion: Annotated[float, Meta(gt=0, le=20)] = 2.0
    limits: dict[str, dict[str, Any]] = {}
    events: tuple[PatientEvent, ...] = ()


class ScenarioGateway(Struct, frozen=True, forbid_unknown_fields=True):
    """A gateway and what happens to it."""

    gateway: Name
    events: tuple[GatewayEvent, ...] = ()


class Scenario(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole story. `repeat_every_s` above 0: it starts again after so many seconds."""

    name: Annotated[str, Meta(min_length=1, max_length=80)]
    gateways: Annotated[tuple[ScenarioGateway, ...], Meta(min_length=1, max_length=64)]
    patients: Annotated[tuple[ScenarioPatient, ...], Meta(min_length=1, max_length=MAX_PATIENTS)]
    description: str = ""
    site: Name = "demo"
    time_zone: str = "UTC"
    repeat_every_s: Seconds = 0.0


def decode_scenario(text: bytes, source: str = "scenario") -> Scenario:
    """Read and check a scenario; raises `ConfigurationError` that names `source`, the field and what is wrong."""
    try:
        scenario = msgspec.toml.decode(text, type=Scenario)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{source}: {error}") from error
    problem = next(_problems(scenario), None)
    if problem is not None:
        raise ConfigurationError(f"{source}: {problem}")
    return scenario


def demo_ward(scenario: Scenario) -> Ward:
    """The ward that fits a scenario: its patients, beds, devices and limits."""
    return Ward(
        site=scenario.site,
        time_zone=scenario.time_zone,
        patients=tuple(
            Patient(patient=p.patient, bed=p.bed, devices=tuple(d.device for d in p.devices), limits=p.limits)
            for p in scenario.patients
        ),
    )


# What a ramp moves, and in which direction: +1 up, -1 down.
_DIRECTIONS: Final[Mapping[type[Ramp], tuple[str, int]]] = MappingProxyType(
    {
        Desaturation: ("spo2", -1),
        Tachycardia: ("heart_rate", +1),
        Bradycardia: ("heart_rate", -1),
        Tachypnoea: ("resp_rate", +1),
        Bradypnoea: ("resp_rate", -1),
    }
)


def _problems(scenario: Scenario) -> Iterator[str]:
    """What the types cannot say: names that stand twice or nowhere, events that do not fit."""
    gateways = {g.gateway for g in scenario.gateways}
    yield from _twice("gateways", "gateway", [g.gateway for g in scenario.gateways])
    yield from _twice("patients", "patient", [p.patient for p in scenario.patients])
    yield from _twice("patients", "bed", [p.bed for p in scenario.patients])
    yield from _twice("patients.devices", "device", [d.device for p in scenario.patients for d in p.devices])
    for number, patient in enumerate(scenario.patients):
        path = f"patients[{number}]"
        if patient.gateway not in gateways:
            yield f"{path}.gateway: {patient.gateway!r} is not one of [[gateways]]"
        for index, event in enumerate(patient.events):
            yield from _misfits(f"{path}.events[{index}]", patient, event)
    yield from _too_late(scenario)


def _twice(path: str, what: str, names: list[str]) -> Iterator[str]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield f"{path}: {what} {name!r} stands twice; give each its own"


def _misfits(path: str, patient: ScenarioPatient, event: PatientEvent) -> Iterator[str]:
    worn = [d.device for d in patient.devices]
    if isinstance(event, DeviceEvent) and event.device and event.device not in worn:
        yield f"{path}.device: {event.device!r} is not worn by {patient.patient}; write one of {', '.join(worn)}"
    if isinstance(event, Ramp):
        vital, direction = _DIRECTIONS[type(event)]
        resting = getattr(patient, vital)
        if (event.to - resting) * direction <= 0:
            side = "above" if direction > 0 else "below"
            yield f"{path}.to: {event.to:g} is not {side} the resting {vital} of {resting:g}"


def _too_late(scenario: Scenario) -> Iterator[str]:
    """Events must be over before the story starts again."""
    if not scenario.repeat_every_s:
        return
    named: list[tuple[str, PatientEvent | GatewayEvent]] = [
        (f"patients[{i}]", e) for i, p in enumerate(scenario.patients) for e in p.events
    ]
    named += [(f"gateways[{i}]", e) for i, g in enumerate(scenario.gateways) for e in g.events]
    for path, event in named:
        if event.end_s > scenario.repeat_every_s:
            yield f"{path}.events: one at {event.at_s:g} s ends after repeat_every_s = {scenario.repeat_every_s:g}"
