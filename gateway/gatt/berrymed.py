"""BerryMed BM1000: its commands, and the frames of its BERRY protocol. Pure.

It speaks BCI (`gateway.gatt.bci`) until it is told otherwise. Both protocols run over one characteristic as a stream of
bytes; `gateway.gatt.berrymed_stream` finds the packets in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final, Self

from gateway.gatt.frame import FrameError
from gateway.gatt.marks import read_number
from gateway.gatt.reader import Reader
from vitals.model import Reason

SERVICE: Final = "49535343-fe7d-4ae5-8fa9-9fafd205e455"  # a serial port of a radio module: other vendors have it too
NOTIFY: Final = "49535343-1e4d-4bd9-ba61-23c647249616"
WRITE: Final = "49535343-8841-43f4-a8d4-ecbe34729bb3"

BERRY_SIZE: Final = 20
PLETH_RATES_HZ: Final = (50, 100, 200)  # packet frequencies that make a pulse wave
BERRY_SYNC: Final = b"\xff\xaa"
_NO_PULSE_RATE: Final = 0xFF
_NO_SPO2: Final = 0x7F
_RR_MS: Final = 5  # unit of the RR interval


class Command(IntEnum):
    """One byte, written to `WRITE`."""

    BCI = 0xE0
    BERRY = 0xE1
    RATE_50_HZ = 0xF0
    RATE_100_HZ = 0xF1
    RATE_200_HZ = 0xF2
    RATE_1_HZ = 0xF3
    RAW = 0xF4
    FILTERED = 0xF5
    STOP = 0xF6
    HARDWARE_VERSION = 0xFE
    SOFTWARE_VERSION = 0xFF

    @classmethod
    def decode(cls, data: bytes) -> Command:
        """What a device is told; raises `FrameError` for anything but one known command."""
        reader = Reader(data)
        command = reader.code("command", cls)
        reader.end()
        return command

    def encode(self) -> bytes:
        return bytes([self])


class BerryStatus(IntFlag):
    SENSOR_OFF = 1 << 0
    NO_FINGER = 1 << 1
    NO_PULSE = 1 << 2
    BEAT = 1 << 3


@dataclass(frozen=True, slots=True)
class BerryFrame:
    """One frame of 20 bytes, 1, 50, 100 or 200 times a second.

    `spo2_pct`, `pulse_rate` are averaged, `*_real` are not; `None` for 0 and, as in BCI, 127 and 255 ([unverified]
    here). `rr_ms`: the last interval between beats; `perfusion_permille`: both `None` for 0. `adc`: the sensor's count.
    """

    index: int
    status: BerryStatus
    spo2_pct: int | None
    spo2_real_pct: int | None
    pulse_rate: int | None
    pulse_rate_real: int | None
    rr_ms: int | None
    perfusion_permille: int | None
    perfusion_real_permille: int | None
    pleth: int
    adc: int
    battery_pct: int
    frequency_hz: int

    @property
    def reason(self) -> Reason:
        """Why nothing is measured; `PRESENT` when the device has no such complaint."""
        if self.status & (BerryStatus.SENSOR_OFF | BerryStatus.NO_FINGER):
            return Reason.PROBE_OFF
        return Reason.SEARCHING if self.status & BerryStatus.NO_PULSE else Reason.PRESENT

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `FrameError` unless `data` is one whole frame with its checksum."""
        return cls.read(Reader(data))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        whole = _checked(reader)
        body = Reader(whole[len(BERRY_SYNC) : -1])
        frame = cls(
            body.unsigned("index"),
            body.flags("status", BerryStatus),
            read_number(body, "SpO2", (0, _NO_SPO2), unit="%"),
            read_number(body, "SpO2, real", (0, _NO_SPO2), unit="%"),
            read_number(body, "pulse rate", (0, _NO_PULSE_RATE), unit="/min"),
            read_number(body, "pulse rate, real", (0, _NO_PULSE_RATE), unit="/min"),
            _rr_ms(read_number(body, "RR interval", (0,), size=2, unit="× 5 ms")),
            read_number(body, "perfusion index", (0,), unit="‰"),
            read_number(body, "perfusion index, real", (0,), unit="‰"),
            body.unsigned("pleth"),
            _read_signed(body, "ADC"),
            body.unsigned("battery", unit="%"),
            body.unsigned("packet frequency", unit="Hz"),
        )
        reader.fields += body.fields
        reader.keep("checksum", whole[-1:], "right")
        return frame

    def encode(self) -> bytes:
        fields = bytes([self.index, self.status])
        fields += bytes([_marked(n, _NO_SPO2) for n in (self.spo2_pct, self.spo2_real_pct)])
        fields += bytes([_marked(n, _NO_PULSE_RATE) for n in (self.pulse_rate, self.pulse_rate_real)])
        fields += ((self.rr_ms or 0) // _RR_MS).to_bytes(2, "little")
        fields += bytes([self.perfusion_permille or 0, self.perfusion_real_permille or 0, self.pleth])
        return _framed(
            fields + self.adc.to_bytes(4, "little", signed=True) + bytes([self.battery_pct, self.frequency_hz])
        )


@dataclass(frozen=True, slots=True)
class BerryVersion:
    """The answer to a question for a version. `part`: "software" or "hardware"."""

    part: str
    text: str

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `FrameError` unless `data` is such an answer."""
        return cls.read(Reader(data))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        whole = _checked(reader)
        body = whole[len(BERRY_SYNC) : -1]
        part = _PARTS.get(body[0])
        text = body[1:].rstrip(b"\0")
        if part is None or not text.isascii() or not text.decode("ascii").isprintable():
            raise FrameError("value", "version", "an answer begins with S or H, and goes on with text")
        reader.keep(f"{part} version", body, text.decode("ascii"))
        reader.keep("checksum", whole[-1:], "right")
        return cls(part, text.decode("ascii"))

    def encode(self) -> bytes:
        letter = next(letter for letter, part in _PARTS.items() if part == self.part)
        return _framed((bytes([letter]) + self.text.encode("ascii")).ljust(BERRY_SIZE - 3, b"\0"))


_PARTS: Final = {ord("S"): "software", ord("H"): "hardware"}


def decode_berry(data: bytes) -> BerryFrame | BerryVersion:
    """Either kind of frame: an index may be an "S", but no status is a letter. Raises `FrameError`."""
    is_version = len(data) > 3 and data[2] in _PARTS and data[3] >= ord(" ")
    return BerryVersion.decode(data) if is_version else BerryFrame.decode(data)


def _checked(reader: Reader) -> bytes:
    """The bytes of a frame that is one."""
    frame = reader.take(BERRY_SIZE, "frame")
    reader.end()
    if frame[:2] != BERRY_SYNC:
        raise FrameError("sync", "", "a frame begins with FF AA")
    if sum(frame[:-1]) & 0xFF != frame[-1]:
        raise FrameError(
            "checksum", "checksum", f"the bytes add up to {sum(frame[:-1]) & 0xFF:#04x}, not {frame[-1]:#04x}"
        )
    reader.keep("sync", frame[:2], "a frame begins")
    return frame


def _framed(fields: bytes) -> bytes:
    frame = BERRY_SYNC + fields
    return frame + bytes([sum(frame) & 0xFF])


def _read_signed(reader: Reader, name: str) -> int:
    raw = reader.take(4, name)
    number = int.from_bytes(raw, "little", signed=True)
    reader.keep(name, raw, number)
    return number


def _rr_ms(units: int | None) -> int | None:
    return None if units is None else units * _RR_MS


def _marked(number: int | None, mark: int) -> int:
    return mark if number is None else number
