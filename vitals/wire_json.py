"""The JSON form of the wire format: names where the MessagePack form has positions.

For people with `mosquitto_pub` and for Wi-Fi wearables. `arrays` turns a JSON message into the positions of the
MessagePack form, so that both are checked by the same code (`vitals.wire.decode`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from vitals.errors import MalformedMessageError
from vitals.model import VITAL_BY_NAME, ClockSource, DeviceBatch, GatewayBatch, Quality, Reason, Waveform

VERSION: Final = 1
UNSET_NS: Final = 0  # the sender gave no time: ingest's receive time stands in


def encode_json(batch: GatewayBatch) -> bytes:
    """The JSON form of `batch`: names instead of positions, times as integers in nanoseconds.

    `decode` also takes `sampled_at`, `started_at` and `sent_at` as RFC 3339 texts with an offset, for people.
    """
    return msgspec.json.encode(
        {
            "version": VERSION,
            "gateway": batch.gateway,
            "epoch": batch.epoch,
            "sequence": batch.sequence,
            "oldest": batch.oldest,
            "sent_at_ns": batch.sent_at_ns,
            "clock": {
                "source": batch.clock.source.name.lower(),
                "uncertainty_ms": batch.clock.uncertainty_ms,
            },
            "devices": [_device_to_json(device) for device in batch.devices],
        }
    )


def _device_to_json(device: DeviceBatch) -> dict[str, Any]:
    return {
        "device": device.device,
        "samples": [
            {
                "vital": s.vital.name.lower(),
                "sampled_at_ns": s.sampled_at_ns,
                "value": s.value,
                "reason": s.reason.name.lower(),
                "quality": s.quality.name.lower(),
                "sequence": s.sequence,
            }
            for s in device.samples
        ],
        "waveforms": [
            {
                "waveform": w.waveform.name.lower(),
                "started_at_ns": w.started_at_ns,
                "sample_rate_hz": w.sample_rate_hz,
                "samples": _unpack_integers(w.samples, w.width_bytes),
                "width_bytes": w.width_bytes,
                "quality": w.quality.name.lower(),
            }
            for w in device.waveforms
        ],
        "rssi_dbm": device.rssi_dbm,
    }


def _unpack_integers(samples: bytes, width: int) -> list[int]:
    return [int.from_bytes(samples[i : i + width], "little", signed=True) for i in range(0, len(samples), width)]


def arrays(payload: bytes | memoryview) -> list[Any]:
    """The positions of the MessagePack form, filled from JSON names; `None` marks what cannot be read.

    Raises `MalformedMessageError` (`truncated`, `type`) for what is not a JSON object.
    """
    try:
        message = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessageError("truncated", "", f"not readable JSON: {error}") from error
    if not isinstance(message, dict):
        raise MalformedMessageError("type", "", "a JSON message is an object")
    clock = message.get("clock")
    clock = clock if isinstance(clock, dict) else {}
    devices = message.get("devices", [])
    return [
        message.get("version"),
        message.get("gateway"),
        message.get("epoch", 0),
        message.get("sequence", 0),
        message.get("oldest", 0),
        _json_time(message, "sent_at"),
        _named_member(clock.get("source", "device"), ClockSource),
        clock.get("uncertainty_ms", 0.0),
        [_json_device(d) for d in devices] if isinstance(devices, list) else devices,
    ]


def _json_device(raw: object) -> object:
    if not isinstance(raw, dict):
        return raw
    samples, waveforms = raw.get("samples", []), raw.get("waveforms", [])
    return [
        raw.get("device"),
        [_json_sample(s) for s in samples] if isinstance(samples, list) else samples,
        [_json_waveform(w) for w in waveforms] if isinstance(waveforms, list) else waveforms,
        raw.get("rssi_dbm"),
    ]


def _json_sample(raw: object) -> object:
    if not isinstance(raw, dict):
        return raw
    value = raw.get("value")
    absent = "present" if value is not None else "no_reading"
    vital = raw.get("vital")
    return [
        VITAL_BY_NAME.get(vital, vital) if isinstance(vital, str) else vital,
        _json_time(raw, "sampled_at"),
        value,
        _named_member(raw.get("reason", absent), Reason),
        _named_member(raw.get("quality", "unknown"), Quality),
        raw.get("sequence", 0),
    ]


def _json_waveform(raw: object) -> object:
    if not isinstance(raw, dict):
        return raw
    width = raw.get("width_bytes", 4)
    samples = raw.get("samples")
    if isinstance(samples, list) and isinstance(width, int) and width in (2, 4):
        try:
            samples = b"".join(n.to_bytes(width, "little", signed=True) for n in samples)
        except (AttributeError, OverflowError, TypeError, ValueError):
            samples = None
    return [
        _named_member(raw.get("waveform"), Waveform),
        _json_time(raw, "started_at"),
        raw.get("sample_rate_hz"),
        samples,
        width,
        _named_member(raw.get("quality", "unknown"), Quality),
    ]


def _named_member(name: object, kind: type[ClockSource | Quality | Reason | Waveform]) -> object:
    member = getattr(kind, name.upper(), None) if isinstance(name, str) else None
    return name if member is None else member.value


def _json_time(raw: Mapping[str, Any], name: str) -> object:
    """`<name>_ns` as an integer, or `<name>` as RFC 3339 with an offset; neither means `UNSET_NS`."""
    exact = raw.get(f"{name}_ns")
    if exact is not None:
        return exact
    text = raw.get(name)
    if text is None:
        return UNSET_NS
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return text
    if moment.tzinfo is None:
        return text
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000
