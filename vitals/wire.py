"""The wire format between gateways and ingest: one versioned envelope in two encodings.

MessagePack as arrays (small and fast; what a gateway sends) and JSON with names (for people and Wi-Fi wearables) carry
the same message and decode to the same `WireBatch`. The first byte tells them apart. Trailing array elements
and JSON fields that this version does not know are ignored; an unknown `version` is refused with a reason.

Anything at all may arrive here: `decode` returns a batch or raises `MalformedMessageError`, and nothing else.
One bad device or sample does not cost its neighbours: it is returned in `Decoded.rejected` and the rest is good.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from vitals.errors import MalformedMessageError
from vitals.model import (
    ClockTrust,
    DeviceBatch,
    GatewayBatch,
    Sample,
    WaveformBlock,
)
from vitals.wire_form import (
    MAX_DEVICES,
    MAX_PAYLOAD_BYTES,
    MAX_SAMPLES,
    MAX_WAVEFORM_BYTES,
    MAX_WAVEFORMS,
    Count,
    Milliseconds,
    Name,
    Nanoseconds,
    WireBatch,
    WireDevice,
    WireNumber,
    WireSample,
    WireWaveform,
)
from vitals.wire_json import VERSION, arrays

__all__ = [
    "MAX_DEVICES",
    "MAX_PAYLOAD_BYTES",
    "MAX_SAMPLES",
    "MAX_WAVEFORMS",
    "MAX_WAVEFORM_BYTES",
    "Count",
    "Decoded",
    "Milliseconds",
    "Name",
    "Nanoseconds",
    "WireBatch",
    "WireDevice",
    "WireNumber",
    "WireSample",
    "WireWaveform",
    "decode",
    "encode",
    "from_wire",
    "number_of",
    "to_wire",
]

_MAX_REJECTED: Final = 64  # findings kept per message; a message of rubbish must not multiply
_S = TypeVar("_S", bound=Struct)

_HEADER_FIELDS: Final = WireBatch.__struct_fields__[:-1]
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(WireBatch)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A part of a message that was set aside: a stable `reason`, the path of the `field`, and a sentence."""

    reason: str
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """The good part of a message, and what had to be set aside."""

    batch: WireBatch
    rejected: tuple[Rejected, ...] = ()


def encode(batch: GatewayBatch) -> bytes:
    """The MessagePack form of `batch`. `decode(encode(b)).batch` describes the same readings."""
    return _ENCODER.encode(to_wire(batch))


def to_wire(batch: GatewayBatch) -> WireBatch:
    """The wire structs of `batch`; nothing is checked, the model already is."""
    return WireBatch(
        VERSION,
        batch.gateway,
        batch.epoch,
        batch.sequence,
        batch.oldest,
        batch.sent_at_ns,
        batch.clock.source,
        batch.clock.uncertainty_ms,
        [_device_to_wire(device) for device in batch.devices],
    )


def _device_to_wire(device: DeviceBatch) -> WireDevice:
    return WireDevice(
        device.device,
        [WireSample(s.vital, s.sampled_at_ns, s.value, s.reason, s.quality, s.sequence) for s in device.samples],
        [
            WireWaveform(w.waveform, w.started_at_ns, w.sample_rate_hz, w.samples, w.width_bytes, w.quality)
            for w in device.waveforms
        ],
        device.rssi_dbm,
    )


def from_wire(wire: WireBatch) -> GatewayBatch:
    """The model of a decoded message; raises `ValueError` for a sample with both a value and a reason."""
    return GatewayBatch(
        gateway=wire.gateway,
        epoch=wire.epoch,
        sequence=wire.sequence,
        oldest=wire.oldest,
        sent_at_ns=wire.sent_at_ns,
        clock=ClockTrust(wire.clock_source, wire.uncertainty_ms),
        devices=tuple(
            DeviceBatch(
                device=d.device,
                samples=tuple(
                    Sample(s.vital, s.sampled_at_ns, s.value, s.reason, s.quality, s.sequence) for s in d.samples
                ),
                waveforms=tuple(
                    WaveformBlock(w.waveform, w.started_at_ns, w.sample_rate_hz, w.samples, w.width_bytes, w.quality)
                    for w in d.waveforms
                ),
                rssi_dbm=d.rssi_dbm,
            )
            for d in wire.devices
        ),
    )


