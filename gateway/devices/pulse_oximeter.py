"""Any pulse oximeter with the Pulse Oximeter Service: continuous, spot checks, and what it stored meanwhile. Pure.

Stored measurements are asked for once per connection, when the features say that there may be some and the device's
clock could be read: without it nobody knows when they were made, and they stay on the device. They are never deleted
from it, because nobody can tell here when they are safe; each connection brings all of them, and `told` knows which
were passed on before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from gateway.devices import standard_services
from gateway.devices.device_clock import NOT_READ, DeviceClock
from gateway.devices.driver import NOTHING, Action, Heard, HeardSample, Read, Seen, Stream, Subscribe, Write
from gateway.devices.reading import reading, surplus, unusable
from gateway.gatt import racp
from gateway.gatt.current_time import CURRENT_TIME, CurrentTime
from gateway.gatt.date_time import DateTime
from gateway.gatt.frame import FrameError
from gateway.gatt.plx_features import FEATURES, Feature, PlxFeatures
from gateway.gatt.plx_status import MeasurementStatus, SensorStatus, judge
from gateway.gatt.pulse_oximeter import (
    CONTINUOUS,
    SERVICE,
    SPOT_CHECK,
    ContinuousMeasurement,
    Oximetry,
    SpotCheckMeasurement,
)
from gateway.gatt.racp import RECORD_ACCESS, OpCode, RecordAccess, ResponseCode
from gateway.gatt.sfloat import Number
from vitals.model import Quality, Vital

PATIENCE_NS: Final = 30_000_000_000  # without a record: the time-out that the SIG gives a record access procedure
MOST_TOLD: Final = 1_024  # measurements that are recognised when they come again: more than spot-check devices store
_STORED: Final = "stored measurements"


class Download(Enum):
    """Where the transfer of stored measurements stands, once per connection."""

    NOT_ASKED = "not asked"
    RUNNING = "running"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class PulseOximeterState:
    """`records`: received in this download; `deadline_ns`: when it is given up.

    `told`: time on the device's clock and reading of the measurements that were passed on, oldest first.
    """

    features: PlxFeatures | None = None
    clock: DeviceClock = NOT_READ
    download: Download = Download.NOT_ASKED
    deadline_ns: int = 0
    records: int = 0
    told: tuple[tuple[DateTime, Oximetry], ...] = ()


@dataclass(frozen=True, slots=True)
class PulseOximeterDriver:
    """Pulse Oximeter Service, see `gateway.gatt.pulse_oximeter`."""

    name: str = "pulse-oximeter"
    label: str = "Pulse oximeter"
    vitals: tuple[Vital, ...] = (Vital.SPO2, Vital.PULSE_RATE, Vital.PERFUSION_INDEX, Vital.BATTERY)
    streams: tuple[Stream, ...] = (Stream(CONTINUOUS, stall_s=30.0),)  # older readings are shown as stale
    needs_pairing: bool = False

    def matches(self, seen: Seen) -> bool:
        """A device that advertises the Pulse Oximeter Service."""
        return SERVICE in seen.services

    def begin(self) -> tuple[PulseOximeterState, tuple[Action, ...]]:
        """The clock before the spot checks, which may be old; the features last, since they start the download."""
        return PulseOximeterState(), (
            Subscribe(CONTINUOUS, optional=True),
            Read(CURRENT_TIME, optional=True),
            Subscribe(RECORD_ACCESS, optional=True),
            Subscribe(SPOT_CHECK, optional=True),
            Read(FEATURES, optional=True),
            *standard_services.ACTIONS,
        )

    def resume(self, state: PulseOximeterState) -> tuple[PulseOximeterState, tuple[Action, ...]]:
        """As `begin`, after a connection that ended with `state`: what was told then is not told again."""
        begun, actions = self.begin()
        return replace(begun, told=state.told), actions

    def feed(
        self, state: PulseOximeterState, uuid: str, data: bytes, at_monotonic_ns: int
    ) -> tuple[PulseOximeterState, Heard]:
        """See `Driver.feed`."""
        try:
            return _fed(state, uuid, data, at_monotonic_ns)
        except FrameError as error:
            return state, unusable(uuid, data, error)

    def tick(self, state: PulseOximeterState, at_monotonic_ns: int) -> tuple[PulseOximeterState, Heard]:
        """Give up a download that does not go on."""
        if state.download is not Download.RUNNING or at_monotonic_ns < state.deadline_ns:
            return state, NOTHING
        told = f"{state.records} received, then nothing more: given up until the next connection"
        abort = Write(RECORD_ACCESS, racp.ABORT.encode(), optional=True)
        return replace(state, download=Download.OVER), Heard(actions=(abort,), notes={_STORED: told})


def _fed(state: PulseOximeterState, uuid: str, data: bytes, at_ns: int) -> tuple[PulseOximeterState, Heard]:
    if uuid == CONTINUOUS:
        return state, _continuous(state, ContinuousMeasurement.decode(data), at_ns)
    if uuid == SPOT_CHECK:
        return _spot_check(state, SpotCheckMeasurement.decode(data), at_ns)
    if uuid == FEATURES:
        return _asked(replace(state, features=PlxFeatures.decode(data)), at_ns)
    if uuid == CURRENT_TIME:
        return _asked(replace(state, clock=DeviceClock.read_at(CurrentTime.decode(data), at_ns)), at_ns)
    if uuid == RECORD_ACCESS:
        return _answered(state, RecordAccess.decode(data))
    return state, standard_services.heard(uuid, data, at_ns)


def _asked(state: PulseOximeterState, at_ns: int) -> tuple[PulseOximeterState, Heard]:
    """Ask for the stored measurements if that is possible and was not done yet."""
    stores = state.features is not None and bool(state.features.features & Feature.SPOT_CHECK_STORAGE)
    if not stores or state.download is not Download.NOT_ASKED:
        return state, NOTHING
    if state.clock.offset_ns is None:
        return state, Heard(notes={_STORED: "left on the device: without its clock nobody knows when they were made"})
    ask = Write(RECORD_ACCESS, racp.REPORT_ALL.encode(), optional=True)
    return replace(state, download=Download.RUNNING, deadline_ns=at_ns + PATIENCE_NS), Heard(actions=(ask,))


def _answered(state: PulseOximeterState, said: RecordAccess) -> tuple[PulseOximeterState, Heard]:
    if said.answer is None or said.answer.to is not OpCode.REPORT_RECORDS or state.download is not Download.RUNNING:
        return state, NOTHING
    complete = said.answer.code in {ResponseCode.SUCCESS, ResponseCode.NO_RECORDS}
    ended = "" if complete else f", then: {said.answer.code.name.lower().replace('_', ' ')}"
    return replace(state, download=Download.OVER), Heard(notes={_STORED: f"{state.records} received{ended}"})


def _continuous(state: PulseOximeterState, said: ContinuousMeasurement, at_ns: int) -> Heard:
    """Of the three averages the normal one, which every device has: one stream, one averaging time."""
    judged = _Judge(state.features, said.measurement_status, said.sensor_status, at_ns)
    samples = judged.samples(said.normal, said.pulse_amplitude_pct)
    return Heard(samples, malformed=surplus(CONTINUOUS, said.surplus))


def _spot_check(state: PulseOximeterState, said: SpotCheckMeasurement, at_ns: int) -> tuple[PulseOximeterState, Heard]:
    downloading = state.download is Download.RUNNING
    if downloading:
        state = replace(state, records=state.records + 1, deadline_ns=at_ns + PATIENCE_NS)
    status = said.measurement_status or MeasurementStatus(0)
    from_memory = downloading or bool(status & MeasurementStatus.FROM_STORAGE)
    measured_at = None if said.clock_not_set else said.measured_at
    placed = state.clock.place(measured_at, at_ns, from_memory=from_memory)
    if placed is None:
        told = f"value in {SPOT_CHECK}: a stored measurement without a time that can be believed is left out"
        return state, Heard(malformed=(told,))
    if measured_at is not None:
        if placed.stored and (measured_at, said.reading) in state.told:
            return state, NOTHING
        state = replace(state, told=(*state.told, (measured_at, said.reading))[-MOST_TOLD:])
    judged = _Judge(state.features, said.measurement_status, said.sensor_status, *placed)
    samples = judged.samples(said.reading, said.pulse_amplitude_pct)
    return state, Heard(samples, notes=state.clock.doubt(said.measured_at), malformed=surplus(SPOT_CHECK, said.surplus))


@dataclass(frozen=True, slots=True)
class _Judge:
    """What the numbers of one measurement have in common."""

    features: PlxFeatures | None
    measurement: MeasurementStatus | None
    sensor: SensorStatus | None
    at_ns: int
    stored: bool = False

    def samples(self, said: Oximetry, amplitude: Number | None) -> tuple[HeardSample, ...]:
        numbers = [(Vital.SPO2, said.spo2_pct), (Vital.PULSE_RATE, said.pulse_rate)]
        if amplitude is not None:
            numbers.append((Vital.PERFUSION_INDEX, amplitude))
        return tuple(self._sample(vital, number) for vital, number in numbers)

    def _sample(self, vital: Vital, number: Number) -> HeardSample:
        value, reason, quality = judge(number, self.measurement, self.sensor)
        if quality is Quality.USABLE and self.features is not None and not self.features.tells_quality:
            quality = Quality.UNKNOWN
        return reading(vital, self.at_ns, value, reason, quality, stored=self.stored)
