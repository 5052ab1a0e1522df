"""What a pulse oximeter says about itself and about its measurement, and what that makes of a number. Pure.

The bits are those of 2A5E and 2A5F. The IEEE 11073 bit string counts from the other end: its bit n is bit 15 − n here.
"""

from __future__ import annotations

from enum import IntFlag
from typing import Final, NamedTuple

from gateway.gatt.sfloat import Number, Special
from vitals.model import Quality, Reason


class MeasurementStatus(IntFlag):
    """16 bits; 0–4 are reserved."""

    MEASUREMENT_ONGOING = 1 << 5
    EARLY_ESTIMATE = 1 << 6
    VALIDATED = 1 << 7
    FULLY_QUALIFIED = 1 << 8
    FROM_STORAGE = 1 << 9
    DEMONSTRATION = 1 << 10
    TESTING = 1 << 11
    CALIBRATION_ONGOING = 1 << 12
    UNAVAILABLE = 1 << 13
    QUESTIONABLE = 1 << 14
    INVALID = 1 << 15


class SensorStatus(IntFlag):
    """Device and sensor status, 24 bits; 16–23 are reserved."""

    EXTENDED_DISPLAY_UPDATE = 1 << 0
    EQUIPMENT_MALFUNCTION = 1 << 1
    SIGNAL_PROCESSING_IRREGULARITY = 1 << 2
    INADEQUATE_SIGNAL = 1 << 3
    POOR_SIGNAL = 1 << 4
    LOW_PERFUSION = 1 << 5
    ERRATIC_SIGNAL = 1 << 6
    NON_PULSATILE_SIGNAL = 1 << 7
    QUESTIONABLE_PULSE = 1 << 8
    SIGNAL_ANALYSIS_ONGOING = 1 << 9
    SENSOR_INTERFERENCE = 1 << 10
    SENSOR_UNCONNECTED_TO_USER = 1 << 11
    UNKNOWN_SENSOR = 1 << 12
    SENSOR_DISPLACED = 1 << 13
    SENSOR_MALFUNCTION = 1 << 14
    SENSOR_DISCONNECTED = 1 << 15


_TEST: Final = MeasurementStatus.DEMONSTRATION | MeasurementStatus.TESTING | MeasurementStatus.CALIBRATION_ONGOING
_WITHDRAWN: Final = MeasurementStatus.UNAVAILABLE | MeasurementStatus.INVALID
_FAULT: Final = SensorStatus.EQUIPMENT_MALFUNCTION | SensorStatus.SENSOR_MALFUNCTION
_OFF: Final = SensorStatus.SENSOR_UNCONNECTED_TO_USER | SensorStatus.SENSOR_DISPLACED | SensorStatus.SENSOR_DISCONNECTED
_POOR: Final = (
    SensorStatus.INADEQUATE_SIGNAL
    | SensorStatus.POOR_SIGNAL
    | SensorStatus.LOW_PERFUSION
    | SensorStatus.ERRATIC_SIGNAL
    | SensorStatus.NON_PULSATILE_SIGNAL
    | SensorStatus.QUESTIONABLE_PULSE
    | SensorStatus.SENSOR_INTERFERENCE
)
#: Said, but nobody has decided what it means for the number: it is not called usable, and not doubtful either.
_UNDECIDED: Final = SensorStatus.SIGNAL_PROCESSING_IRREGULARITY | SensorStatus.UNKNOWN_SENSOR

#: The bits that speak about the quality of a number: a device that supports none of them leaves it unknown.
QUALITY_BITS: Final = (MeasurementStatus.QUESTIONABLE | _WITHDRAWN, _POOR | _OFF)


class Judged(NamedTuple):
    """A number and what is to be thought of it; `value` is `None` exactly when `reason` is not `PRESENT`."""

    value: float | None
    reason: Reason
    quality: Quality


def judge(number: Number, measurement: MeasurementStatus | None, sensor: SensorStatus | None) -> Judged:
    """What becomes of `number` under these statuses, `None` for one that the device did not send.

    ===========================================================  =================================================
    said                                                         the value is
    ===========================================================  =================================================
    equipment or sensor malfunction                              missing, `DEVICE_FAULT`
    sensor unconnected to the user, displaced, disconnected      missing, `PROBE_OFF`
    measurement unavailable or invalid, or no number             missing; `POOR_SIGNAL`, `SEARCHING` or what is known
    demonstration, testing, calibration                          tagged `TEST`
    questionable, or one of the signs of a poor signal           `DOUBTFUL`
    an irregularity of processing, an unknown or early sensor    `UNKNOWN`
    a status, and nothing of this                                `USABLE`
    no status at all                                             `UNKNOWN`
    ===========================================================  =================================================
    """
    said, of_sensor = measurement or MeasurementStatus(0), sensor or SensorStatus(0)
    quality = _quality(said, of_sensor, told=measurement is not None or sensor is not None)
    reason = _reason(number, said, of_sensor)
    if isinstance(number, Special) or reason is not Reason.PRESENT:
        return Judged(None, reason, quality)
    return Judged(float(number), reason, quality)


def _reason(number: Number, said: MeasurementStatus, of_sensor: SensorStatus) -> Reason:
    if of_sensor & _FAULT:
        return Reason.DEVICE_FAULT
    if of_sensor & _OFF:
        return Reason.PROBE_OFF
    if not (isinstance(number, Special) or said & _WITHDRAWN):
        return Reason.PRESENT
    if of_sensor & _POOR:
        return Reason.POOR_SIGNAL
    if of_sensor & SensorStatus.SIGNAL_ANALYSIS_ONGOING or said & MeasurementStatus.MEASUREMENT_ONGOING:
        return Reason.SEARCHING
    if said & MeasurementStatus.INVALID:
        return Reason.POOR_SIGNAL
    return number.reason if isinstance(number, Special) else Reason.NO_READING


def _quality(said: MeasurementStatus, of_sensor: SensorStatus, *, told: bool) -> Quality:
    if said & _TEST:
        return Quality.TEST
    if said & _WITHDRAWN or of_sensor & (_FAULT | _OFF):
        return Quality.UNUSABLE
    if said & MeasurementStatus.QUESTIONABLE or of_sensor & _POOR:
        return Quality.DOUBTFUL
    if not told or of_sensor & _UNDECIDED or said & MeasurementStatus.EARLY_ESTIMATE:
        return Quality.UNKNOWN
    return Quality.USABLE
