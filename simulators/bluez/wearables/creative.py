"""Creative PC-60FW: readings once a second, a pulse wave, and now and then its battery. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.gatt import creative
from gateway.gatt.creative import (
    NO_TROUBLE,
    CreativeBattery,
    CreativeFrame,
    CreativePleth,
    CreativeReading,
    Trouble,
)
from simulators.bluez.peripheral import AttError, Characteristic, Lived, Notification, Profile, Service
from simulators.bluez.wearables import optics, standard
from simulators.bluez.wearables.optics import Numbers
from simulators.bluez.wearables.standard import Label

_LABEL: Final = Label("Creative", "PC-60FW")
_SERVICES: Final = (
    Service(
        creative.SERVICE,
        (
            Characteristic(creative.NOTIFY, ("notify",)),
            Characteristic(creative.WRITE, ("write", "write-without-response")),
        ),
    ),
    _LABEL.service,
)
_WAVES: Final = int(creative.PLETH_RATE_HZ) // creative.PLETH_SAMPLES  # frames a second
_BATTERY_EVERY_S: Final = 10
_QUARTER_PCT: Final = 25


@dataclass(frozen=True, slots=True)
class Creative:
    """It has no state but its battery level, and takes no commands."""

    name: str = "PC-60F_SN000001"

    @property
    def profile(self) -> Profile:
        return Profile(self.name, _SERVICES, advertised=(creative.SERVICE,))

    def start(self) -> float:
        return 100.0

    def connect(self, state: float) -> float:
        return state

    def live(self, state: float, lived: Lived) -> tuple[float, tuple[Notification, ...]]:  # noqa: ARG002  Wearable
        return lived.condition.battery_pct, tuple(
            Notification(creative.NOTIFY, frame.encode(), after_s) for frame, after_s in _frames(lived)
        )

    def read(self, state: float, uuid: str) -> bytes:
        return standard.readable(uuid, _LABEL, state, {})

    def write(self, state: float, uuid: str, data: bytes) -> tuple[float, tuple[Notification, ...]]:  # noqa: ARG002  Wearable
        if uuid != creative.WRITE:
            raise AttError(standard.WRITE_NOT_PERMITTED)
        return state, ()


def _frames(lived: Lived) -> Iterator[tuple[CreativeFrame, float]]:
    seen = optics.numbers(lived)
    permille = min(round(seen.perfusion_pct * 10), 0xFF) or None
    reading = CreativeReading(seen.spo2_pct, seen.pulse_rate, permille, _trouble(seen))
    yield CreativeFrame(creative.READING, reading.encode()), 0.0
    if lived.at_s % _BATTERY_EVERY_S == 0:
        quarter = min(int(lived.condition.battery_pct) // _QUARTER_PCT, 3)
        yield CreativeFrame(creative.BATTERY, CreativeBattery(quarter).encode()), 0.0
    wave = optics.pleth(lived, _WAVES * creative.PLETH_SAMPLES, 0, 127)
    for number in range(_WAVES):
        samples = wave[number * creative.PLETH_SAMPLES :][: creative.PLETH_SAMPLES]
        pleth = CreativePleth(samples, (False,) * creative.PLETH_SAMPLES)
        yield CreativeFrame(creative.PLETH, pleth.encode()), number / _WAVES


def _trouble(seen: Numbers) -> Trouble:
    if seen.off:
        return Trouble.PROBE_OFF
    return Trouble.SEARCHING if seen.searching else NO_TROUBLE
