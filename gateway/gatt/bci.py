"""The BCI protocol of oximeters, as BerryMed speaks it: packets of five bytes, a hundred a second. Pure.

Only the first byte of a packet has its highest bit set. One open decoder takes "no signal" for its reverse; the
vendor's document is followed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from gateway.gatt.frame import FrameError
from gateway.gatt.reader import Reader
from vitals.model import Quality, Reason

PACKET_BYTES: Final = 5
RATE_HZ: Final = 100.0
_BEST: Final = 8  # signal strength
_WEAK_BELOW: Final = 3  # of 8: a choice of this project
_NO_STRENGTH: Final = 0xF
_NO_PULSE_RATE: Final = 0xFF
_NO_SPO2: Final = 0x7F


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
        if len(data) != PACKET_BYTES:
            reason = "truncated" if len(data) < PACKET_BYTES else "length"
            raise FrameError(reason, "", f"{len(data)} bytes; a packet has {PACKET_BYTES}")
        head, pleth, bar, rate, spo2 = data
        if not head & 0x80 or (pleth | bar | rate | spo2) & 0x80:
            raise FrameError("sync", "", "of the five bytes the first, and no other, has its highest bit set")
        rate |= (bar & 0x40) << 1
        strength = head & 0x0F
        return cls(
            spo2_pct=None if spo2 in {0, _NO_SPO2} else spo2,
            pulse_rate=None if rate in {0, _NO_PULSE_RATE} else rate,
            pleth=pleth or None,
            strength=strength if strength <= _BEST else None,
            bar=bar & 0x0F,
            no_signal=bool(head & 0x10),
            unplugged=bool(head & 0x20),
            no_finger=bool(bar & 0x10),
            searching=bool(bar & 0x20),
            beat=bool(head & 0x40),
        )

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, byte by byte; the highest bit of the pulse rate is in the byte before it."""
        raw = reader.take(PACKET_BYTES, "packet")
        packet = cls.decode(raw)
        reader.keep("strength, flags", raw[0:1], packet.head_words)
        _keep(reader, "pleth", raw[1:2], packet.pleth)
        reader.keep("bar, flags", raw[2:3], packet.bar_words)
        _keep(reader, "pulse rate", raw[3:4], packet.pulse_rate, "/min")
        _keep(reader, "SpO2", raw[4:5], packet.spo2_pct, "%")
        return packet

    @property
    def head_words(self) -> str:
        """The first byte for people."""
        strength = "not known" if self.strength is None else f"{self.strength} of {_BEST}"
        flags = {"no signal": self.no_signal, "probe unplugged": self.unplugged, "beat": self.beat}
        return ", ".join((strength, *(word for word, is_set in flags.items() if is_set)))

    @property
    def bar_words(self) -> str:
        """The third byte for people."""
        flags = {"no finger": self.no_finger, "searching": self.searching}
        return ", ".join((str(self.bar), *(word for word, is_set in flags.items() if is_set)))

    def encode(self) -> bytes:
        rate = _NO_PULSE_RATE if self.pulse_rate is None else self.pulse_rate
        head = 0x80 | (_NO_STRENGTH if self.strength is None else self.strength)
        head |= self.no_signal << 4 | self.unplugged << 5 | self.beat << 6
        bar = self.bar | self.no_finger << 4 | self.searching << 5 | (rate & 0x80) >> 1
        return bytes([head, self.pleth or 0, bar, rate & 0x7F, _NO_SPO2 if self.spo2_pct is None else self.spo2_pct])


def _keep(reader: Reader, name: str, raw: bytes, number: int | None, unit: str = "") -> None:
    if number is None:
        reader.keep(name, raw, "no value")
    else:
        reader.keep(name, raw, number, unit)
