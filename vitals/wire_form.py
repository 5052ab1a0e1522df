"""The form of a message on the wire: its bounds, fields and types. `vitals.wire` reads and writes it. Pure."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from vitals.derived import RESERVED
from vitals.model import ClockSource, Quality, Reason, Vital, Waveform
from vitals.topics import NAME_PATTERN

MAX_PAYLOAD_BYTES: Final = 1 << 20  # 2,000 wearable-seconds with PPG; a gateway hears far fewer
MAX_DEVICES: Final = 512  # per message
MAX_SAMPLES: Final = 1024  # per device and message: a longer stored-file download is split
MAX_WAVEFORMS: Final = 64  # per device and message
MAX_WAVEFORM_BYTES: Final = 1 << 16  # one block: 130 s of int32 at 125 Hz
_MAX_NS: Final = (1 << 63) - 1  # year 2262: the range of a signed 64-bit column

Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
DeviceName = Annotated[str, Meta(pattern=rf"(?!.*{RESERVED}){NAME_PATTERN}")]
Nanoseconds = Annotated[int, Meta(ge=0, le=_MAX_NS)]
Count = Annotated[int, Meta(ge=0, le=_MAX_NS)]
Small = Annotated[int, Meta(ge=0, le=0xFFFF)]
Milliseconds = Annotated[float, Meta(ge=0, le=1e12)]
Rate = Annotated[float, Meta(ge=0.001, le=10_000)]  # slower is no waveform, and would last longer than time can tell
BlockBytes = Annotated[bytes, Meta(max_length=MAX_WAVEFORM_BYTES)]


class WireSample(Struct, array_like=True, frozen=True, gc=False):
    """See `vitals.model.Sample`."""

    vital: Vital
    sampled_at_ns: Nanoseconds
    value: float | None = None
    reason: Reason = Reason.PRESENT
    quality: Quality = Quality.UNKNOWN
    sequence: Small = 0


class WireWaveform(Struct, array_like=True, frozen=True, gc=False):
    """See `vitals.model.WaveformBlock`."""

    waveform: Waveform
    started_at_ns: Nanoseconds
    sample_rate_hz: Rate
    samples: BlockBytes
    width_bytes: Literal[2, 4] = 4
    quality: Quality = Quality.UNKNOWN


class WireDevice(Struct, array_like=True, frozen=True, gc=False):
    """See `vitals.model.DeviceBatch`."""

    device: DeviceName
    samples: Annotated[list[WireSample], Meta(max_length=MAX_SAMPLES)] = []
    waveforms: Annotated[list[WireWaveform], Meta(max_length=MAX_WAVEFORMS)] = []
    rssi_dbm: Annotated[int, Meta(ge=-200, le=100)] | None = None


class WireBatch(Struct, array_like=True, frozen=True, gc=False):
    """See `vitals.model.GatewayBatch`."""

    version: int
    gateway: Name
    epoch: Count
    sequence: Count
    oldest: Count
    sent_at_ns: Nanoseconds
    clock_source: ClockSource
    uncertainty_ms: Milliseconds
    devices: Annotated[list[WireDevice], Meta(max_length=MAX_DEVICES)]


class WireNumber(Struct, array_like=True, frozen=True, gc=False):
    """The first fields of a `WireBatch`."""

    version: int
    gateway: Name
    epoch: Count
    sequence: Count
    oldest: Count
