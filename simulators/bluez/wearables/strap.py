"""A chest strap: the Heart Rate service with beat intervals. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from gateway.gatt import heart_rate
from gateway.gatt.frame import FrameError
from gateway.gatt.heart_rate import BodySensorLocation, HeartRateMeasurement
from simulators.bluez.peripheral import AttError, Characteristic, Lived, Notification, Profile, Service
from simulators.bluez.wearables import standard
from simulators.bluez.wearables.standard import Label
from simulators.timeline import Contact

_LABEL: Final = Label("Wardlight", "Simulated strap")
_SERVICES: Final = (
    Service(
        heart_rate.SERVICE,
        (
            Characteristic(heart_rate.MEASUREMENT, ("notify",)),
            Characteristic(heart_rate.LOCATION, ("read",)),
            Characteristic(heart_rate.CONTROL_POINT, ("write",)),
        ),
    ),
    standard.BATTERY,
    _LABEL.service,
)
_LOWEST_RR: Final = 600  # 586 ms: every number that is made of two intervals is a plausible pair of beats
_RR_STEPS: Final = 600
_CONTROL_POINT_VALUE_NOT_SUPPORTED: Final = 0x80


@dataclass(frozen=True, slots=True)
class StrapState:
    """`sent`: notifications since it was switched on. `energy_kj`: since the last reset."""

    sent: int = 0
    energy_kj: float = 0.0
    battery_pct: float = 100.0


@dataclass(frozen=True, slots=True)
class Strap:
    """`numbered`: its two RR intervals are a serial number (see `serial_of`), so that no reading is like another.

    `per_second`: notifications per second, for loads that no strap makes. `intervals` off: an optical sensor, which
    tells none.
    """

    name: str = "Strap"
    numbered: bool = False
    per_second: int = 1
    intervals: bool = True

    @property
    def profile(self) -> Profile:
        return Profile(self.name, _SERVICES, advertised=(heart_rate.SERVICE,))

    def start(self) -> StrapState:
        return StrapState()

    def connect(self, state: StrapState) -> StrapState:
        return state

    def live(self, state: StrapState, lived: Lived) -> tuple[StrapState, tuple[Notification, ...]]:
        told = tuple(standard.told_battery(state.battery_pct, lived))
        beats = tuple(
            Notification(
                heart_rate.MEASUREMENT,
                self._measured(state.sent + number, state.energy_kj, lived).encode(),
                number / self.per_second,
            )
            for number in range(self.per_second)
        )
        energy_kj = min(state.energy_kj + lived.second.heart_rate_per_min / 1000, 0xFFFF)
        return StrapState(state.sent + self.per_second, energy_kj, lived.condition.battery_pct), (*beats, *told)

    def read(self, state: StrapState, uuid: str) -> bytes:
        location = heart_rate.encode_location(BodySensorLocation.CHEST)
        return standard.readable(uuid, _LABEL, state.battery_pct, {heart_rate.LOCATION: location})

    def write(self, state: StrapState, uuid: str, data: bytes) -> tuple[StrapState, tuple[Notification, ...]]:
        if uuid != heart_rate.CONTROL_POINT:
            raise AttError(standard.WRITE_NOT_PERMITTED)
        try:
            heart_rate.decode_control_point(data)
        except FrameError:
            raise AttError(_CONTROL_POINT_VALUE_NOT_SUPPORTED) from None
        return replace(state, energy_kj=0.0), ()

    def _measured(self, number: int, energy_kj: float, lived: Lived) -> HeartRateMeasurement:
        worn = lived.condition.contact is Contact.WORN
        rate = round(lived.second.heart_rate_per_min) if worn else None
        contact = lived.condition.contact is not Contact.PROBE_OFF
        raw = tuple(round(float(s) * heart_rate.RR_UNITS_PER_S) for s in lived.second.rr_intervals_s)
        intervals = serial_intervals(number) if self.numbered else raw
        return HeartRateMeasurement(rate, contact, int(energy_kj), intervals if worn and self.intervals else ())


def serial_intervals(number: int) -> tuple[int, int]:
    """Two RR intervals in 1/1024 s that stand for a number below 360,000."""
    high, low = divmod(number % _RR_STEPS**2, _RR_STEPS)
    return _LOWEST_RR + high, _LOWEST_RR + low


def serial_of(measured: HeartRateMeasurement) -> int:
    """The number that `serial_intervals` has written."""
    high, low = measured.rr_intervals
    return (high - _LOWEST_RR) * _RR_STEPS + low - _LOWEST_RR
