"""Small messages between gateways and ingest: the gateway's status and ingest's receipt.

Rare, and read by people with any MQTT client, therefore JSON only. Encode and decode are pairs.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import Struct

from vitals.errors import MalformedMessageError
from vitals.model import ClockSource, ClockTrust, GatewayStatus, Presence, Receipt
from vitals.wire import Count, Milliseconds, Name, Nanoseconds

_S = TypeVar("_S", bound=Struct)


class _WireStatus(Struct, frozen=True):
    gateway: Name
    presence: str
    at_ns: Nanoseconds
    version: str = ""
    spooled: Count = 0
    dropped: Count = 0
    clock_source: str = "synchronised"
    uncertainty_ms: Milliseconds = 0.0


class _WireReceipt(Struct, frozen=True):
    gateway: Name
    epoch: Count
    through: Count


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
    )


def encode_receipt(receipt: Receipt) -> bytes:
    """The JSON form of a receipt."""
    return msgspec.json.encode(_WireReceipt(receipt.gateway, receipt.epoch, receipt.through))


def decode_receipt(payload: bytes) -> Receipt:
    """Read a receipt; raises `MalformedMessageError`."""
    wire = _decode_small(payload, _WireReceipt)
    return Receipt(wire.gateway, wire.epoch, wire.through)


def _decode_small(payload: bytes, kind: type[_S]) -> _S:
    try:
        return msgspec.json.decode(payload, type=kind)
    except msgspec.ValidationError as error:
        field = str(error).rpartition("$.")[2].rstrip("`") if "$." in str(error) else ""
        raise MalformedMessageError("type", field, str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessageError("truncated", "", f"not readable JSON: {error}") from error
