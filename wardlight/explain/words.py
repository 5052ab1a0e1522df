"""The fields of a frame, and what Wardlight makes of it, in words for people. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum, IntFlag
from typing import Final

from gateway.devices.driver import NOTHING, Heard, HeardSample
from gateway.gatt.frame import FrameError
from gateway.gatt.reader import Field, Reader
from gateway.gatt.sfloat import Special
from vitals.model import VITALS, Quality, Reason
from wardlight.explain.frames import FrameKind

#: `FrameError.reason` → what to do about it.
ADVICE: Final = {
    "truncated": "copy the whole value; if the device really sent no more, it sent less than it announced",
    "length": "check that the frame comes from this characteristic, and that only one frame was copied",
    "checksum": "copy the frame again: a byte is wrong or missing, or it was changed on the way",
    "sync": "begin with the first byte of a frame, and check that it comes from this device",
    "value": "check that the frame comes from this characteristic; if it does, the device breaks the layout there",
}
_QUALITY: Final = {
    Quality.UNKNOWN: "unknown: the device does not tell",
    Quality.USABLE: "usable",
    Quality.DOUBTFUL: "doubtful: stored and shown as such",
    Quality.UNUSABLE: "unusable",
    Quality.TEST: "test or demonstration: stored, no alarm",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """A frame taken apart. `fields`: as far as it could be read; `error`: why not further."""

    fields: tuple[Field, ...]
    heard: Heard
    error: FrameError | None

    @property
    def usable(self) -> bool:
        """Whether anything of the frame may be used."""
        heard = self.heard
        return self.error is None and bool(heard.samples or heard.waves or heard.notes or not heard.malformed)


def explain(kind: FrameKind, data: bytes) -> Explanation:
    """Take `data` apart as a frame of `kind`."""
    reader, error = Reader(data), None
    try:
        kind.read(reader)
    except FrameError as caught:
        error = caught
    heard = NOTHING
    if kind.driver is not None and error is None:
        state, _ = kind.driver.begin()
        _, heard = kind.driver.feed(state, kind.uuid, data, 0)
    return Explanation(tuple(reader.fields), heard, error)


def meaning(field: Field) -> str:
    """What a field says."""
    value = field.value
    if isinstance(value, Special):
        return f"no value: {value.value}"
    if isinstance(value, IntFlag):
        return _flags(value)
    if isinstance(value, IntEnum):
        return f"{value.name.lower().replace('_', ' ')} ({value.value})"
    if isinstance(value, bytes):
        return f"{len(value)} bytes without a meaning here"
    return f"{_digits(value)} {field.unit}".rstrip()


def _digits(value: object) -> str:
    """Decimals as they are read aloud, unless that takes a line of zeros."""
    plain = isinstance(value, Decimal) and -12 <= value.adjusted() <= 12
    return f"{value:f}" if plain else str(value)


def _flags(value: IntFlag) -> str:
    known = [member for member in type(value) if member & value]
    words = [(member.name or "").lower().replace("_", " ") for member in known]
    spare = int(value) & ~sum(known)
    words += [f"reserved bit {bit}" for bit in range(spare.bit_length()) if spare >> bit & 1]
    return ", ".join(words) or "nothing set"


def value_words(sample: HeardSample) -> str:
    """The value with its unit, or the reason why there is none."""
    if sample.value is None:
        return f"missing: {sample.reason.name.lower().replace('_', ' ')}"
    info = VITALS[sample.vital]
    outside = (
        "" if info.low <= sample.value <= info.high else f" ({Reason.OUT_OF_RANGE.name.lower().replace('_', ' ')})"
    )
    return f"{sample.value:g} {info.unit}{outside}"


def quality_words(sample: HeardSample) -> str:
    return _QUALITY[sample.quality]


def when_words(sample: HeardSample) -> str:
    """When the value was produced, seen from the frame's arrival."""
    earlier = "on arrival" if not sample.at_monotonic_ns else f"{-sample.at_monotonic_ns / 1e9:.3f} s earlier"
    return f"{earlier}, from memory" if sample.stored else earlier


def error_words(error: FrameError) -> str:
    """What is wrong where, and what to do."""
    field = f" (field {error.field})" if error.field else ""
    return f"this frame cannot be used{field}: {error}. What to do: {ADVICE.get(error.reason, ADVICE['value'])}."
