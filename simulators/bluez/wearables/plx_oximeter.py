"""A finger clip with the Pulse Oximeter service: continuous, and spot checks that it stores while nobody listens. Pure.

While it is not connected it keeps one measurement per `store_every_s`; RACP "report all" sends them as indications. Its
clock began at an arbitrary date and is read with Current Time, so that stored times can be placed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from gateway.gatt.current_time import CURRENT_TIME, CurrentTime
from gateway.gatt.date_time import DateTime
from gateway.gatt.frame import FrameError
from gateway.gatt.plx_features import FEATURES, Feature, PlxFeatures
from gateway.gatt.plx_status import MeasurementStatus, SensorStatus
from gateway.gatt.pulse_oximeter import (
    CONTINUOUS,
    SERVICE,
    SPOT_CHECK,
    ContinuousMeasurement,
    Oximetry,
    SpotCheckMeasurement,
)
from gateway.gatt.racp import RECORD_ACCESS, Answer, OpCode, Operator, RecordAccess, ResponseCode
from gateway.gatt.sfloat import Special
from simulators.bluez.peripheral import AttError, Characteristic, Lived, Notification, Profile, Service
from simulators.bluez.wearables import standard
from simulators.bluez.wearables.standard import Label
from simulators.timeline import Contact

MAX_RECORDS: Final = 24  # the device's memory; the oldest make room
DEVICE_EPOCH: Final = datetime(2024, 1, 1, tzinfo=UTC)  # what its clock showed when it was switched on
_BETWEEN_RECORDS_S: Final = 0.02  # an indication waits for its confirmation
_LABEL: Final = Label("Wardlight", "Simulated oximeter")
_CURRENT_TIME_SERVICE: Final = "00001805-0000-1000-8000-00805f9b34fb"
_SERVICES: Final = (
    Service(
        SERVICE,
        (
            Characteristic(CONTINUOUS, ("notify",)),
            Characteristic(SPOT_CHECK, ("indicate",)),
            Characteristic(FEATURES, ("read",)),
            Characteristic(RECORD_ACCESS, ("write", "indicate")),
        ),
    ),
    Service(_CURRENT_TIME_SERVICE, (Characteristic(CURRENT_TIME, ("read",)),)),
    standard.BATTERY,
    _LABEL.service,
)
_MEASURES: Final = (
    MeasurementStatus.MEASUREMENT_ONGOING | MeasurementStatus.QUESTIONABLE | MeasurementStatus.UNAVAILABLE
)
_SENSES: Final = (
    SensorStatus.SENSOR_UNCONNECTED_TO_USER | SensorStatus.SIGNAL_ANALYSIS_ONGOING | SensorStatus.ERRATIC_SIGNAL
)
_FEATURES: Final = PlxFeatures(
    Feature.MEASUREMENT_STATUS_SUPPORT
    | Feature.SENSOR_STATUS_SUPPORT
    | Feature.SPOT_CHECK_STORAGE
    | Feature.SPOT_CHECK_TIME
    | Feature.AMPLITUDE,
    _MEASURES,
    _SENSES,
)
_DOUBTFUL_MOTION: Final = 0.35
_OFF: Final = (MeasurementStatus.UNAVAILABLE, SensorStatus.SENSOR_UNCONNECTED_TO_USER)
_SEARCHING: Final = (MeasurementStatus.MEASUREMENT_ONGOING, SensorStatus.SIGNAL_ANALYSIS_ONGOING)
_SHAKEN: Final = (
    MeasurementStatus.MEASUREMENT_ONGOING | MeasurementStatus.QUESTIONABLE,
    SensorStatus.ERRATIC_SIGNAL,
)
_FINE: Final = (MeasurementStatus.MEASUREMENT_ONGOING, SensorStatus(0))


@dataclass(frozen=True, slots=True)
class PlxState:
    """`records`: stored spot checks, oldest first. `clock_s`: seconds since the device was switched on."""

    clock_s: int = 0
    battery_pct: float = 100.0
    records: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class PlxOximeter:
    """`store_every_s` 0: it has a memory that stays empty."""

    name: str = "PLX oximeter"
    store_every_s: int = 60

    @property
    def profile(self) -> Profile:
        return Profile(self.name, _SERVICES, advertised=(SERVICE,))

    def start(self) -> PlxState:
        return PlxState()

    def connect(self, state: PlxState) -> PlxState:
        return state

    def live(self, state: PlxState, lived: Lived) -> tuple[PlxState, tuple[Notification, ...]]:
        reading, status = measured(lived)
        amplitude = Decimal(f"{lived.perfusion_pct:.2f}") if isinstance(reading.spo2_pct, Decimal) else Special.NAN
        continuous = ContinuousMeasurement(
            reading, measurement_status=status[0], sensor_status=status[1], pulse_amplitude_pct=amplitude
        )
        told = standard.told_battery(state.battery_pct, lived)
        lived_on = replace(state, clock_s=state.clock_s + 1, battery_pct=lived.condition.battery_pct)
        if not lived.connected and self.store_every_s and lived.at_s % self.store_every_s == 0:
            record = SpotCheckMeasurement(
                reading, device_time(state.clock_s), status[0] | MeasurementStatus.FROM_STORAGE, status[1], amplitude
            )
            lived_on = replace(lived_on, records=(*state.records, record.encode())[-MAX_RECORDS:])
        return lived_on, (Notification(CONTINUOUS, continuous.encode()), *told)

    def read(self, state: PlxState, uuid: str) -> bytes:
        now = CurrentTime(device_time(state.clock_s), (DEVICE_EPOCH + timedelta(seconds=state.clock_s)).isoweekday())
        return standard.readable(
            uuid, _LABEL, state.battery_pct, {FEATURES: _FEATURES.encode(), CURRENT_TIME: now.encode()}
        )

    def write(self, state: PlxState, uuid: str, data: bytes) -> tuple[PlxState, tuple[Notification, ...]]:
        if uuid != RECORD_ACCESS:
            raise AttError(standard.WRITE_NOT_PERMITTED)
        try:
            asked = RecordAccess.decode(data)
        except FrameError:
            raise AttError(standard.NOT_SUPPORTED) from None
        return _accessed(state, asked)


def device_time(clock_s: int) -> DateTime:
    """What the device's clock shows so long after it was switched on."""
    t = DEVICE_EPOCH + timedelta(seconds=clock_s)
    return DateTime(t.year, t.month, t.day, t.hour, t.minute, t.second)


