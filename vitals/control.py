"""Small messages between gateways and ingest: the gateway's status and ingest's receipt.

Rare, and read by people with any MQTT client, therefore JSON only. Encode and decode are pairs.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from vitals.errors import MalformedMessageError
from vitals.model import ClockSource, ClockTrust, GatewayHealth, GatewayStatus, Presence, Receipt
from vitals.wire import Count, Milliseconds, Name, Nanoseconds

MAX_HEALTH_BYTES: Final = 64 << 10  # of a status: 60 wearables take 8 kB
MAX_AHEAD: Final = 16  # ranges told in a receipt, the highest ones: live data after each of so many outages
_S = TypeVar("_S", bound=Struct)
_HEALTH: Final = msgspec.json.Decoder(GatewayHealth | None)


class _WireStatus(Struct, frozen=True):
    gateway: Name
    presence: str
    at_ns: Nanoseconds
    version: str = ""
    spooled: Count = 0
    dropped: Count = 0
    clock_source: str = "synchronised"
    uncertainty_ms: Milliseconds = 0.0
    health: Raw = Raw(b"null")


class _WireReceipt(Struct, frozen=True, omit_defaults=True):
    gateway: Name
    epoch: Count
    through: Count
    ahead: Annotated[tuple[tuple[Count, Count], ...], Meta(max_length=MAX_AHEAD)] = ()


def encode_status(status: GatewayStatus) -> bytes:
    """The JSON form of a gateway's status, retained under `Topics.status`."""
    return msgspec.json.encode(
        _WireStatus(
            status.gateway,
            status.presence.name.lower(),
            status.at_ns,
            status.version,
            status.spooled,
            status.dropped,
            status.clock.source.name.lower(),
            status.clock.uncertainty_ms,
            Raw(msgspec.json.encode(status.health)),
        )
    )


def decode_status(payload: bytes) -> GatewayStatus:
    """Read a status; raises `MalformedMessageError`."""
    wire = _decode_small(payload, _WireStatus)
    try:
        presence, source = Presence[wire.presence.upper()], ClockSource[wire.clock_source.upper()]
    except KeyError as error:
        field = "presence" if error.args[0] == wire.presence.upper() else "clock_source"
        raise MalformedMessageError("type", field, f"{error.args[0]!r} is not a known {field}") from error
    return GatewayStatus(
        wire.gateway,
        presence,
        wire.at_ns,
        wire.version[:64],
        wire.spooled,
        wire.dropped,
        ClockTrust(source, wire.uncertainty_ms),
        _decode_health(wire.health),
    )


def _decode_health(told: Raw) -> GatewayHealth | None:
    """What a gateway says of its parts; what cannot be read of it does not cost the rest of the status."""
    if len(bytes(told)) > MAX_HEALTH_BYTES:
        return None
    try:
        health: GatewayHealth | None = _HEALTH.decode(told)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return health


def encode_receipt(receipt: Receipt) -> bytes:
    """The JSON form of a receipt."""
    ahead = receipt.ahead[-MAX_AHEAD:]
    return msgspec.json.encode(_WireReceipt(receipt.gateway, receipt.epoch, receipt.through, ahead))


def decode_receipt(payload: bytes) -> Receipt:
    """Read a receipt; raises `MalformedMessageError`."""
    wire = _decode_small(payload, _WireReceipt)
    return Receipt(wire.gateway, wire.epoch, wire.through, wire.ahead)


def _decode_small(payload: bytes, kind: type[_S]) -> _S:
    try:
        return msgspec.json.decode(payload, type=kind)
    except msgspec.ValidationError as error:
        field = str(error).rpartition("$.")[2].rstrip("`") if "$." in str(error) else ""
        raise MalformedMessageError("type", field, str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessageError("truncated", "", f"not readable JSON: {error}") from error
