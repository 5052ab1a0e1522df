"""What a scenario says of a given second: where each body is to go, how each device and gateway fares.

Pure functions of the scenario and the time since its start. Where events of one kind overlap, the later one in the file
wins; different kinds add up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from simulators.body import Targets
from simulators.events import (
    BatteryLow,
    Bradycardia,
    Desaturation,
    DeviceEvent,
    DropOut,
    Expect,
    FalsePulse,
    GatewayEvent,
    GatewayLoss,
    Lasting,
    Motion,
    PatientEvent,
    ProbeOff,
    Ramp,
    Searching,
    Tachycardia,
)
from simulators.story import Scenario, ScenarioGateway, ScenarioPatient

SETTLE_S: Final = 4.0  # a sensor put back on searches before it reads
_FULL_BATTERY_PCT: Final = 96.0
_NS: Final = 1_000_000_000


class Contact(Enum):
    """How a device sits on its patient. `SILENT`: the radio is gone, nothing is heard of it."""

    WORN = "worn"
    SEARCHING = "searching"
    PROBE_OFF = "probe_off"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class DeviceCondition:
    """A device at one second. `false_pulse`: the rate per minute that it counts in place of the patient's."""

    contact: Contact
    battery_pct: float
    false_pulse: float | None = None


class Network(Enum):
    """The way from a gateway to its server. `SILENT`: packets vanish; neither end is told that the other is gone."""

    UP = "up"
    RESET = "reset"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class GatewayCondition:
    """A gateway at one second. `wall_error_ns`: how wrong its wall clock is."""

    network: Network
    wall_error_ns: int


@dataclass(frozen=True, slots=True)
class Expectation:
    """An alarm that must be told: about `subject` (a patient or a gateway), in [`from_ns`, `until_ns`]."""

    subject: str
    event: str
    expect: Expect
    from_ns: int
    until_ns: int

    def met_by(self, subject: str, condition: str, priority: str, told_at_ns: int) -> bool:
        """Whether an alarm with these words, told at this time, is the expected one."""
        wanted = (self.subject, self.expect.condition, self.expect.priority)
        return (subject, condition, priority) == wanted and self.from_ns <= told_at_ns <= self.until_ns


def folded_s(scenario: Scenario, elapsed_s: float) -> float:
    """Seconds into the current round of a story that repeats."""
    return elapsed_s % scenario.repeat_every_s if scenario.repeat_every_s else elapsed_s


def targets_at(patient: ScenarioPatient, at_s: float) -> Targets:
    """Where the patient's body is to go at `at_s` (see `folded_s`)."""
    heart, spo2, resp, motion = patient.heart_rate, patient.spo2, patient.resp_rate, 0.0
    for event in patient.events:
        if isinstance(event, Motion):
            motion = event.strength if _lasts(event, at_s) else motion
        elif isinstance(event, Ramp) and (share := ramp_share(event, at_s)) > 0:
            if isinstance(event, Desaturation):
                spo2 = patient.spo2 + share * (event.to - patient.spo2)
            elif isinstance(event, Tachycardia | Bradycardia):
                heart = patient.heart_rate + share * (event.to - patient.heart_rate)
            else:
                resp = patient.resp_rate + share * (event.to - patient.resp_rate)
    return Targets(heart, spo2, resp, motion)


def ramp_share(event: Ramp, at_s: float) -> float:
    """How far a ramp has gone at `at_s`: 0 at rest, 1 while it holds."""
    since = at_s - event.at_s
    left = event.end_s - at_s
    if since < 0 or left <= 0:
        return 0.0
    rise = since / event.over_s if since < event.over_s else 1.0
    fall = left / event.recover_s if left < event.recover_s else 1.0
    return min(rise, fall)


def device_at(patient: ScenarioPatient, device: str, at_s: float) -> DeviceCondition:
    """How one of the patient's devices fares at `at_s`."""
    contact, battery, false_pulse = Contact.WORN, _FULL_BATTERY_PCT, None
    for event in patient.events:
        if isinstance(event, DeviceEvent) and device == (event.device or patient.devices[0].device):
            if isinstance(event, BatteryLow):
                battery = event.to if _lasts(event, at_s) else battery
            elif isinstance(event, FalsePulse):
                false_pulse = event.to if _lasts(event, at_s) else false_pulse
            else:
                contact = _contact(event, at_s) or contact
    return DeviceCondition(contact, battery, false_pulse)


def _contact(event: DeviceEvent, at_s: float) -> Contact | None:
    """The contact that an event causes now; `None` when it is not on."""
    if _lasts(event, at_s):
        return {ProbeOff: Contact.PROBE_OFF, Searching: Contact.SEARCHING, DropOut: Contact.SILENT}[type(event)]
    settling = isinstance(event, ProbeOff) and event.end_s <= at_s < event.end_s + SETTLE_S
    return Contact.SEARCHING if settling else None


def gateway_at(gateway: ScenarioGateway, at_s: float) -> GatewayCondition:
    """How a gateway fares at `at_s`."""
    network, error_ns = Network.UP, 0
    for event in gateway.events:
        if not _lasts(event, at_s):
            continue
        if isinstance(event, GatewayLoss):
            network = Network.SILENT if event.silent else Network.RESET
        else:
            error_ns = round(event.by_s * _NS)
    return GatewayCondition(network, error_ns)


def _lasts(event: Lasting, at_s: float) -> bool:
    return event.at_s <= at_s < event.end_s


def expectations(scenario: Scenario, start_ns: int, until_s: float) -> Iterator[Expectation]:
    """Every alarm that the events begun before `until_s` must raise, over all rounds of the story, in no order."""
    subjects: list[tuple[str, PatientEvent | GatewayEvent]] = [
        (p.patient, e) for p in scenario.patients for e in p.events
    ]
    subjects += [(g.gateway, e) for g in scenario.gateways for e in g.events]
    for subject, event in subjects:
        begins_s = event.at_s
        while event.expect is not None and begins_s < until_s:
            from_ns = start_ns + round(begins_s * _NS)
            kind = str(type(event).__struct_config__.tag)
            yield Expectation(subject, kind, event.expect, from_ns, from_ns + round(event.expect.within_s * _NS))
            if not scenario.repeat_every_s:
                break
            begins_s += scenario.repeat_every_s
