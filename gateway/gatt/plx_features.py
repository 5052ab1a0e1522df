"""PLX Features 2A60: what a pulse oximeter can do, and which of its status bits it really sets. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Final, Self

from gateway.gatt.frame import uuid16
from gateway.gatt.plx_status import QUALITY_BITS, MeasurementStatus, SensorStatus
from gateway.gatt.reader import Reader

FEATURES: Final = uuid16(0x2A60)


class Feature(IntFlag):
    """16 bits; 8–15 are reserved."""

    MEASUREMENT_STATUS_SUPPORT = 1 << 0
    SENSOR_STATUS_SUPPORT = 1 << 1
    SPOT_CHECK_STORAGE = 1 << 2
    SPOT_CHECK_TIME = 1 << 3
    FAST = 1 << 4
    SLOW = 1 << 5
    AMPLITUDE = 1 << 6
    MULTIPLE_BONDS = 1 << 7


@dataclass(frozen=True, slots=True)
class PlxFeatures:
    """`measurement_bits`, `sensor_bits`: the status bits that the device supports, `None` where it does not say.

    A bit that is not supported tells nothing when it is clear: it does not mean "all is well".
    """

    features: Feature
    measurement_bits: MeasurementStatus | None = None
    sensor_bits: SensorStatus | None = None

    @property
    def tells_quality(self) -> bool:
        """Whether a status without complaint means a usable number."""
        if self.measurement_bits is None and self.sensor_bits is None:
            return True
        of_measurement, of_sensor = QUALITY_BITS
        return bool((self.measurement_bits or 0) & of_measurement or (self.sensor_bits or 0) & of_sensor)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `FrameError` when a mask that is announced is missing, and for bytes after the last."""
        return cls.read(Reader(data))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        features = reader.flags("features", Feature, 2)
        measurement = sensor = None
        if features & Feature.MEASUREMENT_STATUS_SUPPORT:
            measurement = reader.flags("supported measurement status", MeasurementStatus, 2)
        if features & Feature.SENSOR_STATUS_SUPPORT:
            sensor = reader.flags("supported device and sensor status", SensorStatus, 3)
        reader.end()
        return cls(features, measurement, sensor)

    def encode(self) -> bytes:
        """`features` must announce exactly the masks that are there."""
        fields = self.features.to_bytes(2, "little")
        if self.measurement_bits is not None:
            fields += self.measurement_bits.to_bytes(2, "little")
        if self.sensor_bits is not None:
            fields += self.sensor_bits.to_bytes(3, "little")
        return fields
