"""Jumper JPD-500F: oximetry, as often as its display changes. Its pulse wave is not understood, and ignored. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.devices import standard_services
from gateway.devices.cadence import Cadence, every_second
from gateway.devices.driver import NOTHING, Action, Heard, Seen, Stream, Subscribe
from gateway.devices.reading import reading, unusable
from gateway.gatt import jumper
from gateway.gatt.frame import FrameError
from gateway.gatt.jumper import JumperReading
from vitals.model import Quality, Reason, Vital


@dataclass(frozen=True, slots=True)
class JumperDriver:
    """Jumper's oximeter, see `gateway.gatt.jumper`. The state is when the next reading is due."""

    name: str = "jumper"
    label: str = "Jumper JPD-500F"
    vitals: tuple[Vital, ...] = (Vital.SPO2, Vital.PULSE_RATE, Vital.PERFUSION_INDEX)
    streams: tuple[Stream, ...] = (Stream(jumper.NOTIFY, stall_s=15.0),)  # it sends its pulse wave all the time
    needs_pairing: bool = False

    def matches(self, seen: Seen) -> bool:
        """A device that advertises Jumper's service, or has its name."""
        return jumper.SERVICE in seen.services or seen.name == "My Oximeter"

    def begin(self) -> tuple[Cadence, tuple[Action, ...]]:
        return every_second(), (Subscribe(jumper.NOTIFY), *standard_services.ACTIONS)

    def feed(self, state: Cadence, uuid: str, data: bytes, at_monotonic_ns: int) -> tuple[Cadence, Heard]:
        """See `Driver.feed`."""
        try:
            if uuid != jumper.NOTIFY:
                return state, standard_services.heard(uuid, data, at_monotonic_ns)
            if not jumper.is_reading(data):
                return state, NOTHING
            said = JumperReading.decode(data)
        except FrameError as error:
            return state, unusable(uuid, data, error)
        state, due = state.tell(at_monotonic_ns)
        return state, _told(said, at_monotonic_ns) if due else NOTHING

    def tick(self, state: Cadence, at_monotonic_ns: int) -> tuple[Cadence, Heard]:  # noqa: ARG002  Driver
        """Nothing to do."""
        return state, NOTHING


def _told(said: JumperReading, at_ns: int) -> Heard:
    """The device says nothing about quality, nor why there is no number; its perfusion index is doubtful for us."""
    perfusion = None if said.perfusion is None else said.perfusion / 10
    values: dict[Vital, float | None] = {Vital.SPO2: said.spo2_pct, Vital.PULSE_RATE: said.pulse_rate}
    samples = [
        reading(vital, at_ns, value, Reason.NO_READING if value is None else Reason.PRESENT)
        for vital, value in values.items()
    ]
    missing = Reason.NO_READING if perfusion is None else Reason.PRESENT
    return Heard((*samples, reading(Vital.PERFUSION_INDEX, at_ns, perfusion, missing, Quality.DOUBTFUL)))
