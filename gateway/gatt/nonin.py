"""Nonin's oximetry service: the measurement of the 3230 and 3150, and what the 3150 adds to it. Pure.

All numbers are big-endian, and each frame begins with its own length. Layouts: Nonin's sample application and the
3150's data formats DF20, DF22 and DF23. One open firmware reads the measurement otherwise; Nonin is followed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final, Self

from gateway.gatt.frame import FrameError
from gateway.gatt.marks import read_number
from gateway.gatt.reader import Reader
from vitals.model import Quality, Reason

SERVICE: Final = "46a970e0-0d5f-11e2-8b5e-0002a5d5c51b"
MEASUREMENT: Final = "0aad7ea0-0d60-11e2-8e3c-0002a5d5c51b"
CONTROL_POINT: Final = "1447af80-0d60-11e2-88b6-0002a5d5c51b"
PULSE_INTERVALS: Final = "34e27863-76ff-4f8e-96f1-9e3993aa6199"  # DF20
PLETH: Final = "ec0a883a-4d24-11e7-b114-b2f933d5fe66"  # DF22
DEVICE_STATUS: Final = "ec0a9302-4d24-11e7-b114-b2f933d5fe66"  # DF23

PLETH_SAMPLES: Final = 25  # in a DF22 frame
PLETH_RATE_HZ: Final = 75.0  # [unverified]: two open decoders say so, no document of Nonin's was found
MOST_PULSES: Final = 6  # in a DF20 frame
_NO_SPO2: Final = 127
_NO_PULSE_RATE: Final = 511


class Status(IntFlag):
    """Second byte of the measurement. `PLACED`: CorrectCheck of the 3230, "sensor attached" of the 3150."""

    IN_SYNC_WITH_DISPLAY = 1 << 0
    WEAK_SIGNAL = 1 << 1
    SMART_POINT = 1 << 2  # the device vouches for the number
    SEARCHING = 1 << 3
    PLACED = 1 << 4
    LOW_BATTERY = 1 << 5
    ENCRYPTED = 1 << 6


@dataclass(frozen=True, slots=True)
class Oximetry:
    """What the device measures, once a second.

    `spo2_pct`, `pulse_rate`: `None` for the marks 127 and 511, and for 0, which no body shows.
    `amplitude`: the pulse amplitude index in 0.01 %. `counter`: seconds, 16 bits. `battery_dv`: in 0.1 V.
    """

    spo2_pct: int | None
    pulse_rate: int | None
    amplitude: int
    counter: int
    battery_dv: int
    status: Status

    @property
    def reason(self) -> Reason:
        """Why a number is missing, if one is."""
        if self.status & Status.SEARCHING:
            return Reason.SEARCHING
        return Reason.NO_READING if self.status & Status.PLACED else Reason.PROBE_OFF

    @property
    def quality(self) -> Quality:
        """Of the numbers that are there. Without SmartPoint nothing vouches for them, and nothing speaks against."""
        if self.status & (Status.WEAK_SIGNAL | Status.SEARCHING) or not self.status & Status.PLACED:
            return Quality.DOUBTFUL
        return Quality.USABLE if self.status & Status.SMART_POINT else Quality.UNKNOWN

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `FrameError` unless `data` is the ten bytes of a measurement."""
        return cls.read(Reader(data))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        _read_length(reader)
        status = reader.flags("status", Status)
        battery_dv = reader.unsigned("battery", unit="× 0.1 V")
        amplitude = reader.unsigned("pulse amplitude index", 2, "× 0.01 %", order="big")
        counter = reader.unsigned("counter", 2, "s", order="big")
        spo2 = read_number(reader, "SpO2", (0, _NO_SPO2), unit="%")
        rate = read_number(reader, "pulse rate", (0, _NO_PULSE_RATE), size=2, unit="/min", order="big")
        reader.end()
        return cls(spo2, rate, amplitude, counter, battery_dv, status)

    def encode(self) -> bytes:
        fields = bytes([self.status, self.battery_dv]) + _u16(self.amplitude) + _u16(self.counter)
        rate = _NO_PULSE_RATE if self.pulse_rate is None else self.pulse_rate
        return _framed(fields + bytes([_NO_SPO2 if self.spo2_pct is None else self.spo2_pct]) + _u16(rate))


