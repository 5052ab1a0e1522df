"""Any thermometer with the Health Thermometer Service. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.devices import standard_services
from gateway.devices.device_clock import NOT_READ, DeviceClock
from gateway.devices.driver import Action, Heard, Read, Seen, Stream, Subscribe
from gateway.devices.reading import reading, surplus, unusable
from gateway.gatt.current_time import CURRENT_TIME, CurrentTime
from gateway.gatt.frame import FrameError
from gateway.gatt.sfloat import Special
from gateway.gatt.thermometer import MEASUREMENT, SERVICE, TemperatureMeasurement
from vitals.model import Reason, Vital


@dataclass(frozen=True, slots=True)
class ThermometerState:
    clock: DeviceClock = NOT_READ


@dataclass(frozen=True, slots=True)
class ThermometerDriver:
    """Health Thermometer Service, see `gateway.gatt.thermometer`.

    Many thermometers measure first and connect then: their measurements carry the time, and the clock is read before
    they are asked for. It measures when somebody wants it to, so no stream may be expected.
    """

    name: str = "thermometer"
    label: str = "Thermometer"
    vitals: tuple[Vital, ...] = (Vital.BODY_TEMPERATURE, Vital.BATTERY)
    streams: tuple[Stream, ...] = ()
    needs_pairing: bool = False

    def matches(self, seen: Seen) -> bool:
        """A device that advertises the Health Thermometer Service."""
        return SERVICE in seen.services

    def begin(self) -> tuple[ThermometerState, tuple[Action, ...]]:
        """The clock first, see above."""
        return ThermometerState(), (
            Read(CURRENT_TIME, optional=True),
            Subscribe(MEASUREMENT),
            *standard_services.ACTIONS,
        )

    def feed(
        self, state: ThermometerState, uuid: str, data: bytes, at_monotonic_ns: int
    ) -> tuple[ThermometerState, Heard]:
        """See `Driver.feed`."""
        try:
            if uuid == MEASUREMENT:
                return state, _measured(state, TemperatureMeasurement.decode(data), at_monotonic_ns)
            if uuid == CURRENT_TIME:
                return replace(state, clock=DeviceClock.read_at(CurrentTime.decode(data), at_monotonic_ns)), Heard()
            return state, standard_services.heard(uuid, data, at_monotonic_ns)
        except FrameError as error:
            return state, unusable(uuid, data, error)

    def tick(self, state: ThermometerState, at_monotonic_ns: int) -> tuple[ThermometerState, Heard]:  # noqa: ARG002  as every driver
        """Nothing to do."""
        return state, Heard()


def _measured(state: ThermometerState, said: TemperatureMeasurement, told_at_ns: int) -> Heard:
    placed = state.clock.place(said.measured_at, told_at_ns, from_memory=False)
    assert placed is not None  # only what is known to be from memory has no place
    reason = said.temperature.reason if isinstance(said.temperature, Special) else Reason.PRESENT
    sample = reading(Vital.BODY_TEMPERATURE, placed.at_monotonic_ns, said.celsius, reason, stored=placed.stored)
    notes = state.clock.doubt(said.measured_at)
    if said.site is not None:
        notes["measured at"] = said.site.name.lower().replace("_", " ")
    return Heard((sample,), notes=notes, malformed=surplus(MEASUREMENT, said.surplus))
