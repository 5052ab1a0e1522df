"""Every published frame of the SIG's services, decoded and encoded again."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from gateway.gatt.battery import BatteryLevel
from gateway.gatt.blood_pressure import BloodPressureMeasurement, Pressures, PressureStatus
from gateway.gatt.current_time import AdjustReason, CurrentTime
from gateway.gatt.date_time import DateTime
from gateway.gatt.device_information import PnpId, SystemId, decode_text, encode_text
from gateway.gatt.frame import FrameError
from gateway.gatt.heart_rate import (
    BodySensorLocation,
    ControlPoint,
    HeartRateMeasurement,
    decode_control_point,
    decode_location,
    encode_control_point,
    encode_location,
)
from gateway.gatt.plx_features import Feature, PlxFeatures
from gateway.gatt.plx_status import MeasurementStatus, SensorStatus
from gateway.gatt.pulse_oximeter import ContinuousMeasurement, Oximetry, SpotCheckMeasurement
from gateway.gatt.racp import ABORT, REPORT_ALL, Answer, OpCode, Operator, RecordAccess, ResponseCode
from gateway.gatt.sfloat import Special
from gateway.gatt.thermometer import Site, TemperatureMeasurement
from vitals.model import Reason


def oximetry(spo2: str, rate: str) -> Oximetry:
    return Oximetry(Decimal(spo2), Decimal(rate))


Rate = HeartRateMeasurement
Plx = ContinuousMeasurement

# Frame → what it says. Encoding this gives the frame back, but for the two that are not the shortest form.
VECTORS: list[tuple[str, Any]] = [
    ("00 55", Rate(85)),
    ("04 FF", Rate(255, contact=False)),
    ("1E 55 32 00 21 00", Rate(85, True, 50, (33,))),
    ("1F 01 01 32 01 01 00 02 01 FF FF", Rate(257, True, 306, (1, 258, 65535))),
    ("10 5A 00 08 00 10", Rate(90, rr_intervals=(2048, 4096))),
    ("0E 4B 80 00", Rate(75, True, 128)),
    ("06 00", Rate(None, contact=True)),
    ("16 3C 00 04 07", Rate(60, True, rr_intervals=(1024,), surplus=b"\x07")),
    ("00 64 00 5A 00", Plx(oximetry("100", "90"))),
    ("00 E8 F3 84 F3", Plx(oximetry("100.0", "90.0"))),
    (
        "1C 5F 00 5A 00 20 00 00 00 00 57 F0",
        Plx(oximetry("95", "90"), None, None, MeasurementStatus(0x20), SensorStatus(0), Decimal("8.7")),
    ),
    (
        "1F DE F3 CA F3 CA F3 5A F5 D4 F3 B2 F2 20 01 00 00 00 7A E3",
        Plx(
            oximetry("99.0", "97.0"),
            oximetry("97.0", "137.0"),
            oximetry("98.0", "69.0"),
            MeasurementStatus(0x120),
            SensorStatus(0),
            Decimal("8.90"),
        ),
    ),
    ("00 FF 07 FF 07", Plx(Oximetry(Special.NAN, Special.NAN))),
    (
        "0F AC F3 BE F5 E8 07 0B 1D 17 08 39 20 40 22 00 00 66 E3",
        SpotCheckMeasurement(
            oximetry("94.0", "147.0"),
            DateTime(2024, 11, 29, 23, 8, 57),
            MeasurementStatus.MEASUREMENT_ONGOING | MeasurementStatus.QUESTIONABLE,
            SensorStatus.EQUIPMENT_MALFUNCTION | SensorStatus.LOW_PERFUSION,
            Decimal("8.70"),
        ),
    ),
    ("10 5F 00 48 00", SpotCheckMeasurement(oximetry("95", "72"), clock_not_set=True)),
    (
        "A3 00 40 10 80 01 00",
        PlxFeatures(
            Feature.MEASUREMENT_STATUS_SUPPORT | Feature.SENSOR_STATUS_SUPPORT | Feature.SLOW | Feature.MULTIPLE_BONDS,
            MeasurementStatus.EARLY_ESTIMATE | MeasurementStatus.CALIBRATION_ONGOING,
            SensorStatus.NON_PULSATILE_SIGNAL | SensorStatus.QUESTIONABLE_PULSE,
        ),
    ),
    ("01 01", REPORT_ALL),
    ("03 00", ABORT),
    ("06 00 01 01", RecordAccess(OpCode.RESPONSE, answer=Answer(OpCode.REPORT_RECORDS, ResponseCode.SUCCESS))),
    ("05 00 2C 01", RecordAccess(OpCode.COUNT_RESPONSE, count=300)),
    ("01 03 02 E8 07", RecordAccess(OpCode.REPORT_RECORDS, Operator.FROM, b"\x02\xe8\x07")),
    (
        "06 B0 0E 00 FE DC 07 0C 05 0B 32 1B 04",
        TemperatureMeasurement(Decimal("37.60"), measured_at=DateTime(2012, 12, 5, 11, 50, 27), site=Site.FINGER),
    ),
    ("01 DA 03 00 FF", TemperatureMeasurement(Decimal("98.6"), fahrenheit=True)),
    (
        "1E 8A 00 58 00 78 00 00 00 04 11 14 29 3B 3C 00 01 27 00",
        BloodPressureMeasurement(
            Pressures(Decimal(138), Decimal(88), Decimal(120)),
            measured_at=DateTime(None, 4, 17, 20, 41, 59),
            pulse_rate=Decimal(60),
            user=1,
            status=PressureStatus(0x27),
        ),
    ),
    (
        "E9 07 01 0F 0E 1E 2D 03 21 01",
        CurrentTime(DateTime(2025, 1, 15, 14, 30, 45), weekday=3, fraction=0x21, adjusted=AdjustReason.MANUAL),
    ),
    ("64", BatteryLevel(100)),
    ("FF", BatteryLevel(None)),
    ("01 02 03 04 05 06 07 08", SystemId(0x0504030201, 0x080706)),
    ("01 6B 00 0A 00 02 01", PnpId(source=1, vendor=0x6B, product=10, version=0x102)),
]


@pytest.mark.parametrize(("frame", "said"), VECTORS, ids=[f"{type(said).__name__} {frame}" for frame, said in VECTORS])
def test_a_published_frame(frame: str, said: Any) -> None:
    decoded = type(said).decode(bytes.fromhex(frame))
    assert decoded == said
    assert repr(decoded) == repr(said)  # 8.70 equals 8.7, and is not the same measurement
    assert said.encode() == bytes.fromhex(frame)


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ("01 C8 00", Rate(200)),  # sixteen bits where eight would do
        ("02 50", Rate(80)),  # contact without the bit that it means anything
        ("E0 50", Rate(80)),  # reserved flags are ignored
    ],
)
def test_frames_that_we_would_write_otherwise(frame: str, said: HeartRateMeasurement) -> None:
    assert HeartRateMeasurement.decode(bytes.fromhex(frame)) == said


def test_the_units_of_an_rr_interval_are_not_milliseconds() -> None:
    intervals = HeartRateMeasurement.decode(bytes.fromhex("1E55 3200 2100")).rr_intervals_ms
    assert intervals == pytest.approx((32.226,), abs=0.001)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (Rate(60), Reason.PRESENT),
        (Rate(60, contact=True), Reason.PRESENT),
        (Rate(None), Reason.NO_READING),
        (Rate(60, contact=False), Reason.PROBE_OFF),
        (Rate(None, contact=False), Reason.PROBE_OFF),
        (BatteryLevel(0), Reason.PRESENT),
        (BatteryLevel(None), Reason.OUT_OF_RANGE),
    ],
)
def test_why_there_is_no_value(said: Any, reason: Reason) -> None:
    assert said.reason is reason


@pytest.mark.parametrize(
    ("decode", "frame", "reason", "field"),
    [
        (Rate.decode, "", "truncated", "flags"),
        (Rate.decode, "17 01 01", "truncated", "RR interval"),
        (Rate.decode, "10 5A 00", "truncated", "RR interval"),
        (Rate.decode, "08 55 32", "truncated", "energy expended"),
        (decode_location, "07", "value", "body sensor location"),
        (decode_location, "01 01", "length", ""),
        (decode_control_point, "02", "value", "control point"),
        (TemperatureMeasurement.decode, "06 B0 0E 00 FE DC 07 0C 05 0B 32 1B", "truncated", "site"),
        (TemperatureMeasurement.decode, "02 B0 0E 00 FE DC 07 0D 05 0B 32 1B", "value", "time"),
        (DateTime.decode, "E7 07 02 1D 00 00 00", "value", "time"),  # 29 February 2023
        (DateTime.decode, "2D 06 01 01 00 00 00", "value", "time"),  # 1581
        (DateTime.decode, "E8 07 02 1D 18 00 00", "value", "time"),
        (DateTime.decode, "E8 07 02 1D 00 3C 00", "value", "time"),
        (DateTime.decode, "E8 07 02 1D 00 00 3C", "value", "time"),
        (CurrentTime.decode, "E9 07 01 0F 0E 1E 2D 08 21 01", "value", "weekday"),
        (CurrentTime.decode, "E9 07 01 0F 0E 1E 2D 03 21 01 00", "length", ""),
        (PlxFeatures.decode, "03 00 40 10", "truncated", "supported device and sensor status"),
        (RecordAccess.decode, "00 00", "value", "opcode"),
        (RecordAccess.decode, "01 07", "value", "operator"),
        (RecordAccess.decode, "06 01 01 01", "value", "operator"),
        (RecordAccess.decode, "06 00 01 0A", "value", "response"),
        (RecordAccess.decode, "06 00 01 01 00", "length", ""),
        (BatteryLevel.decode, "64 00", "length", ""),
        (decode_text, "48 FF", "value", "text"),
        (decode_text, "48 1B 5B", "value", "text"),
    ],
)
def test_a_frame_that_is_refused(decode: Callable[[bytes], Any], frame: str, reason: str, field: str) -> None:
    with pytest.raises(FrameError) as caught:
        decode(bytes.fromhex(frame))
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert field in str(caught.value)


@pytest.mark.parametrize("location", BodySensorLocation)
def test_locations_come_back(location: BodySensorLocation) -> None:
    assert decode_location(encode_location(location)) is location


def test_the_control_point_comes_back() -> None:
    assert encode_control_point(ControlPoint.RESET_ENERGY) == b"\x01"
    assert decode_control_point(b"\x01") is ControlPoint.RESET_ENERGY


@pytest.mark.parametrize("data", [b"Polar H10", b"Polar H10\0", b"Polar H10\0\0 "])
def test_a_text_without_its_filling(data: bytes) -> None:
    assert decode_text(data) == "Polar H10"
    assert encode_text("Polar H10") == b"Polar H10"


def test_a_site_that_is_reserved_leaves_the_temperature() -> None:
    said = TemperatureMeasurement.decode(bytes.fromhex("04 6D 01 00 FF C8"))
    assert (said.celsius, said.site) == (36.5, None)


def test_a_moment_as_text_and_as_seconds() -> None:
    assert str(DateTime(2024, 2, 29, 23, 8, 57)) == "2024-02-29 23:08:57"
    assert str(DateTime(None, 4, 17, 20, 41, 59)) == "????-04-17 20:41:59"
    assert DateTime(1970, 1, 2, 0, 0, 1).seconds == 86_401
    assert DateTime(2024, None, 29, 23, 8, 57).seconds is None
    assert CurrentTime(DateTime(1970, 1, 1, 0, 0, 1), fraction=128).clock_ns == 1_500_000_000


def test_what_a_device_cannot_tell_means_nothing_when_it_is_clear() -> None:
    none = PlxFeatures(Feature(3), MeasurementStatus.EARLY_ESTIMATE, SensorStatus(0))
    assert not none.tells_quality
    assert PlxFeatures(Feature(0)).tells_quality
    assert PlxFeatures(Feature(3), MeasurementStatus(0), SensorStatus.LOW_PERFUSION).tells_quality
