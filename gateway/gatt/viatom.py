"""Viatom's and Wellue's oximeters of the older kind (O2Ring, Checkme O2, SleepO2, KidsO2): requests and replies. Pure.

    AA (request) or 55 (reply), command, the same inverted, block u16, length u16, payload, CRC-8 of all before it

A reply does not say what it answers: a status stands where a request has its command. So there is one request at a
time, and a reply is judged by the request that waits for it. All of this was found out by others from the outside; the
vendor publishes nothing. The newer O2Ring-S speaks another protocol and is not supported.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Literal, Self

from gateway.gatt import crc8
from gateway.gatt.frame import FrameError
from gateway.gatt.marks import read_number
from gateway.gatt.reader import Reader
from vitals.model import Reason

SERVICE: Final = "14839ac4-7d7e-415c-9a42-167340cf2339"
NOTIFY: Final = "0734594a-a8e7-4b1a-a6b1-cd5243059a57"
WRITE: Final = "8b00ace7-eb0b-49b0-bbe9-9aee0a26e1a3"
NEWER_SERVICE: Final = "e8fb0001-a14b-98f9-831b-4e2941d01248"  # of the O2Ring-S, which is not this one

WRITE_BYTES: Final = 20  # a request is written in pieces of this size
MAX_PAYLOAD: Final = 4096  # no reply was seen to have more than 512; a broken length must not hold up the stream
_HEADER_BYTES: Final = 7
_REQUEST: Final = 0xAA
_REPLY: Final = 0x55
_NO_SPO2: Final = (0, 0xFF)
_NO_PULSE_RATE: Final = (0, 0xFF, 0xFFFF)
_NO_PLETH: Final = 156  # [unverified]: the vendor's application draws the mean of the neighbours instead


class Command(IntEnum):
    """What may be asked. The device's settings and its factory reset (16, 18 in hexadecimal) are never touched."""

    OPEN = 0x03
    READ = 0x04
    CLOSE = 0x05
    INFO = 0x14
    PING = 0x15
    LIVE = 0x17
    LIVE_WAVE = 0x1B


@dataclass(frozen=True, slots=True)
class Request:
    command: Command
    block: int = 0
    payload: bytes = b""

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """As a device reads it; raises `FrameError`."""
        return cls.read(Reader(data))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        number, block, payload = _read(reader, _REQUEST, "command")
        if number not in Command.__members__.values():
            raise FrameError("value", "command", f"the command is {number:#04x}, which is not known")
        return cls(Command(number), block, payload)

    def encode(self) -> bytes:
        return _framed(_REQUEST, self.command, self.block, self.payload)

    def pieces(self) -> tuple[bytes, ...]:
        """`encode`, cut as it has to be written."""
        frame = self.encode()
        return tuple(frame[at : at + WRITE_BYTES] for at in range(0, len(frame), WRITE_BYTES))


@dataclass(frozen=True, slots=True)
class Reply:
    """`status`: 0 when the request was carried out. `block`: as it stood in the request for a block of a file."""

    status: int
    block: int = 0
    payload: bytes = b""

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `FrameError` unless `data` is one whole reply with its CRC."""
        return cls.read(Reader(data))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        return cls(*_read(reader, _REPLY, "status"))

    def encode(self) -> bytes:
        return _framed(_REPLY, self.status, self.block, self.payload)


@dataclass(frozen=True, slots=True)
class ViatomStream:
    """Finds the frames of one direction, however notifications cut them. `rest`: what is not yet a frame."""

    sync: Literal[0x55, 0xAA] = 0x55
    rest: bytes = b""

    def feed(self, data: bytes) -> tuple[ViatomStream, tuple[bytes, ...], int]:
        """The stream after `data`, the whole frames it held, and how many bytes had to be passed over."""
        held = self.rest + data
        frames: list[bytes] = []
        at, skipped = 0, 0
        while at < len(held):
            size = self._size(held[at : at + _HEADER_BYTES])
            if size is None or at + size > len(held):
                break
            frame = held[at : at + size]
            if size > 1 and crc8.ccitt(frame[:-1]) == frame[-1]:
                frames.append(frame)
            else:
                size, skipped = 1, skipped + 1
            at += size
        return ViatomStream(self.sync, held[at:]), tuple(frames), skipped

    def _size(self, front: bytes) -> int | None:
        """Of the frame with this front; 1 where none begins, `None` when more bytes must come to tell."""
        if front[0] != self.sync or (len(front) > 2 and front[1] ^ front[2] != 0xFF):
            return 1
        if len(front) < _HEADER_BYTES:
            return None
        length = int.from_bytes(front[5:7], "little")
        return _HEADER_BYTES + length + 1 if length <= MAX_PAYLOAD else 1


class Charging(IntEnum):
    NO = 0
    YES = 1
    FULL = 2


@dataclass(frozen=True, slots=True)
class Live:
    """The payload of a reply to `LIVE`, 13 bytes.

    `spo2_pct`, `pulse_rate`: `None` for 255, and for 0, which stands for "calibrating". `perfusion`: as received;
    whether 10 means 1.0 % is [unverified]. `charging`: `None` for a number that is not known.
    """

    spo2_pct: int | None
    pulse_rate: int | None
    battery_pct: int
    worn: bool
    motion: int = 0
    perfusion: int = 0
    charging: Charging | None = Charging.NO

    @property
    def reason(self) -> Reason:
        """Why a number is missing, if one is."""
        return _reason(self.spo2_pct, self.pulse_rate, worn=self.worn)

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Raises `FrameError` unless `payload` has 13 bytes."""
        return cls.read(Reader(payload))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        spo2 = read_number(reader, "SpO2", _NO_SPO2, unit="%")
        rate = read_number(reader, "pulse rate", _NO_PULSE_RATE, unit="/min")
        _skip(reader, 5)
        battery = reader.unsigned("battery", unit="%")
        charging = reader.known_code("charging", Charging)
        motion, perfusion = reader.unsigned("motion"), reader.unsigned("perfusion, unscaled")
        worn = reader.unsigned("worn") != 0
        _skip(reader, 1)
        reader.end()
        return cls(spo2, rate, battery, worn, motion, perfusion, charging)

    def encode(self) -> bytes:
        spo2 = self.spo2_pct if self.spo2_pct is not None else (0 if self.worn else 0xFF)
        rate = self.pulse_rate if self.pulse_rate is not None else (0 if self.worn else 0xFF)
        charging = 0xFF if self.charging is None else self.charging
        return bytes([spo2, rate, *bytes(5), self.battery_pct, charging, self.motion, self.perfusion, self.worn, 0])


