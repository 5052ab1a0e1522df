"""Polar Measurement Data: frames of ECG, PPG, acceleration and pulse intervals (H10, OH1, Verity Sense). Pure.

    type, u64 time in ns since 2000 of the last sample (UTC as far as the device knows), frame type, samples …

Bit 7 of the frame type says that the samples are compressed: `gateway.gatt.polar_deltas`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple, Self

from gateway.gatt import polar_deltas
from gateway.gatt.frame import FrameError
from gateway.gatt.polar_deltas import Rows
from gateway.gatt.reader import Reader
from vitals.model import Quality, Reason

SERVICE: Final = "fb005c80-02e7-f387-1cad-8acd2d8df0c8"
CONTROL_POINT: Final = "fb005c81-02e7-f387-1cad-8acd2d8df0c8"
DATA: Final = "fb005c82-02e7-f387-1cad-8acd2d8df0c8"

TYPE_MASK: Final = 0x3F
_COMPRESSED: Final = 0x80
_DOUBTFUL_ERROR_MS: Final = 30  # a pulse interval that is less certain is doubtful: a choice of this project


class Measurement(IntEnum):
    """The kinds that Wardlight takes; a device may have more."""

    ECG = 0
    PPG = 1
    ACCELERATION = 2
    PULSE_INTERVALS = 3


class Layout(NamedTuple):
    """How a sample looks: so many numbers, signed and little-endian, of so many bytes."""

    channels: int
    width_bytes: int

    @property
    def row_bytes(self) -> int:
        return self.channels * self.width_bytes


#: (kind, frame type, compressed) → layout. ECG in µV; PPG three channels and the ambient light, in counts; acceleration
#: x, y, z in mg, or, where compressed, in units that a factor makes mg (type 1) or g (type 0) of.
LAYOUTS: Final = {
    (Measurement.ECG, 0, False): Layout(1, 3),
    (Measurement.PPG, 0, False): Layout(4, 3),
    (Measurement.PPG, 0, True): Layout(4, 3),
    (Measurement.ACCELERATION, 1, False): Layout(3, 2),
    (Measurement.ACCELERATION, 0, True): Layout(3, 2),
    (Measurement.ACCELERATION, 1, True): Layout(3, 2),
}


@dataclass(frozen=True, slots=True)
class PulseInterval:
    """One of the `PULSE_INTERVALS`; `pulse_rate`: `None` for 0.

    `blocked`: made invalid by movement. `contact`: `None` where the device cannot tell. [unverified]: which way round
    it says that; Polar's document and Polar's program disagree, and the program is followed.
    """

    interval_ms: int
    error_ms: int
    pulse_rate: int | None = None
    blocked: bool = False
    contact: bool | None = None

    @property
    def reason(self) -> Reason:
        """Why it is no interval between beats."""
        if self.blocked:
            return Reason.POOR_SIGNAL
        return Reason.PROBE_OFF if self.contact is False else Reason.PRESENT

    @property
    def quality(self) -> Quality:
        return Quality.DOUBTFUL if self.error_ms > _DOUBTFUL_ERROR_MS else Quality.USABLE

    @classmethod
    def read(cls, reader: Reader) -> Self:
        rate = reader.unsigned("pulse rate", unit="/min") or None
        interval = reader.unsigned("pulse interval", 2, "ms")
        error = reader.unsigned("error", 2, "ms")
        flags = reader.unsigned("flags")
        return cls(interval, error, rate, bool(flags & 1), bool(flags & 2) if flags & 4 else None)

    def encode(self) -> bytes:
        flags = self.blocked | (0 if self.contact is None else 4 | self.contact << 1)
        numbers = self.interval_ms.to_bytes(2, "little") + self.error_ms.to_bytes(2, "little")
        return bytes([self.pulse_rate or 0]) + numbers + bytes([flags])


@dataclass(frozen=True, slots=True)
class DataFrame:
    """`ended_ns`: the device's time of the last sample, 0 where it has none.

    `rows`: oldest first, one number a channel; `intervals` instead of them for `PULSE_INTERVALS`.
    """

    measurement: Measurement
    ended_ns: int
    frame_type: int = 0
    compressed: bool = False
    rows: Rows = ()
    intervals: tuple[PulseInterval, ...] = ()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `FrameError`, also for a kind or layout that is not known."""
        return cls.read(Reader(data))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        measurement = read_measurement(reader)
        ended_ns = reader.unsigned("time of the last sample", 8, "ns since 2000")
        kind = reader.unsigned("frame type")
        frame_type, compressed = kind & ~_COMPRESSED, bool(kind & _COMPRESSED)
        if measurement is Measurement.PULSE_INTERVALS:
            return cls(measurement, ended_ns, intervals=_read_intervals(reader, kind))
        layout = LAYOUTS.get((measurement, frame_type, compressed))
        if layout is None:
            raise FrameError("value", "frame type", f"{measurement.name} of frame type {kind:#04x} is not known")
        rows = _read_rows(reader, layout, compressed=compressed)
        return cls(measurement, ended_ns, frame_type, compressed, rows)

    def encode(self) -> bytes:
        """Raises `KeyError` for a layout that is not known, `OverflowError` for a number that has no room."""
        kind = self.frame_type | (_COMPRESSED if self.compressed else 0)
        head = bytes([self.measurement]) + self.ended_ns.to_bytes(8, "little") + bytes([kind])
        if self.measurement is Measurement.PULSE_INTERVALS:
            return head + b"".join(interval.encode() for interval in self.intervals)
        layout = LAYOUTS[self.measurement, self.frame_type, self.compressed]
        if self.compressed:
            return head + polar_deltas.encode(self.rows, layout.width_bytes)
        width = layout.width_bytes
        return head + b"".join(n.to_bytes(width, "little", signed=True) for row in self.rows for n in row)


def read_measurement(reader: Reader) -> Measurement:
    """One byte; its two highest bits mean something else."""
    raw = reader.take(1, "measurement")
    try:
        measurement = Measurement(raw[0] & TYPE_MASK)
    except ValueError:
        raise FrameError("value", "measurement", f"measurement {raw[0] & TYPE_MASK} is not taken") from None
    reader.keep("measurement", raw, measurement)
    return measurement


def _read_intervals(reader: Reader, kind: int) -> tuple[PulseInterval, ...]:
    if kind:
        raise FrameError("value", "frame type", f"pulse intervals of frame type {kind:#04x} are not known")
    intervals = []
    while reader.left:
        intervals.append(PulseInterval.read(reader))
    return tuple(intervals)


def _read_rows(reader: Reader, layout: Layout, *, compressed: bool) -> Rows:
    raw = reader.take(reader.left, "samples")
    if compressed:
        rows = polar_deltas.decode(raw, layout.channels, layout.width_bytes)
    else:
        if len(raw) % layout.row_bytes:
            raise FrameError("truncated", "samples", f"{len(raw)} bytes are not whole samples of {layout.row_bytes}")
        rows = tuple(polar_deltas.row(raw, at, *layout) for at in range(0, len(raw), layout.row_bytes))
    reader.keep("samples", raw, rows)
    return rows
