"""All codecs at once: what was encoded comes back, and nothing but the one error escapes, whatever the bytes."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from gateway.gatt.battery import BatteryLevel
from gateway.gatt.blood_pressure import BloodPressureMeasurement, Pressures, PressureStatus
from gateway.gatt.current_time import AdjustReason, CurrentTime
from gateway.gatt.date_time import DateTime
from gateway.gatt.device_information import PnpId, SystemId, decode_text, encode_text
from gateway.gatt.frame import FrameError
from gateway.gatt.heart_rate import HeartRateMeasurement, decode_control_point, decode_location
from gateway.gatt.plx_features import Feature, PlxFeatures
from gateway.gatt.plx_status import MeasurementStatus, SensorStatus
from gateway.gatt.pulse_oximeter import ContinuousMeasurement, Oximetry, SpotCheckMeasurement
from gateway.gatt.racp import Answer, OpCode, Operator, RecordAccess, ResponseCode
from gateway.gatt.sfloat import Special
from gateway.gatt.thermometer import Site, TemperatureMeasurement


def maybe(strategy: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return st.none() | strategy


def unsigned(size: int) -> SearchStrategy[int]:
    return st.integers(0, (1 << 8 * size) - 1)


@st.composite
def moments(draw: st.DrawFn) -> DateTime:
    year, month = draw(maybe(st.integers(1582, 9999))), draw(maybe(st.integers(1, 12)))
    day = draw(maybe(st.integers(1, calendar.monthrange(year or 2000, month or 1)[1])))
    return DateTime(year, month, day, draw(st.integers(0, 23)), draw(st.integers(0, 59)), draw(st.integers(0, 59)))


@st.composite
def features(draw: st.DrawFn) -> PlxFeatures:
    announced = Feature(draw(unsigned(2)))
    measurement = MeasurementStatus(draw(unsigned(2))) if announced & Feature.MEASUREMENT_STATUS_SUPPORT else None
    sensor = SensorStatus(draw(unsigned(3))) if announced & Feature.SENSOR_STATUS_SUPPORT else None
    return PlxFeatures(announced, measurement, sensor)


short = st.sampled_from(Special) | st.builds(
    lambda mantissa, exponent: Decimal(mantissa).scaleb(exponent), st.integers(-2045, 2045), st.integers(-8, 7)
)
long = st.sampled_from(Special) | st.builds(
    lambda mantissa, exponent: Decimal(mantissa).scaleb(exponent),
    st.integers(-8_388_605, 8_388_605),
    st.integers(-128, 127),
)
readings = st.builds(Oximetry, short, short)
measurement_status = unsigned(2).map(MeasurementStatus)
sensor_status = unsigned(3).map(SensorStatus)
surplus = st.binary(max_size=3)
requests = st.builds(
    RecordAccess,
    st.sampled_from([OpCode.REPORT_RECORDS, OpCode.DELETE_RECORDS, OpCode.ABORT, OpCode.REPORT_COUNT]),
    st.sampled_from(Operator),
    st.binary(max_size=18),
)
answers = st.builds(
    lambda to, code: RecordAccess(OpCode.RESPONSE, answer=Answer(to, code)),
    st.sampled_from(OpCode),
    st.sampled_from(ResponseCode),
)
counts = unsigned(2).map(lambda count: RecordAccess(OpCode.COUNT_RESPONSE, count=count))

EVERYTHING: dict[str, SearchStrategy[Any]] = {
    "heart rate": st.builds(
        HeartRateMeasurement,
        maybe(st.integers(1, 65535)),
        maybe(st.booleans()),
        maybe(unsigned(2)),
        st.lists(unsigned(2), min_size=1).map(tuple),
        st.binary(max_size=1),
    ),
    "heart rate, no intervals": st.builds(
        HeartRateMeasurement, maybe(st.integers(1, 65535)), maybe(st.booleans()), maybe(unsigned(2)), surplus=surplus
    ),
    "continuous": st.builds(
        ContinuousMeasurement,
        readings,
        maybe(readings),
        maybe(readings),
        maybe(measurement_status),
        maybe(sensor_status),
        maybe(short),
        surplus,
    ),
    "spot check": st.builds(
        SpotCheckMeasurement,
        readings,
        maybe(moments()),
        maybe(measurement_status),
        maybe(sensor_status),
        maybe(short),
        st.booleans(),
        surplus,
    ),
    "features": features(),
    "record access": requests | answers | counts,
    "temperature": st.builds(
        TemperatureMeasurement, long, st.booleans(), maybe(moments()), maybe(st.sampled_from(Site)), surplus
    ),
    "blood pressure": st.builds(
        BloodPressureMeasurement,
        st.builds(Pressures, short, short, short),
        st.booleans(),
        maybe(moments()),
        maybe(short),
        maybe(unsigned(1)),
        maybe(unsigned(2).map(PressureStatus)),
        surplus,
    ),
    "date time": moments(),
    "current time": st.builds(
        CurrentTime, moments(), maybe(st.integers(1, 7)), unsigned(1), unsigned(1).map(AdjustReason)
    ),
    "battery": st.builds(BatteryLevel, maybe(st.integers(0, 100))),
    "system id": st.builds(SystemId, unsigned(5), unsigned(3)),
    "pnp id": st.builds(PnpId, unsigned(1), unsigned(2), unsigned(2), unsigned(2)),
}

each_codec = pytest.mark.parametrize("values", EVERYTHING.values(), ids=EVERYTHING)


@each_codec
@given(data=st.data())
def test_what_was_encoded_comes_back(values: SearchStrategy[Any], data: st.DataObject) -> None:
    said = data.draw(values)
    decoded = type(said).decode(said.encode())
    assert decoded == said
    assert repr(decoded) == repr(said)


@each_codec
@settings(max_examples=30)  # each of them is cut at every byte
@given(data=st.data())
def test_every_prefix_is_decoded_or_refused(values: SearchStrategy[Any], data: st.DataObject) -> None:
    said = data.draw(values)
    frame = said.encode()
    for length in range(len(frame)):
        with suppress(FrameError):
            assert type(said).decode(frame[:length]) != said


@each_codec
@given(data=st.data())
def test_what_was_decoded_is_said_again_in_the_same_way(values: SearchStrategy[Any], data: st.DataObject) -> None:
    """Any bytes: encoding what was understood, and decoding that, gives the same."""
    codec = type(data.draw(values))
    with suppress(FrameError):
        said = codec.decode(data.draw(st.binary(max_size=24)))
        assert codec.decode(said.encode()) == said


@pytest.mark.parametrize("decode", [decode_text, decode_location, decode_control_point])
@given(data=st.binary(max_size=24))
def test_nothing_else_escapes(decode: Callable[[bytes], Any], data: bytes) -> None:
    with suppress(FrameError):
        decode(data)


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"])))
def test_texts_come_back(text: str) -> None:
    assert decode_text(encode_text(text)) == text