def decode(payload: bytes | memoryview) -> Decoded:
    """Read one message in either encoding.

    Raises `MalformedMessageError` when no part of it can be used: `too_large`, `truncated` (or otherwise not
    MessagePack or JSON), `type`, `unknown_version`.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise MalformedMessageError(
            "too_large", "", f"{len(payload):,} bytes; a message holds at most {MAX_PAYLOAD_BYTES:,}"
        )
    if payload[:1] == b"{":
        return _salvage(arrays(payload))
    try:
        batch = _DECODER.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError):
        return _salvage(_untyped(msgspec.msgpack.decode, payload))
    _check_version(batch.version)
    if all(_is_whole(w) for d in batch.devices for w in d.waveforms):
        return Decoded(batch)
    return _salvage(msgspec.msgpack.decode(payload))


def number_of(payload: bytes | memoryview) -> WireNumber | None:
    """Which message this is, also when `decode` refuses it with `type`: unreceipted, it would be sent again for ever.

    `None` when that cannot be told, or when the message is of another version: its gateway had better keep it.
    """
    try:
        message = arrays(payload) if payload[:1] == b"{" else _untyped(msgspec.msgpack.decode, payload)
        number = msgspec.convert(message, WireNumber)
    except (MalformedMessageError, msgspec.ValidationError):
        return None
    return number if number.version == VERSION else None


def _is_whole(block: WireWaveform) -> bool:
    return len(block.samples) % block.width_bytes == 0


def _untyped(decoder: Callable[[bytes | memoryview], Any], payload: bytes | memoryview) -> Any:
    try:
        return decoder(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError, ValueError) as error:
        raise MalformedMessageError("truncated", "", f"not a readable message: {error}") from error


def _check_version(version: object) -> None:
    if version != VERSION or isinstance(version, bool):
        shown = repr(version)[:40]
        raise MalformedMessageError(
            "unknown_version", "version", f"version {shown} is not known here; this release reads {VERSION}"
        )


def _salvage(message: object) -> Decoded:
    """Convert an untyped message part by part, keeping every part that is good."""
    if not isinstance(message, list) or not message:
        raise MalformedMessageError("type", "", "a message is an array (MessagePack) or an object (JSON)")
    _check_version(message[0])
    width = len(_HEADER_FIELDS)
    if len(message) <= width:
        missing = WireBatch.__struct_fields__[len(message)]
        raise MalformedMessageError("truncated", missing, f"the message ends before `{missing}`")
    try:
        header = msgspec.convert([*message[:width], []], WireBatch)
    except msgspec.ValidationError as error:
        raise MalformedMessageError("type", _named(str(error), _HEADER_FIELDS), str(error)) from error
    devices = message[width]
    if not isinstance(devices, list):
        raise MalformedMessageError("type", "devices", "`devices` is a list")
    rejected: list[Rejected] = []
    good = [
        device
        for index, raw in enumerate(devices[:MAX_DEVICES])
        if (device := _salvage_device(raw, f"devices[{index}]", rejected)) is not None
    ]
    if len(devices) > MAX_DEVICES:
        rejected.append(
            Rejected("too_many", f"devices[{MAX_DEVICES}]", f"more than {MAX_DEVICES} devices in one message")
        )
    return Decoded(msgspec.structs.replace(header, devices=good), tuple(rejected[:_MAX_REJECTED]))


def _salvage_device(raw: object, path: str, rejected: list[Rejected]) -> WireDevice | None:
    if not isinstance(raw, list) or not raw:
        rejected.append(Rejected("type", path, f"`{path}` is not a device"))
        return None
    device = _convert([raw[0], [], [], *raw[3:]], WireDevice, path, rejected)
    if device is None:
        return None
    lists = [raw[position] if position < len(raw) else [] for position in (1, 2)]
    samples = _salvage_list(lists[0], WireSample, f"{path}.samples", rejected)
    waveforms = _salvage_list(lists[1], WireWaveform, f"{path}.waveforms", rejected)
    return msgspec.structs.replace(device, samples=list(samples), waveforms=list(waveforms))


def _salvage_list(raw: object, kind: type[_S], path: str, rejected: list[Rejected]) -> Iterator[_S]:
    bound = MAX_SAMPLES if kind is WireSample else MAX_WAVEFORMS
    if not isinstance(raw, list):
        rejected.append(Rejected("type", path, f"`{path}` is a list"))
        return
    for index, item in enumerate(raw[:bound]):
        place = f"{path}[{index}]"
        converted = _convert(item, kind, place, rejected)
        if isinstance(converted, WireWaveform) and not _is_whole(converted):
            whole = f"not a whole number of {converted.width_bytes}-byte integers"
            rejected.append(Rejected("truncated", f"{place}.samples", whole))
        elif converted is not None:
            yield converted
    if len(raw) > bound:
        rejected.append(Rejected("too_many", f"{path}[{bound}]", f"more than {bound} entries"))


def _convert(raw: object, kind: type[_S], path: str, rejected: list[Rejected]) -> _S | None:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        inner = _named(str(error), kind.__struct_fields__)
        rejected.append(Rejected("type", f"{path}.{inner}" if inner else path, str(error)))
        return None


_PATH: Final = re.compile(r"at `\$\[(\d+)\]")


def _named(message: str, fields: tuple[str, ...]) -> str:
    """The field that a msgspec message names by array position: ``… - at `$[2]` `` is `fields[2]`."""
    match = _PATH.search(message)
    position = int(match.group(1)) if match else len(fields)
    return fields[position] if position < len(fields) else ""
