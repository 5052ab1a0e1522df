"""A ward of simulated wearables: a mixed one of any size, or the patients of a scenario. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import cycle
from types import MappingProxyType
from typing import Final

import msgspec
import numpy as np

from simulators.bluez.peripheral import MAX_PERIPHERALS, PeripheralSpec
from simulators.events import DeviceEvent
from simulators.story import Scenario, ScenarioDevice, ScenarioPatient, WearableKind
from vitals.errors import ConfigurationError

#: Every kind that real wards mix; the thermometer last, since nobody alarms on it.
MIX: Final = (
    *("strap", "plx", "polar-h10", "viatom", "nonin-3230", "berrymed", "jumper", "creative", "polar-sense"),
    *("nonin-3150", "thermometer"),
)
#: What a scenario's wearable may be: a patch measures with light, and so is an oximeter here.
_STAND_INS: Final[Mapping[WearableKind, tuple[str, ...]]] = MappingProxyType(
    {
        "oximeter": ("plx", "viatom", "nonin-3230", "creative", "jumper", "berrymed"),
        "strap": ("strap", "polar-h10"),
        "patch": ("plx", "nonin-3150"),
    }
)


def address(number: int) -> str:
    """Of the wearable with this number: a static random address."""
    return f"C0:00:00:00:{number >> 8:02X}:{number & 0xFF:02X}"


def mixed(wearables: int, seed: int = 1) -> tuple[PeripheralSpec, ...]:
    """So many wearables of all kinds, each on a patient of its own; raises `ConfigurationError`."""
    if not 1 <= wearables <= MAX_PERIPHERALS:
        raise ConfigurationError(f"wearables {wearables}: give 1 to {MAX_PERIPHERALS}")
    rng = np.random.default_rng(seed)
    return tuple(
        PeripheralSpec(
            address=address(number),
            kind=kind,
            patient=ScenarioPatient(
                patient=f"P-{number:04}",
                bed=f"{number}",
                gateway="gw-sim",
                devices=(ScenarioDevice(f"{kind}-{number:02}"),),
                heart_rate=round(float(rng.uniform(58, 96)), 1),
                spo2=round(float(rng.uniform(94, 98)), 1),
                resp_rate=round(float(rng.uniform(12, 18)), 1),
            ),
            seed=seed,
            rssi_dbm=int(rng.integers(-82, -48)),
        )
        for number, kind in zip(range(1, wearables + 1), cycle(MIX), strict=False)
    )


def of_scenario(scenario: Scenario, seed: int = 1) -> tuple[PeripheralSpec, ...]:
    """Every wearable of a scenario's patients; wearables of one patient share his or her body."""
    kinds = {kind: cycle(stand_ins) for kind, stand_ins in _STAND_INS.items()}
    worn = [(patient, device) for patient in scenario.patients for device in patient.devices]
    if len(worn) > MAX_PERIPHERALS:
        raise ConfigurationError(f"the scenario has {len(worn)} wearables; {MAX_PERIPHERALS} can be simulated")
    return tuple(
        PeripheralSpec(
            address=address(number),
            kind=next(kinds[device.kind]),
            patient=_wearing(patient, device),
            seed=seed,
            repeat_every_s=scenario.repeat_every_s,
        )
        for number, (patient, device) in enumerate(worn, start=1)
    )


def device_name(spec: PeripheralSpec) -> str:
    """What the gateway's settings and the ward's file call the wearable."""
    return spec.patient.devices[0].device


def gateway_settings(
    specs: tuple[PeripheralSpec, ...], *, url: str, site: str, folder: str, adapters: tuple[str, ...]
) -> str:
    """A settings file for a gateway that allows all of these wearables and keeps its spool in `folder`."""
    return "\n".join(_settings_lines(specs, url, site, folder, adapters)) + "\n"


def _settings_lines(
    specs: tuple[PeripheralSpec, ...], url: str, site: str, folder: str, adapters: tuple[str, ...]
) -> Iterator[str]:
    yield from ("# A gateway for simulated wearables.", f'site = "{site}"', 'gateway = "gw-sim"')
    yield from (f'runtime_folder = "{folder}"', "", "[uplink]", f'url = "{url}"', "")
    yield from ("[spool]", f'folder = "{folder}"')
    yield from ("", "[clock]", "hold_s = 2  # a computer for trying things out may have no time server", "")
    yield from ("", "[radio]", "adapters = [" + ", ".join(f'"{name}"' for name in adapters) + "]")
    for spec in specs:
        yield from ("", "[[device]]", f'name = "{device_name(spec)}"', f'address = "{spec.address}"')


def _wearing(patient: ScenarioPatient, device: ScenarioDevice) -> ScenarioPatient:
    """The patient with this wearable alone, and the events that concern it."""
    first = patient.devices[0].device
    events = tuple(
        event
        for event in patient.events
        if not isinstance(event, DeviceEvent) or (event.device or first) == device.device
    )
    return msgspec.structs.replace(patient, devices=(device,), events=events)
