"""What a pulse oximeter's status makes of its numbers: the table of `plx_status.judge`, bit by bit."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.gatt.plx_status import MeasurementStatus, SensorStatus, judge
from gateway.gatt.sfloat import Special
from vitals.model import Quality, Reason

NUMBER = Decimal("97.0")
CLEAR = MeasurementStatus(0)

# Number of the bit → quality, reason of a number that was sent with only this bit set.
MEASUREMENT_BITS = {
    5: (Quality.USABLE, Reason.PRESENT),
    6: (Quality.UNKNOWN, Reason.PRESENT),
    7: (Quality.USABLE, Reason.PRESENT),
    8: (Quality.USABLE, Reason.PRESENT),
    9: (Quality.USABLE, Reason.PRESENT),
    10: (Quality.TEST, Reason.PRESENT),
    11: (Quality.TEST, Reason.PRESENT),
    12: (Quality.TEST, Reason.PRESENT),
    13: (Quality.UNUSABLE, Reason.NO_READING),
    14: (Quality.DOUBTFUL, Reason.PRESENT),
    15: (Quality.UNUSABLE, Reason.POOR_SIGNAL),
}
SENSOR_BITS = {
    0: (Quality.USABLE, Reason.PRESENT),
    1: (Quality.UNUSABLE, Reason.DEVICE_FAULT),
    2: (Quality.UNKNOWN, Reason.PRESENT),
    **dict.fromkeys((3, 4, 5, 6, 7, 8, 10), (Quality.DOUBTFUL, Reason.PRESENT)),
    9: (Quality.USABLE, Reason.PRESENT),
    12: (Quality.UNKNOWN, Reason.PRESENT),
    **dict.fromkeys((11, 13, 15), (Quality.UNUSABLE, Reason.PROBE_OFF)),
    14: (Quality.UNUSABLE, Reason.DEVICE_FAULT),
}


@pytest.mark.parametrize("bit", range(16))
def test_a_bit_of_the_measurement_status(bit: int) -> None:
    quality, reason = MEASUREMENT_BITS.get(bit, (Quality.USABLE, Reason.PRESENT))
    value = 97.0 if reason is Reason.PRESENT else None
    assert judge(NUMBER, MeasurementStatus(1 << bit), None) == (value, reason, quality)


@pytest.mark.parametrize("bit", range(24))
def test_a_bit_of_the_sensor_status(bit: int) -> None:
    quality, reason = SENSOR_BITS.get(bit, (Quality.USABLE, Reason.PRESENT))
    value = 97.0 if reason is Reason.PRESENT else None
    assert judge(NUMBER, None, SensorStatus(1 << bit)) == (value, reason, quality)


def test_every_bit_has_the_number_of_the_standard() -> None:
    assert [bit.value for bit in MeasurementStatus] == [1 << number for number in range(5, 16)]
    assert [bit.value for bit in SensorStatus] == [1 << number for number in range(16)]
    assert MeasurementStatus.INVALID == 1 << 15
    assert SensorStatus.SENSOR_DISCONNECTED == 1 << 15


@pytest.mark.parametrize(
    ("measurement", "sensor", "reason"),
    [
        (None, None, Reason.NOT_A_NUMBER),
        (CLEAR, None, Reason.NOT_A_NUMBER),
        (MeasurementStatus.MEASUREMENT_ONGOING, None, Reason.SEARCHING),
        (None, SensorStatus.SIGNAL_ANALYSIS_ONGOING, Reason.SEARCHING),
        (None, SensorStatus.LOW_PERFUSION | SensorStatus.SIGNAL_ANALYSIS_ONGOING, Reason.POOR_SIGNAL),
        (None, SensorStatus.SENSOR_DISPLACED | SensorStatus.LOW_PERFUSION, Reason.PROBE_OFF),
        (None, SensorStatus.SENSOR_DISCONNECTED | SensorStatus.SENSOR_MALFUNCTION, Reason.DEVICE_FAULT),
        (MeasurementStatus.UNAVAILABLE | MeasurementStatus.MEASUREMENT_ONGOING, None, Reason.SEARCHING),
    ],
)
def test_why_there_is_no_number(
    measurement: MeasurementStatus | None, sensor: SensorStatus | None, reason: Reason
) -> None:
    assert judge(Special.NAN, measurement, sensor)[:2] == (None, reason)


def test_without_a_status_the_quality_is_not_known() -> None:
    assert judge(NUMBER, None, None) == (97.0, Reason.PRESENT, Quality.UNKNOWN)


def test_a_test_stays_one_whatever_else_is_said() -> None:
    judged = judge(NUMBER, MeasurementStatus.DEMONSTRATION | MeasurementStatus.INVALID, SensorStatus.POOR_SIGNAL)
    assert judged == (None, Reason.POOR_SIGNAL, Quality.TEST)


@given(
    st.sampled_from([NUMBER, *Special]),
    st.none() | st.integers(0, 0xFFFF).map(MeasurementStatus),
    st.none() | st.integers(0, 0xFFFFFF).map(SensorStatus),
)
def test_there_is_a_value_or_a_reason(
    number: Decimal | Special, measurement: MeasurementStatus | None, sensor: SensorStatus | None
) -> None:
    value, reason, quality = judge(number, measurement, sensor)
    assert (value is None) == (reason is not Reason.PRESENT)
    assert value is not None or quality is not Quality.DOUBTFUL or isinstance(number, Special)
    assert value is None or quality is not Quality.UNUSABLE
