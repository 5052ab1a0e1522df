"""The frames of the Bluetooth SIG's services. Pure."""

from __future__ import annotations

from typing import Final

from gateway.devices.heart_rate import HeartRateDriver
from gateway.devices.pulse_oximeter import PulseOximeterDriver
from gateway.devices.thermometer import ThermometerDriver
from gateway.gatt import battery, blood_pressure, heart_rate, pulse_oximeter, thermometer
from gateway.gatt.battery import BatteryLevel
from gateway.gatt.blood_pressure import BloodPressureMeasurement
from gateway.gatt.current_time import CURRENT_TIME, CurrentTime
from gateway.gatt.device_information import PNP_ID, SYSTEM_ID, TEXTS, PnpId, SystemId, read_text
from gateway.gatt.heart_rate import HeartRateMeasurement, read_control_point, read_location
from gateway.gatt.plx_features import FEATURES, PlxFeatures
from gateway.gatt.pulse_oximeter import ContinuousMeasurement, SpotCheckMeasurement
from gateway.gatt.racp import RECORD_ACCESS, RecordAccess
from gateway.gatt.thermometer import TemperatureMeasurement
from wardlight.explain.frames import FrameKind

_STRAP: Final = HeartRateDriver()
_OXIMETER: Final = PulseOximeterDriver()

STANDARD_FRAMES: Final[tuple[FrameKind, ...]] = (
    FrameKind(("heart-rate",), "Heart Rate Measurement", heart_rate.MEASUREMENT, HeartRateMeasurement.read, _STRAP),
    FrameKind(("heart-rate-location",), "Body Sensor Location", heart_rate.LOCATION, read_location, _STRAP),
    FrameKind(("heart-rate-control",), "Heart Rate Control Point", heart_rate.CONTROL_POINT, read_control_point),
    FrameKind(
        ("plx-continuous",),
        "PLX Continuous Measurement",
        pulse_oximeter.CONTINUOUS,
        ContinuousMeasurement.read,
        _OXIMETER,
    ),
    FrameKind(
        ("plx-spot-check",),
        "PLX Spot-check Measurement",
        pulse_oximeter.SPOT_CHECK,
        SpotCheckMeasurement.read,
        _OXIMETER,
    ),
    FrameKind(("plx-features",), "PLX Features", FEATURES, PlxFeatures.read),
    FrameKind(("record-access",), "Record Access Control Point", RECORD_ACCESS, RecordAccess.read),
    FrameKind(
        ("temperature",),
        "Temperature Measurement",
        thermometer.MEASUREMENT,
        TemperatureMeasurement.read,
        ThermometerDriver(),
    ),
    FrameKind(
        ("blood-pressure",), "Blood Pressure Measurement", blood_pressure.MEASUREMENT, BloodPressureMeasurement.read
    ),
    FrameKind(("current-time",), "Current Time", CURRENT_TIME, CurrentTime.read),
    FrameKind(("battery",), "Battery Level", battery.LEVEL, BatteryLevel.read, _OXIMETER),
    FrameKind(("system-id",), "System ID", SYSTEM_ID, SystemId.read),
    FrameKind(("pnp-id",), "PnP ID", PNP_ID, PnpId.read),
    *(
        FrameKind((name.replace(" ", "-"),), f"Device Information, {name}", uuid, read_text, _OXIMETER)
        for uuid, name in TEXTS.items()
    ),
)
