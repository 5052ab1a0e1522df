"""The control point of Polar Measurement Data: which settings a device has, and starting and stopping. Pure.

A request: opcode, measurement, then settings, each one type, count 1, value. A response: F0, opcode, measurement,
status, and where it succeeded whether more follows, and settings, each one type, count, values.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Final, Self

from gateway.gatt.frame import FrameError
from gateway.gatt.polar import Measurement, read_measurement
from gateway.gatt.reader import Reader

_RESPONSE: Final = 0xF0
Settings = Mapping["Setting", tuple[int, ...]]
NO_SETTINGS: Final[Settings] = MappingProxyType({})


class Opcode(IntEnum):
    GET_SETTINGS = 1
    START = 2
    STOP = 3


class Setting(IntEnum):
    RATE_HZ = 0
    RESOLUTION_BITS = 1
    RANGE = 2  # of acceleration in g
    RANGE_MILLI = 3
    CHANNELS = 4
    FACTOR = 5  # the bits of a float32; only in the answer to START


_BYTES: Final = {
    Setting.RATE_HZ: 2,
    Setting.RESOLUTION_BITS: 2,
    Setting.RANGE: 2,
    Setting.RANGE_MILLI: 4,
    Setting.CHANNELS: 1,
    Setting.FACTOR: 4,
}


class Status(IntEnum):
    SUCCESS = 0
    INVALID_OPCODE = 1
    INVALID_MEASUREMENT = 2
    NOT_SUPPORTED = 3
    INVALID_LENGTH = 4
    INVALID_PARAMETER = 5
    ALREADY_IN_STATE = 6
    INVALID_RESOLUTION = 7
    INVALID_RATE = 8
    INVALID_RANGE = 9
    INVALID_MTU = 10
    INVALID_CHANNELS = 11
    INVALID_STATE = 12
    IN_CHARGER = 13
    DISK_FULL = 14


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """`settings`: one value of each type; only `START` has them."""

    opcode: Opcode
    measurement: Measurement
    settings: Mapping[Setting, int] = field(default_factory=dict)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """As a device reads it; raises `FrameError`."""
        return cls.read(Reader(data))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        opcode, measurement = reader.code("opcode", Opcode), read_measurement(reader)
        settings = _read_settings(reader)
        if any(len(values) != 1 for values in settings.values()):
            raise FrameError("value", "settings", "a request has one value of each setting")
        return cls(opcode, measurement, {setting: values[0] for setting, values in settings.items()})

    def encode(self) -> bytes:
        head = bytes([self.opcode, self.measurement])
        return head + _encoded({setting: (value,) for setting, value in self.settings.items()})


@dataclass(frozen=True, slots=True)
class ControlResponse:
    """`status`: `None` for a number that is not known. `more`: further settings follow in another response."""

    opcode: Opcode
    measurement: Measurement
    status: Status | None
    more: bool = False
    settings: Settings = field(default_factory=lambda: NO_SETTINGS)

    @property
    def factor(self) -> float:
        """What compressed numbers are to be multiplied with; 1 where the device names none that can be."""
        word = self.settings.get(Setting.FACTOR, ())
        factor: float = struct.unpack("<f", word[0].to_bytes(4, "little"))[0] if word else 1.0
        return factor if 0 < factor < 1e6 else 1.0

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `FrameError`."""
        return cls.read(Reader(data))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        if (head := reader.unsigned("response")) != _RESPONSE:
            raise FrameError("sync", "response", f"a response begins with 0xf0, not {head:#04x}")
        opcode, measurement = reader.code("opcode", Opcode), read_measurement(reader)
        status = reader.known_code("status", Status)
        if status is not Status.SUCCESS:
            reader.rest("surplus")
            return cls(opcode, measurement, status)
        more = reader.left > 0 and reader.unsigned("more") != 0
        return cls(opcode, measurement, status, more, _read_settings(reader))

    def encode(self) -> bytes:
        head = bytes([_RESPONSE, self.opcode, self.measurement, 0xFF if self.status is None else self.status])
        return head + bytes([self.more]) + _encoded(self.settings) if self.status is Status.SUCCESS else head


def factor_bits(factor: float) -> int:
    """The value of `Setting.FACTOR` that means `factor`."""
    return int.from_bytes(struct.pack("<f", factor), "little")


def _read_settings(reader: Reader) -> dict[Setting, tuple[int, ...]]:
    settings = {}
    while reader.left:
        setting = reader.code("setting", Setting)
        count = reader.unsigned("number of values")
        name = setting.name.lower().replace("_", " ")
        settings[setting] = tuple(reader.unsigned(name, _BYTES[setting]) for _ in range(count))
    return settings


def _encoded(settings: Settings) -> bytes:
    return b"".join(
        bytes([setting, len(values)]) + b"".join(value.to_bytes(_BYTES[setting], "little") for value in values)
        for setting, values in settings.items()
    )