def measured(lived: Lived) -> tuple[Oximetry, tuple[MeasurementStatus, SensorStatus]]:
    """What the clip reads of this second, and what it says about it."""
    if lived.condition.contact is not Contact.WORN:
        off = lived.condition.contact is Contact.PROBE_OFF
        return Oximetry(Special.NAN, Special.NAN), _OFF if off else _SEARCHING
    reading = Oximetry(Decimal(round(lived.second.spo2_pct)), Decimal(round(lived.second.heart_rate_per_min)))
    return reading, _SHAKEN if lived.second.motion >= _DOUBTFUL_MOTION else _FINE


def _accessed(state: PlxState, asked: RecordAccess) -> tuple[PlxState, tuple[Notification, ...]]:
    """A record access procedure: its records and its answer. Only "all records" is understood."""
    if asked.opcode is OpCode.ABORT:
        return state, _answer(asked.opcode, ResponseCode.SUCCESS)
    if asked.opcode not in {OpCode.REPORT_RECORDS, OpCode.REPORT_COUNT, OpCode.DELETE_RECORDS}:
        return state, _answer(asked.opcode, ResponseCode.OPCODE_UNSUPPORTED)
    if asked.operator is not Operator.ALL:
        return state, _answer(asked.opcode, ResponseCode.OPERATOR_UNSUPPORTED)
    if asked.opcode is OpCode.REPORT_COUNT:
        count = RecordAccess(OpCode.COUNT_RESPONSE, count=len(state.records))
        return state, (Notification(RECORD_ACCESS, count.encode()),)
    if not state.records:
        return state, _answer(asked.opcode, ResponseCode.NO_RECORDS)
    if asked.opcode is OpCode.DELETE_RECORDS:
        return replace(state, records=()), _answer(asked.opcode, ResponseCode.SUCCESS)
    sent = tuple(Notification(SPOT_CHECK, r, n * _BETWEEN_RECORDS_S) for n, r in enumerate(state.records))
    return state, (*sent, *_answer(asked.opcode, ResponseCode.SUCCESS, len(sent) * _BETWEEN_RECORDS_S))


def _answer(opcode: OpCode, code: ResponseCode, after_s: float = 0.0) -> tuple[Notification, ...]:
    response = RecordAccess(OpCode.RESPONSE, answer=Answer(opcode, code))
    return (Notification(RECORD_ACCESS, response.encode(), after_s),)
