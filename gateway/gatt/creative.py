"""Creative's PC-60 family (PC-60FW, PC-60NW, sold by Viatom too): frames in a stream of bytes. Pure.

    AA 55, token, length, type, content …, CRC-8 (Maxim) of all before it; the length counts from the type to the CRC.

A reading of a PC-60NW was captured; the bits of its status, the pulse wave and the battery frame are from open
decoders of the family and are [unverified].
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Final, Self

from gateway.gatt import crc8
from gateway.gatt.frame import FrameError
from gateway.gatt.marks import read_number
from gateway.gatt.reader import Reader
from vitals.model import Reason

SERVICE: Final = "6e400001-b5a3-f393-e0a9-e50e24dcca9e"  # a radio module's serial port: other vendors have it too
WRITE: Final = "6e400002-b5a3-f393-e0a9-e50e24dcca9e"
NOTIFY: Final = "6e400003-b5a3-f393-e0a9-e50e24dcca9e"

SYNC: Final = b"\xaa\x55"
OXIMETRY: Final = 0x0F  # token of readings and pulse wave
DEVICE: Final = 0xF0  # token of what concerns the device
READING: Final = (OXIMETRY, 1)
PLETH: Final = (OXIMETRY, 2)
BATTERY: Final = (DEVICE, 3)
PLETH_RATE_HZ: Final = 50.0  # [unverified]: five samples ten times a second
PLETH_SAMPLES: Final = 5
_OVERHEAD: Final = 4  # before the type
_LEAST_LENGTH: Final = 2  # a type and a CRC


@dataclass(frozen=True, slots=True)
class CreativeFrame:
    """Any frame: `kind` is its token and type, `content` what stands between the type and the CRC."""

    kind: tuple[int, int]
    content: bytes

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `FrameError` unless `data` is one whole frame with its CRC."""
        return cls.read(Reader(data))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        sync = reader.take(len(SYNC), "sync")
        if sync != SYNC:
            raise FrameError("sync", "", f"a frame begins with AA 55, not {sync.hex(' ').upper()}")
        reader.keep("sync", sync, "a frame begins")
        token, length = reader.unsigned("token"), reader.unsigned("length")
        if length < _LEAST_LENGTH:
            raise FrameError("length", "length", f"the length is {length}; a type and a CRC are {_LEAST_LENGTH} bytes")
        kind = reader.unsigned("type")
        content = reader.take(length - _LEAST_LENGTH, "content")
        reader.keep("content", content, content)
        told = reader.unsigned("CRC")
        reader.end()
        frame = cls((token, kind), content)
        if (crc := frame.encode()[-1]) != told:
            raise FrameError("checksum", "CRC", f"the CRC is {told:#04x}; the bytes before it give {crc:#04x}")
        return frame

    def encode(self) -> bytes:
        token, kind = self.kind
        body = SYNC + bytes([token, len(self.content) + _LEAST_LENGTH, kind]) + self.content
        return body + bytes([crc8.maxim(body)])


class Trouble(IntFlag):
    """Fifth byte of a reading, [unverified]; the other bits are not known."""

    PROBE_OFF = 1 << 1
    SEARCHING = 1 << 2
    CHECK_PROBE = 1 << 3


NO_TROUBLE: Final = Trouble(0)


@dataclass(frozen=True, slots=True)
class CreativeReading:
    """What the display shows, once a second.

    `spo2_pct`, `pulse_rate`: `None` for 0. `perfusion`: in 0.1 %, `None` for 0. `state`: a byte that holds the battery
    on some models; what it means on others is not known, so it is kept as received.
    """

    spo2_pct: int | None
    pulse_rate: int | None
    perfusion: int | None
    trouble: Trouble = NO_TROUBLE
    state: int = 0

    @property
    def reason(self) -> Reason:
        """Why nothing is measured; `PRESENT` when the device has no such complaint."""
        if self.trouble & Trouble.CHECK_PROBE:
            return Reason.DEVICE_FAULT
        if self.trouble & Trouble.PROBE_OFF:
            return Reason.PROBE_OFF
        return Reason.SEARCHING if self.trouble & Trouble.SEARCHING else Reason.PRESENT

    @classmethod
    def decode(cls, content: bytes) -> Self:
        """The content of a `READING` frame. Raises `FrameError`."""
        return cls.read(Reader(content))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        reading = cls(
            read_number(reader, "SpO2", (0,), unit="%"),
            read_number(reader, "pulse rate", (0,), size=2, unit="/min"),
            read_number(reader, "perfusion index", (0,), unit="× 0.1 %"),
            reader.flags("status, unverified", Trouble),
            reader.unsigned("state, not known"),
        )
        reader.end()
        return reading

    def encode(self) -> bytes:
        rate = (self.pulse_rate or 0).to_bytes(2, "little")
        return bytes([self.spo2_pct or 0]) + rate + bytes([self.perfusion or 0, self.trouble, self.state])


@dataclass(frozen=True, slots=True)
class CreativePleth:
    """Five samples of the pulse wave, 0–127; `beats`: those on which a beat was found."""

    samples: tuple[int, ...]
    beats: tuple[bool, ...]

    @classmethod
    def decode(cls, content: bytes) -> Self:
        """The content of a `PLETH` frame. Raises `FrameError`."""
        return cls.read(Reader(content))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        raw = reader.take(PLETH_SAMPLES, "pleth")
        reader.end()
        pleth = cls(tuple(byte & 0x7F for byte in raw), tuple(byte >= 0x80 for byte in raw))
        reader.keep("pleth", raw, pleth.samples)
        return pleth

    def encode(self) -> bytes:
        return bytes(s | beat << 7 for s, beat in zip(self.samples, self.beats, strict=True))


@dataclass(frozen=True, slots=True)
class CreativeBattery:
    """`quarter`: 0 is less than a quarter full, 3 more than three quarters; [unverified]."""

    quarter: int

    @classmethod
    def decode(cls, content: bytes) -> Self:
        """The content of a `BATTERY` frame. Raises `FrameError`."""
        return cls.read(Reader(content))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        quarter = reader.unsigned("battery", unit="quarters")
        if quarter > 3:
            raise FrameError("value", "battery", f"the battery is {quarter}; 0 to 3 are known")
        reader.end()
        return cls(quarter)

    def encode(self) -> bytes:
        return bytes([self.quarter])


@dataclass(frozen=True, slots=True)
class CreativeStream:
    """Finds the frames in the bytes of notifications, however they were cut. `rest`: what is not yet a frame."""

    rest: bytes = b""

    def feed(self, data: bytes) -> tuple[CreativeStream, tuple[CreativeFrame, ...], int]:
        """The stream after `data`, the frames it held, and how many bytes had to be passed over."""
        held = self.rest + data
        frames: list[CreativeFrame] = []
        at, skipped = 0, 0
        while at < len(held):
            size = _size(held, at)
            if size is None or at + size > len(held):
                break
            try:
                frames.append(CreativeFrame.decode(held[at : at + size]))
            except FrameError:
                size, skipped = 1, skipped + 1
            at += size
        return CreativeStream(held[at:]), tuple(frames), skipped


def _size(held: bytes, at: int) -> int | None:
    """Of the frame that begins at `at`; 1 where none does, `None` when more bytes must come to tell."""
    front = held[at : at + _OVERHEAD]
    if not SYNC.startswith(front[: len(SYNC)]):
        return 1
    if len(front) < _OVERHEAD:
        return None
    return _OVERHEAD + front[-1] if front[-1] >= _LEAST_LENGTH else 1
