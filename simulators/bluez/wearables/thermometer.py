"""A patch with the Health Thermometer service: an indication every ten seconds. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from math import pi, sin
from typing import Final

from gateway.gatt import thermometer
from gateway.gatt.sfloat import Number, Special
from gateway.gatt.thermometer import Site, TemperatureMeasurement
from simulators.bluez.peripheral import AttError, Characteristic, Lived, Notification, Profile, Service
from simulators.bluez.wearables import standard
from simulators.bluez.wearables.standard import Label
from simulators.timeline import Contact

_LABEL: Final = Label("Wardlight", "Simulated thermometer")
_SERVICES: Final = (
    Service(thermometer.SERVICE, (Characteristic(thermometer.MEASUREMENT, ("indicate",)),)),
    standard.BATTERY,
    _LABEL.service,
)
_WANDER_C: Final = 0.15
_WANDER_PERIOD_S: Final = 600


@dataclass(frozen=True, slots=True)
class Thermometer:
    """`celsius`: the wearer's temperature, which the body of the simulation does not have; it wanders a little."""

    name: str = "Thermometer"
    celsius: float = 36.8
    every_s: int = 10

    @property
    def profile(self) -> Profile:
        return Profile(self.name, _SERVICES, advertised=(thermometer.SERVICE,))

    def start(self) -> float:
        return 100.0

    def connect(self, state: float) -> float:
        return state

    def live(self, state: float, lived: Lived) -> tuple[float, tuple[Notification, ...]]:
        told = tuple(standard.told_battery(state, lived))
        if lived.at_s % self.every_s:
            return lived.condition.battery_pct, told
        measured = TemperatureMeasurement(self._degrees(lived), site=Site.ARMPIT)
        return lived.condition.battery_pct, (Notification(thermometer.MEASUREMENT, measured.encode()), *told)

    def read(self, state: float, uuid: str) -> bytes:
        return standard.readable(uuid, _LABEL, state, {})

    def write(self, state: float, uuid: str, data: bytes) -> tuple[float, tuple[Notification, ...]]:  # noqa: ARG002  Wearable
        raise AttError(standard.WRITE_NOT_PERMITTED)

    def _degrees(self, lived: Lived) -> Number:
        if lived.condition.contact is not Contact.WORN:
            return Special.NAN
        return Decimal(f"{self.celsius + _WANDER_C * sin(2 * pi * lived.at_s / _WANDER_PERIOD_S):.2f}")
