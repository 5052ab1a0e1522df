"""BerryMed BM1000: packets of the BCI protocol, frames of the BERRY protocol, and commands. Pure.

Both protocols run over one characteristic as a stream of bytes; `gateway.gatt.berrymed_stream` finds the packets in it.
Where they say "no signal" in the vendor's document, an open decoder says the reverse: the vendor is followed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final, Self

from gateway.gatt.frame import FrameError
from gateway.gatt.reader import Reader
from vitals.model import Quality, Reason

SERVICE: Final = "49535343-fe7d-4ae5-8fa9-9fafd205e455"  # a serial port of a radio module: other vendors have it too
NOTIFY: Final = "49535343-1e4d-4bd9-ba61-23c647249616"
WRITE: Final = "49535343-8841-43f4-a8d4-ecbe34729bb3"

BCI_SIZE: Final = 5
BCI_RATE_HZ: Final = 100.0
BERRY_SIZE: Final = 20
BERRY_SYNC: Final = b"\xff\xaa"
_STRENGTHS: Final = 8  # the best; 0xF: not known
_WEAK_BELOW: Final = 3  # of 8: a choice of this project
_NO_STRENGTH: Final = 0xF
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


@dataclass(frozen=True, slots=True)
class BciPacket:
    """A hundredth of a second in five bytes, of which only the first has its highest bit set.

    `strength`: 0–8, `None` unknown. `pleth`: 1–100, `None` invalid. `spo2_pct`, `pulse_rate`: `None` for their marks,
    and for 0, which no body shows.
    """

    spo2_pct: int | None
    pulse_rate: int | None
    pleth: int | None
    strength: int | None = None
    bar: int = 0
    no_signal: bool = False
    unplugged: bool = False
    no_finger: bool = False
    searching: bool = False
    beat: bool = False

    @property
    def reason(self) -> Reason:
        """Why nothing is measured; `PRESENT` when the device has no such complaint.

        While it searches it may repeat an old number: that is no reading.
        """
        if self.unplugged or self.no_finger:
            return Reason.PROBE_OFF
        if self.searching:
            return Reason.SEARCHING
        return Reason.POOR_SIGNAL if self.no_signal else Reason.PRESENT

    @property
    def quality(self) -> Quality:
        if self.strength is None:
            return Quality.UNKNOWN
        return Quality.DOUBTFUL if self.strength < _WEAK_BELOW else Quality.USABLE

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `FrameError` unless `data` is one packet."""
        if len(data) != BCI_SIZE:
            raise FrameError(
                "truncated" if len(data) < BCI_SIZE else "length", "", f"{len(data)} bytes; a packet has 5"
            )
        head, pleth, bar, rate, spo2 = data
        if not head & 0x80 or (pleth | bar | rate | spo2) & 0x80:
            raise FrameError("sync", "", "of the five bytes the first, and no other, has its highest bit set")
        rate |= (bar & 0x40) << 1
        strength = head & 0x0F
        return cls(
            spo2_pct=None if spo2 in {0, _NO_SPO2} else spo2,
            pulse_rate=None if rate in {0, _NO_PULSE_RATE} else rate,
            pleth=pleth or None,
            strength=strength if strength <= _STRENGTHS else None,
            bar=bar & 0x0F,
            no_signal=bool(head & 0x10),
            unplugged=bool(head & 0x20),
            no_finger=bool(bar & 0x10),
            searching=bool(bar & 0x20),
            beat=bool(head & 0x40),
        )

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, with its fields kept. The bits of one field are spread over the bytes: `raw` is the packet."""
        raw = reader.take(BCI_SIZE, "packet")
        packet = cls.decode(raw)
        reader.keep("SpO2", raw[4:5], packet.spo2_pct, "%")
        reader.keep("pulse rate", raw[2:4], packet.pulse_rate, "/min")
        reader.keep("pleth", raw[1:2], packet.pleth)
        reader.keep("signal strength", raw[0:1], packet.strength)
        for name in ("no_signal", "unplugged", "beat"):
            reader.keep(name.replace("_", " "), raw[0:1], getattr(packet, name))
        for name in ("no_finger", "searching"):
            reader.keep(name.replace("_", " "), raw[2:3], getattr(packet, name))
        return packet

    def encode(self) -> bytes:
        rate = _NO_PULSE_RATE if self.pulse_rate is None else self.pulse_rate
        head = 0x80 | (_NO_STRENGTH if self.strength is None else self.strength)
        head |= self.no_signal << 4 | self.unplugged << 5 | self.beat << 6
        bar = self.bar | self.no_finger << 4 | self.searching << 5 | (rate & 0x80) >> 1
        return bytes([head, self.pleth or 0, bar, rate & 0x7F, _NO_SPO2 if self.spo2_pct is None else self.spo2_pct])


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
        body = Reader(_checked(reader))
        frame = cls(
            body.unsigned("index"),
            body.flags("status", BerryStatus),
            _mark(body.unsigned("SpO2", unit="%"), _NO_SPO2),
            _mark(body.unsigned("SpO2, real", unit="%"), _NO_SPO2),
            _mark(body.unsigned("pulse rate", unit="/min"), _NO_PULSE_RATE),
            _mark(body.unsigned("pulse rate, real", unit="/min"), _NO_PULSE_RATE),
            body.unsigned("RR interval", 2, "5 ms") * _RR_MS or None,
            body.unsigned("perfusion index", unit="‰") or None,
            body.unsigned("perfusion index, real", unit="‰") or None,
            body.unsigned("pleth"),
            _signed(body.unsigned("ADC", 4)),
            body.unsigned("battery", unit="%"),
            body.unsigned("packet frequency", unit="Hz"),
        )
        reader.fields += body.fields
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
        body = _checked(reader)
        part = _PARTS.get(body[0])
        text = body[1:].rstrip(b"\0")
        if part is None or not text.isascii() or not text.decode("ascii").isprintable():
            raise FrameError("value", "version", "an answer begins with S or H, and goes on with text")
        reader.keep(f"{part} version", body, text.decode("ascii"))
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
    """What stands between the sync bytes and the checksum of a frame that is one."""
    frame = reader.take(BERRY_SIZE, "frame")
    reader.end()
    if frame[:2] != BERRY_SYNC:
        raise FrameError("sync", "", "a frame begins with FF AA")
    if sum(frame[:-1]) & 0xFF != frame[-1]:
        raise FrameError(
            "checksum", "checksum", f"the bytes add up to {sum(frame[:-1]) & 0xFF:#04x}, not {frame[-1]:#04x}"
        )
    return frame[2:-1]


def _framed(fields: bytes) -> bytes:
    frame = BERRY_SYNC + fields
    return frame + bytes([sum(frame) & 0xFF])


def _signed(word: int) -> int:
    return word - (1 << 32) if word >> 31 else word


def _mark(number: int, mark: int) -> int | None:
    return None if number in {0, mark} else number


def _marked(number: int | None, mark: int) -> int:
    return mark if number is None else number