@dataclass(frozen=True, slots=True)
class LiveWave:
    """The payload of a reply to `LIVE_WAVE`: 12 bytes and the pulse wave since the last one.

    As in `Live`; `pulse_rate` is also `None` for 65535. `samples`: 0–255, `None` for 156, which is no sample
    [unverified].
    """

    spo2_pct: int | None
    pulse_rate: int | None
    battery_pct: int
    worn: bool
    perfusion: int = 0
    charging: Charging | None = Charging.NO
    samples: tuple[int | None, ...] = ()

    @property
    def reason(self) -> Reason:
        """Why a number is missing, if one is."""
        return _reason(self.spo2_pct, self.pulse_rate, worn=self.worn)

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Raises `FrameError` when the payload is not as long as it says."""
        return cls.read(Reader(payload))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        spo2 = read_number(reader, "SpO2", _NO_SPO2, unit="%")
        rate = read_number(reader, "pulse rate", _NO_PULSE_RATE, size=2, unit="/min")
        battery = reader.unsigned("battery", unit="%")
        charging = reader.known_code("charging", Charging)
        perfusion = reader.unsigned("perfusion, unscaled")
        worn = reader.unsigned("worn") == 1
        _skip(reader, 3)
        raw = reader.take(reader.unsigned("length of the pulse wave", 2), "pulse wave")
        reader.end()
        samples = tuple(None if byte == _NO_PLETH else byte for byte in raw)
        reader.keep("pulse wave", raw, samples)
        return cls(spo2, rate, battery, worn, perfusion, charging, samples)

    def encode(self) -> bytes:
        spo2 = self.spo2_pct if self.spo2_pct is not None else (0 if self.worn else 0xFF)
        rate = self.pulse_rate if self.pulse_rate is not None else (0 if self.worn else 0xFFFF)
        charging = 0xFF if self.charging is None else self.charging
        head = (
            bytes([spo2]) + rate.to_bytes(2, "little") + bytes([self.battery_pct, charging, self.perfusion, self.worn])
        )
        samples = bytes(_NO_PLETH if sample is None else sample for sample in self.samples)
        return head + bytes(3) + len(samples).to_bytes(2, "little") + samples


def _skip(reader: Reader, size: int) -> None:
    raw = reader.take(size, "not known")
    reader.keep("not known", raw, raw)


def _read(reader: Reader, sync: int, second: str) -> tuple[int, int, bytes]:
    """The command or status, the block and the payload of a whole frame."""
    if (head := reader.unsigned("sync")) != sync:
        raise FrameError("sync", "sync", f"the frame begins with {head:#04x}, not {sync:#04x}")
    number, inverted = reader.unsigned(second), reader.unsigned(f"{second}, inverted")
    if number ^ inverted != 0xFF:
        raise FrameError("checksum", second, f"{number:#04x} is not {inverted:#04x} inverted")
    block = reader.unsigned("block", 2)
    size = reader.unsigned("length", 2)
    payload = reader.take(size, "payload")
    reader.keep("payload", payload, payload)
    told = reader.unsigned("CRC")
    reader.end()
    if (crc := _framed(sync, number, block, payload)[-1]) != told:
        raise FrameError("checksum", "CRC", f"the CRC is {told:#04x}; the bytes before it give {crc:#04x}")
    return number, block, payload


def _framed(sync: int, number: int, block: int, payload: bytes) -> bytes:
    lengths = block.to_bytes(2, "little") + len(payload).to_bytes(2, "little")
    body = bytes([sync, number, number ^ 0xFF]) + lengths + payload
    return body + bytes([crc8.ccitt(body)])


def _reason(spo2: int | None, pulse_rate: int | None, *, worn: bool) -> Reason:
    if not worn:
        return Reason.PROBE_OFF
    return Reason.SEARCHING if spo2 is None and pulse_rate is None else Reason.NO_READING
