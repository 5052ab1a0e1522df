"""Jumper JPD-500F: readings, and the pulse wave frames between them that nobody understands. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.gatt import jumper
from gateway.gatt.jumper import JumperReading
from simulators.bluez.peripheral import AttError, Characteristic, Lived, Notification, Profile, Service
from simulators.bluez.wearables import optics, standard
from simulators.bluez.wearables.standard import Label

_LABEL: Final = Label("Jumper", "JPD-500F")
_SERVICES: Final = (
    Service(jumper.SERVICE, (Characteristic(jumper.NOTIFY, ("notify",)),)),
    standard.BATTERY,
    _LABEL.service,
)
_WAVE: Final = 0x80  # first byte of a pulse wave frame; its layout is not known, so any bytes follow
_WAVES: Final = 5  # a second
_WAVE_SAMPLES: Final = 10


@dataclass(frozen=True, slots=True)
class Jumper:
    """The state is the battery level."""

    name: str = "My Oximeter"

    @property
    def profile(self) -> Profile:
        return Profile(self.name, _SERVICES, advertised=(jumper.SERVICE,))

    def start(self) -> float:
        return 100.0

    def connect(self, state: float) -> float:
        return state

    def live(self, state: float, lived: Lived) -> tuple[float, tuple[Notification, ...]]:
        seen = optics.numbers(lived)
        reading = JumperReading(seen.spo2_pct, seen.pulse_rate, min(round(seen.perfusion_pct * 10), 0xFF) or None)
        wave = bytes(optics.pleth(lived, _WAVES * _WAVE_SAMPLES, 0, 127))
        waves = (
            Notification(
                jumper.NOTIFY,
                bytes([_WAVE]) + wave[number * _WAVE_SAMPLES :][:_WAVE_SAMPLES],
                (number + 0.5) / _WAVES,
            )
            for number in range(_WAVES)
        )
        told = standard.told_battery(state, lived)
        return lived.condition.battery_pct, (Notification(jumper.NOTIFY, reading.encode()), *told, *waves)

    def read(self, state: float, uuid: str) -> bytes:
        return standard.readable(uuid, _LABEL, state, {})

    def write(self, state: float, uuid: str, data: bytes) -> tuple[float, tuple[Notification, ...]]:  # noqa: ARG002  Wearable
        raise AttError(standard.WRITE_NOT_PERMITTED)
