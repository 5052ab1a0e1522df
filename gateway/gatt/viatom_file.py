"""What a Viatom oximeter keeps: the answer to `INFO`, and a recording, file version 3. Pure.

[unverified]: two open programs that download these files agree on the layout but for one byte of a record, and no
document of the vendor's was found. Where they differ, a record counts as a reading only if both would take it for one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

import msgspec

from gateway.gatt.date_time import DateTime
from gateway.gatt.frame import FrameError
from gateway.gatt.reader import Reader

HEADER_BYTES: Final = 40
RECORD_BYTES: Final = 5
VERSION: Final = 3
INTERVALS_S: Final = (2, 4)  # between records; no others were seen
MAX_FILE_BYTES: Final = 1 << 17  # 29 hours, more than a battery lasts: a larger size is nonsense
MOST_FILES: Final = 64  # names that are looked at
_LONGEST_NAME: Final = 32
_CLOCK: Final = "%Y-%m-%d,%H:%M:%S"


@dataclass(frozen=True, slots=True)
class ViatomInfo:
    """`clock_s`: seconds since 1970 on the device's own clock, `None` if it does not tell. `files`: oldest first."""

    model: str = ""
    serial: str = ""
    hardware: str = ""
    firmware: str = ""
    clock_s: int | None = None
    files: tuple[str, ...] = ()

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Raises `FrameError` for what is not a JSON object; a field that is not text counts as absent."""
        return cls.read(Reader(payload))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        raw = reader.take(reader.left, "information")
        try:
            told: dict[str, Any] = msgspec.json.decode(raw.rstrip(b" \t\r\n\0"), type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise FrameError("value", "information", f"not a JSON object: {error}") from None
        texts = {key: value for key, value in told.items() if isinstance(value, str) and value.isprintable()}
        names = (name for name in str(told.get("FileList", "")).split(",") if _is_name(name))
        info = cls(
            texts.get("Model", ""),
            texts.get("SN", ""),
            texts.get("HardwareVer", ""),
            texts.get("SoftwareVer", ""),
            _clock_s(texts.get("CurTIME", "")),
            tuple(sorted(set(names)))[-MOST_FILES:],
        )
        reader.keep("information", raw, ", ".join(f"{key} {text}" for key, text in texts.items()))
        return info

    def encode(self) -> bytes:
        told = {"Model": self.model, "SN": self.serial, "HardwareVer": self.hardware, "SoftwareVer": self.firmware}
        if self.clock_s is not None:
            told["CurTIME"] = datetime.fromtimestamp(self.clock_s, UTC).strftime(_CLOCK)
        return msgspec.json.encode(told | {"FileList": ",".join(self.files)})


@dataclass(frozen=True, slots=True)
class Record:
    """`spo2_pct`, `pulse_rate`: `None` where there is none. `motion`: as received."""

    spo2_pct: int | None
    pulse_rate: int | None
    motion: int = 0
    mark: int = 0


@dataclass(frozen=True, slots=True)
class Recording:
    """`started`: on the device's own clock, the time of the first record; one more each `interval_s`."""

    started: DateTime
    interval_s: int
    records: tuple[Record, ...]
    mode: int = 0

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `FrameError` unless `data` is a whole file of version 3 whose length fits its duration."""
        return cls.read(Reader(data))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """`decode`, field by field."""
        version, mode = reader.unsigned("version"), reader.unsigned("mode")
        if version != VERSION:
            raise FrameError("value", "version", f"the file has version {version}; {VERSION} is known")
        started = DateTime.read(reader, "start")
        if started.seconds is None:
            raise FrameError("value", "start", f"the file does not tell when it began: {started}")
        reader.unsigned("size of the file", 4)
        duration_s = reader.unsigned("duration", 2, "s")
        summary = reader.take(HEADER_BYTES - 15, "summary")
        reader.keep("summary", summary, summary)
        if reader.left % RECORD_BYTES:
            raise FrameError("truncated", "records", f"{reader.left} bytes are not whole records of {RECORD_BYTES}")
        interval_s = _interval_s(duration_s, reader.left // RECORD_BYTES)
        raw = reader.take(reader.left, "records")
        records = tuple(_record(raw[at : at + RECORD_BYTES]) for at in range(0, len(raw), RECORD_BYTES))
        reader.keep("records", raw, f"{len(records)}, one each {interval_s} s")
        return cls(started, interval_s, records, mode)

    def encode(self) -> bytes:
        size = HEADER_BYTES + RECORD_BYTES * len(self.records)
        head = bytes([VERSION, self.mode]) + self.started.encode() + size.to_bytes(4, "little")
        head += (self.interval_s * len(self.records)).to_bytes(2, "little")
        return head.ljust(HEADER_BYTES, b"\0") + b"".join(map(_encoded, self.records))


def encode_name(name: str) -> bytes:
    """The payload of `OPEN`; without the zero at its end a device refuses."""
    return name.encode("ascii") + b"\0"


def decode_name(payload: bytes) -> str:
    """The file that `OPEN` asks for; raises `FrameError`."""
    name = payload[:-1].decode("ascii", "replace")
    if payload[-1:] != b"\0" or not _is_name(name):
        raise FrameError("value", "name", "the name of a file is printable text with a zero at its end")
    return name


def encode_size(size: int) -> bytes:
    """The payload of the reply to `OPEN`."""
    return size.to_bytes(4, "little")


def decode_size(payload: bytes) -> int:
    """The size of the file that was opened; raises `FrameError`, also for a size that cannot be."""
    reader = Reader(payload)
    size = reader.unsigned("size of the file", 4)
    reader.end()
    if not HEADER_BYTES <= size <= MAX_FILE_BYTES:
        raise FrameError("value", "size", f"a file of {size} bytes; {HEADER_BYTES} to {MAX_FILE_BYTES} can be")
    return size


def _is_name(name: str) -> bool:
    return 0 < len(name) <= _LONGEST_NAME and name.isascii() and name.isprintable()


def _clock_s(text: str) -> int | None:
    try:
        return math.floor(datetime.strptime(text, _CLOCK).replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None


def _interval_s(duration_s: int, records: int) -> int:
    """The interval that makes so many records last so long; with a record too few or too many, none does."""
    for interval_s in INTERVALS_S:
        if abs(records * interval_s - duration_s) < interval_s:
            return interval_s
    known = " and ".join(map(str, INTERVALS_S))
    raise FrameError("value", "duration", f"{records} records in {duration_s} s; intervals of {known} s are known")


def _record(raw: bytes) -> Record:
    """One reading. The third byte is the upper half of the pulse rate, or a flag "invalid": either way, no reading."""
    spo2, rate, invalid, motion, mark = raw
    usable = not invalid
    return Record(
        spo2 if usable and spo2 not in {0, 0xFF} else None,
        rate if usable and rate not in {0, 0xFF} else None,
        motion,
        mark,
    )


def _encoded(record: Record) -> bytes:
    spo2 = 0xFF if record.spo2_pct is None else record.spo2_pct
    rate = 0xFF if record.pulse_rate is None else record.pulse_rate
    return bytes([spo2, rate, 0, record.motion, record.mark])