@dataclass(frozen=True, slots=True)
class Pulse:
    """One beat: `interval` since the one before in 0.1 ms, `amplitude` in 0.01 % (12 bits)."""

    interval: int
    amplitude: int
    bad: bool = False


class IntervalStatus(IntFlag):
    """Why a DF20 frame has no pulses."""

    INVALID = 1 << 0
    RATE_TOO_HIGH = 1 << 1


@dataclass(frozen=True, slots=True)
class PulseIntervals:
    """DF20: the beats since the last frame, at most six, oldest first."""

    counter: int
    status: IntervalStatus
    pulses: tuple[Pulse, ...] = ()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `FrameError` unless `data` is a DF20 frame."""
        return cls.read(Reader(data))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        _read_length(reader)
        counter = reader.unsigned("counter", 2, order="big")
        status = reader.flags("status", IntervalStatus)
        if reader.left > 4 * MOST_PULSES:
            raise FrameError("length", "", f"{reader.left} bytes of pulses; {MOST_PULSES} pulses have 4 each")
        pulses = []
        while reader.left:
            word = reader.unsigned("amplitude, bad bit", 2, order="big")
            interval = reader.unsigned("pulse interval", 2, "× 0.1 ms", order="big")
            pulses.append(Pulse(interval, word & 0xFFF, bool(word & 0x8000)))
        return cls(counter, status, tuple(pulses))

    def encode(self) -> bytes:
        pulses = (_u16(p.amplitude | (0x8000 if p.bad else 0)) + _u16(p.interval) for p in self.pulses)
        return _framed(_u16(self.counter) + bytes([self.status]) + b"".join(pulses))


@dataclass(frozen=True, slots=True)
class Pleth:
    """DF22: 25 samples of the pulse wave, 16 bits each, and the number of the frame."""

    samples: tuple[int, ...]
    counter: int

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `FrameError` unless `data` is the 53 bytes of a DF22 frame."""
        return cls.read(Reader(data))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        _read_length(reader)
        raw = reader.take(2 * PLETH_SAMPLES, "pleth")
        samples = tuple(int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2))
        reader.keep("pleth", raw, samples)
        counter = reader.unsigned("counter", 2, order="big")
        reader.end()
        return cls(samples, counter)

    def encode(self) -> bytes:
        return _framed(b"".join(map(_u16, self.samples)) + _u16(self.counter))


class DeviceError(IntEnum):
    NONE = 0
    NO_SENSOR = 1
    SENSOR_FAULT = 5
    SYSTEM = 6


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """DF23. `sensor`: its type, 1 an oximeter's. `error`: `None` for a number that is not known."""

    sensor: int
    error: DeviceError | None
    battery_dv: int
    battery_pct: int
    counter: int

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `FrameError` unless `data` is the seven bytes of a DF23 frame."""
        return cls.read(Reader(data))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        _read_length(reader)
        status = cls(
            reader.unsigned("type of sensor"),
            reader.known_code("error", DeviceError),
            reader.unsigned("battery", unit="× 0.1 V"),
            reader.unsigned("battery", unit="%"),
            reader.unsigned("counter", 2, order="big"),
        )
        reader.end()
        return status

    def encode(self) -> bytes:
        """An unknown error becomes 255."""
        error = 0xFF if self.error is None else self.error
        return _framed(bytes([self.sensor, error, self.battery_dv, self.battery_pct]) + _u16(self.counter))


def _read_length(reader: Reader) -> None:
    whole = reader.left
    length = reader.unsigned("length")
    if length != whole:
        reason = "truncated" if length > whole else "length"
        raise FrameError(reason, "length", f"the frame says that it has {length} bytes, and has {whole}")


def _framed(fields: bytes) -> bytes:
    return bytes([len(fields) + 1]) + fields


def _u16(number: int) -> bytes:
    return number.to_bytes(2, "big")
